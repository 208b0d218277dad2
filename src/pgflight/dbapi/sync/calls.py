"""A call on its way through the event loop's thread: handed over, waited for, given up."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading
from collections.abc import Awaitable
from contextlib import suppress
from typing import Generic, TypeVar

from .. import errors

_T = TypeVar("_T")

_SECONDS_BETWEEN_LOOKS = 1.0  # of a caller that waits: is the thread still there?
SHUTS_DOWN = (
    "the interpreter shuts down and executes no statement any more: end the work before that, at"
    " the latest in a function given to atexit.register()"
)
_ENDED = "the event loop's thread has ended, and its connections with it: make another connection"


async def _resolve(awaitable: Awaitable[_T]) -> _T:
    return await awaitable


def close_unstarted(awaitable: Awaitable[object]) -> None:
    """Close a coroutine that does not begin any more."""
    if asyncio.iscoroutine(awaitable):
        awaitable.close()  # else it would warn that nobody awaited it


class Call(Generic[_T]):
    """One awaitable on its way through the loop; made and waited for in the caller's thread."""

    __slots__ = ("_awaitable", "_ended", "_task")

    def __init__(self, awaitable: Awaitable[_T]) -> None:
        self._awaitable: Awaitable[_T] | None = awaitable
        self._ended = threading.Lock()  # held until the awaitable has ended
        self._ended.acquire()
        self._task: asyncio.Task[_T] | None = None

    def start(self) -> None:
        """Begin, in the loop's thread."""
        awaitable, self._awaitable = self._awaitable, None
        if awaitable is not None:  # it was not given up
            begun = awaitable if asyncio.iscoroutine(awaitable) else _resolve(awaitable)
            self._task = asyncio.get_running_loop().create_task(begun)
            self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[_T]) -> None:
        if not task.cancelled():
            task.exception()  # an interrupted caller does not ask for it
        self._ended.release()

    def wait(self, thread: threading.Thread | None) -> None:
        """Wait for the end; raise InterfaceError if ``thread`` cannot bring it about."""
        while not self._ended.acquire(timeout=_SECONDS_BETWEEN_LOOKS):
            if sys.is_finalizing():
                raise errors.InterfaceError(SHUTS_DOWN)
            if thread is None or not thread.is_alive():
                if not self._ended.acquire(blocking=False):
                    raise errors.InterfaceError(_ENDED)
                return  # the last that it did

    def give_up(self, loop: asyncio.AbstractEventLoop | None, seconds: float) -> None:
        """Cancel, and wait ``seconds`` at most for the end of that."""
        if loop is None or loop.is_closed():
            self._cancel()
        elif self._task is None or not self._task.done():
            loop.call_soon_threadsafe(self._cancel)
            self._ended.acquire(timeout=seconds)

    def _cancel(self) -> None:
        awaitable, self._awaitable = self._awaitable, None
        if awaitable is not None:
            close_unstarted(awaitable)
            self._ended.release()
        elif self._task is not None:
            with suppress(RuntimeError):  # its loop is closed
                self._task.cancel()

    def result(self) -> _T:
        """Return the awaitable's result, or raise its error."""
        # the error's traceback leads here, and from here must not lead to the error
        task, self._task = self._task, None
        assert task is not None
        try:
            return task.result()
        except asyncio.CancelledError as error:
            raise concurrent.futures.CancelledError from error
        finally:
            del task
