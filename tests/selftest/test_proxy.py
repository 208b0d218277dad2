"""The proxy counts, slows, swallows and breaks as its docstrings say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import asyncpg
import pytest

from tests.fixtures.proxy import Proxy
from tests.fixtures.server import Server
from tests.fixtures.statements import Statements


async def connect(proxy: Proxy, server: Server) -> asyncpg.Connection:
    """Open an asyncpg connection through the proxy."""
    return await asyncpg.connect(
        host=proxy.host,
        port=proxy.port,
        user=server.address.username,
        password=server.address.password,
        database=server.address.database,
        timeout=10,
    )


def test_a_simple_query_is_one_round_trip(proxy: Proxy, server: Server) -> None:
    async def work() -> list[int]:
        connection = await connect(proxy, server)
        counts = []
        for statement in ("SELECT 1", "BEGIN; SELECT 1; COMMIT"):
            with proxy.counting() as trips:
                await connection.execute(statement)
            counts.append(trips.count)
        with proxy.counting() as trips:
            for _ in range(20):
                await connection.execute("SELECT 1")
        counts.append(trips.count)
        await connection.close()
        # A closed block does not count any further.
        await (await connect(proxy, server)).close()
        counts.append(trips.count)
        return counts

    assert asyncio.run(work()) == [1, 1, 20, 20]


def test_a_prepared_statement_costs_two_round_trips_and_then_one(
    proxy: Proxy, server: Server
) -> None:
    async def work() -> list[int]:
        connection = await connect(proxy, server)
        counts = []
        for _ in range(2):
            with proxy.counting() as trips:
                assert await connection.fetchval("SELECT $1::int + 1", 41) == 42
            counts.append(trips.count)
        await connection.close()
        return counts

    assert asyncio.run(work()) == [2, 1]


def test_large_values_pass_unchanged(proxy: Proxy, server: Server) -> None:
    value = bytes(range(256)) * 20_000

    async def work() -> None:
        connection = await connect(proxy, server)
        with proxy.counting() as trips:
            assert await connection.fetchval("SELECT $1::bytea", value) == value
        assert trips.count == 2
        await connection.close()

    asyncio.run(work())


def test_latency_is_added_in_both_directions(proxy: Proxy, server: Server) -> None:
    async def work() -> float:
        connection = await connect(proxy, server)
        proxy.latency = 0.05
        began = time.monotonic()
        await connection.execute("SELECT 1")
        took = time.monotonic() - began
        proxy.latency = 0.0
        await connection.close()
        return took

    assert 0.1 <= asyncio.run(work()) < 5


def test_a_black_hole_swallows_until_healed(proxy: Proxy, server: Server) -> None:
    async def work() -> None:
        connection = await connect(proxy, server)
        proxy.black_hole()
        waiting = asyncio.ensure_future(connection.fetchval("SELECT 7"))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done
        proxy.heal()
        assert await waiting == 7
        await connection.close()

    asyncio.run(work())


def test_a_reset_breaks_the_connection(proxy: Proxy, server: Server) -> None:
    async def work() -> None:
        connection = await connect(proxy, server)
        assert proxy.live == 1
        assert proxy.reset() == 1
        with pytest.raises((asyncpg.PostgresConnectionError, OSError)):
            await connection.execute("SELECT 1")
        await until(lambda: proxy.live == 0)  # the proxy runs in a thread of its own
        proxy.refuse()
        with pytest.raises((asyncpg.PostgresConnectionError, OSError)):
            await connect(proxy, server)
        proxy.heal()
        await (await connect(proxy, server)).close()
        assert proxy.accepted == 3

    asyncio.run(work())


def test_statements_are_read_off_the_wire(
    proxy: Proxy, statements: Statements, server: Server
) -> None:
    async def work() -> None:
        connection = await connect(proxy, server)
        assert statements.take() == []
        await connection.execute("SELECT 'simple'")
        for number in (1, None):
            await connection.fetchval("SELECT $1::text", None if number is None else "é")
        assert statements.sql == ["SELECT 'simple'", "SELECT $1::text", "SELECT $1::text"]
        assert [item.kind for item in statements.all] == ["query", "execute", "execute"]
        assert [item.parameters for item in statements.all[1:]] == [("é".encode(),), (None,)]
        assert statements.parsed == ["SELECT $1::text"]
        statements.clear()
        await connection.executemany("SELECT $1::int", [(1,), (2,)])
        assert statements.take() == ["SELECT $1::int"] * 2
        async with connection.transaction():
            numbers = connection.cursor("SELECT generate_series(1, $1)", 100, prefetch=10)
            assert [row[0] async for row in numbers] == list(range(1, 101))
        assert statements.take() == ["BEGIN;", "SELECT generate_series(1, $1)", "COMMIT;"]
        with pytest.raises(asyncio.TimeoutError):
            await connection.execute("SELECT pg_sleep(30)", timeout=0.2)
        await connection.execute("SELECT 2")
        assert statements.cancels == 1
        await connection.close()

    asyncio.run(work())


async def until(true: Callable[[], bool]) -> None:
    """Wait until the condition holds, five seconds at the most."""
    end = asyncio.get_running_loop().time() + 5
    while not true():
        assert asyncio.get_running_loop().time() < end
        await asyncio.sleep(0.01)
