"""Synchronous use of the dialect: a private event loop in a thread of its own.

``create_engine("postgresql+asyncpg://...?async_fallback=true")`` makes its connections here.
Any thread may use the engine, also one whose own event loop is running.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from .connection import AsyncAdapt_asyncpg_connection

_T = TypeVar("_T")


async def _resolve(awaitable: Awaitable[_T]) -> _T:
    return await awaitable


class LoopThread:
    """An event loop in a daemon thread, started by the first use and stopped by :meth:`close`.

    Counts the connections that live in it: after :meth:`close` it goes on until the last of
    them is gone, and a later use starts it again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._connections = 0
        self._closing = False

    @property
    def running(self) -> bool:
        """Whether the thread exists."""
        return self._thread is not None

    def inside(self) -> bool:
        """Whether the caller is the loop's own thread, which must not wait for itself."""
        return threading.current_thread() is self._thread

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._serve,
                    args=(self._loop,),
                    name="fastpg-async-fallback",
                    daemon=True,
                )
                self._thread.start()
            return self._loop

    @staticmethod
    def _serve(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def run(self, awaitable: Awaitable[_T]) -> _T:
        """Run ``awaitable`` in the loop and wait for its result.

        Raises RuntimeError when called by the loop's own thread.
        """
        if self.inside():
            if asyncio.iscoroutine(awaitable):
                awaitable.close()
            raise RuntimeError(
                "a synchronous fastpg connection was used inside its own event loop's thread; "
                "use it from the program's threads"
            )
        future: concurrent.futures.Future[_T] = asyncio.run_coroutine_threadsafe(
            _resolve(awaitable), self._started()
        )
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C while waiting: the statement is cancelled, too
            raise

    def call(self, function: Callable[[], object]) -> None:
        """Call ``function`` in the loop's thread without waiting for it."""
        with self._lock:
            loop = self._loop
        if self.inside():
            function()
        elif loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(function)

    def abandon(self, terminate: Callable[[], object]) -> None:
        """Drop a connection that nobody holds any more; called by the garbage collector.

        The collector may have interrupted anything, so no lock is taken here.
        """
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._drop_abandoned, terminate)

    def _drop_abandoned(self, terminate: Callable[[], object]) -> None:
        terminate()
        self.leave()

    def enter(self) -> None:
        """Count one connection more."""
        with self._lock:
            self._connections += 1
            self._closing = False

    def leave(self) -> None:
        """Count one connection less; stop if the engine was disposed of and this was the last."""
        with self._lock:
            self._connections -= 1
            stop = self._closing and self._connections <= 0
        if stop:
            self._stop()

    def close(self) -> None:
        """Stop the thread as soon as no connection needs it."""
        with self._lock:
            self._closing = True
            stop = self._connections <= 0
        if stop:
            self._stop()

    def _stop(self) -> None:
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            self._connections = 0
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        if threading.current_thread() is not thread:
            thread.join()


class AsyncAdaptFallback_asyncpg_connection(AsyncAdapt_asyncpg_connection):
    """The adapted connection for callers without a greenlet: it waits on a loop thread."""

    __slots__ = ("_loop_thread", "_left")

    def __init__(self, *args: Any, loop_thread: LoopThread, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._loop_thread = loop_thread
        self._left = False
        loop_thread.enter()

    def await_(self, awaitable: Awaitable[Any]) -> Any:
        """Run ``awaitable`` in the loop thread and return its result."""
        return self._loop_thread.run(awaitable)

    def _can_wait(self) -> bool:
        return not self._loop_thread.inside()

    def _leave(self) -> None:
        if not self._left:
            self._left = True
            self._loop_thread.leave()

    def close(self) -> None:
        """Roll back and close, waiting for the server."""
        try:
            super().close()
        finally:
            self._leave()

    def terminate(self) -> None:
        """Close without fail, from any thread."""
        try:
            super().terminate()
        finally:
            self._leave()

    def __del__(self) -> None:
        # a pool that was disposed of while this connection was checked out forgets it on return
        if not getattr(self, "_left", True):
            self._left = True
            self._loop_thread.abandon(self._connection.terminate)

    def _drop(self) -> None:
        self._loop_thread.call(self._connection.terminate)
        self._transaction = None
