"""The lock that SQLAlchemy holds while an engine's first connection is set up, for several loops.

SQLAlchemy's is asyncio's, which wakes up its own event loop only: two first connections made in two
threads at the same time, and one of them waits for ever.  The dialect puts this one in its place.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from typing import Any

from ..versions import await_only


def _grant(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class FirstConnectionLock:
    """A lock for tasks of any event loop, as the context manager that SQLAlchemy enters."""

    def __init__(self) -> None:
        self.guard = threading.Lock()  # held for moments; nothing is awaited meanwhile
        self.process = 0
        """The process whose task has the lock; 0 if nobody has it."""
        self.waiting: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()

    def __enter__(self) -> None:
        await_only(self.acquire())

    def __exit__(self, *exception: Any) -> None:
        self.hand_on()

    async def acquire(self) -> None:
        """Wait until nobody else has the lock, and take it."""
        loop, here = asyncio.get_running_loop(), os.getpid()
        with self.guard:
            if self.process != here:  # nobody, or a task of the process that this was forked from
                self.process = here
                self.waiting.clear()
                return
            future: asyncio.Future[None] = loop.create_future()
            waits = loop, future
            self.waiting.append(waits)
        try:
            await future
        except BaseException:
            with self.guard:
                still_waits = waits in self.waiting
                if still_waits:
                    self.waiting.remove(waits)
            if not still_waits:
                self.hand_on()  # it had been granted
            raise

    def hand_on(self) -> None:
        """Give the lock to who has waited longest, or to nobody."""
        with self.guard:
            while self.waiting:
                loop, future = self.waiting.popleft()
                try:
                    loop.call_soon_threadsafe(_grant, future)
                    return
                except RuntimeError:
                    pass  # that loop has been closed
            self.process = 0
