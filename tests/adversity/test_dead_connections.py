"""Connections that die in the pool, in a unit of work, and while the end of one is on its way.

In the pool: ours is replaced at checkout, without an error and without asking the server. In a
unit: the error is the built-in dialect's, and the pool recovers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from pgflight.compat.versions import SQLALCHEMY_2_1
from tests.adversity.server_view import Connections, View, pool_of
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both, attempt
from tests.fixtures.proxy import Proxy
from tests.fixtures.server import Server

POOL = 3
PID = text("SELECT pg_backend_pid()")
TERMINATE = "SELECT pg_terminate_backend($1)"
NOTICE_SECONDS = 5.0
LATENCY = 0.03


async def noticed(adapted: list[Any]) -> None:
    """Wait until the loop has seen the ends of all these sockets."""
    end = asyncio.get_running_loop().time() + NOTICE_SECONDS
    while not all(a._connection.is_closed() for a in adapted):
        assert asyncio.get_running_loop().time() < end, "the ends were not seen"
        await asyncio.sleep(0.005)


async def kill(server: Server, *pids: int) -> None:
    """Terminate backends, and wait until they are gone."""
    async with View.of(server) as view:
        for pid in pids:
            await view.connection.fetchval(TERMINATE, pid)
        for pid in pids:
            while await view.state(pid) is not None:
                await asyncio.sleep(0.002)


async def filled(engine: AsyncEngine) -> list[int]:
    """Fill the pool; return the backends of its connections."""
    taken = [await engine.connect() for _ in range(POOL)]
    pids = [await connection.scalar(PID) for connection in taken]
    for connection in taken:
        await connection.close()
    return pids


async def serves(engine: AsyncEngine) -> list[int]:
    """Use as many connections at once as the pool holds; return their backends."""

    waiting = set(range(POOL))

    async def unit(number: int) -> int:
        try:
            async with engine.connect() as connection:
                assert await connection.scalar(sa.select(sa.literal(number))) == number
                arrive(number)
                await together.wait()
                pid: int = await connection.scalar(PID)
                return pid
        finally:
            arrive(number)  # one that failed is not waited for

    def arrive(number: int) -> None:
        waiting.discard(number)
        if not waiting:
            together.set()

    together = asyncio.Event()
    tasks = [asyncio.ensure_future(unit(number)) for number in range(POOL)]
    return list(await asyncio.gather(*tasks))


async def by_termination(dialect: Dialect, proxy: Proxy, pids: list[int]) -> None:
    await kill(dialect.server, *pids)


async def by_reset(dialect: Dialect, proxy: Proxy, pids: list[int]) -> None:
    proxy.reset()


@pytest.mark.parametrize("pre_ping", [False, True], ids=["", "pre_ping"])
@pytest.mark.parametrize("death", [by_termination, by_reset])
@pytest.mark.parametrize("mode", ["auto", "begin"])
def test_all_die_in_the_pool(
    pgflight_dialect: Dialect, proxy: Proxy, mode: str, death: Any, pre_ping: bool
) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(
            via=proxy, pool_size=POOL, max_overflow=0, pipeline=mode, pool_pre_ping=pre_ping
        )
        connections = Connections(engine)
        for _ in range(2):
            pids = await filled(engine)
            dying = connections.alive()
            await death(pgflight_dialect, proxy, pids)
            await noticed(dying)
            assert not set(await serves(engine)) & set(pids)
            assert pool_of(engine).checkedout() == 0

    asyncio.run(work())


@pytest.mark.skipif(
    not SQLALCHEMY_2_1,
    reason="SQLAlchemy 2.0 keeps a connection checked out when its ROLLBACK fails in close()",
)
def test_the_same_costs_the_builtin_dialect_an_error(builtin: Dialect, proxy: Proxy) -> None:
    async def work() -> None:
        engine = builtin.engine(via=proxy, pool_size=POOL, max_overflow=0)
        connections = Connections(engine)
        pids = await filled(engine)
        await by_termination(builtin, proxy, pids)
        await noticed(connections.alive())
        # SQLAlchemy 2.0.40 lets asyncpg's error through as it is
        with pytest.raises((sa.exc.DBAPIError, asyncpg.InternalClientError)):
            await serves(engine)
        # gather() has failed with the first of its units; the others still run
        while pool_of(engine).checkedout():
            await asyncio.sleep(0.01)

    asyncio.run(work())


@pytest.mark.parametrize("mode", ["auto", "begin"])
def test_one_of_several_dies_in_the_pool(pgflight_dialect: Dialect, mode: str) -> None:
    """The others stay: one dead socket says nothing about its neighbours."""

    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=POOL, max_overflow=0, pipeline=mode)
        connections = Connections(engine)
        pids = await filled(engine)
        one = [a for a in connections.alive() if a._connection.get_server_pid() == pids[1]]
        await kill(pgflight_dialect.server, pids[1])
        await noticed(one)
        after = set(await serves(engine))
        assert pids[1] not in after
        assert {pids[0], pids[2]} <= after

    asyncio.run(work())


def test_a_restart_of_the_server(pgflight_dialect: Dialect, standby: Server) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(standby.url(), pool_size=POOL, max_overflow=0)
        connections = Connections(engine)
        for _ in range(2):
            await filled(engine)
            dying = connections.alive()
            assert standby.cluster is not None
            await asyncio.to_thread(standby.cluster.restart)
            await noticed(dying)
            assert len(set(await serves(engine))) == POOL

    asyncio.run(work())


def test_the_check_at_checkout_asks_nobody(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    """Neither for a connection that lives nor, beyond the new one's own, for one that is dead."""

    async def work() -> list[int]:
        engine = pgflight_dialect.engine(via=proxy, pool_size=1, max_overflow=0)
        connections = Connections(engine)
        seen = []

        async def count() -> None:
            with proxy.counting() as trips:
                async with engine.connect():
                    pass
            seen.append(trips.count)

        async with engine.connect() as connection:  # the dialect's own first questions
            pid = await connection.scalar(PID)
        await count()
        await kill(pgflight_dialect.server, pid)
        await noticed(connections.alive())
        await count()
        await count()
        dead = connections.alive()
        proxy.reset()
        await noticed(dead)
        await count()
        async with engine.connect() as connection:
            await connection.invalidate()  # as the program does it: nothing to check next time
        while proxy.live:  # for its farewell nobody waits
            await asyncio.sleep(0.001)
        await count()
        return seen

    idle, dead, idle_again, reset, new = asyncio.run(work())
    assert (idle, idle_again) == (0, 0)
    assert dead == reset == new > 0


