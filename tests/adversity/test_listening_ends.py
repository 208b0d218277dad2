"""Listeners that end, or are to go on, while something else happens: no end hangs, none is final.

One body on both dialects: the listener looks after the connection of either.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine

import pgflight
from pgflight.listening import connecting, keeping
from pgflight.listening.listener import Listener
from tests.adversity.test_listening_lost import (
    CHANNEL,
    NAMED,
    engine_of,
    gap,
    item,
    payload,
    sends,
    sessions,
    terminate,
)
from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy
from tests.fixtures.server import Server

TASK = "pgflight.listen"
READY = b"Z\0\0\0\x05I"
"""The server's last word at a login: ready, in no transaction."""


def keepers() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == TASK]


def skip_where_cancelling_a_login_fails(dialect: Dialect) -> None:
    """Skip the built-in dialect with asyncpg 0.30, which is run with SQLAlchemy 2.0.40.

    There a cancelled engine.connect() may leave its connection open, end in an InvalidStateError
    of the loop, or swallow the cancellation.
    """
    if not dialect.ours and asyncpg.__version__ < "0.31":
        pytest.skip("asyncpg 0.30 and SQLAlchemy 2.0.40 do not survive a login that is cancelled")


async def ends(work: Awaitable[Any], seconds: float = 30) -> None:
    """Await something that may hang; fail if it does."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        for each in (task, *keepers()):
            each.cancel()
        await asyncio.wait({task, *keepers()}, timeout=10)
    assert done, "it hangs"
    task.result()


async def are_gone(server: Server) -> None:
    """Wait until no task keeps a connection, and the server has none."""
    for _ in range(500):
        if not keepers() and not await sessions(server):
            return
        await asyncio.sleep(0.01)
    for task in keepers():
        task.cancel()
    pytest.fail("a listener's task or connection is still there")


def watched(engine: AsyncEngine) -> asyncio.Event:
    """Return what is set as soon as asyncpg tells that a connection of the engine has ended."""
    lost = asyncio.Event()

    @event.listens_for(engine.sync_engine, "connect")
    def connect(connection: Any, record: Any) -> None:
        connection.driver_connection.add_termination_listener(lambda _connection: lost.set())

    return lost


async def by_aclose(listeners: list[Listener]) -> None:
    timer = asyncio.get_running_loop().call_later(30, lambda: [task.cancel() for task in keepers()])
    began = asyncio.get_running_loop().time()
    await listeners.pop().aclose()  # at once: a task of its own would begin a turn later
    timer.cancel()
    assert asyncio.get_running_loop().time() - began < 20, "it hangs"


async def by_letting_go(listeners: list[Listener]) -> None:
    listeners.clear()
    gc.collect()


async def by_ending_the_loop(listeners: list[Listener]) -> None:
    """What `asyncio.run()` does at its end: cancels each task, once, and waits for it."""
    (task,) = keepers()
    task.cancel()
    await ends(asyncio.wait({task}))


@pytest.mark.parametrize("leaves", [by_aclose, by_letting_go, by_ending_the_loop])
def test_leaving_as_the_connection_is_lost(
    dialect: Dialect, leaves: Callable[[list[Listener]], Awaitable[None]]
) -> None:
    """In each of the turns of the event loop in which the loss becomes known."""
    if leaves is by_ending_the_loop:
        skip_where_cancelling_a_login_fails(dialect)

    async def work() -> None:
        engine = engine_of(dialect)
        lost = watched(engine)
        for turns in range(6):
            listener = pgflight.listen(engine, CHANNEL)
            await listener.__aenter__()
            lost.clear()
            assert await terminate(dialect.server)
            await lost.wait()  # wait_for() would take turns of its own
            listeners = [listener]
            del listener
            for _ in range(turns):
                await asyncio.sleep(0)
            await leaves(listeners)
            await are_gone(dialect.server)

    asyncio.run(work())


def test_a_program_that_swallows_the_cancellation(
    dialect: Dialect, proxy: Proxy, caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    """In its password function, while the connection is made again: once, and for good."""
    monkeypatch.setattr(keeping, "_END_SECONDS", 0.3)
    times = 0
    goes_on, asked = asyncio.Event(), asyncio.Event()

    async def password() -> str:
        nonlocal times
        while times:
            asked.set()
            try:
                await goes_on.wait()
                break
            except asyncio.CancelledError:
                times -= 1
        return dialect.server.address.password or ""

    async def leaves(swallowed: int) -> None:
        nonlocal times
        times = 0
        engine = dialect.engine(via=proxy, connect_args={**NAMED, "password": password})
        listener = pgflight.listen(engine, CHANNEL)
        await listener.__aenter__()
        times = swallowed
        proxy.reset()
        await asyncio.wait_for(asked.wait(), 30)
        asked.clear()
        await ends(listener.aclose())
        goes_on.set()
        await are_gone(dialect.server)
        goes_on.clear()

    async def work() -> None:
        await leaves(1)
        assert "has not ended" not in caplog.text
        await leaves(1_000)
        assert "has not ended after" in caplog.text

    asyncio.run(work())


@pytest.mark.parametrize("reset_timeout", ["0", "1.5"])
def test_a_server_that_falls_silent_after_the_login(
    dialect: Dialect,
    proxy: Proxy,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    reset_timeout: str,
) -> None:
    """While the connection is made again, and for the first one."""
    caplog.set_level(logging.INFO, "pgflight")
    monkeypatch.setattr(connecting, "_ANSWER_SECONDS", 1.5)
    ready: set[int] = set()

    def stall(link: int, side: str, data: bytes) -> bytes:
        if side == "server":
            if link in ready:
                return b""
            if data.endswith(READY):
                ready.add(link)
        return data

    async def work() -> None:
        query = {"reset_timeout": reset_timeout} if dialect.ours else {}
        engine = dialect.engine(dialect.url(query=query), via=proxy, connect_args=dict(NAMED))
        async with pgflight.listen(engine, CHANNEL) as listener:
            proxy.filters.append(stall)
            proxy.reset()
            for _ in range(3_000):
                if "listening again has failed (ConnectionAborted" in caplog.text:
                    break
                await asyncio.sleep(0.01)
            else:
                pytest.fail("it waits for ever")
            with pytest.raises(ConnectionAbortedError, match=r"did not answer LISTEN.*1\.5 sec"):
                await ends(pgflight.listen(engine, CHANNEL).__aenter__())
            proxy.filters.remove(stall)
            await gap(listener)
            await sends(dialect.server, "after")
            assert await payload(listener) == "after"
        await are_gone(dialect.server)

    asyncio.run(work())


def test_a_check_without_reset_timeout(
    pgflight_dialect: Dialect, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "_ANSWER_SECONDS", 0.3)

    async def work() -> None:
        url = pgflight_dialect.url(query={"reset_timeout": "0"})
        engine = pgflight_dialect.engine(url, via=proxy)
        async with pgflight.listen(engine, CHANNEL, check_every=0.1) as listener:
            proxy.black_hole()
            for _ in range(3_000):
                if not listener.listening:
                    break
                await asyncio.sleep(0.01)
            else:
                pytest.fail("the check waits for ever")
            proxy.heal()
            await gap(listener)

    asyncio.run(work())


def test_a_pool_that_gives_up(
    dialect: Dialect, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLAlchemy's recipe of a ping at checkout, and a server that cuts whoever has logged in.

    The pool raises InvalidRequestError then, as behind a pooler; but this will pass.
    """
    caplog.set_level(logging.INFO, "pgflight")

    def cut(link: int, side: str, data: bytes) -> bytes:
        if side == "client" and b"SELECT 42" in data:
            proxy._links[link].abort()
        return data

    async def work() -> None:
        engine = engine_of(dialect, via=proxy)

        @event.listens_for(engine.sync_engine, "checkout")
        def ping(connection: Any, record: Any, proxied: Any) -> None:
            cursor = connection.cursor()
            try:
                cursor.execute("SELECT 42")
            except Exception as error:
                raise DisconnectionError from error
            finally:
                cursor.close()

        async with pgflight.listen(engine, CHANNEL) as listener:
            proxy.filters.append(cut)
            proxy.reset()
            waits = asyncio.ensure_future(item(listener))
            for _ in range(3_000):
                if waits.done() or "failed (InvalidRequestError)" in caplog.text:
                    break
                await asyncio.sleep(0.01)
            proxy.filters.remove(cut)
            found = await waits
            assert isinstance(found, pgflight.Gap)
            assert "This connection is closed" in str(found.error)
            await sends(dialect.server, "after")
            assert await payload(listener) == "after"

    asyncio.run(work())


