"""`pgflight.copy_out`: the rows that `stream()` gives, and the server's CSV, text and binary."""

from __future__ import annotations

import asyncio
import csv
import io
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

import pgflight
from tests.fixtures.engines import Dialect
from tests.fixtures.server import Server
from tests.parity.scratch import scratch
from tests.parity.test_sync import sync_engine

NUMBER = 2500
numbers = sa.Table(
    "copied_out",
    sa.MetaData(),
    sa.Column("n", sa.Integer),
    sa.Column("doc", sa.JSON),
    sa.Column("t", sa.Text),
    prefixes=["TEMPORARY"],
)
FORMATS = pytest.mark.parametrize("format", [None, "csv", "text", "binary"])
BIG = sa.select(sa.text("n, repeat('x', 1000) AS t FROM generate_series(1, 20000) AS n"))


def work(dialect: Dialect, body: Any, isolation: str | None = None) -> Any:
    async def run() -> Any:
        engine = dialect.engine(pool_size=1, max_overflow=0)
        if isolation is not None:
            async with engine.connect() as connection:
                await connection.execution_options(isolation_level=isolation)
                return await asyncio.wait_for(body(connection), 30)
        async with scratch(engine, numbers.metadata) as connection:
            rows = [(n, {"n": [n]}, f"it's {n}") for n in range(NUMBER)]
            await pgflight.copy_in(connection, numbers, rows)
            return await asyncio.wait_for(body(connection), 30)

    return asyncio.run(run())


async def all_of(reading: Any) -> list[Any]:
    return [item async for item in reading]


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_rows_are_those_of_a_select(pgflight_dialect: Dialect, batch: int) -> None:
    async def body(connection: AsyncConnection) -> Any:
        statement = sa.select(numbers.c.doc, numbers.c.n.label("number")).where(numbers.c.n < 50)
        expected = (await connection.execute(statement)).all()
        got = await all_of(pgflight.copy_out(connection, statement, batch=batch))
        assert got == expected
        assert got[3].number == 3
        whole = await all_of(pgflight.copy_out(connection, numbers, ["t", numbers.c.n]))
        return whole == [(f"it's {n}", n) for n in range(NUMBER)]

    assert work(pgflight_dialect, body)


def test_csv_text_and_binary_are_the_servers(pgflight_dialect: Dialect) -> None:
    async def body(connection: AsyncConnection) -> Any:
        select = sa.select(numbers).where(numbers.c.t == "it's 7", numbers.c.n.in_([6, 7]))
        outputs = []
        forms: list[tuple[Any, bool]] = [("csv", False), ("csv", True), ("text", False)]
        for format, header in [*forms, ("binary", False)]:
            out = pgflight.copy_out(connection, select, format=format, header=header)
            outputs.append(b"".join(await all_of(out)))
        pieces = await all_of(pgflight.copy_out(connection, numbers, format="csv"))
        # a StreamingResponse of FastAPI's takes bytes, and no bytearray
        assert {type(piece) for piece in pieces} == {bytes}
        whole = b"".join(pieces)
        return outputs, list(csv.reader(io.StringIO(whole.decode())))

    (plain, headed, text, binary), whole = work(pgflight_dialect, body)
    assert plain == b'7,"{""n"": [7]}",it\'s 7\n'
    assert headed == b"n,doc,t\n" + plain
    assert text == b'7\t{"n": [7]}\tit\'s 7\n'
    assert binary.startswith(b"PGCOPY\n\xff\r\n\0")
    assert [row[0] for row in whole] == [str(n) for n in range(NUMBER)]


@FORMATS
@pytest.mark.parametrize("isolation", [None, "AUTOCOMMIT"])
@pytest.mark.parametrize("close", [False, True])
def test_leaving_early_costs_nothing(
    pgflight_dialect: Dialect, format: Any, isolation: str | None, close: bool
) -> None:
    async def body(connection: AsyncConnection) -> Any:
        if close:
            async with pgflight.copy_out(connection, BIG, format=format) as reading:
                async for _ in reading:
                    break
        else:
            async for _ in pgflight.copy_out(connection, BIG, format=format):
                break
        return await connection.scalar(sa.text("SELECT 42"))

    assert work(pgflight_dialect, body, isolation) == 42


class Left(Exception):
    """The reason for leaving."""


@FORMATS
@pytest.mark.parametrize("isolation", [None, "AUTOCOMMIT"])
def test_leaving_by_an_error(pgflight_dialect: Dialect, format: Any, isolation: str | None) -> None:
    async def body(connection: AsyncConnection) -> Any:
        async for _ in pgflight.copy_out(connection, BIG, format=format):
            raise Left

    with pytest.raises(Left):
        work(pgflight_dialect, body, isolation)


