"""A connection that listens and is lost: made again, and the program told where a gap is.

One body on both dialects: the listener looks after the connection of either.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

import pgflight
from pgflight import Gap, Notification
from pgflight.listening.listener import Listener
from tests.adversity.tls_server import plain_cluster
from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy
from tests.fixtures.server import Server
from tests.parity.scratch import own

CHANNEL = own("jobs_of_lost")
NAME = own("lost_listener")
NAMED = {"server_settings": {"application_name": NAME}}
TERMINATE = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1"
)


async def sends(server: Server, *payloads: str) -> None:
    connection = await server.connect()
    try:
        for payload in payloads:
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)
    finally:
        await connection.close()


async def terminate(server: Server) -> int:
    connection = await server.connect()
    try:
        return int(await connection.fetchval(TERMINATE, NAME))
    finally:
        await connection.close()


async def item(listener: Listener) -> Notification | Gap:
    return await asyncio.wait_for(anext(listener), 60)


async def payload(listener: Listener) -> str:
    found = await item(listener)
    assert isinstance(found, Notification), found
    return found.payload


async def gap(listener: Listener) -> Gap:
    found = await item(listener)
    assert isinstance(found, Gap), found
    return found


def engine_of(dialect: Dialect, **options: Any) -> AsyncEngine:
    return dialect.engine(connect_args=dict(NAMED), **options)


def test_a_terminated_backend(dialect: Dialect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pgflight")

    async def work() -> None:
        async with pgflight.listen(engine_of(dialect), CHANNEL) as listener:
            for round_ in range(3):
                await sends(dialect.server, f"before {round_}")
                assert await terminate(dialect.server)
                assert await payload(listener) == f"before {round_}"
                found = await gap(listener)
                assert (found.reason, found.missed) == ("the connection was lost", None)
                assert found.seconds > 0
                await sends(dialect.server, f"after {round_}")
                assert await payload(listener) == f"after {round_}"

    asyncio.run(work())
    assert caplog.text.count("was lost; it is made again") == 3
    assert caplog.text.count("listening again after") == 3
    assert "before" not in caplog.text


def test_what_had_arrived_comes_before_the_gap(dialect: Dialect) -> None:
    """Notifications and the end of the connection, read from the socket in one go."""
    number = 500

    async def work() -> None:
        async with pgflight.listen(engine_of(dialect), CHANNEL) as listener:
            await sends(dialect.server, "first")
            assert await payload(listener) == "first"
            connection = await dialect.server.connect()
            try:
                await connection.execute(
                    "SELECT pg_notify($1, n::text) FROM generate_series(1, $2::int) AS n",
                    CHANNEL,
                    number,
                )
                await connection.fetchval(TERMINATE, NAME)
            finally:
                await connection.close()
            found: list[int] = []
            while isinstance(each := await item(listener), Notification):
                found.append(int(each.payload))
            # the server may end before it has sent any, but it never skips one
            assert found == list(range(1, len(found) + 1))
            await sends(dialect.server, "after")
            assert await payload(listener) == "after"

    asyncio.run(work())


def test_a_server_that_restarts(dialect: Dialect) -> None:
    async def work(server: Server) -> None:
        address = server.url(dialect.driver)
        engine = dialect.engine(address)
        async with pgflight.listen(engine, CHANNEL) as listener:
            await sends(server, "before")
            assert await payload(listener) == "before"
            assert server.cluster is not None
            await asyncio.to_thread(server.cluster.restart, "immediate")
            await gap(listener)
            await sends(server, "after")
            assert await payload(listener) == "after"

    with plain_cluster() as cluster:
        asyncio.run(work(Server(sa.make_url(cluster.url()), (0, 0), cluster=cluster)))


def test_a_server_that_is_away_for_a_while(
    dialect: Dialect, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """Each attempt fails until it is back; the gap has the error of the last."""
    caplog.set_level(logging.INFO, "pgflight")

    async def work() -> None:
        async with pgflight.listen(engine_of(dialect, via=proxy), CHANNEL) as listener:
            before = proxy.accepted
            proxy.refuse()
            while caplog.text.count("listening again has failed") < 3:
                await asyncio.sleep(0.01)
            states = [listener.listening]
            proxy.heal()
            found = await gap(listener)
            assert found.error is not None
            assert [*states, listener.listening] == [False, True]
            # with pauses in between: not as fast as it can
            assert proxy.accepted - before < 40
            await sends(dialect.server, "after")
            assert await payload(listener) == "after"

    asyncio.run(work())


def test_a_server_that_falls_silent(dialect: Dialect, proxy: Proxy) -> None:
    """No end of the connection arrives: the check finds out."""

    async def work() -> None:
        # the built-in dialect's engine has no such option, and waits for ten seconds
        url = dialect.url(query={"reset_timeout": "0.5"} if dialect.ours else {})
        engine = dialect.engine(url, via=proxy, connect_args=dict(NAMED))
        async with pgflight.listen(engine, CHANNEL, check_every=0.2) as listener:
            await asyncio.sleep(0.5)  # a check or two that the server answers
            await sends(dialect.server, "before")
            assert await payload(listener) == "before"
            proxy.black_hole()
            while listener.listening:
                await asyncio.sleep(0.01)
            proxy.heal()
            await gap(listener)
            await sends(dialect.server, "after")
            assert await payload(listener) == "after"

    asyncio.run(work())


def test_giving_up(dialect: Dialect, proxy: Proxy) -> None:
    async def work() -> None:
        engine = engine_of(dialect, via=proxy)
        async with pgflight.listen(engine, CHANNEL, give_up_after=0.3) as listener:
            await sends(dialect.server, "last")
            assert await payload(listener) == "last"
            proxy.refuse()
            with pytest.raises(Exception, match=r"(?i)connect|reset") as raised:
                await item(listener)
            assert not isinstance(raised.value, StopAsyncIteration)
            assert not listener.listening
            proxy.heal()
        async with pgflight.listen(engine, CHANNEL) as listener:
            await sends(dialect.server, "again")
            assert await payload(listener) == "again"

    asyncio.run(work())


def test_leaving_while_it_is_made_again(dialect: Dialect, proxy: Proxy) -> None:
    async def work() -> None:
        async with pgflight.listen(engine_of(dialect, via=proxy), CHANNEL) as listener:
            proxy.refuse()
            while listener.listening:
                await asyncio.sleep(0.001)
            waits = asyncio.ensure_future(anext(listener))
            await asyncio.sleep(0)
        with pytest.raises(StopAsyncIteration):
            await waits
        proxy.heal()

    asyncio.run(work())


def test_cancelled_at_every_step_of_beginning(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    """Whenever `async with` is cancelled, no session stays on the server.

    Ours alone: asyncpg's login leaves an error that nobody retrieves where it is cancelled.
    """
    dialect = pgflight_dialect

    async def work() -> None:
        engine = engine_of(dialect, via=proxy)
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
        await engine.dispose()
        proxy.latency = 0.005

        async def begins() -> None:
            async with pgflight.listen(engine, CHANNEL):
                reached.append(1)
                await asyncio.sleep(60)

        reached: list[int] = []
        seconds = 0.001
        while not reached:
            task = asyncio.create_task(begins())
            await asyncio.sleep(seconds)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            seconds += 0.007
        while await sessions(dialect.server):
            await asyncio.sleep(0.02)

    asyncio.run(work())


async def sessions(server: Server) -> int:
    """Return how many sessions of the name there are."""
    connection = await server.connect()
    try:
        return int(
            await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", NAME
            )
        )
    finally:
        await connection.close()
