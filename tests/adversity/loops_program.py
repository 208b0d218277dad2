"""One use of an engine from several event loops, threads or processes; test_loops.py starts it.

Arguments: the URL, the name of a function below. Ends with status 0 if all was as it should be.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

import pgflight

URL = sa.make_url(sys.argv[1]) if __name__ == "__main__" else sa.make_url("postgresql+pgflight://")
MINE = {"name": f"loops {os.getpid()}"}
engine = create_async_engine(
    URL,
    pool_size=5,
    max_overflow=0,
    pool_pre_ping="pre_ping" in sys.argv,
    pool_timeout=5,
    connect_args={"server_settings": {"application_name": MINE["name"]}},
)
ANSWER = sa.text("SELECT 40 + 2")


async def unit() -> None:
    async with engine.connect() as connection:
        assert await connection.scalar(ANSWER) == 42


async def sessions() -> int:
    """Return how many sessions the program has, among those that other tests have left."""
    async with engine.connect() as connection:
        for _ in range(1500):  # a session that was hung up on takes a moment to end
            counted = await connection.scalar(
                sa.text("SELECT count(*) FROM pg_stat_activity WHERE application_name = :name"),
                MINE,
            )
            if counted == 1:
                break
            await asyncio.sleep(0.02)
        return int(counted or 0)


def one_loop_after_the_other() -> None:
    asyncio.run(unit())
    with pytest.warns(pgflight.PgflightWarning, match="made in another event loop"):
        asyncio.run(unit())
    for _ in range(4):  # says so once
        asyncio.run(unit())
    check(asyncio.run(sessions()), 1)
    asyncio.run(engine.dispose())


def disposed_of_in_another_loop() -> None:
    asyncio.run(unit())
    asyncio.run(engine.dispose())
    asyncio.run(unit())
    asyncio.run(engine.dispose())


def checked_out() -> int:
    pool = engine.pool
    assert isinstance(pool, sa.pool.QueuePool)
    return pool.checkedout()


def check(found: object, wanted: object) -> None:
    """Compare, also where Python leaves out assertions, and with them what they call."""
    if found != wanted:
        raise AssertionError(f"{found!r} is not {wanted!r}")


def two_threads_at_once() -> None:
    """After a first connection, and with room in the pool."""
    asyncio.run(unit())
    with pytest.warns(pgflight.PgflightWarning):
        check(in_threads(2, units), [])
    asyncio.run(engine.dispose())


async def units() -> None:
    for _ in range(100):
        await unit()


def in_threads(number: int, work: Callable[[], Coroutine[Any, Any, None]]) -> list[BaseException]:
    """Run ``work`` in several threads' loops at the same time; return what they raised."""
    begin = threading.Barrier(number)
    failed: list[BaseException] = []

    async def together() -> None:
        begin.wait()
        await work()

    def run() -> None:
        try:
            asyncio.run(together())
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed


def two_first_connections_at_once() -> None:
    """SQLAlchemy lets one of them wait, by asyncio's lock, which wakes up its own loop only."""
    check(in_threads(4, unit), [])
    asyncio.run(engine.dispose())


def a_first_connection_that_is_cancelled() -> None:
    """The others go on: nobody is granted a lock that nobody takes."""

    async def given_up() -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(unit(), 0.0005)
        await unit()

    check(in_threads(4, given_up), [])
    asyncio.run(engine.dispose())


def a_pool_that_threads_wait_for() -> None:
    """SQLAlchemy's queue is for one loop: tasks of others are told so, or are never woken up."""

    async def crowd() -> None:
        await asyncio.gather(*(unit() for _ in range(20)))

    asyncio.run(unit())
    for _ in range(2):  # dispose() makes a new pool
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pgflight.PgflightWarning)
            check(in_threads(3, crowd), [])
        check(checked_out(), 0)
        asyncio.run(engine.dispose(close=False))
    asyncio.run(unit())
    asyncio.run(engine.dispose())


