"""A private event loop in a thread of its own, for callers that have no event loop.

One per DBAPI module; synchronous connections (:mod:`pgflight.dbapi.synchronous`) live in it.
Another one is for all connections of ``pgflight.dbapi.connect()``.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

_T = TypeVar("_T")


async def _resolve(awaitable: Awaitable[_T]) -> _T:
    return await awaitable


def _stop_loop(loop: asyncio.AbstractEventLoop) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(loop.stop)


class LoopThread:
    """An event loop in a daemon thread, started on first use and stopped by :meth:`close`.

    Counts the connections that live in it and the calls that wait for it: after :meth:`close` it
    runs until the last of them is gone, and a later use starts it again.  A child process
    made by fork() starts its own.
    """

    def __init__(self, name: str = "pgflight-async-fallback") -> None:
        self._name = name
        # re-entrant: the garbage collector may end a connection while this thread holds it
        self._lock = threading.RLock()
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._finalizer: Any = None
        self._users = 0
        self._closing = False
        # held by the running thread, so that the collector never finalizes asyncpg's connections:
        # that would close them from whichever thread it happens to run in
        self._alive: set[Any] = set()

    @property
    def running(self) -> bool:
        """Whether the thread exists."""
        return self._thread is not None

    def inside(self) -> bool:
        """Tell whether the caller is the loop's own thread, which must not wait for itself."""
        return threading.current_thread() is self._thread

    def use(self) -> asyncio.AbstractEventLoop:
        """Return the loop, begun if need be, and count one user more; :meth:`leave` ends that."""
        if self._pid != os.getpid():
            self._lock = threading.RLock()  # threads do not survive fork()
            self._reset()
        with self._lock:
            self._users += 1
            if self._loop is None:
                loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._serve,
                    args=(loop, self._alive),
                    name=self._name,
                    daemon=True,
                )
                self._thread.start()
                self._finalizer = weakref.finalize(self, _stop_loop, loop)
                self._finalizer.atexit = False
                self._loop = loop
            return self._loop

    @staticmethod
    def _serve(loop: asyncio.AbstractEventLoop, alive: set[Any]) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            alive.clear()

    def run(self, awaitable: Awaitable[_T]) -> _T:
        """Run ``awaitable`` in the loop and wait for its result.

        Raises RuntimeError when called by the loop's own thread.
        """
        if self.inside():
            if asyncio.iscoroutine(awaitable):
                awaitable.close()
            raise RuntimeError(
                "a synchronous pgflight connection was used inside its own event loop's thread; "
                "use it from the program's threads"
            )
        loop = self.use()
        try:
            future: concurrent.futures.Future[_T] = asyncio.run_coroutine_threadsafe(
                _resolve(awaitable), loop
            )
            try:
                return future.result()
            except BaseException:
                future.cancel()  # after Ctrl-C while waiting: cancel the statement, too
                raise
        finally:
            self.leave()

    def call(self, function: Callable[[], object]) -> None:
        """Call ``function`` in the loop's thread without waiting for it."""
        loop = self._loop
        if self.inside():
            function()
        elif loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(function)

    def abandon(self, connection: Any) -> None:
        """Drop a connection that is no longer referenced; called by the garbage collector.

        The collector may have interrupted anything, so no lock is taken here.
        """
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._drop_abandoned, connection)

    def _drop_abandoned(self, connection: Any) -> None:
        connection.terminate()
        self.depart(connection)

    def enter(self, connection: Any) -> None:
        """Count one more connection."""
        with self._lock:
            self._users += 1
            self._closing = False
            self._alive.add(connection)

    def depart(self, connection: Any) -> None:
        """Count one connection fewer, after it has been closed."""
        self._alive.discard(connection)
        self.leave()

    def leave(self) -> None:
        """Count one user fewer; stop if the engine was disposed of and this was the last."""
        loop = self._loop
        if loop is not None and self.inside():
            # the loop must never wait for a thread that may be waiting for it
            if not self._lock.acquire(blocking=False):
                loop.call_soon(self.leave)
                return
        else:
            self._lock.acquire()
        try:
            self._users -= 1
            thread = self._stopped()
        finally:
            self._lock.release()
        self._join(thread)

    def close(self) -> None:
        """Stop the thread as soon as it has no more users."""
        if self._pid != os.getpid():
            return
        with self._lock:
            self._closing = True
            thread = self._stopped()
        self._join(thread)

    def _stopped(self) -> threading.Thread | None:
        loop, thread = self._loop, self._thread
        if not self._closing or self._users > 0 or loop is None:
            return None
        self._finalizer.detach()
        self._loop = self._thread = None
        self._users = 0
        loop.call_soon_threadsafe(loop.stop)
        return thread

    @staticmethod
    def _join(thread: threading.Thread | None) -> None:
        if thread is not None and threading.current_thread() is not thread:
            thread.join()
