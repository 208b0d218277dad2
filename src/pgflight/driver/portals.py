"""Portals: the rows of one execution, fetched piecemeal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncpg import exceptions as driver_errors

from .capability import is_private
from .contracts import Cursor, Statement
from .watching import CALLS, CLASSES, Watch

_EARLY_ROWS = "a stream's first rows with its first message"


class PublicPortal:
    """A portal through asyncpg's own cursor."""

    __slots__ = ("_cursor", "_exhausted", "is_watched", "trips")

    def __init__(self, cursor: Cursor, is_watched: bool) -> None:
        self.is_watched = is_watched
        """Whether to ask for as many rows at a time as the built-in dialect does."""
        self._cursor = cursor
        self._exhausted = False
        self.trips = 1
        """Round trips so far."""

    async def fetch(self, number: int) -> list[Any]:
        """Return the next ``number`` records, fewer at the end."""
        records: list[Any] = await self._cursor.fetch(number)
        if not self._exhausted:  # asyncpg does not ask again after it got fewer than requested
            self.trips += 1
            self._exhausted = len(records) < number
        return records


class PrivatePortal:
    """A portal that fetches its first records in the flight that opens it."""

    __slots__ = ("_statement", "_name", "_first", "_exhausted", "trips")

    is_watched = False

    def __init__(self, statement: Statement) -> None:
        self._statement = statement  # a reference, so that it is not closed on the server
        self._name: str = statement._connection._get_unique_id("portal")
        self._first: list[Any] = []
        self._exhausted = False
        self.trips = 0
        """Round trips so far."""

    async def open(self, args: Sequence[Any], number: int) -> None:
        """Bind the arguments and fetch ``number`` records."""
        statement = self._statement
        statement._check_conn_validity("cursor")
        protocol = statement._connection._protocol
        reply = await protocol.bind_execute(statement._state, args, self._name, number, True, None)
        self.trips = 1
        # not judged by the completion that asyncpg reports: that may be BEGIN's, sent in front
        self._first = reply[0]
        self._exhausted = len(self._first) < number

    async def fetch(self, number: int) -> list[Any]:
        """Return the next ``number`` records, fewer at the end."""
        first, self._first = self._first[:number], self._first[number:]
        wanted = number - len(first)
        if not wanted or self._exhausted:
            return first
        statement = self._statement
        statement._check_conn_validity("fetch")
        connection = statement._connection
        if not connection.is_in_transaction():
            raise driver_errors.NoActiveSQLTransactionError(
                "the cursor's rows are gone: its transaction has ended"
            )
        reply = await connection._protocol.execute(statement._state, self._name, wanted, True, None)
        self.trips += 1
        records: list[Any] = reply[0]
        self._exhausted = len(records) < wanted
        return first + records if first else records


async def open_portal(
    statement: Statement, args: Sequence[Any], number: int, watch: Watch
) -> PublicPortal | PrivatePortal:
    """Open a portal over a prepared statement and fetch ``number`` records, in a transaction.

    Raises NoActiveSQLTransactionError, before anything is sent, if this asyncpg needs to know of
    the transaction and does not.
    """
    watched = watch.steps_aside(_EARLY_ROWS, CALLS)
    if is_private() and type(statement) is CLASSES["PreparedStatement"] and not watched:
        portal = PrivatePortal(statement)
        await portal.open(args, number)
        return portal
    return PublicPortal(await statement.cursor(*args), watched)
