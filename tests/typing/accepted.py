"""Uses of the public API that type checkers must accept; `test_typing.py` has them checked.

Never imported: importing would install the dialect in the test process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.engine import Connection, Engine, Row, RowMapping, create_engine, make_url
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from typing_extensions import TypedDict, assert_type

import pgflight
import pgflight.auto
from pgflight.dialect import (
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
from pgflight.session.statistics import Statistics

# pgflight itself
assert_type(pgflight.__version__, str)
pgflight.install()
pgflight.uninstall()
chosen = pgflight.implementation()
assert_type(chosen.name, Literal["compiled", "python"])
assert_type(chosen.reason, str)
name, reason = chosen
assert_type(name, Literal["compiled", "python"])

# engines are SQLAlchemy's
engine = create_async_engine(
    "postgresql+asyncpg://scott:tiger@localhost/test", plugins=["pgflight"]
)
assert_type(engine, AsyncEngine)
numbers = pgflight.stats(engine)
assert_type(numbers, Statistics)
assert_type(numbers.cache_hits, int)
assert_type(numbers.greenlet_stacks.hits, int)
assert_type(pgflight.keep_greenlet_stacks(False).reason, str)
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


# COPY in: what it returns depends on what it is called with
class Base(DeclarativeBase):
    """Declarative base of this module."""


class User(Base):
    """A mapped class."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Point(NamedTuple):
    """A row of its own kind."""

    x: int
    y: int


class Named(TypedDict):
    """A mapping of its own kind."""

    name: str


users = sa.Table("users", Base.metadata, sa.Column("id", sa.Integer), sa.Column("name", sa.Text))
points: list[Point] = [Point(1, 2)]
named: list[Named] = [{"name": "x"}]


async def generated() -> AsyncIterator[dict[str, object]]:
    """Yield rows as an application does."""
    yield {"id": 1}


async def told(rows: int, sent: int | None) -> None:
    """Tell how far it is, in a coroutine."""


async def copies(
    connection: AsyncConnection,
    session: AsyncSession,
    scoped: async_scoped_session[AsyncSession],
) -> None:
    """COPY with the asynchronous API."""
    assert_type(await pgflight.copy_in(connection, users, points), int)
    assert_type(await pgflight.copy_in(session, User, named, ["name"]), int)
    assert_type(await pgflight.copy_in(scoped, User.__table__, generated()), int)
    await pgflight.copy_in(connection, User, [(1, "x")], [User.id, User.name], progress=told)
    await pgflight.copy_in(connection, users, [[1, "x"]], [users.c.id, "name"], progress=print)
    await pgflight.copy_in(connection, sa.table("t", sa.column("n")), ((n,) for n in range(9)))
    await pgflight.copy_in(connection, sa.inspect(User), iter(points), timeout=2.5)
    result = await connection.execute(sa.select(users))
    await pgflight.copy_in(connection, users, result.all())
    await pgflight.copy_in(connection, users, (await connection.stream(users.select())).mappings())
    await pgflight.copy_in(connection, users, await connection.stream(users.select()))

    async for row in pgflight.copy_out(connection, sa.select(users.c.id), batch=10):
        assert_type(row, Row[Any])
    async for piece in pgflight.copy_out(session, User, format="csv", header=True):
        assert_type(piece, bytes)
    async with pgflight.copy_out(scoped, User.__table__, ["id"], format="binary") as pieces:
        assert_type([piece async for piece in pieces], list[bytes])
    reading: AsyncIterator[Row[Any]] = pgflight.copy_out(connection, sa.text("SELECT 1"))
    assert_type(await reading.__anext__(), Row[Any])


async def streams(
    connection: AsyncConnection,
    session: AsyncSession,
    scoped: async_scoped_session[AsyncSession],
) -> None:
    """Large results."""
    async for row in pgflight.stream(connection, sa.select(users), batch=10):
        print(row.id)
    async for user in pgflight.stream(session, sa.select(User), max_bytes=10**6).scalars():
        print(user.name)
    query = sa.text("SELECT :n AS n")
    async for part in pgflight.stream(scoped, query, {"n": 1}).mappings().partitions(5):
        assert_type(part, Sequence[RowMapping])
    async with pgflight.stream(connection, sa.select(users.c.id, users.c.name)) as rows:
        number, name = await anext(rows)
        print(number, name)
    reading: AsyncIterator[Any] = pgflight.stream(connection, query)
    await pgflight.copy_in(connection, users, reading)


async def notifications(
    engine: AsyncEngine,
    synchronous: Engine,
    connection: AsyncConnection,
    scoped: async_scoped_session[AsyncSession],
    session: Session,
) -> None:
    """LISTEN and NOTIFY."""
    async with pgflight.listen(engine, "jobs", "mail", queue_size=None) as listener:
        async for item in listener:
            if isinstance(item, pgflight.Gap):
                assert_type(item.missed, int | None)
            else:
                assert_type(item, pgflight.Notification)
                print(item.channel, item.payload, item.pid)
        assert_type(await anext(listener), pgflight.Notification | pgflight.Gap)
    pgflight.listen(synchronous, "jobs", url=synchronous.url, check_every=None, give_up_after=5)
    await pgflight.notify(connection, "jobs", "7")
    await pgflight.notify(scoped, "jobs")
    pgflight.notify(session, "jobs", payload="7")


def copies_synchronously(connection: Connection, session: Session) -> None:
    """COPY with the synchronous API."""
    assert_type(pgflight.copy_in(connection, users, points), int)
    assert_type(pgflight.copy_in(session, User, named), int)
    for row in pgflight.copy_out(connection, users):
        assert_type(row, Row[Any])
    written = b"".join(pgflight.copy_out(session, sa.select(User.name), format="text"))
    assert_type(written, bytes)
