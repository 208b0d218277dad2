"""Calls from any thread into the event loop thread of the process, and the errors that come back.

One thread for all connections, started by the first: a connection waits nearly always, and asyncpg
runs under the interpreter's lock in any case.  It ends with the process; a child made by fork()
starts its own.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

import asyncpg
from sqlalchemy import exc
from sqlalchemy.util.concurrency import greenlet_spawn

from .. import errors
from ..module import AsyncAdapt_asyncpg_dbapi
from ..sync.calls import SHUTS_DOWN
from ..sync.event_loop_thread import LoopThread
from ..timeouts import StatementTimeoutError

T = TypeVar("T")

THREAD_NAME = "pgflight-dbapi"

SECONDS_TO_CANCEL = 5.0
"""How long an interrupted call waits for its end before the interrupt is raised."""

adapter = AsyncAdapt_asyncpg_dbapi(asyncpg)
loop_thread = LoopThread(THREAD_NAME)


def refuse_waiting() -> None:
    """Raise InterfaceError where the caller would wait for ever.

    To be called before any lock is taken: its owner may be waiting for the loop's thread.
    """
    if sys.is_finalizing():
        raise errors.InterfaceError(SHUTS_DOWN)
    if loop_thread.inside():
        raise errors.InterfaceError(
            "pgflight.dbapi was called by what it calls itself, such as a password function"
        )


def call(function: Callable[[], T]) -> T:
    """Run ``function`` in the loop's thread, in SQLAlchemy's greenlet, and return its result.

    KeyboardInterrupt, and whatever a signal handler raises, cancels it, on the server as well, and
    is raised when that has been done.  Raises PEP 249's errors.
    """
    refuse_waiting()
    try:
        return loop_thread.run(greenlet_spawn(function), SECONDS_TO_CANCEL)
    except Exception as error:
        _raise(error)


def _raise(error: Exception) -> NoReturn:
    """Raise PEP 249's error for one that SQLAlchemy's side of the room or asyncpg has raised."""
    if isinstance(error, StatementTimeoutError):
        raise error.orig from error.__cause__  # type: ignore[misc]
    if isinstance(error, errors.Error):
        raise error
    if isinstance(error, concurrent.futures.CancelledError):
        raise errors.OperationalError("the call was cancelled", error) from error
    translated = errors.translate(error)
    if translated is None and isinstance(error, exc.ArgumentError):
        translated = errors.ProgrammingError(str(error))
    # a UnicodeError is that of a host's name
    if translated is None and isinstance(error, (OSError, asyncio.TimeoutError, UnicodeError)):
        translated = errors.OperationalError(str(error) or type(error).__name__, error)
    raise error if translated is None else translated from error
