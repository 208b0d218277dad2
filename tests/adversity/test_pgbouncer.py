"""Debian's pgbouncer in transaction mode, both statement caches at 0: 5,000 units of work.

50 tasks share 20 client connections, and these share 3 server connections: each transaction may run
on another server. What is left there by one unit would meet the next.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from asyncpg import __version__ as asyncpg_version
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

import pgflight
from tests.adversity.server_view import View, pool_of
from tests.fixtures.engines import Dialect
from tests.fixtures.pgbouncer import Pgbouncer
from tests.fixtures.scale import scaled
from tests.parity.scratch import committed, own

pytestmark = pytest.mark.slow

TASKS, CLIENTS, UNITS = 50, 20, scaled(5_000, least=500)
COPY_UNITS = scaled(800, least=200)
UNNAMED = tuple(map(int, asyncpg_version.split(".")[:2])) >= (0, 31)
"""asyncpg 0.30 names every statement that is prepared; the program must make the names unique."""

metadata = sa.MetaData()
entries = sa.Table(
    own("entries_of_pgbouncer"),
    metadata,
    sa.Column("unit", sa.Integer, index=True),
    sa.Column("value", sa.Text),
)
SERIES = sa.text("SELECT n, n * :factor AS product, :label AS label FROM generate_series(1, :n) n")

SERIES_OF_COPY = sa.select(sa.text("n, repeat('x', 1000) FROM generate_series(1, 5000) AS n"))


async def reads(connection: AsyncConnection, number: int) -> None:
    """Read values that depend on the unit, and let the rollback of close() end it."""
    text, other = f"unit {number}", number % 97
    row = (
        await connection.execute(
            sa.select(sa.literal(number).label("a"), sa.literal(text).label("b"))
        )
    ).one()
    assert tuple(row) == (number, text)
    rows = (await connection.execute(SERIES, {"factor": other, "label": text, "n": 5})).all()
    assert [tuple(r) for r in rows] == [(n, n * other, text) for n in range(1, 6)]


async def reads_once(connection: AsyncConnection, number: int) -> None:
    """Read one value with a plain SELECT: the shape whose end nobody waits for."""
    assert await connection.scalar(sa.select(sa.literal(number) * 2)) == number * 2


async def writes(connection: AsyncConnection, number: int) -> None:
    """Write two rows in one transaction, read them back, commit."""
    await connection.execute(entries.insert().values(unit=number, value="first"))
    second = entries.insert().values(unit=number, value=f"second of {number}")
    assert await connection.scalar(second.returning(entries.c.value)) == f"second of {number}"
    mine = sa.select(entries.c.value).where(entries.c.unit == number).order_by(entries.c.value)
    assert list(await connection.scalars(mine)) == ["first", f"second of {number}"]
    await connection.commit()


async def writes_many(connection: AsyncConnection, number: int) -> None:
    """Write two rows with executemany, commit."""
    await connection.execute(
        sa.text(f"INSERT INTO {entries.name} VALUES (:unit, :value)"),
        [{"unit": number, "value": "first"}, {"unit": number, "value": f"second of {number}"}],
    )
    await connection.commit()


async def rolls_back(connection: AsyncConnection, number: int) -> None:
    """Write a row and roll back."""
    await connection.execute(entries.insert().values(unit=number, value="never"))
    mine = sa.select(sa.func.count()).select_from(entries).where(entries.c.unit == number)
    assert await connection.scalar(mine) == 1
    await connection.rollback()


async def fails(connection: AsyncConnection, number: int) -> None:
    """Fail in a statement, and go on after the rollback."""
    with pytest.raises(sa.exc.DBAPIError, match="division by zero"):
        await connection.scalar(sa.select(sa.literal(number) / sa.literal(0)))
    await connection.rollback()
    assert await connection.scalar(sa.select(sa.literal(number))) == number


async def streams(connection: AsyncConnection, number: int) -> None:
    """Read through a server-side cursor, in several portions."""
    result = await connection.stream(SERIES, {"factor": number, "label": "s", "n": 120})
    assert [row.product async for row in result] == [n * number for n in range(1, 121)]


async def copies(connection: AsyncConnection, number: int) -> None:
    """COPY two rows in, and out again in the server's form and as rows, commit."""
    rows = [(number, "first"), (number, f"second of {number}")]
    assert await pgflight.copy_in(connection, entries, rows) == 2
    mine = sa.select(entries.c.value).where(entries.c.unit == number).order_by(entries.c.value)
    out = b"".join([piece async for piece in pgflight.copy_out(connection, mine, format="text")])
    assert out == f"first\nsecond of {number}\n".encode()
    assert [row.value async for row in pgflight.copy_out(connection, mine)] == out.decode().split(
        "\n"
    )[:2]
    await connection.commit()


