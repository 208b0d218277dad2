"""The cursors that a session holds beyond its transactions: declared WITH HOLD, for streams.

Such a cursor outlives everything but the session, so that none may be lost: one that nobody reads
any more is closed before the session's next transaction begins.
"""

from __future__ import annotations

from typing import Any

from asyncpg import exceptions as driver_errors


class HeldCursors:
    """The names of one session's held cursors; ``abandoned`` ones wait to be closed."""

    __slots__ = ("_connection", "names", "abandoned")

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.names: set[str] = set()
        self.abandoned: list[str] = []

    def add(self, name: str) -> None:
        """Remember a cursor that is about to be declared."""
        self.names.add(name)

    def discard(self, name: str) -> None:
        """Forget a cursor that does not exist."""
        self.names.discard(name)

    async def close(self, name: str) -> None:
        """Close a cursor now; raise asyncpg's errors."""
        self.names.discard(name)
        await self._connection.execute(f'CLOSE "{name}"')

    def abandon(self, name: str) -> None:
        """Have a cursor closed before the session's next statement."""
        if name in self.names:
            self.names.discard(name)
            self.abandoned.append(name)

    def abandon_all(self) -> None:
        """Have all of them closed."""
        for name in tuple(self.names):
            self.abandon(name)

    async def close_abandoned(self) -> None:
        """Close those that are abandoned, outside a transaction; raise asyncpg's errors."""
        if self._connection.is_closed() or self._connection.is_in_transaction():
            return
        while self.abandoned:
            try:
                await self._connection.execute(f'CLOSE "{self.abandoned[-1]}"')
            except driver_errors.InvalidCursorNameError:
                pass  # the program closed it itself: CLOSE ALL, DISCARD ALL
            self.abandoned.pop()
