"""The cursors that a session holds across transactions: declared WITH HOLD, for streams.

Such a cursor lives until it is closed or the session ends, so none may be forgotten: one that is no
longer read is closed before the session's next unit of work.
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
        """Schedule a cursor to be closed before the session's next unit of work."""
        if name in self.names:
            self.names.discard(name)
            self.abandoned.append(name)

    def abandon_all(self) -> None:
        """Schedule all cursors to be closed."""
        for name in tuple(self.names):
            self.abandon(name)

    async def close_abandoned(self) -> None:
        """Close abandoned cursors, unless in a transaction; raise asyncpg's errors."""
        if self._connection.is_closed() or self._connection.is_in_transaction():
            return
        while self.abandoned:
            try:
                await self._connection.execute(f'CLOSE "{self.abandoned[-1]}"')
            except driver_errors.InvalidCursorNameError:
                pass  # the program closed it itself: CLOSE ALL, DISCARD ALL
            self.abandoned.pop()
