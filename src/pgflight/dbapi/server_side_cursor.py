"""The server-side cursor; :mod:`pgflight.dbapi.held_cursor` says where its rows wait."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from typing import Any, NoReturn

from .. import _impl, driver
from ..compat.builtin import require_base, slot, theirs
from ..session.request import Begin, Request
from .cursor import AsyncAdapt_asyncpg_cursor
from .held_cursor import open_portal
from .recovery.lost_connections import goes_on

_tuples = _impl.rows.tuples
require_base("AsyncAdapt_asyncpg_ss_cursor", theirs.AsyncAdapt_asyncpg_cursor)
_UNUSED = ("_rowbuffer",)


class AsyncAdapt_asyncpg_ss_cursor(
    AsyncAdapt_asyncpg_cursor,
    theirs.AsyncAdapt_asyncpg_ss_cursor,  # type: ignore[misc]
):
    """A cursor whose rows stay on the server until they are fetched (``stream()``, ``yield_per``).

    Works in AUTOCOMMIT, too: see :mod:`pgflight.dbapi.held_cursor`.  Fetching from a closed one
    raises InterfaceError; a closed buffered cursor returns no rows.
    """

    __slots__ = ()

    server_side = True

    ROWS_AHEAD = 50
    """Rows fetched at once by :meth:`fetchone`."""
    ROWS_PER_BATCH = 1000
    """Rows fetched at once by :meth:`fetchall`."""

    # the slot that serves for a buffered cursor is in use; without another there is no bound
    _timeout = slot(theirs.AsyncAdapt_asyncpg_ss_cursor, *_UNUSED) or property(
        lambda cursor: None, lambda cursor, seconds: None
    )

    def __init__(self, adapt_connection: Any) -> None:
        super().__init__(adapt_connection)
        self._cursor = None

    def execute(self, operation: str, parameters: Sequence[Any] | None = None) -> None:
        """Run one statement; its rows are sent when they are fetched."""
        adapted = self._adapt_connection
        try:
            portal = adapted.await_(self._open(operation, parameters))
        except Exception as error:
            if goes_on(self, operation, error):
                self.execute(operation, parameters)
                return
            self._fail(error, operation, parameters or ())
        self._read_from(portal)

    async def _prepare_and_execute(self, operation: str, parameters: Any) -> None:
        try:
            portal = await self._open(operation, parameters)
        except Exception as error:
            self._fail(error, operation, parameters or ())
        self._read_from(portal)

    def _open(self, operation: str, parameters: Sequence[Any] | None) -> Awaitable[Any]:
        session = self._adapt_connection.session
        bound = None if self._timeout is None else self._bound()
        opening = session.run(self._request(operation, parameters, bound))
        return opening if bound is None else bound.kept_by(opening)

    def _request(
        self, operation: str, parameters: Sequence[Any] | None, bound: driver.TimeBound | None
    ) -> Request:
        adapted = self._adapt_connection
        # asyncpg's own cursor has to know of the transaction before it sends anything
        watched = adapted.session.watch.by(driver.CALLS) is not None
        return Request(
            operation,
            lambda: open_portal(adapted, operation, parameters or (), self.ROWS_AHEAD),
            Begin.AWAITED if watched else Begin.IN_FRONT,
            notes_side_effects=True,
            bound=bound,
        )

    def _read_from(self, portal: Any) -> None:
        self._cursor = portal
        self._description = portal.description
        self._rows = deque()
        self._rowcount = -1

    def executemany(self, operation: str, seq_of_parameters: object) -> NoReturn:
        """Raise NotImplementedError: a portal holds the result of one execution."""
        raise NotImplementedError("a server-side cursor does not support executemany()")

    async def _read(self, number: int) -> list[Any]:
        session = self._adapt_connection.session
        bound = None if self._timeout is None else self._bound()
        async with session.turn:
            try:
                if bound is None:
                    records = await self._cursor.fetch(number)
                else:
                    records = await self._read_within(bound, number)
            except Exception as error:
                session.note_failure(error)
                self._fail(error, None, ())
        return _tuples(records) if self._as_tuples else records

    async def _read_within(self, bound: driver.TimeBound, number: int) -> list[Any]:
        bound.set()
        try:
            records: list[Any] = await bound.kept_by(self._cursor.fetch(number))
            return records
        finally:
            bound.lift()

    def _fetch(self, number: int) -> list[Any]:
        if self._cursor is None:
            raise self._adapt_connection.dbapi.InterfaceError(
                "the server-side cursor is closed or has not executed a statement"
            )
        rows: list[Any] = self._adapt_connection.await_(self._read(number))
        return rows

    def fetchone(self) -> Any:
        """Return the next row, ``None`` after the last."""
        rows = self._unread()
        if not rows:
            rows.extend(self._fetch(self.ROWS_AHEAD))
        return rows.popleft() if rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """Return up to ``size`` rows in at most one round trip, all rows if no size is given."""
        if size is None:
            return self.fetchall()
        rows = self._unread()
        if size > len(rows):
            if self._cursor is not None and self._cursor.is_watched:
                # the built-in dialect's round trips, of which a tracer sees each
                if not rows:
                    rows.extend(self._fetch(self.ROWS_AHEAD))
                if size > len(rows):
                    rows.extend(self._fetch(size - len(rows)))
                return [rows.popleft() for _ in range(min(size, len(rows)))]
            # SQLAlchemy first asks for 1, 5 and 25 rows: one round trip brings them all
            rows.extend(self._fetch(max(size - len(rows), self.ROWS_AHEAD)))
        return [rows.popleft() for _ in range(min(size, len(rows)))]

    def fetchall(self) -> list[Any]:
        """Return all rows that have not been read yet."""
        rows = list(self._rows)
        self._rows = deque()
        while batch := self._fetch(self.ROWS_PER_BATCH):
            rows.extend(batch)
        return rows

    def __iter__(self) -> Iterator[Any]:
        while (row := self.fetchone()) is not None:
            yield row

    # for programs and patches that use them

    @property
    def _rowbuffer(self) -> deque[Any]:
        return self._unread()

    def _buffer_rows(self) -> None:
        self._unread().extend(self._fetch(self.ROWS_AHEAD))

    async def _all(self) -> list[Any]:
        rows = []
        while batch := await self._read(self.ROWS_PER_BATCH):
            rows.extend(batch)
        return rows

    async def __aiter__(self) -> AsyncIterator[Any]:
        rows = self._unread()
        while True:
            if not rows:
                rows.extend(await self._read(self.ROWS_AHEAD))
            if not rows:
                return
            yield rows.popleft()

    def close(self) -> None:
        """Release the rows and close the portal."""
        portal, self._cursor = self._cursor, None
        self._rows = []
        if portal is not None:
            portal.close()