def a_pool_whose_waiters_give_up() -> None:
    """A connection goes to a task that still waits, whichever loop it is of."""

    async def holder(waits: threading.Event) -> None:
        async with engine.connect() as first:
            await first.scalar(ANSWER)
            others = [await engine.connect() for _ in range(4)]
            impatient = [asyncio.ensure_future(unit()) for _ in range(5)]
            await asyncio.to_thread(waits.wait)
            await asyncio.sleep(0.05)
            for task in impatient:
                task.cancel()
            await asyncio.wait(impatient)
        for other in others:
            await other.close()

    async def patient(waits: threading.Event) -> None:
        task = asyncio.ensure_future(asyncio.wait_for(unit(), 60))
        await asyncio.sleep(0.05)
        waits.set()
        await task

    waits = threading.Event()
    works = iter((holder, patient))
    check(in_threads(2, lambda: next(works)(waits)), [])
    check(checked_out(), 0)
    asyncio.run(engine.dispose(close=False))


def in_a_child(use: Callable[[], Any]) -> None:
    """Fork, and have the child use the engine."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            use()
            gc.collect()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def a_child_without_dispose() -> None:
    def use() -> None:
        with pytest.warns(pgflight.PgflightWarning, match="before a fork"):
            asyncio.run(unit())
        asyncio.run(engine.dispose())

    asyncio.run(unit())
    for _ in range(3):
        in_a_child(use)
    check(asyncio.run(unit()), None)
    asyncio.run(engine.dispose())


def a_child_of_a_running_loop() -> None:
    async def work() -> None:
        await unit()
        loop = asyncio.get_running_loop()
        async with engine.connect() as connection:
            await connection.execute(ANSWER)
            asyncio._set_running_loop(None)  # so that the child can run its own
            try:
                in_a_child(lambda: asyncio.run(unit()))
            finally:
                asyncio._set_running_loop(loop)
            assert await connection.scalar(ANSWER) == 42
        await unit()
        await engine.dispose()

    asyncio.run(work())


def a_fork_within_a_task() -> None:
    """The child goes on in a loop of another thread: its own would share the parent's epoll."""

    def use() -> None:
        with pytest.warns(pgflight.PgflightWarning, match="before a fork"):
            check(in_threads(1, unit), [])

    async def work() -> None:
        await asyncio.gather(unit(), unit())
        async with engine.connect() as connection:
            await connection.execute(ANSWER)  # and another one is idle
            in_a_child(use)
            assert await connection.scalar(ANSWER) == 42
            await connection.rollback()
            await asyncio.gather(*(unit() for _ in range(4)))
        await engine.dispose()

    asyncio.run(work())


def _child() -> None:
    asyncio.run(unit())
    asyncio.run(engine.dispose())


def multiprocessing_by_fork() -> None:
    asyncio.run(unit())
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_child) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    asyncio.run(unit())
    asyncio.run(engine.dispose())


def a_connection_carried_over() -> None:
    async def first() -> AsyncConnection:
        connection = await engine.connect()
        await connection.execute(ANSWER)
        return connection

    async def second(connection: AsyncConnection) -> None:
        with pytest.raises(sa.exc.DBAPIError, match="belongs to another event loop"):
            await connection.scalar(ANSWER)
        await connection.close()
        await unit()
        assert await sessions() == 1
        await engine.dispose()

    asyncio.run(second(asyncio.run(first())))


def a_connection_of_a_loop_that_runs() -> None:
    async def elsewhere(connection: AsyncConnection) -> None:
        for _ in range(20):
            with pytest.raises(sa.exc.DBAPIError, match="belongs to another event loop"):
                await connection.scalar(ANSWER)

    async def work() -> None:
        async with engine.connect() as connection:
            await connection.execute(ANSWER)
            await asyncio.to_thread(asyncio.run, elsewhere(connection))
            assert await connection.scalar(ANSWER) == 42
        await unit()
        await engine.dispose()

    asyncio.run(work())


if __name__ == "__main__":
    if "uvloop" in sys.argv:
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    globals()[sys.argv[2]]()
    gc.collect()
