"""Calls from any thread into the event loop thread of the process, and the errors that come back.

One thread for all connections, started by the first: a connection waits nearly always, and asyncpg
runs under the interpreter's lock in any case.  It ends with the process; a child made by fork()
starts its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, NoReturn, TypeVar

import asyncpg
from sqlalchemy import exc
from sqlalchemy.util.concurrency import greenlet_spawn

from .. import errors
from ..event_loop_thread import LoopThread
from ..module import AsyncAdapt_asyncpg_dbapi
from ..timeouts import StatementTimeoutError

T = TypeVar("T")

THREAD_NAME = "pgflight-dbapi"

SECONDS_TO_CANCEL = 5.0
"""How long an interrupted call waits for its end before the interrupt is raised."""

adapter = AsyncAdapt_asyncpg_dbapi(asyncpg)
loop_thread = LoopThread(THREAD_NAME)


class _Call(Generic[T]):
    """One function on its way through the loop; made and waited for in the caller's thread."""

    __slots__ = ("_function", "_ended", "_given_up", "_task")

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._ended = threading.Lock()  # held until the function has returned
        self._ended.acquire()
        self._given_up = False
        self._task: asyncio.Task[T] | None = None

    def start(self) -> None:
        """Begin, in the loop's thread."""
        if self._given_up:
            self._ended.release()
            return
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(self._end)

    async def _run(self) -> T:
        result: T = await greenlet_spawn(self._function)
        return result

    def _end(self, task: asyncio.Task[T]) -> None:
        if not task.cancelled():
            task.exception()  # an interrupted caller does not ask for it
        self._ended.release()

    def give_up(self) -> None:
        """Cancel, in the loop's thread."""
        self._given_up = True
        if self._task is not None:
            self._task.cancel()

    def wait(self, seconds: float = -1) -> None:
        """Wait for the end, without a bound if ``seconds`` is -1."""
        self._ended.acquire(timeout=seconds)

    def result(self) -> T:
        """Return what the function returned, or raise its error."""
        assert self._task is not None
        try:
            return self._task.result()
        except asyncio.CancelledError as error:
            raise errors.OperationalError("the call was cancelled", error) from error


def call(function: Callable[[], T]) -> T:
    """Run ``function`` in the loop's thread, in SQLAlchemy's greenlet, and return its result.

    KeyboardInterrupt, and whatever a signal handler raises, cancels it, on the server as well, and
    is raised when that has been done.  Raises PEP 249's errors.
    """
    if loop_thread.inside():
        raise errors.InterfaceError(
            "pgflight.dbapi was called by what it calls itself, such as a password function"
        )
    loop = loop_thread.use()
    under_way = _Call(function)
    try:
        loop.call_soon_threadsafe(under_way.start)
        under_way.wait()
    except BaseException:
        loop.call_soon_threadsafe(under_way.give_up)
        under_way.wait(SECONDS_TO_CANCEL)
        raise
    finally:
        loop_thread.leave()
    try:
        return under_way.result()
    except Exception as error:
        _raise(error)


def _raise(error: Exception) -> NoReturn:
    """Raise PEP 249's error for one that SQLAlchemy's side of the room or asyncpg has raised."""
    if isinstance(error, StatementTimeoutError):
        raise error.orig from error.__cause__  # type: ignore[misc]
    if isinstance(error, errors.Error):
        raise error
    translated = errors.translate(error)
    if translated is None and isinstance(error, exc.ArgumentError):
        translated = errors.ProgrammingError(str(error))
    if translated is None and isinstance(error, (OSError, asyncio.TimeoutError)):
        translated = errors.OperationalError(str(error) or type(error).__name__, error)
    raise error if translated is None else translated from error