# --- inside a unit of work: as the built-in dialect ---


class Victim:
    """A connection of which the test can end the backend at any point of a unit."""

    def __init__(self, connection: AsyncConnection, server: Server) -> None:
        self.connection = connection
        self.server = server
        self.pid = 0

    async def dies(self) -> None:
        """End the backend, and wait until the client's loop has seen it."""
        raw: Any = (await self.connection.get_raw_connection()).driver_connection
        await kill(self.server, raw.get_server_pid())
        end = asyncio.get_running_loop().time() + NOTICE_SECONDS
        while not raw.is_closed():
            assert asyncio.get_running_loop().time() < end
            await asyncio.sleep(0.005)

    async def run(self, sql: str = "SELECT 1") -> Any:
        """Run a statement; return its value or its failure."""
        return await attempt(self.connection.scalar(text(sql)))


async def before_anything(victim: Victim) -> list[Any]:
    await victim.dies()
    return [await victim.run(), await victim.run()]


async def after_a_plain_read(victim: Victim) -> list[Any]:
    seen = [await victim.run()]
    await victim.dies()
    return [*seen, await victim.run(), await victim.run()]


async def before_commit(victim: Victim) -> list[Any]:
    seen = [await victim.run("CREATE TEMPORARY TABLE dying (n int)")]
    seen.append(await victim.run("INSERT INTO dying VALUES (1) RETURNING n"))
    await victim.dies()
    return [*seen, await attempt(victim.connection.commit())]


async def before_rollback(victim: Victim) -> list[Any]:
    seen = [await victim.run()]
    await victim.dies()
    return [*seen, await attempt(victim.connection.rollback()), await victim.run()]


async def before_close(victim: Victim) -> list[Any]:
    seen = [await victim.run()]
    await victim.dies()
    return seen


async def between_transactions(victim: Victim) -> list[Any]:
    seen = [await victim.run()]
    await victim.connection.rollback()
    await victim.dies()
    return [*seen, await victim.run(), await attempt(victim.connection.rollback())]


