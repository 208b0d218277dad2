"""Where a server-side cursor's rows wait: a portal, a held cursor, or memory.

Used by the server-side cursor.  In a transaction, a protocol-level portal is used.  In AUTOCOMMIT
no transaction keeps a portal open, so the rows are kept by ``DECLARE ... WITH HOLD``, which leaves
no transaction behind; a statement that cannot be declared (INSERT ... RETURNING, SHOW, FOR UPDATE)
is executed at once and its rows are read from memory, and so is any statement behind a pooler.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count
from typing import Any

from asyncpg import exceptions as driver_errors

from .. import driver
from ..session.session import Session
from ..session.statements.prepared_entry import Description, PreparedEntry
from .cursor import Connection

_names = count(1)

_DECLARABLE = re.compile(
    r"(?:\s|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/|\()*(?:SELECT|VALUES|TABLE|WITH)\b",
    re.IGNORECASE | re.DOTALL,
)


class Portal:
    """A protocol-level portal of a transaction; it ends with the transaction."""

    __slots__ = ("_session", "_portal", "description", "is_watched")

    def __init__(self, session: Session, portal: Any, description: Description | None) -> None:
        self._session = session
        self._portal: Any = portal
        self.is_watched: bool = portal.is_watched
        self.description = description

    async def fetch(self, number: int) -> list[Any]:
        """Return the next ``number`` records, fewer at the end."""
        portal = self._portal
        before = portal.trips
        records: list[Any] = await portal.fetch(number)
        self._session.note_operations(portal.trips - before)
        return records

    def close(self) -> None:
        """Release the portal; the server drops it at the end of the transaction."""
        self._portal = None


class BufferedRows:
    """The records of a statement that was executed at once."""

    __slots__ = ("_records", "_next", "description")

    is_watched = False

    def __init__(self, records: list[Any], description: Description | None) -> None:
        self._records = records
        self._next = 0
        self.description = description

    async def fetch(self, number: int) -> list[Any]:
        """Return the next ``number`` records, fewer at the end."""
        start = self._next
        self._next = start + number
        return self._records[start : start + number]

    def close(self) -> None:
        """Release the records."""
        self._records = []


class HeldCursor:
    """A cursor declared WITH HOLD: the server keeps the whole result, the client a part of it."""

    __slots__ = ("_adapted", "_name", "_size", "_exhausted", "_entry", "description")

    is_watched = False

    def __init__(self, adapted: Connection, name: str) -> None:
        self._adapted = adapted
        self._name = name
        self._size = 0
        self._exhausted = False
        self._entry: PreparedEntry | None = None
        self.description: Description | None = None

    async def open(self) -> None:
        """Read the description of the rows."""
        self._entry = await self._statement(50)
        self.description = self._entry.description

    async def _statement(self, number: int) -> PreparedEntry:
        entry = self._entry
        # an unnamed statement is gone as soon as the session prepares another one
        if entry is None or number != self._size or not driver.name_of(entry.statement):
            self._size = number
            self._entry = entry = await self._adapted.session.statements.prepare_once(
                f'FETCH FORWARD {number} FROM "{self._name}"'
            )
        return entry

    async def fetch(self, number: int) -> list[Any]:
        """Return the next ``number`` records, fewer at the end."""
        if self._exhausted:
            return []
        entry = await self._statement(number)
        watch = self._adapted.session.watch
        records, _ = await driver.fetch(entry.statement, (), watch)
        if len(records) < number:
            self._exhausted = True
            self._entry = None
            await self._adapted.session.held_cursors.close(self._name)
        return records

    def close(self) -> None:
        """Drop the rows on the server, now or before the session's next unit of work."""
        self._entry = None
        self._adapted.session.held_cursors.abandon(self._name)
        self._adapted.close_abandoned_cursors()

    def __del__(self) -> None:
        # a stream that was never closed: __del__ cannot wait; the next unit of work closes it
        self._adapted.session.held_cursors.abandon(self._name)


async def open_portal(
    adapted: Connection,
    operation: str,
    parameters: Sequence[Any],
    number: int,
) -> Portal | BufferedRows | HeldCursor:
    """Execute ``operation`` so that its rows can be fetched piecemeal, ``number`` rows at first.

    Raises asyncpg's errors; the caller translates them.
    """
    session = adapted.session
    if session.transactions.in_transaction():
        entry = await session.prepared(operation)
        try:
            portal = await driver.open_portal(
                entry.statement, entry.checked(parameters), number, session.watch
            )
            session.note_operations(portal.trips)
            return Portal(session, portal, entry.description)
        except driver_errors.NoActiveSQLTransactionError:
            # asyncpg up to 0.31 does not notice a BEGIN that the program sent as a statement;
            # it raises this before it sends anything
            pass
    elif not session.statements.route.pooled and _DECLARABLE.match(operation):
        held = await _declare(adapted, operation, parameters)
        if held is not None:
            return held
    entry = await session.prepared(operation)
    records, status = await driver.fetch(entry.statement, entry.checked(parameters), session.watch)
    session.commands.note(status, operation)
    return BufferedRows(records, entry.description)


async def _declare(
    adapted: Connection, operation: str, parameters: Sequence[Any]
) -> HeldCursor | None:
    name = f"pgflight_held_{next(_names)}"
    session = adapted.session
    session.held_cursors.add(
        name
    )  # before it exists: a cancelled DECLARE may have been executed all the same
    try:
        entry = await session.statements.prepare_once(
            f'DECLARE "{name}" NO SCROLL CURSOR WITH HOLD FOR {operation}'
        )
        if session.statements.route.keeps_nothing:
            session.held_cursors.discard(name)
            return None  # its next FETCH might be another server session's
        await driver.fetch(entry.statement, entry.checked(parameters), session.watch)
    except (driver_errors.FeatureNotSupportedError, driver_errors.PostgresSyntaxError) as error:
        session.held_cursors.discard(name)
        if getattr(error, "context", None) is not None:
            raise  # from inside a function: the statement has run, and failed
        return None  # cannot be declared (data-modifying WITH, FOR UPDATE): nothing has run
    except driver_errors.PostgresError:
        session.held_cursors.discard(name)
        raise
    held = HeldCursor(adapted, name)
    try:
        await held.open()
    except BaseException:
        session.held_cursors.abandon(name)
        raise
    return held
