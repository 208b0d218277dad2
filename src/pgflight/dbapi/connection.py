"""The adapted connection: asyncpg's connection behind PEP 249's synchronous face.

Made by the DBAPI.  Statements live in :mod:`pgflight.session.prepared_statements`, transactions in
:mod:`pgflight.session.transaction`, cursors in :mod:`pgflight.dbapi.cursor`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

from asyncpg import exceptions as driver_errors

from .. import driver
from ..compat.versions import SQLALCHEMY_2_1, in_greenlet
from ..session.prepared_statements import ConnectionStatements, drops_statements, is_ddl
from ..session.read_only import ReadOnlyChoice
from ..session.transaction import TransactionalConnection
from ..session.turn import ExecuteMutex
from . import errors
from .cursor import AsyncAdapt_asyncpg_cursor
from .server_side_cursor import AsyncAdapt_asyncpg_ss_cursor

GRACEFUL_CLOSE_SECONDS = 2
"""How long ``terminate()`` waits for the server's farewell before it drops the socket."""

DEFAULT_PING_BYPASS_WINDOW = 0.5
"""Seconds after its last use in which a connection is not pinged."""

_STALE_CACHE_ERRORS = (
    errors.InvalidCachedStatementError,
    errors.InternalServerError,
    errors.InternalClientError,
)
_UNKNOWN_STATEMENT = "26000"


