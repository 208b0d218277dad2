"""One use of an engine from several event loops, threads or processes; test_loops.py starts it.

Arguments: the URL, the name of a function below. Ends with status 0 if all was as it should be.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

import pgflight

URL = sa.make_url(sys.argv[1]) if __name__ == "__main__" else sa.make_url("postgresql+pgflight://")
engine = create_async_engine(
    URL, pool_size=5, max_overflow=0, pool_pre_ping="pre_ping" in sys.argv, pool_timeout=20
)
MINE = {"name": f"loops {os.getpid()}"}
ANSWER = sa.text("SELECT 40 + 2")


async def unit() -> None:
    async with engine.connect() as connection:
        assert await connection.scalar(ANSWER) == 42


async def sessions() -> int:
    """Return how many sessions of the server are not those of the server itself."""
    async with engine.connect() as connection:
        for _ in range(100):  # a session that was hung up on takes a moment to end
            counted = await connection.scalar(
                sa.text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = :kind"),
                {"kind": "client backend"},
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
    assert asyncio.run(sessions()) == 1
    asyncio.run(engine.dispose())


def disposed_of_in_another_loop() -> None:
    asyncio.run(unit())
    asyncio.run(engine.dispose())
    asyncio.run(unit())
    asyncio.run(engine.dispose())


def two_threads_at_once() -> None:
    """After a first connection, and with room in the pool.

    To wait for either is asyncio's lock or queue in SQLAlchemy, which wakes up its own loop only.
    """

    async def many() -> None:
        for _ in range(100):
            await unit()

    def work() -> None:
        try:
            asyncio.run(many())
        except BaseException as error:
            failed.append(error)
            traceback.print_exc()

    asyncio.run(unit())
    failed: list[BaseException] = []
    threads = [threading.Thread(target=work) for _ in range(2)]
    with pytest.warns(pgflight.PgflightWarning):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failed == []
    asyncio.run(engine.dispose())


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
    assert asyncio.run(unit()) is None
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
