"""isinstance() with the built-in dialect's classes, and patches on them, in a running program."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import Iterator
from typing import Any
from unittest import mock

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects.postgresql import asyncpg as builtin
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import UserDefinedType

from pgflight import PgflightWarning
from pgflight.dialect import patches
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both, attempt

Connection: Any = builtin.AsyncAdapt_asyncpg_connection
Cursor: Any = builtin.AsyncAdapt_asyncpg_cursor


class Signature(UserDefinedType[Any]):
    """Chooses the driver's bit string by the class of the dialect."""

    cache_ok = True

    def get_col_spec(self, **options: Any) -> str:
        return "BIT(4)"

    def bind_processor(self, dialect: Any) -> Any:
        driver = isinstance(dialect, builtin.PGDialect_asyncpg)
        return lambda value: asyncpg.BitString(value) if driver else value


METADATA = sa.MetaData()
TABLE = sa.Table(
    "t_of_classes",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("signature", Signature()),
)


def test_objects_are_of_the_classes_that_programs_ask_for(both: Both) -> None:
    async def work(engine: AsyncEngine) -> Any:
        found: list[Any] = []

        @event.listens_for(engine.sync_engine, "connect")
        def connected(adapted: Any, record: Any) -> None:
            if isinstance(adapted, Connection):
                adapted.run_async(lambda raw: raw.execute("SET application_name = 'hooked'"))

        @event.listens_for(engine.sync_engine, "before_cursor_execute")
        def executing(connection: Any, cursor: Any, *others: Any) -> None:
            found.append((isinstance(cursor, Cursor), cursor.server_side))
            context = others[2]
            found.append(isinstance(context, builtin.PGExecutionContext_asyncpg))
            found.append(isinstance(context.compiled, (type(None), builtin.PGCompiler_asyncpg)))

        dialect: Any = engine.dialect
        found.append(isinstance(dialect, builtin.PGDialect_asyncpg))
        found.append(isinstance(dialect.dbapi, builtin.AsyncAdapt_asyncpg_dbapi))
        preparer = dialect.identifier_preparer
        found.append(isinstance(preparer, builtin.PGIdentifierPreparer_asyncpg))
        for kind in (sa.Integer(), sa.String(), sa.DateTime(), sa.Numeric(), sa.Float()):
            found.append(
                builtin.__name__
                in {c.__module__ for c in kind.dialect_impl(dialect).__class__.__mro__}
            )
        async with engine.begin() as connection:
            found.append(await connection.scalar(sa.text("SHOW application_name")))
            await connection.run_sync(METADATA.create_all)
            await connection.execute(sa.insert(TABLE), {"id": 1, "signature": "0101"})
            streamed = await connection.stream(sa.select(TABLE.c.id))
            found.append(await streamed.all())
            text = sa.text("SELECT signature::text FROM t_of_classes")
            found.append(await connection.scalar(text))
            with pytest.raises(sa.exc.IntegrityError) as caught:
                await connection.execute(sa.insert(TABLE), {"id": 1, "signature": "0101"})
            original = caught.value.orig
            found.append(isinstance(original, builtin.AsyncAdapt_asyncpg_dbapi.IntegrityError))
            await connection.rollback()
        return found

    both(work)