@FORMATS
def test_cancelled_while_reading(pgflight_dialect: Dialect, format: Any) -> None:
    async def run() -> Any:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        for delay in (0.0, 0.001, 0.01, 0.05):
            connected = asyncio.Event()

            async def read(connected: asyncio.Event = connected) -> None:
                async with engine.connect() as connection:
                    # not in the pool: until Python 3.12 its wait_for() may lose a cancellation
                    connected.set()
                    async for _ in pgflight.copy_out(connection, BIG, format=format):
                        await asyncio.sleep(0.002)

            reading = asyncio.ensure_future(read())
            await connected.wait()
            await asyncio.sleep(delay)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(reading, 15)
            async with engine.connect() as connection:
                assert await connection.scalar(sa.text("SELECT 42")) == 42

    asyncio.run(run())


@pytest.mark.parametrize("isolation", [None, "AUTOCOMMIT"])
def test_one_that_is_left_does_not_end_the_next(
    pgflight_dialect: Dialect, isolation: str | None
) -> None:
    """The first still ends when the second begins: a rollback has to stop the second."""

    async def body(connection: AsyncConnection) -> Any:
        adapted: Any = (await connection.get_raw_connection()).dbapi_connection
        left = pgflight.copy_out(connection, BIG, format="csv")
        async for _ in left:
            break
        adapted.session.copying_out.abandon()
        async for _ in pgflight.copy_out(connection, BIG, format="csv"):
            break_off = adapted.session.copying_out
            await connection.rollback()
            return break_off is not None, adapted.session.turn.taken

    assert work(pgflight_dialect, body, isolation) == (True, False)


def test_the_connection_is_busy_meanwhile(pgflight_dialect: Dialect) -> None:
    async def body(connection: AsyncConnection) -> None:
        async for _ in pgflight.copy_out(connection, BIG, format="csv"):
            with pytest.raises(sa.exc.InterfaceError, match="busy with a COPY"):
                await connection.execute(sa.text("SELECT 1"))
            break

    work(pgflight_dialect, body)


def test_other_statements_between_rows(pgflight_dialect: Dialect) -> None:
    async def body(connection: AsyncConnection) -> Any:
        total = 0
        async for row in pgflight.copy_out(connection, numbers, ["n"]):
            if row.n % 500 == 0:
                total += (await connection.execute(sa.select(sa.literal(row.n)))).scalar_one()
        return total

    assert work(pgflight_dialect, body) == 5000


@FORMATS
def test_errors_are_those_of_a_statement(pgflight_dialect: Dialect, format: Any) -> None:
    async def body(connection: AsyncConnection) -> Any:
        with pytest.raises(sa.exc.ProgrammingError, match="no_such_table"):
            async with connection.begin_nested():
                await all_of(
                    pgflight.copy_out(
                        connection,
                        sa.table("no_such_table", sa.column("x")).select(),
                        format=format,
                    )
                )
        late = sa.select(sa.text("100 / (5000 - n) FROM generate_series(1, 6000) AS n"))
        with pytest.raises(sa.exc.DataError, match="division by zero"):
            async with connection.begin_nested():
                await all_of(pgflight.copy_out(connection, late, format=format))
        return await connection.scalar(sa.text("SELECT 42"))

    assert work(pgflight_dialect, body) == 42


def test_schema_translation(pgflight_dialect: Dialect) -> None:
    async def body(connection: AsyncConnection) -> Any:
        table = sa.Table("copied_out", sa.MetaData(), sa.Column("n", sa.Integer), schema="other")
        translated = await connection.execution_options(schema_translate_map={"other": "pg_temp"})
        out = pgflight.copy_out(translated, sa.select(table).where(table.c.n < 2), format="csv")
        return b"".join(await all_of(out))

    assert work(pgflight_dialect, body) == b"0\n1\n"


def test_wrong_options(pgflight_dialect: Dialect) -> None:
    async def body(connection: AsyncConnection) -> None:
        for options in ({"format": "json"}, {"format": "binary", "header": True}, {"batch": 0}):
            with pytest.raises(sa.exc.ArgumentError):
                pgflight.copy_out(connection, numbers, **options)
        with pytest.raises(sa.exc.ArgumentError):
            pgflight.copy_out(connection, sa.select(numbers), ["n"])

    work(pgflight_dialect, body)


def test_sessions(pgflight_dialect: Dialect) -> None:
    async def body(connection: AsyncConnection) -> Any:
        async with AsyncSession(connection) as session:
            select = sa.select(numbers.c.n).where(numbers.c.n < 3)
            rows = await all_of(pgflight.copy_out(session, select))
            out = await all_of(pgflight.copy_out(session, select, format="csv"))
            return [tuple(row) for row in rows], b"".join(out)

    assert work(pgflight_dialect, body) == ([(0,), (1,), (2,)], b"0\n1\n2\n")


def test_synchronously(server: Server) -> None:
    select = sa.select(sa.text("n FROM generate_series(1, 3) AS n"))
    with sync_engine(server) as engine, engine.connect() as connection:
        assert [tuple(row) for row in pgflight.copy_out(connection, select)] == [(1,), (2,), (3,)]
        assert b"".join(pgflight.copy_out(connection, select, format="text")) == b"1\n2\n3\n"
        for _ in pgflight.copy_out(connection, BIG, format="csv"):
            break
        with Session(connection) as session:
            assert session.scalar(sa.text("SELECT 42")) == 42
