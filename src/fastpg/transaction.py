"""The unit of work of one adapted connection: BEGIN, COMMIT, ROLLBACK, ping.

A base of the adapted connection, which adds statements and cursors.  asyncpg is always in
autocommit; the transaction that PEP 249 expects is begun in front of the first statement.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, NoReturn

from sqlalchemy.engine import AdaptedConnection

from . import driver
from ._sqlalchemy import await_only
from .statements import SchemaGeneration
from .work import Work

AUTOCOMMIT = "autocommit"


class TransactionalConnection(AdaptedConnection):
    """Transactions over asyncpg's connection, with PEP 249's implicit BEGIN.

    ``isolation_level`` is ``None`` (the server's default), ``"autocommit"`` or one of asyncpg's
    names such as ``"repeatable_read"``; ``readonly`` and ``deferrable`` go into BEGIN.
    """

    __slots__ = (
        "isolation_level",
        "_isolation_setting",
        "readonly",
        "deferrable",
        "_transaction",
        "_schema",
        "_schema_changed",
        "pipeline",
        "ping_bypass_window",
        "_last_used",
        "_arrived",
        "_work",
    )

    await_: Callable[[Any], Any] = staticmethod(await_only)

    isolation_level: str | None
    _isolation_setting: str | None
    readonly: bool
    deferrable: bool
    _transaction: Any
    pipeline: str
    ping_bypass_window: float
    _last_used: float
    _arrived: Callable[[], Any] | None

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.isolation_level = self._isolation_setting = None
        self.readonly = False
        self.deferrable = False
        self._transaction = None
        self._schema = SchemaGeneration()
        self._schema_changed = False
        self._last_used = monotonic()  # of the server's last answer that was no error
        self._arrived = None
        self._work = Work(connection)

    def use_pipeline(self, wanted: str) -> None:
        """Save the waits that ``wanted`` (``auto``, ``begin`` or ``off``) stands for.

        ``pipeline`` is then what this connection can do: ``off`` where asyncpg is not the one that
        the pipeline knows.
        """
        self.pipeline = wanted if driver.pipelines(self._connection) else "off"

    def _handle_exception(self, error: Exception) -> NoReturn:
        raise NotImplementedError

    @property
    def autocommit(self) -> bool:
        """Whether each statement commits by itself."""
        return self.isolation_level == AUTOCOMMIT

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self.isolation_level = AUTOCOMMIT if value else self._isolation_setting

    def set_isolation_level(self, level: str | None) -> None:
        """Use ``level`` from the next transaction on; one that is open is rolled back."""
        self.rollback()
        self.isolation_level = self._isolation_setting = level

    async def _start_transaction(self) -> None:
        if self.isolation_level == AUTOCOMMIT:
            return
        try:
            transaction = self._connection.transaction(
                isolation=self.isolation_level,
                readonly=self.readonly,
                deferrable=self.deferrable,
            )
            await transaction.start()
        except Exception as error:
            self._handle_exception(error)
        work = self._work
        work.units += 1
        work.ran()
        # kept only once BEGIN has succeeded: what never began has nothing to roll back
        self._transaction = transaction

    async def _end(self, end: Callable[[], Awaitable[None]]) -> None:
        try:
            await end()
        finally:
            self._work.ran()
            # whatever asyncpg answered, its transaction object is spent
            self._transaction = None
            if self._schema_changed:
                # a neighbour may have prepared against the old schema while ours was unfinished
                self._schema_changed = False
                self._schema.advance()

    async def _commit(self) -> None:
        """Commit; what this connection prepared since its DDL saw the schema as it is now."""
        schema = self._schema
        before = schema.number
        changed = self._schema_changed
        await self._end(self._transaction.commit)
        if changed and schema.number == before + 1:
            self._note_own_change(before, schema.number)

    def _note_own_change(self, before: int, after: int) -> None:
        raise NotImplementedError

    def commit(self) -> None:
        """Commit the open transaction, if there is one."""
        if self._transaction is not None:
            self._finish(self._commit)

    def rollback(self) -> None:
        """Roll the open transaction back, if there is one."""
        if self._transaction is not None:
            self._finish(self._rollback)

    async def _rollback(self) -> None:
        await self._end(self._transaction.rollback)

    def _finish(self, end: Callable[[], Awaitable[None]]) -> None:
        try:
            self.await_(end())
        except Exception as error:
            # MissingGreenlet comes here before any of _end() has run: the transaction stays
            self._handle_exception(error)
        self._last_used = monotonic()

    def _used_in_autocommit(self) -> None:
        self._last_used = monotonic()
        self._work.units += 1

    def ping(self) -> None:
        """Make one empty round trip; raise the translated error when the server is gone."""
        try:
            self.await_(self._ping())
        except Exception as error:
            self._handle_exception(error)
        self._last_used = monotonic()

    async def _ping(self) -> None:
        work = self._work
        # the connection is looked at again: another object may have been put in its place
        if self.pipeline != "off" and driver.pipelines(self._connection):
            await driver.neutral_sync(self._connection)
            work.trips += 1
            if self._transaction is None and self.isolation_level != AUTOCOMMIT:
                work.saved += 2  # a transaction around it
        elif self._transaction is None and self.isolation_level != AUTOCOMMIT:
            # inside a transaction of its own, so that a transaction pooler (pgbouncer) keeps one
            # server for the prepared round trip (SQLAlchemy issue 10226)
            transaction = self._connection.transaction()
            await transaction.start()
            try:
                await self._connection.fetchrow(";")
            finally:
                await transaction.rollback()
            work.ran(3)
        else:
            await self._connection.fetchrow(";")
            work.ran()

    def _note_schema_change(self) -> None:
        """Invalidate the engine's statements now, and again when an open transaction ends."""
        self._schema.advance()
        if self._transaction is not None:
            self._schema_changed = True

    def run_async(self, fn: Callable[[Any], Awaitable[Any]]) -> Any:
        """Run ``fn`` with asyncpg's connection and return what its awaitable returns."""
        return self.await_(fn(self._connection))