@contextlib.contextmanager
def patched(*pairs: tuple[Any, str, Any]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for owner, name, value in pairs:
            stack.enter_context(mock.patch.object(owner, name, value))
        yield
    patches.synchronize()


def test_patches_by_replacement(both: Both) -> None:
    calls: set[str] = set()

    def terminate(self: Any) -> None:
        calls.add("terminate")
        self._connection.terminate()

    async def codec(self: Any, connection: Any) -> None:
        calls.add("codec")

    def do_ping(self: Any, connection: Any) -> bool:
        calls.add("ping")
        return True

    async def work(engine: AsyncEngine) -> Any:
        calls.clear()
        async with engine.connect() as connection:
            found = [await connection.scalar(sa.text("SELECT '[1]'::json"))]
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
            await connection.invalidate()
        return [*found, sorted(calls)]

    with patched(
        (Connection, "terminate", terminate),
        (builtin.PGDialect_asyncpg, "setup_asyncpg_json_codec", codec),
        (builtin.PGDialect_asyncpg, "setup_asyncpg_jsonb_codec", codec),
        (builtin.PGDialect_asyncpg, "do_ping", do_ping),
    ):
        both(work, pool_pre_ping=True)


def around(owner: Any, name: str, calls: list[str]) -> tuple[Any, str, Any]:
    """Return a patch that counts its calls and goes on to SQLAlchemy's own method."""
    kept = getattr(owner, name)

    def counting(self: Any, *arguments: Any, **options: Any) -> Any:
        calls.append(name)
        return kept(self, *arguments, **options)

    return owner, name, counting


WRAPPED = [
    (Connection, "terminate"),
    (Connection, "close"),
    (Connection, "ping"),
    (Connection, "cursor"),
    (Connection, "set_isolation_level"),
    (Connection, "_handle_exception"),
    (Connection, "_async_ping"),
    (Connection, "_terminate_graceful_close"),
    (Connection, "_terminate_force_close"),
    (Cursor, "execute"),
    (Cursor, "executemany"),
    (Cursor, "_prepare_and_execute"),
    (Cursor, "_executemany"),
    (builtin.PGDialect_asyncpg, "on_connect"),
    (builtin.PGDialect_asyncpg, "create_connect_args"),
    (builtin.PGDialect_asyncpg, "get_driver_connection"),
    (builtin.PGDialect_asyncpg, "do_terminate"),
    (builtin.PGDialect_asyncpg, "is_disconnect"),
    (builtin.PGDialect_asyncpg, "set_isolation_level"),
    (builtin.PGDialect_asyncpg, "setup_asyncpg_json_codec"),
    (builtin.PGExecutionContext_asyncpg, "pre_exec"),
]


async def usual_work(engine: AsyncEngine) -> list[Any]:
    numbers = sa.table("t_of_patches", sa.column("n", sa.Integer), sa.column("t", sa.JSON))
    found: list[Any] = []
    async with engine.begin() as connection:
        await connection.execute(sa.text("CREATE TEMPORARY TABLE t_of_patches (n int, t json)"))
        rows = [{"n": number, "t": {"a": number}} for number in range(5)]
        await connection.execute(sa.insert(numbers), rows)
        await connection.execute(sa.insert(numbers), rows[0])
        found.append((await connection.execute(sa.select(numbers))).all())
        found.append(await attempt(connection.scalar(sa.text("SELECT 1/0"))))
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        found.append(await connection.scalar(sa.text("SHOW transaction_isolation")))
        raw: Any = await connection.get_raw_connection()
        adapted: Any = raw.dbapi_connection
        await connection.run_sync(lambda _: adapted.ping())
        found.append(await raw.driver_connection.fetchval("SELECT 5"))
        await connection.invalidate()
    async with engine.connect() as connection:
        found.append(await connection.scalar(sa.text("SELECT 7")))
    return found


@pytest.mark.parametrize(
    ("owner", "name"),
    [pair for pair in WRAPPED if hasattr(*pair)],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_patches_that_wrap_the_method(both: Both, owner: Any, name: str) -> None:
    calls: list[str] = []

    async def work(engine: AsyncEngine) -> Any:
        found = await usual_work(engine)
        await engine.dispose()
        called, calls[:] = bool(calls), []
        return [called, *found]

    with patched(around(owner, name, calls)), warnings.catch_warnings():
        # of the server-side cursor, which has a portal instead
        warnings.filterwarnings("ignore", "SQLAlchemy's AsyncAdapt_asyncpg_ss_cursor._prepare_and")
        both(work, pool_size=1, max_overflow=0)


def test_a_patch_that_comes_after_the_engine(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        async with engine.connect() as connection:
            await connection.scalar(sa.text("SELECT 1"))
            with patched((Cursor, "fetchall", mock.Mock())):
                await connection.invalidate()
                with pytest.warns(PgflightWarning, match="asyncpg_cursor.fetchall is patched"):
                    await connection.rollback()
                    await connection.scalar(sa.text("SELECT 1"))

    asyncio.run(work())
