"""Uses of the public API that type checkers must accept; `test_typing.py` has them checked.

Never imported: importing would install the dialect in the test process.
"""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.engine import create_engine, make_url
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from typing_extensions import assert_type

import fastpg
import fastpg.auto
from fastpg.dialect import (
    AsyncAdapt_asyncpg_connection,
    AsyncAdapt_asyncpg_cursor,
    AsyncAdapt_asyncpg_dbapi,
    AsyncAdapt_asyncpg_ss_cursor,
    AsyncAdaptFallback_asyncpg_connection,
    AsyncpgInteger,
    AsyncpgJSONB,
    PGCompiler_asyncpg,
    PGDialect_asyncpg,
    PGExecutionContext_asyncpg,
    PGIdentifierPreparer_asyncpg,
)
from fastpg.statistics import Statistics

# fastpg itself
assert_type(fastpg.__version__, str)
fastpg.install()
fastpg.uninstall()
chosen = fastpg.implementation()
assert_type(chosen.name, Literal["compiled", "python"])
assert_type(chosen.reason, str)
name, reason = chosen
assert_type(name, Literal["compiled", "python"])

# engines are SQLAlchemy's
engine = create_async_engine("postgresql+asyncpg://scott:tiger@localhost/test", plugins=["fastpg"])
assert_type(engine, AsyncEngine)
numbers = fastpg.stats(engine)
assert_type(numbers, Statistics)
assert_type(numbers.cache_hits, int)
create_engine("postgresql+asyncpg://scott:tiger@localhost/test?async_fallback=true")

# a dialect is one of SQLAlchemy's PostgreSQL dialects
dialect: Dialect = PGDialect_asyncpg(json_serializer=str, native_inet_types=False)
as_postgresql: PGDialect = PGDialect_asyncpg()
assert_type(PGDialect_asyncpg.driver, str)
levels = PGDialect_asyncpg().get_isolation_level_values(None)
first: str = levels[0]
positional, keywords = PGDialect_asyncpg().create_connect_args(make_url("postgresql+asyncpg://"))
connect_arguments: dict[str, Any] = keywords


class ThirdParty(PGDialect_asyncpg):
    """What dialects of databases that speak PostgreSQL's protocol do."""

    driver = "asyncpg"
    supports_statement_cache = True
    execution_ctx_cls = PGExecutionContext_asyncpg
    statement_compiler = PGCompiler_asyncpg
    preparer = PGIdentifierPreparer_asyncpg

    async def setup_asyncpg_json_codec(self, conn: Any) -> None:
        await super().setup_asyncpg_json_codec(conn)

    async def setup_asyncpg_jsonb_codec(self, conn: Any) -> None:
        """Do without."""


# classes that programs name, as types
connection_class: type[AsyncAdapt_asyncpg_connection] = AsyncAdaptFallback_asyncpg_connection
cursor_class: type[AsyncAdapt_asyncpg_cursor] = AsyncAdapt_asyncpg_ss_cursor
dbapi: AsyncAdapt_asyncpg_dbapi = PGDialect_asyncpg.import_dbapi()
integer: postgresql.INTEGER | AsyncpgInteger = AsyncpgInteger()
jsonb: postgresql.JSON = AsyncpgJSONB()
