"""SQL texts that cannot be sent are a DataError, and the connection goes on as if nothing was.

The built-in dialect raises UnicodeEncodeError for a lone surrogate, and has lost the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

import pgflight
from tests.fixtures.engines import Dialect

PID = sa.text("SELECT pg_backend_pid()")
UNSENDABLE = {"surrogate": "\ud800", "nul": "\0", "late": "é" * 30 + "\udfff"}


async def _streamed(connection: AsyncConnection, text: str) -> None:
    async with connection.stream(sa.text(text)) as result:
        await result.all()


async def _savepoint(connection: AsyncConnection, bad: str) -> None:
    async with connection.begin_nested():
        await connection.exec_driver_sql(f'SAVEPOINT "{bad}"')


async def _copied_in(connection: AsyncConnection, bad: str) -> None:
    table = sa.Table(f"t{bad}", sa.MetaData(), sa.Column("a", sa.Integer))
    await pgflight.copy_in(connection, table, [{"a": 1}])


async def _copied_out(connection: AsyncConnection, bad: str) -> None:
    async for _ in pgflight.copy_out(connection, sa.text(f"SELECT '{bad}'"), format="csv"):
        pass


async def _created(connection: AsyncConnection, bad: str) -> None:
    table = sa.Table(f"t{bad}", sa.MetaData(), sa.Column("a", sa.Integer))
    await connection.run_sync(table.create, checkfirst=False)


WAYS: dict[str, Callable[[AsyncConnection, str], Awaitable[Any]]] = {
    "text": lambda c, bad: c.execute(sa.text(f"SELECT '{bad}'")),
    "identifier": lambda c, bad: c.execute(sa.select(sa.column(f"a{bad}"))),
    "literal": lambda c, bad: c.execute(sa.select(sa.literal(bad, literal_execute=True))),
    "many": lambda c, bad: c.execute(
        sa.text(f"SELECT '{bad}', CAST(:a AS int)"), [{"a": 1}, {"a": 2}]
    ),
    "driver": lambda c, bad: c.exec_driver_sql(f"SELECT '{bad}'"),
    "stream": lambda c, bad: _streamed(c, f"SELECT '{bad}'"),
    "setting": lambda c, bad: c.execute(sa.text(f"SET application_name = '{bad}'")),
    "savepoint": _savepoint,
    "ddl": _created,
    "copy in": _copied_in,
    "copy out": _copied_out,
}


@pytest.mark.parametrize("kind", UNSENDABLE)
@pytest.mark.parametrize(
    ("way", "level"),
    [
        (way, level)
        for way in WAYS
        for level in ("READ COMMITTED", "AUTOCOMMIT")
        if (way, level) != ("savepoint", "AUTOCOMMIT")  # it needs a transaction
    ],
)
def test_refused(pgflight_dialect: Dialect, way: str, kind: str, level: str) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0, isolation_level=level)
        async with engine.connect() as connection:
            pid = await connection.scalar(PID)
        for first in (True, False):
            async with engine.connect() as connection:
                if not first:
                    await connection.execute(sa.text("CREATE TEMP TABLE kept (n int)"))
                with pytest.raises((sa.exc.DataError, sa.exc.ProgrammingError)) as caught:
                    await WAYS[way](connection, UNSENDABLE[kind])
                assert not caught.value.connection_invalidated
                if not first:  # nothing was sent, so the transaction goes on
                    await connection.execute(sa.text("INSERT INTO kept VALUES (1)"))
                    await connection.commit()
                    assert await connection.scalar(sa.text("SELECT count(*) FROM kept")) == 1
                assert await connection.scalar(PID) == pid

    asyncio.run(work())


@pytest.mark.parametrize("bad", UNSENDABLE.values(), ids=UNSENDABLE)
def test_name_of_a_prepared_statement(pgflight_dialect: Dialect, bad: str) -> None:
    async def work() -> None:
        names = iter(["fine", bad])
        arguments = {"prepared_statement_name_func": lambda: next(names, None)}
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0, connect_args=arguments)
        async with engine.connect() as connection:
            pid = await connection.scalar(PID)
            with pytest.raises(sa.exc.DataError):
                await connection.scalar(sa.text("SELECT 1"))
            assert await connection.scalar(PID) == pid

    asyncio.run(work())


@pytest.mark.parametrize("bad", ["\ud800", "\0"], ids=["surrogate", "nul"])
def test_values(dialect: Dialect, bad: str) -> None:
    """As a value it is an error of the statement, on either dialect."""

    async def work() -> None:
        engine = dialect.engine(pool_size=1, max_overflow=0)
        async with engine.connect() as connection:
            pid = await connection.scalar(PID)
        asked: list[tuple[Any, Any]] = [
            (sa.select(sa.literal(f"a{bad}")), {}),
            (sa.text("SELECT CAST(:a AS name)::text"), {"a": bad}),
            (sa.text("SELECT CAST(:a AS text[])"), {"a": ["b", bad]}),
            (sa.text("SELECT CAST(:a AS text)"), [{"a": "b"}, {"a": bad}]),
            (sa.select(sa.literal("x").in_([bad] * 12)), {}),
        ]
        for statement, values in asked:
            async with engine.connect() as connection:
                with pytest.raises(sa.exc.DBAPIError) as caught:
                    await connection.execute(statement, values)
                assert not caught.value.connection_invalidated
                if dialect.ours:
                    assert isinstance(caught.value, sa.exc.DataError)
                await connection.rollback()
                assert await connection.scalar(PID) == pid

    asyncio.run(work())
