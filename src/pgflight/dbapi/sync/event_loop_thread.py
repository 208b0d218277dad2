"""A private event loop in a thread of its own, for callers that have no event loop.

One per DBAPI module; synchronous connections (:mod:`pgflight.dbapi.sync.connections`) live in it.
Another one is for all connections of ``pgflight.dbapi.connect()``.

It does not run while the interpreter is finalized, and what the collector or a signal handler calls
may have interrupted anything: nobody waits for it without looking whether it is there, and it waits
for no lock.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from .. import errors
from .calls import SHUTS_DOWN, Call, close_unstarted

_T = TypeVar("_T")


def _stop_loop(loop: asyncio.AbstractEventLoop) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(loop.stop)


class LoopThread:
    """An event loop in a daemon thread, started on first use and stopped by :meth:`close`.

    Knows its connections and the calls that wait for it: after :meth:`close` it runs until the last
    of them is gone, and a later use starts it again.  A child made by fork() starts its own.
    """

    def __init__(self, name: str = "pgflight-async-fallback") -> None:
        self._name = name
        self._reset()
        _loop_threads.add(self)

    def _reset(self) -> None:
        self._lock = threading.RLock()  # of beginning and stopping; a signal handler may, too
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._finalizer: Any = None
        self._closing = False
        # calls, and asyncpg's connections; a set needs no lock.  The running thread holds it: else
        # the collector would finalize those, and close them from whichever thread it runs in
        self._users: set[Any] = set()

    def forked(self) -> None:
        """Begin anew in a child made by fork(), in which the thread does not exist."""
        if self._finalizer is not None:
            self._finalizer.detach()
        _left_to_parents.append((self._loop, self._users))
        self._reset()

    @property
    def running(self) -> bool:
        """Whether the thread exists."""
        return self._thread is not None

    def inside(self) -> bool:
        """Tell whether the caller is the loop's own thread, which must not wait for itself."""
        return threading.current_thread() is self._thread

    def can_wait(self) -> bool:
        """Tell whether the caller can wait for the loop."""
        return not (sys.is_finalizing() or self.inside())

    def use(self, user: object) -> asyncio.AbstractEventLoop:
        """Return the loop, begun if need be, which runs until ``user`` leaves.

        Raises OperationalError where the system refuses a thread.
        """
        # without the lock, whose owner may have been interrupted by somebody who waits for us.
        # Whoever stops the loop looks at these the other way round: see _stop_if_unused()
        self._users.add(user)
        loop = None if self._closing else self._loop
        return self._begin() if loop is None or loop.is_closed() else loop

    def _begin(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._loop.is_closed():
                loop = asyncio.new_event_loop()
                # known before it runs: the collector may call whoever asks inside()
                self._thread = threading.Thread(
                    target=self._serve, args=(loop, self._users), name=self._name, daemon=True
                )
                try:
                    self._thread.start()
                except BaseException as error:
                    self._thread = None
                    if isinstance(error, RuntimeError):  # by Python 3.12 in functions of atexit
                        loop.close()
                        text = f"the event loop's thread cannot be started: {error}"
                        raise errors.OperationalError(text, error) from error
                    _stop_loop(loop)
                    raise
                self._finalizer = weakref.finalize(self, _stop_loop, loop)
                self._finalizer.atexit = False
                self._loop = loop
            return self._loop

    @staticmethod
    def _serve(loop: asyncio.AbstractEventLoop, users: set[Any]) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def run(self, awaitable: Awaitable[_T], seconds_to_cancel: float = 0.0) -> _T:
        """Run ``awaitable`` in the loop and wait for its result.

        Whatever a signal handler raises meanwhile, such as KeyboardInterrupt, cancels it, and is
        raised when that is done, or after ``seconds_to_cancel``.  Raises RuntimeError when called
        by the loop's own thread, InterfaceError when the interpreter shuts down.
        """
        if not self.can_wait():
            close_unstarted(awaitable)
            if sys.is_finalizing():
                raise errors.InterfaceError(SHUTS_DOWN)
            raise RuntimeError(
                "a synchronous pgflight connection was used inside its own event loop's thread; "
                "use it from the program's threads"
            )
        loop = None
        call = Call(awaitable)
        try:
            loop = self.use(call)
            loop.call_soon_threadsafe(call.start)
            call.wait(self._thread)
        except BaseException:
            call.give_up(loop, seconds_to_cancel)
            raise
        finally:
            self.leave(call)
        return call.result()

    def call(self, function: Callable[[], object]) -> None:
        """Call ``function`` in the loop's thread without waiting for it."""
        if self.inside():
            function()
        else:
            self._post(function)

    def abandon(self, connection: Any) -> None:
        """Drop a connection that is no longer referenced; called by the garbage collector."""
        self._post(self._drop_abandoned, connection)

    def _post(self, function: Callable[..., object], *arguments: Any) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # closed
                loop.call_soon_threadsafe(function, *arguments)

    def _drop_abandoned(self, connection: Any) -> None:
        connection.terminate()
        self.leave(connection)

    def enter(self, connection: Any) -> None:
        """Keep the loop running for one more connection, until it leaves; in a call of the loop."""
        self._users.add(connection)
        self._closing = False

    def leave(self, user: Any) -> None:
        """Forget a user; stop if the engine was disposed of and this was the last."""
        self._users.discard(user)
        if self._closing and not self._users:
            self._stop()

    def close(self, *, wait: bool = True) -> None:
        """Stop the thread as soon as it has no more users; the collector does not wait for it."""
        self._closing = True
        if wait:
            self.leave(None)
        else:
            self._post(self._stop_if_unused)

    def _stop(self) -> None:
        """Stop the thread, and wait for its end, unless somebody uses it again."""
        thread = self._thread
        self._post(self._stop_if_unused)
        while thread is not None and thread.is_alive() and self.can_wait():
            if self._thread is thread and (self._users or not self._closing):
                break
            thread.join(0.1)

    def _stop_if_unused(self) -> None:
        """Stop, in the loop's thread, where no signal handler comes between the lines."""
        loop = asyncio.get_running_loop()
        if not self._lock.acquire(blocking=False):
            loop.call_later(0.01, self._stop_if_unused)  # its owner may be waiting for this thread
            return
        try:
            if self._closing and not self._users and self._loop is loop:
                self._finalizer.detach()
                self._loop = self._thread = None
                loop.stop()
        finally:
            self._lock.release()


_loop_threads: weakref.WeakSet[LoopThread] = weakref.WeakSet()

_left_to_parents: list[Any] = []
"""A parent's loops and connections: to collect them might disturb it, which shares the epoll."""


def _forked() -> None:
    for each in list(_loop_threads):
        each.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
