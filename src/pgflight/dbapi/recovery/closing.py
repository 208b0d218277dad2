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
        loop = asyncio.get_running_loop()
        last = self._unanswered
        silent = last is not None and 0 <= loop.time() - last < SILENT_FOR_SECONDS
        try:
            await _close(session, 0.0 if silent else float(GRACEFUL_CLOSE_SECONDS))
        except asyncio.TimeoutError:
            self._unanswered = loop.time()
            raise
        if not silent:
            self._unanswered = None


async def _close(session: Session, bound: float) -> None:
    """Close a connection, waiting for an answer no longer than ``bound`` and a little."""
    connection = session.connection
    leaves = _is_idle(session)
    if leaves and session.liveness.end_is_owed():
        # a pooler keeps the server connection that has been answered; the server would find nobody
        # there to answer, and log that
        pipeline = session.transactions.pipeline
        assert pipeline is not None
        await driver.within(bound or _MARGIN, pipeline.wait_for_ends())
        leaves = _is_idle(session)
    if leaves:
        await driver.leave(connection)
    elif driver.closes_in_time(connection):
        # without a task of its own, which takes longer than the farewell itself
        await connection.close(timeout=bound or _MARGIN)
    else:
        await _close_in_time(connection, bound + _MARGIN)


async def _close_in_time(connection: driver.Connection, seconds: float) -> None:
    """Close a connection of asyncpg before 0.32, which first waits for a cancellation."""
    closing = asyncio.ensure_future(connection.close(timeout=GRACEFUL_CLOSE_SECONDS))
    # whoever is cancelled here drops the socket next, and no longer needs the result
    closing.add_done_callback(driver.retrieve)
    done, _ = await asyncio.wait({closing}, timeout=seconds)
    if not done:
        closing.cancel()
        raise asyncio.TimeoutError
    closing.result()
