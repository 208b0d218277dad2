"""The queue in which a pool's idle connections wait for tasks, or tasks for connections.

SQLAlchemy's is an asyncio queue, which belongs to the loop whose task was the first to wait: a task
of another loop is told "bound to a different event loop", or is never woken up.  The dialect puts
this one in its place; tasks of one loop are served in the same order.
"""

from __future__ import annotations

import asyncio
import os
import threading
from asyncio import _get_running_loop as running_loop
from bisect import insort
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any
from weakref import WeakSet

from sqlalchemy.util import queue as sqlalchemy_queue

from ..versions import await_only

Waits = tuple[int, asyncio.AbstractEventLoop, "asyncio.Future[None]"]
"""Number of the arrival, which no other task has; loop, and what wakes it up."""


def _grant(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _nobody_wants(item: Any) -> bool:
    return False


class PoolQueue(sqlalchemy_queue.AsyncAdaptedQueue[Any]):
    """SQLAlchemy's queue, for tasks of any event loop."""

    def __init__(
        self,
        maxsize: int = 0,
        use_lifo: bool = False,
        wanted_elsewhere: Callable[[Any], bool] = _nobody_wants,
    ) -> None:
        """Take SQLAlchemy's arguments, and a function.

        ``wanted_elsewhere`` tells whether an item is better left to another loop.
        """
        super().__init__(maxsize, use_lifo)
        self.items: deque[Any] = deque()
        self.wanted_elsewhere = wanted_elsewhere
        self.arrivals = count()
        self.last_loop: object = None
        self.several_loops = False
        self.forked()
        _queues.add(self)

    def forked(self) -> None:
        """Begin without a lock that another thread may have held, and without its tasks."""
        # held for moments; the collector may return a connection meanwhile, hence reentrant
        self.guard = threading.RLock()
        self.waiting: deque[Waits] = deque()  # in the order of arrival

    def empty(self) -> bool:
        """Tell whether no item is here."""
        return not self.items

    def full(self) -> bool:
        """Tell whether there is no room."""
        return 0 < self.maxsize <= len(self.items)

    def qsize(self) -> int:
        """Return the number of items."""
        return len(self.items)

    def put_nowait(self, item: Any) -> None:
        """Add an item and wake up who has waited longest; raise Full if there is no room."""
        with self.guard:
            if 0 < self.maxsize <= len(self.items):
                raise sqlalchemy_queue.Full
            self.items.append(item)
            if self.waiting:
                self.wake()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an item; pools do not wait for room."""
        self.put_nowait(item)

    def get_nowait(self) -> Any:
        """Take an item, one of this loop's if there is one; raise Empty if there is none."""
        with self.guard:
            loop = running_loop()
            if loop is not self.last_loop:
                self.several_loops = self.last_loop is not None
                self.last_loop = loop
            items = self.items
            if not items:
                raise sqlalchemy_queue.Empty
            if self.several_loops:
                # a copy: the collector may return a connection meanwhile
                for item in list(reversed(items) if self.use_lifo else items):
                    if not self.wanted_elsewhere(item):
                        items.remove(item)
                        return item
            return items.pop() if self.use_lifo else items.popleft()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take an item; wait for one if there is none and ``block`` is true.

        Raises Empty, after ``timeout`` seconds if it waited.
        """
        try:
            return self.get_nowait()
        except sqlalchemy_queue.Empty:
            if not block:
                raise
        return await_only(self.wait(timeout))

    async def wait(self, timeout: float | None) -> Any:
        """Take an item when there is one; raise Empty after ``timeout`` seconds."""
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        arrival = next(self.arrivals)
        while True:
            future: asyncio.Future[None] = loop.create_future()
            waits = arrival, loop, future
            with self.guard:
                try:
                    return self.get_nowait()
                except sqlalchemy_queue.Empty:
                    if end is not None and loop.time() >= end:
                        raise
                    # in its old place if somebody who did not wait has taken what it was woken for
                    insort(self.waiting, waits)
            timer = None if end is None else loop.call_at(end, _grant, future)
            try:
                await future
            except BaseException:
                with self.guard:
                    if waits not in self.waiting and not self.empty():
                        self.wake()  # it was to be taken here
                raise
            finally:
                if timer is not None:
                    timer.cancel()
                with self.guard:
                    if waits in self.waiting:
                        self.waiting.remove(waits)

    def wake(self) -> None:
        """Wake up a task that will run, and those before it of which that is not certain.

        Called with the guard.
        """
        here = running_loop()
        while self.waiting:
            _, loop, future = self.waiting.popleft()
            if loop is here:
                if not future.done():
                    future.set_result(None)
                    return
                continue
            try:
                loop.call_soon_threadsafe(_grant, future)
            except RuntimeError:
                continue  # that loop has been closed
            if loop.is_running():
                return


_queues: WeakSet[PoolQueue] = WeakSet()


def _forked() -> None:
    for queue in list(_queues):
        queue.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
