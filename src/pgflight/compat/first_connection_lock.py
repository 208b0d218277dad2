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

from .versions import await_only


def _grant(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class FirstConnectionLock:
    """A lock for tasks of any event loop, as the context manager that SQLAlchemy enters."""

    def __init__(self) -> None:
        self._guard = threading.Lock()  # held for moments; nothing is awaited meanwhile
        self._process = 0
        """The process whose task has the lock; 0 if nobody has it."""
        self._waiting: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()

    def __enter__(self) -> None:
        await_only(self._acquire())

    def __exit__(self, *exception: Any) -> None:
        self._hand_on()

    async def _acquire(self) -> None:
        loop, here = asyncio.get_running_loop(), os.getpid()
        with self._guard:
            if self._process != here:  # nobody, or a task of the process that this was forked from
                self._process = here
                self._waiting.clear()
                return
            future: asyncio.Future[None] = loop.create_future()
            waits = loop, future
            self._waiting.append(waits)
        try:
            await future
        except BaseException:
            with self._guard:
                still_waits = waits in self._waiting
                if still_waits:
                    self._waiting.remove(waits)
            if not still_waits:
                self._hand_on()  # it had been granted
            raise

    def _hand_on(self) -> None:
        with self._guard:
            while self._waiting:
                loop, future = self._waiting.popleft()
                try:
                    loop.call_soon_threadsafe(_grant, future)
                    return
                except RuntimeError:
                    pass  # that loop has been closed
            self._process = 0
