"""Results of many rows: received with the collector held, in loops of both kinds."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pgflight.driver import capabilities
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both, attempt

ROWS = 20_000
SERIES = sa.text(
    "SELECT n, repeat('x', n % 90) AS t, jsonb_build_object('l', jsonb_build_array(n)) AS j,"
    " md5(n::text)::uuid AS u, timestamptz 'epoch' + n * interval '1 hour' AS at"
    " FROM generate_series(1, :rows) AS n"
)


async def everything(engine: AsyncEngine) -> Any:
    """Read many rows in several ways; return what was read and whether collections go on."""
    async with engine.connect() as connection:
        rows = (await connection.execute(SERIES, {"rows": ROWS})).all()
        mappings = (await connection.execute(SERIES, {"rows": ROWS})).mappings().all()
        scalars = (await connection.execute(SERIES, {"rows": ROWS})).scalars("j").all()
        last = [row async for row in await connection.stream(SERIES, {"rows": ROWS})][-1]
    assert [tuple(row) for row in rows] == [tuple(row.values()) for row in mappings]
    assert scalars == [row.j for row in rows]
    assert tuple(last) == tuple(rows[-1])
    return [len(rows), rows[:: ROWS // 7], last, gc.isenabled()]


def test_many_rows(both: Both) -> None:
    assert both(everything)[0] == ROWS


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop does not exist for Windows")
@pytest.mark.parametrize("name", ["builtin", "pgflight"])
def test_many_rows_in_uvloop(request: pytest.FixtureRequest, name: str) -> None:
    import uvloop

    dialect: Dialect = request.getfixturevalue(
        {"builtin": "builtin", "pgflight": "pgflight_dialect"}[name]
    )

    async def work() -> Any:
        engine = create_async_engine(dialect.url())
        try:
            return await everything(engine)
        finally:
            await engine.dispose()

    loop = uvloop.new_event_loop()
    try:
        assert loop.run_until_complete(asyncio.wait_for(work(), 60))[0] == ROWS
    finally:
        loop.close()


def test_a_row_that_cannot_be_decoded_leaves_the_collector_on(both: Both) -> None:
    """In the middle of many bytes, where the collector is held."""
    broken = sa.text(
        "SELECT n, CASE WHEN n = 15000 THEN timestamptz '20000-01-01' ELSE now() END AS at,"
        " repeat('x', 50) FROM generate_series(1, 20000) AS n"
    )

    async def body(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            failure = await attempt(connection.execute(broken))
            return [failure, gc.isenabled()]

    assert both(body)[1]


def test_the_server_is_gone_in_the_middle(both: Both) -> None:
    """What the transport tells the protocol besides data arrives as well."""

    async def body(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection, engine.connect() as other:
            pid = await connection.scalar(sa.text("SELECT pg_backend_pid()"))
            slow = sa.text(
                "SELECT n, repeat('x', 100), CASE WHEN n = 50000 THEN pg_sleep(60)::text END"
                " FROM generate_series(1, 100000) AS n"
            )
            reading = asyncio.create_task(attempt(connection.execute(slow)))
            await asyncio.sleep(0.3)
            await other.execute(sa.text(f"SELECT pg_terminate_backend({pid})"))
            failure = await reading
            return [failure, connection.invalidated, gc.isenabled()]

    assert both(body)[1:] == [True, True]


def test_asyncpgs_protocol_stays_reachable(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        async with pgflight_dialect.engine().connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            if capabilities().level == "private":
                receiver = raw._transport.get_protocol()
                assert receiver.protocol is raw._protocol
            assert await raw.fetchval("SELECT 42") == 42

    asyncio.run(work())