def test_a_password_that_is_missing_for_a_moment(
    dialect: Dialect, caplog: pytest.LogCaptureFixture
) -> None:
    """A function's own TypeError or ArgumentError is no reason to end for good."""
    caplog.set_level(logging.INFO, "pgflight")
    document: Any = {"password": dialect.server.address.password or ""}

    def password() -> str:
        return str(document["password"])

    async def work() -> None:
        nonlocal document
        engine = dialect.engine(connect_args={**NAMED, "password": password})
        async with pgflight.listen(engine, CHANNEL) as listener:
            whole, document = document, None
            assert await terminate(dialect.server)
            waits = asyncio.ensure_future(item(listener))
            while not waits.done() and "listening again has failed" not in caplog.text:
                await asyncio.sleep(0.01)
            document = whole
            assert isinstance(await waits, pgflight.Gap)

    asyncio.run(work())


def test_a_task_that_somebody_else_cancels(dialect: Dialect) -> None:
    """A program that cancels all tasks but its own, and reads on, or begins to."""
    skip_where_cancelling_a_login_fails(dialect)

    def cancel_others() -> None:
        (task,) = keepers()
        task.cancel()

    async def work() -> None:
        engine = engine_of(dialect)
        for waiting in (False, True):
            async with pgflight.listen(engine, CHANNEL) as listener:
                waits = asyncio.ensure_future(anext(listener))
                if waiting:
                    await asyncio.sleep(0.01)
                cancel_others()
                for _ in range(2):
                    with pytest.raises(InvalidRequestError, match=r"pgflight\.listen.*cancelled"):
                        await ends(waits)
                    waits = asyncio.ensure_future(anext(listener))
                    assert not listener.listening
                with pytest.raises(InvalidRequestError):
                    await waits
        # before it has connected, and before it has begun at all
        for turns in (1, 2, 20):
            begins = asyncio.ensure_future(pgflight.listen(engine, CHANNEL).__aenter__())
            for _ in range(turns):
                await asyncio.sleep(0)
            cancel_others()
            with pytest.raises(InvalidRequestError, match="cancelled"):
                await ends(begins)
        await engine.dispose()  # of what the dialect was set up by
        await are_gone(dialect.server)

    asyncio.run(work())


def test_closed_while_it_begins(dialect: Dialect) -> None:
    skip_where_cancelling_a_login_fails(dialect)

    async def work() -> None:
        engine = engine_of(dialect)
        for turns in (1, 2, 20):
            listener = pgflight.listen(engine, CHANNEL)
            begins = asyncio.ensure_future(listener.__aenter__())
            for _ in range(turns):
                await asyncio.sleep(0)
            await ends(listener.aclose())
            with pytest.raises(InvalidRequestError, match="closed"):
                await ends(begins)
        await engine.dispose()  # of what the dialect was set up by
        await are_gone(dialect.server)

    asyncio.run(work())
