"""One use of an engine in several event loops, threads or processes: `bench.reliability` starts it.

    python -m bench.loop_uses URL NAME

Ends with status 0 if every unit of work was done.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

ANSWER = sa.text("SELECT 40 + 2")
Work = Callable[[], Coroutine[Any, Any, None]]


class Uses:
    """The uses, of one engine of a pool of five."""

    def __init__(self, url: str, name: str) -> None:
        pool: dict[str, Any] = {"pool_size": 5, "max_overflow": 0, "pool_timeout": 5}
        if name.endswith("pre_ping"):
            pool["pool_pre_ping"] = True
        if name.endswith("without_a_pool"):
            pool = {"poolclass": NullPool}
        self.engine: AsyncEngine = create_async_engine(url, **pool)

    async def unit(self) -> None:
        async with self.engine.connect() as connection:
            if await connection.scalar(ANSWER) != 42:
                raise AssertionError("a wrong value")

    async def units(self) -> None:
        for _ in range(100):
            await self.unit()

    async def crowd(self) -> None:
        await asyncio.gather(*(self.unit() for _ in range(20)))

    def in_threads(self, number: int, work: Work) -> None:
        failed: list[BaseException] = []
        begin = threading.Barrier(number)

        async def together() -> None:
            begin.wait()
            await work()

        def run() -> None:
            try:
                asyncio.run(together())
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=run, daemon=True) for _ in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]

    def in_a_child(self) -> None:
        context = multiprocessing.get_context("fork")
        child = context.Process(target=lambda: asyncio.run(self.unit()))
        child.start()
        child.join()
        if child.exitcode:
            raise AssertionError(f"the child ended with {child.exitcode}")

    def one_loop_after_the_other(self) -> None:
        for _ in range(3):
            asyncio.run(self.unit())

    one_loop_after_the_other_with_pre_ping = one_loop_after_the_other
    one_loop_after_the_other_without_a_pool = one_loop_after_the_other

    def dispose_in_another_loop(self) -> None:
        asyncio.run(self.unit())
        asyncio.run(self.engine.dispose())
        asyncio.run(self.unit())

    def two_threads(self) -> None:
        self.in_threads(2, self.units)

    def two_threads_after_a_first_loop(self) -> None:
        asyncio.run(self.unit())
        self.in_threads(2, self.units)

    def four_first_connections(self) -> None:
        self.in_threads(4, self.unit)

    def three_threads_wait_for_the_pool(self) -> None:
        asyncio.run(self.unit())
        self.in_threads(3, self.crowd)

    def a_child_after_a_fork(self) -> None:
        asyncio.run(self.unit())
        self.in_a_child()

    def the_parent_after_its_child(self) -> None:
        async def work() -> None:
            await self.unit()
            loop = asyncio.get_running_loop()
            asyncio._set_running_loop(None)
            child = os.fork()
            if child == 0:
                try:
                    asyncio.run(self.unit())
                finally:
                    os._exit(0)  # whatever became of it
            os.waitpid(child, 0)
            asyncio._set_running_loop(loop)
            for _ in range(3):
                await self.unit()

        asyncio.run(work())

    def several_children(self) -> None:
        asyncio.run(self.unit())
        for _ in range(3):
            self.in_a_child()
        asyncio.run(self.unit())


_HELPERS = {"unit", "units", "crowd", "in_threads", "in_a_child"}
NAMES = [name for name in vars(Uses) if not name.startswith("_") and name not in _HELPERS]

if __name__ == "__main__":
    getattr(Uses(sys.argv[1], sys.argv[2]), sys.argv[2])()
    os._exit(0)  # no word on what the interpreter's end would say of connections
