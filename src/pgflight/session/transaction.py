"""The unit of work of one adapted connection: COMMIT and ROLLBACK, awaited or not.

A base of the adapted connection, which adds statements and cursors.  Transactions begin in
:mod:`pgflight.session.begin`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import asyncpg
from asyncpg import exceptions as driver_errors

from .. import driver
from .begin import BeginningConnection, interrupts
from .unit_of_work import AUTOCOMMIT


class TransactionalConnection(BeginningConnection):
    """The transactions of one connection, from the implicit BEGIN to COMMIT or ROLLBACK.

    The end of a transaction that nobody waits for is sent and not awaited, when ``pipeline`` is
    ``auto``: ROLLBACK where nothing but plain SELECTs have run, COMMIT where it was READ ONLY and
    not SERIALIZABLE besides.  Whatever else a transaction may have done or locked has happened or
    is free when :meth:`commit` or :meth:`rollback` returns.
    """

    __slots__ = ()

    def _can_wait(self) -> bool:
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

    def commit(self) -> None:
        """Commit the open transaction, if there is one."""
        if self._transaction is not None or self._doubtful is not None:
            soon = self._plain and self._reads_only and self._can_wait()
            if not (soon and self._end_unawaited(commit=True)):
                self._finish(self._commit())

    def rollback(self) -> None:
        """Roll the open transaction back, if there is one."""
        if self._transaction is not None or self._doubtful is not None:
            # MissingGreenlet is for the awaited end to raise
            if not (self._plain and self._can_wait() and self._end_unawaited(commit=False)):
                self._finish(self._rollback())

    def _end_unawaited(self, *, commit: bool) -> bool:
        """Send the end and go on; tell whether that was possible."""
        transaction, pipeline = self._transaction, self._pipeline
        if (
            transaction is None
            or pipeline is None
            or not pipeline.end_unawaited(transaction, self._ran, commit=commit)
        ):
            return False
        self._transaction = None
        self._last_used = monotonic()  # of the last SELECT
        work = self._work
        work.deferred += 1
        work.saved += 1
        work.trips -= 1  # asyncpg has counted it
        return True

    async def _commit(self) -> None:
        """Commit; what this connection prepared since its DDL saw the schema as it is now."""
        schema = self._schema
        before = schema.number
        changed = self._schema_changed
        await self._end(commit=True)
        if changed and schema.number == before + 1:
            self._note_own_change(before, schema.number)

    def _note_own_change(self, before: int, after: int) -> None:
        raise NotImplementedError

    async def _rollback(self) -> None:
        await self._end(commit=False)

    async def _end(self, *, commit: bool) -> None:
        if self._doubtful is not None:
            try:
                await self._finish_up()
            except BaseException:
                self._ended = True  # asked for, whatever the answer would have been
                raise
        transaction, pipeline = self._transaction, self._pipeline
        if transaction is None:
            return
        owned = pipeline is not None and pipeline.owns(transaction)
        try:
            if pipeline is None:
                await (transaction.commit() if commit else transaction.rollback())
            elif not (
                self._plain
                and (self._reads_only or not commit)
                and self._end_unawaited(commit=commit)
            ):
                await pipeline.end(transaction, commit=commit)
        except BaseException as error:
            driver.forget_transaction(self._connection, transaction)
            # an end that asyncpg refuses has not been sent: another task's statement is going on
            refused = isinstance(error, driver_errors.InterfaceError) and owned
            if interrupts(error) or (refused and not self._connection.is_closed()):
                self._doubt(transaction, ended=True)
            elif isinstance(error, driver_errors.PostgresError):
                if await self._rolled_back() and not commit:
                    return  # what was asked for has been done, at the second try
            raise
        finally:
            self._work.ran()
            # whatever asyncpg answered, its transaction object is spent
            self._transaction = None
            self._foreign = False
            if self._schema_changed:
                # a neighbour may have prepared against the old schema while ours was unfinished
                self._schema_changed = False
                self._schema.advance()

    async def _rolled_back(self) -> bool:
        """Roll a transaction back whose end the server has refused; tell whether that was done."""
        connection = self._connection
        if connection.is_closed() or not connection.is_in_transaction():
            return False
        try:
            await connection.execute("ROLLBACK")
        except Exception:
            connection.terminate()
            return False
        return True

    def _finish(self, end: Awaitable[None]) -> None:
        try:
            self.await_(end)
        except Exception as error:
            # MissingGreenlet comes here before any of _end() has run: the transaction stays
            self._handle_exception(error)
        self._last_used = monotonic()

    def ping(self) -> None:
        """Make one empty round trip; raise the translated error when the server is gone."""
        try:
            self.await_(self._ping())
        except Exception as error:
            self._handle_exception(error)
        self._last_used = monotonic()

    async def _ping(self) -> None:
        connection = self._connection
        # by its class: another object may have been put in its place
        if self._pipeline is not None and isinstance(connection, asyncpg.Connection):
            await driver.ping(connection)
            work = self._work
            work.trips += 1
            if self._transaction is None and self.isolation_level != AUTOCOMMIT:
                work.saved += 2  # a transaction around it
        elif self._transaction is None and self.isolation_level != AUTOCOMMIT:
            # inside a transaction of its own, so that a transaction pooler (pgbouncer) keeps one
            # server for the prepared round trip (SQLAlchemy issue 10226)
            transaction = connection.transaction()
            try:
                await transaction.start()
            except BaseException:
                driver.forget_transaction(connection, transaction)
                raise
            try:
                await connection.fetchrow(";")
            finally:
                await transaction.rollback()
            self._work.ran(3)
        else:
            await connection.fetchrow(";")
            self._work.ran()

    # asyncpg's connection in the program's hands

    @property
    def driver_connection(self) -> Any:
        """asyncpg's connection; what the program does with it, nobody else sees."""
        self._plain = False
        self._foreign = True
        self._isolation_unknown = True
        return self._connection

    def run_async(self, fn: Callable[[Any], Awaitable[Any]]) -> Any:
        """Run ``fn`` with asyncpg's connection and return what its awaitable returns."""
        return self.await_(fn(self.driver_connection))

    def _note_schema_change(self) -> None:
        """Invalidate the engine's statements now, and again when an open transaction ends."""
        self._schema.advance()
        if self._transaction is not None:
            self._schema_changed = True