class AsyncAdapt_asyncpg_connection(TransactionalConnection):
    """A PEP 249 connection over one :class:`asyncpg.Connection`.

    ``prepared_statement_cache_size`` statements are kept prepared, 0 for none;
    ``prepared_statement_name_func`` returns the name of each new one as a string; ``pipeline``,
    ``ping_bypass_window`` (seconds), ``array_insert`` and ``array_dml`` (whether INSERTs of many
    rows, and other changes, may go through arrays) are the options of
    :mod:`pgflight.options.table`. Methods that wait run inside SQLAlchemy's greenlet. Two tasks
    that use one connection queue.
    """

    __slots__ = (
        "dbapi",
        "array_insert",
        "array_dml",
        "_execute_mutex",
        "_statements",
        "_held",
        "_abandoned",
        "_read_only",
        "_dialect",
        "_copying_out",
    )

    _cursor_cls: type[AsyncAdapt_asyncpg_cursor] = AsyncAdapt_asyncpg_cursor
    _ss_cursor_cls: type[AsyncAdapt_asyncpg_ss_cursor] = AsyncAdapt_asyncpg_ss_cursor

    def __init__(
        self,
        dbapi: Any,
        connection: Any,
        prepared_statement_cache_size: int = 100,
        prepared_statement_name_func: Callable[[], str | None] | None = None,
        pipeline: str = "auto",
        ping_bypass_window: float = DEFAULT_PING_BYPASS_WINDOW,
        array_insert: bool = True,
        array_dml: bool = False,
    ) -> None:
        super().__init__(connection)
        self.dbapi = dbapi
        self.array_insert = array_insert
        self.array_dml = array_dml
        self.ping_bypass_window = ping_bypass_window
        self._execute_mutex = ExecuteMutex()
        self._statements = ConnectionStatements(
            connection,
            prepared_statement_cache_size,
            prepared_statement_name_func,
            self._sender,
        )
        self.use_pipeline(pipeline)
        self._dialect: Any = None
        self._copying_out: Any = None
        self._held: set[str] = set()
        self._abandoned: list[str] = []
        self._read_only = ReadOnlyChoice(connection)

    @classmethod
    async def create(
        cls, dbapi: Any, connection_awaitable: Awaitable[Any], **options: Any
    ) -> AsyncAdapt_asyncpg_connection:
        """Await asyncpg's connection and wrap it; ``options`` are the constructor's.

        SQLAlchemy 2.1 expects PEP 249 errors here, 2.0 asyncpg's own.
        """
        try:
            connection = await connection_awaitable
        except Exception as error:
            translated = errors.translate(error) if SQLALCHEMY_2_1 else None
            if translated is None:
                raise
            raise translated from error
        driver.receive_in_bulk(connection)
        return cls(dbapi, connection, **options)

    def cursor(self, server_side: bool = False) -> AsyncAdapt_asyncpg_cursor:
        """Return a new cursor, server-side where asked for."""
        return self._ss_cursor_cls(self) if server_side else self._cursor_cls(self)

    def execute(
        self, operation: str, parameters: Sequence[Any] | None = None
    ) -> AsyncAdapt_asyncpg_cursor:
        """Run one statement on a new cursor and return the cursor."""
        cursor = self.cursor()
        cursor.execute(operation, parameters)
        return cursor

    def _handle_exception(self, error: Exception) -> NoReturn:
        if self._connection.is_closed():
            self._transaction = None
        translated = error if isinstance(error, errors.Error) else errors.translate(error)
        if translated is None:
            raise error
        if isinstance(translated, _STALE_CACHE_ERRORS):
            self._schema.advance()
        elif getattr(translated, "sqlstate", None) == _UNKNOWN_STATEMENT:
            self._statements.clear()
        if translated is error:
            raise error
        raise translated from error

    def use_pipeline(self, wanted: str) -> None:
        """Save the waits that ``wanted`` (``auto``, ``begin`` or ``off``) stands for."""
        super().use_pipeline(wanted)
        if self._pipeline is not None:
            self._statements.in_transaction = self._pipeline.in_transaction

    @property
    def _unfinished(self) -> bool:
        return self._doubtful is not None or bool(self._abandoned)

    async def _finish_up(self) -> None:
        await super()._finish_up()
        if self._abandoned:
            await self._close_abandoned()

    def _default_isolation(self) -> str | None:
        dialect = self._dialect
        if dialect is None or self._isolation_unknown or self._statements.touched_isolation:
            return None
        level: str | None = getattr(dialect, "default_isolation_level", None)
        return level

    async def _end(self, *, commit: bool) -> None:
        try:
            await super()._end(commit=commit)
        finally:
            self._read_only.transaction_ended()

    def _note_own_change(self, before: int, after: int) -> None:
        if self._statements.seen == before:
            self._statements.adopt(after)

    def _note_command(self, status: str | None, operation: str) -> None:
        """Draw the consequences of a command whose tag carries no row count."""
        if status == "LISTEN" and self._pipeline is not None:
            self._pipeline.listening = True
        if is_ddl(status, operation):
            self._note_schema_change()
        elif drops_statements(status):
            self._statements.clear()
        else:
            self._read_only.note(status, operation)
            if status == "ROLLBACK" and self._schema_changed:
                self._schema.advance()  # to a savepoint: what was prepared since may be stale

    def is_read_only_by_choice(self) -> bool:
        """Tell whether the program made this session read-only, as far as can be known."""
        return self.readonly or self._read_only.stands(self._connection)

    def is_leaving(self) -> bool:
        """Tell whether the server has announced the end of the session."""
        return self._pipeline is not None and self._pipeline.farewell

    # cursors declared WITH HOLD outlive everything but the session: never lose one

    async def _close_held(self, name: str) -> None:
        self._held.discard(name)
        await self._connection.execute(f'CLOSE "{name}"')

    def _abandon_held(self, name: str) -> None:
        """Have a held cursor closed before the connection's next statement."""
        if name in self._held:
            self._held.discard(name)
            self._abandoned.append(name)

    def _flush_abandoned(self) -> None:
        """Close abandoned cursors now, if the caller may wait."""
        if self._abandoned and self._can_wait() and not self._connection.is_closed():
            self.await_(self._close_abandoned_in_turn())

    async def _close_abandoned_in_turn(self) -> None:
        async with self._execute_mutex:
            try:
                await self._close_abandoned()
            except Exception as error:
                self._handle_exception(error)

    async def _close_abandoned(self) -> None:
        if self._connection.is_closed() or self._connection.is_in_transaction():
            return
        while self._abandoned:
            try:
                await self._connection.execute(f'CLOSE "{self._abandoned[-1]}"')
            except driver_errors.InvalidCursorNameError:
                pass  # the program closed it itself: CLOSE ALL, DISCARD ALL
            self._abandoned.pop()

    def rollback(self) -> None:
        """Roll the open transaction back, if there is one; streams in AUTOCOMMIT end as well."""
        if self._copying_out is not None and self._can_wait():
            self.await_(self._copying_out.stop())
        super().rollback()
        for name in tuple(self._held):
            self._abandon_held(name)
        self._flush_abandoned()
        # the program's own use of asyncpg's connection may have left that
        pipeline = self._pipeline
        if pipeline is not None and pipeline.unsettled and self._can_wait():
            self.await_(pipeline.settle())

    def _can_wait(self) -> bool:
        return in_greenlet()

    def close(self) -> None:
        """Roll back and close, waiting for the server."""
        self.rollback()
        self.await_(self._connection.close())

    def terminate(self) -> None:
        """Close without fail: gracefully within two seconds, else by dropping the socket."""
        if not self._can_wait():
            self.drop()
            return
        try:
            self.await_(self._close_gracefully())
        except Exception:
            self.drop()
        except asyncio.CancelledError:
            self.drop()
            raise
        else:
            self._transaction = None

    def drop(self) -> None:
        """Close without a farewell and without waiting."""
        driver.drop(self._connection)
        self._transaction = None

    async def _close_gracefully(self) -> None:
        closing = asyncio.ensure_future(self._connection.close(timeout=GRACEFUL_CLOSE_SECONDS))
        try:
            # not by its own timeout alone: asyncpg before 0.32 first waits for a cancellation
            done, _ = await asyncio.wait({closing}, timeout=GRACEFUL_CLOSE_SECONDS + 0.5)
        except asyncio.CancelledError:
            # the socket is dropped next; nobody is left to hear what becomes of the farewell
            closing.add_done_callback(_retrieve)
            raise
        if not done:
            closing.add_done_callback(_retrieve)
            closing.cancel()
            raise asyncio.TimeoutError
        closing.result()


def _retrieve(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()