async def copy_fails(connection: AsyncConnection, number: int) -> None:
    """COPY a row that the server refuses, inside a savepoint; the next one commits."""
    with pytest.raises(sa.exc.DBAPIError, match="row 2"):
        async with connection.begin_nested():
            await pgflight.copy_in(connection, entries, [(number, "never"), (2**40, "no integer")])
    async for _ in pgflight.copy_out(connection, SERIES_OF_COPY, format="csv"):
        break  # the rest of it must not reach whoever has this server next
    assert await connection.scalar(sa.select(sa.literal(number))) == number
    await pgflight.copy_in(connection, entries, [(number, "first")])
    await connection.commit()


Unit = Callable[[AsyncConnection, int], Any]
PLAN: tuple[Unit, ...] = (
    *(reads_once, reads, writes, reads_once, rolls_back),
    *(reads, reads_once, writes_many, streams, fails),
)
ROWS_OF: dict[Unit, int] = {writes: 2, writes_many: 2, copies: 2, copy_fails: 1}

VARIANTS = [
    pytest.param(("builtin", {}), id="builtin"),
    *(pytest.param(("pgflight", {"pipeline": mode}), id=mode) for mode in ("auto", "begin", "off")),
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_5000_units_over_3_servers(
    request: pytest.FixtureRequest, pgbouncer: Pgbouncer, variant: tuple[str, dict[str, Any]]
) -> None:
    name, options = variant
    dialect: Dialect = request.getfixturevalue(
        "builtin" if name == "builtin" else "pgflight_dialect"
    )
    asyncio.run(many_units(dialect, pgbouncer, options))


@pytest.mark.parametrize("mode", ["auto", "begin", "off"])
def test_copies_over_3_servers(pgbouncer: Pgbouncer, pgflight_dialect: Dialect, mode: str) -> None:
    plan = (copies, reads_once, copy_fails, reads)
    asyncio.run(many_units(pgflight_dialect, pgbouncer, {"pipeline": mode}, plan, COPY_UNITS))


async def many_units(
    dialect: Dialect,
    pgbouncer: Pgbouncer,
    options: dict[str, Any],
    plan: tuple[Unit, ...] = PLAN,
    units: int = UNITS,
) -> None:
    application = own("pgbouncer_test")
    arguments: dict[str, Any] = {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "server_settings": {"application_name": application},
    }
    if not (dialect.ours and UNNAMED):
        arguments["prepared_statement_name_func"] = lambda: f"own_{uuid.uuid4()}"
    engine = dialect.engine(
        pgbouncer.url(),
        pool_size=CLIENTS,
        max_overflow=0,
        connect_args=arguments,
        **options,
    )
    numbers = itertools.count()
    errors: list[BaseException] = []

    async def worker() -> None:
        while (number := next(numbers)) < units and len(errors) < 5:
            try:
                async with engine.connect() as connection:
                    await plan[number % len(plan)](connection, number)
            except Exception as error:
                errors.append(error)

    async with committed(dialect.engine(), metadata):
        await asyncio.gather(*(worker() for _ in range(TASKS)))
        assert errors == []
        async with View.of(dialect.server) as view:
            assert await view.at_rest(application) == []
            assert len(await view.sessions(application)) <= pgbouncer.pool_size
            assert pool_of(engine).checkedout() == 0
            await check_rows(dialect.engine(), plan, units)
            if dialect.ours and UNNAMED:
                assert await statements_left(pgbouncer) == []
            await engine.dispose()
            assert await view.at_rest(application) == []


async def check_rows(engine: AsyncEngine, plan: tuple[Unit, ...], units: int) -> None:
    """Compare the rows of each unit with what it must have left."""
    counts = sa.select(entries.c.unit, sa.func.count()).group_by(entries.c.unit)
    async with engine.connect() as connection:
        found = {row[0]: row[1] for row in (await connection.execute(counts)).all()}
    wanted = {number: ROWS_OF.get(plan[number % len(plan)]) for number in range(units)}
    assert found == {number: rows for number, rows in wanted.items() if rows}


async def statements_left(pgbouncer: Pgbouncer) -> list[str]:
    """Return the names of the statements that are prepared on the server connections."""
    found: list[str] = []
    clients = [await pgbouncer.connect() for _ in range(pgbouncer.pool_size)]
    try:
        for client in clients:  # an open transaction keeps its server from the next one
            await client.execute("BEGIN")
        for client in clients:
            names = await client.fetch("SELECT name FROM pg_prepared_statements")
            found += [name for (name,) in names if name]
    finally:
        for client in clients:
            await client.close()
    return found
