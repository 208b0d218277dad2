"""Synchronous use of the dialect: connections that wait on an event loop in a thread of its own.

``create_engine("postgresql+asyncpg://...?async_fallback=true")`` makes its connections here.
Any thread may use the engine, even one whose own event loop is running.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from functools import partial
from typing import Any

from ... import driver
from ...compat.builtin import require_base, theirs
from ..connection import AsyncAdapt_asyncpg_connection
from .event_loop_thread import LoopThread

require_base("AsyncAdaptFallback_asyncpg_connection", theirs.AsyncAdapt_asyncpg_connection)


class AsyncAdaptFallback_asyncpg_connection(
    AsyncAdapt_asyncpg_connection,
    theirs.AsyncAdaptFallback_asyncpg_connection,  # type: ignore[misc]
):
    """The adapted connection for callers without a greenlet: it waits on a loop thread."""

    __slots__ = ("_loop_thread", "_left")

    def __init__(self, *args: Any, loop_thread: LoopThread, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._loop_thread = loop_thread
        self._left = False
        loop_thread.enter(self._connection)

    def await_(self, awaitable: Awaitable[Any]) -> Any:
        """Run ``awaitable`` in the loop thread and return its result."""
        return self._loop_thread.run(awaitable)

    def _can_wait(self) -> bool:
        return self._loop_thread.can_wait()

    def left_elsewhere(self) -> bool:
        """Let go of a parent's connection; any thread may use one of this process."""
        return self.session.turn.is_a_parents() and super().left_elsewhere()

    def _leave(self) -> None:
        if not self._left:
            self._left = True
            if not self.session.turn.is_a_parents():
                self._loop_thread.leave(self._connection)

    def rollback(self) -> None:
        """Roll back; while the interpreter shuts down, by dropping the connection."""
        if sys.is_finalizing():
            self.drop()  # what SQLAlchemy does for a generator that nobody has ended
        else:
            super().rollback()

    def close(self) -> None:
        """Roll back and close, waiting for the server."""
        try:
            if sys.is_finalizing():
                self.drop()
            else:
                super().close()
        finally:
            self._leave()

    def terminate(self) -> None:
        """Close in any case, from any thread."""
        try:
            super().terminate()
        finally:
            self._leave()

    def __del__(self) -> None:
        # a pool disposed of while this connection was checked out forgets it on return
        if not getattr(self, "_left", True):
            self._left = True
            if not self.left_elsewhere():
                self._loop_thread.abandon(self._connection)

    def drop(self) -> None:
        """Drop the socket without waiting, from any thread."""
        try:
            if not self.left_elsewhere():
                self._loop_thread.call(partial(driver.drop, self._connection))
                self.session.lost()
        finally:
            self._leave()
