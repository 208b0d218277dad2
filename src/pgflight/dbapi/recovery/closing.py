"""Closing asyncpg's connection with a farewell to the server, without waiting for ever.

Used by the adapted connection.
"""

from __future__ import annotations

import asyncio

from ... import driver

GRACEFUL_CLOSE_SECONDS = 2
"""How long the server has to answer a farewell before the socket is dropped."""

SILENT_FOR_SECONDS = 10
"""For how long a server that has left one farewell unanswered is hardly waited for again."""

_MARGIN = 0.5


class Farewells:
    """Closes the connections of one engine.

    A pool closes its connections one after the other: of a server that does not answer, only the
    first is waited for in full.
    """

    def __init__(self) -> None:
        self._unanswered: float | None = None

    async def close(self, connection: driver.Connection) -> None:
        """Close ``connection``; raise asyncio's TimeoutError if there is no answer in time."""
        loop = asyncio.get_running_loop()
        last = self._unanswered
        silent = last is not None and 0 <= loop.time() - last < SILENT_FOR_SECONDS
        bound = 0.0 if silent else float(GRACEFUL_CLOSE_SECONDS)
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