async def in_autocommit(victim: Victim) -> list[Any]:
    await victim.connection.execution_options(isolation_level="AUTOCOMMIT")
    seen = [await victim.run()]
    await victim.dies()
    return [*seen, await victim.run()]


async def while_it_runs(victim: Victim) -> list[Any]:
    raw: Any = (await victim.connection.get_raw_connection()).driver_connection
    running = asyncio.ensure_future(victim.run("SELECT pg_sleep(30)"))
    async with View.of(victim.server) as view:
        while await view.state(raw.get_server_pid()) != "active":
            await asyncio.sleep(0.005)
        await view.connection.fetchval(TERMINATE, raw.get_server_pid())
    return [await running]


async def by_itself(victim: Victim) -> list[Any]:
    return [await victim.run("SELECT pg_terminate_backend(pg_backend_pid())")]


Scene = Callable[[Victim], Awaitable[list[Any]]]
SCENES: tuple[Scene, ...] = (
    *(before_anything, after_a_plain_read, before_commit, before_rollback, before_close),
    *(between_transactions, in_autocommit, while_it_runs, by_itself),
)


@pytest.mark.parametrize("scene", SCENES)
def test_death_in_a_unit_of_work(both: Both, scene: Scene) -> None:
    """The same errors from the same calls, and the same number of connections lost."""

    async def body(engine: AsyncEngine) -> Any:
        lost: list[Any] = []
        event.listen(engine.sync_engine.pool, "invalidate", lambda *a: lost.append(a))
        await filled(engine)

        async def unit() -> list[Any]:
            async with engine.connect() as connection:
                seen.append(await scene(Victim(connection, both.server)))
                seen.append(connection.invalidated)
            return ["closed"]

        seen: list[Any] = []
        seen.append(await attempt(unit()))  # close() may raise
        await asyncio.sleep(0.01)  # a pool dates its invalidation
        seen.append(bool(lost))
        seen.append(len(set(await serves(engine))))
        seen.append(pool_of(engine).checkedout())
        return seen

    assert both(body, pool_size=POOL, max_overflow=0)[-2:] == [POOL, 0]


def test_death_in_a_stream(pgflight_dialect: Dialect) -> None:
    """The built-in dialect lets asyncpg's own error through here, and keeps the connection."""

    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=POOL, max_overflow=0)
        async with engine.connect() as connection:
            result = await connection.stream(text("SELECT n FROM generate_series(1, 5000) AS n"))
            assert await result.fetchone() == (1,)
            await Victim(connection, pgflight_dialect.server).dies()
            with pytest.raises(sa.exc.InterfaceError) as caught:
                await result.fetchall()
            assert caught.value.connection_invalidated
            assert connection.invalidated
        assert len(set(await serves(engine))) == POOL

    asyncio.run(work())


# --- while the end of a unit is on its way ---


@pytest.mark.parametrize("death", [by_termination, by_reset])
@pytest.mark.parametrize("waits", [True, False], ids=["seen", "unseen"])
def test_death_with_an_end_on_its_way(
    pgflight_dialect: Dialect, proxy: Proxy, death: Any, waits: bool
) -> None:
    """The ROLLBACK whose answer nobody waits for is not missed by anybody."""

    async def work() -> list[Any]:
        engine = pgflight_dialect.engine(via=proxy, pool_size=1, max_overflow=0)
        connections = Connections(engine)
        seen = []
        for _ in range(4):
            async with AsyncSession(engine) as session:
                pid = await session.scalar(PID)
            proxy.latency = LATENCY
            async with engine.connect() as connection:
                assert await connection.scalar(text("SELECT 1")) == 1
            dying = connections.alive()
            await death(pgflight_dialect, proxy, [pid])
            proxy.latency = 0
            if waits:
                await noticed(dying)
            async with engine.connect() as connection:
                seen.append(await attempt(connection.scalar(PID)))
            await asyncio.sleep(0.01)
            async with engine.connect() as connection:
                assert await connection.scalar(PID) != pid
            assert pool_of(engine).checkedout() == 0
        return seen

    seen = asyncio.run(work())
    if waits:
        assert all(isinstance(pid, int) for pid in seen)
    else:  # an error, as without a pending end, where the loop has not seen the socket's end
        assert all(isinstance(s, int) or s.kind in KINDS for s in seen)


KINDS = ("DBAPIError", "InterfaceError", "OperationalError", "DatabaseError")
