"""Closing asyncpg's connection with a farewell to the server, without waiting for ever.

Used by the adapted connection.
"""

from __future__ import annotations

import asyncio

from ... import driver
from ...session.session import Session

GRACEFUL_CLOSE_SECONDS = 2
"""How long the server has to answer a farewell before the socket is dropped."""

SILENT_FOR_SECONDS = 10
"""For how long a server that has left one farewell unanswered is hardly waited for again."""

_MARGIN = 0.5


def _is_idle(session: Session) -> bool:
    """Tell whether the server has nothing to do for a session but to answer a deferred end."""
    transactions, unit = session.transactions, session.unit
    return (
        transactions.pipeline is not None
        and not transactions.exposed
        and not transactions.pipeline.unsettled
        and unit.transaction is None
        and unit.in_doubt is None
        and not session.turn.taken
        and session.copying_out is None
        and not session.reads_ahead
        and driver.can_leave(session.connection)
    )


class Farewells:
    """Closes the connections of one engine.

    Where the server has answered everything, it is told, and not waited for: it ends its process
    when it reads that.  A pool closes its connections one after the other: of a server that does
    not answer, only the first is waited for in full.
    """

    def __init__(self) -> None:
        self._unanswered: float | None = None

    async def close(self, session: Session) -> None:
        """Close a session's connection; raise asyncio's TimeoutError if no answer comes in time."""
        connection = session.connection
        loop = asyncio.get_running_loop()
        last = self._unanswered
        silent = last is not None and 0 <= loop.time() - last < SILENT_FOR_SECONDS
        bound = 0.0 if silent else float(GRACEFUL_CLOSE_SECONDS)
        if _is_idle(session):
            if session.liveness.end_is_owed():
                # a pooler keeps the server connection that has been answered; the server would
                # find nobody there to answer, and log that
                pipeline = session.transactions.pipeline
                assert pipeline is not None
                try:
                    await asyncio.wait_for(pipeline.wait_for_ends(), bound or _MARGIN)
                except asyncio.TimeoutError:
                    self._unanswered = loop.time()
                    raise
            if _is_idle(session):
                await driver.leave(connection)
                return
        if driver.closes_in_time(connection):
            # without a task of its own, which takes longer than the farewell itself
            try:
                await connection.close(timeout=bound or _MARGIN)
            except asyncio.TimeoutError:
                self._unanswered = loop.time()
                raise
            if not silent:
                self._unanswered = None
            return
        closing = asyncio.ensure_future(connection.close(timeout=GRACEFUL_CLOSE_SECONDS))
        try:
            # its own timeout is not enough: asyncpg before 0.32 first waits for a cancellation
            done, _ = await asyncio.wait({closing}, timeout=bound + _MARGIN)
        except asyncio.CancelledError:
            # the caller drops the socket next, and no longer needs the result of the close
            closing.add_done_callback(_retrieve)
            raise
        try:
            if not done:
                closing.add_done_callback(_retrieve)
                closing.cancel()
                raise asyncio.TimeoutError
            closing.result()
        except asyncio.TimeoutError:
            self._unanswered = loop.time()
            raise
        if not silent:
            self._unanswered = None


def _retrieve(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()
