"""The begin of one adapted connection's transactions.

asyncpg is always in autocommit; the transaction that PEP 249 expects is begun with the first
statement: in its flight, unless ``pipeline`` is off.  The end is in
:mod:`pgflight.session.transaction`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from time import monotonic
from typing import Any

from asyncpg import exceptions as driver_errors

from .. import driver
from .unit_of_work import AUTOCOMMIT, UnitOfWorkConnection


class BeginningConnection(UnitOfWorkConnection):
    """PEP 249's implicit BEGIN over asyncpg's connection."""

    __slots__ = ()

    def _begin(self) -> Awaitable[None] | None:
        """Begin a transaction with the next statement; return what has to be awaited first."""
        pipeline = self._pipeline
        if self._unfinished or (pipeline is not None and pipeline.end_needs_attention):
            return self._begin_later()
        return self._begin_now()

    @property
    def _unfinished(self) -> bool:
        """Whether something has to be cleared away before the next transaction begins."""
        return self._doubtful is not None

    def _begin_now(self) -> Awaitable[None] | None:
        pipeline = self._pipeline
        if self.isolation_level == AUTOCOMMIT:
            return None
        if pipeline is None:
            return self._start_transaction()
        try:
            begun = pipeline.begin(self.isolation_level, self.readonly, self.deferrable)
        except Exception as error:
            self._handle_exception(error)
        if begun is None:
            return self._start_transaction()
        self._transaction = begun
        self._plain = not self._foreign and self.pipeline == "auto"
        self._ran = 0
        self._work.units += 1
        self._work.saved += 1
        self._reads_only = self.readonly and self._never_serializable()
        return None

    async def _begin_many(self) -> None:
        """Begin a transaction with an ``executemany()``."""
        pipeline = self._pipeline
        if pipeline is not None and not pipeline.begin_fits_executemany:
            await self._finish_up()
            if self._transaction is None:
                await self._start_transaction()
            return
        waiting = self._begin()
        if waiting is not None:
            await waiting
        if pipeline is not None and pipeline.begin_under_way:
            pipeline.expect_executemany()

    async def _begin_later(self) -> None:
        await self._finish_up()
        if self._transaction is None:
            # not _begin(): what could not be cleared away yet is left for later
            waiting = self._begin_now()
            if waiting is not None:
                await waiting

    async def _finish_up(self) -> None:
        """Clear away what an earlier statement has left."""
        pipeline = self._pipeline
        if pipeline is not None:
            try:
                await pipeline.wait_for_ends()
            except Exception as error:
                self._handle_exception(error)
        if self._doubtful is not None:
            await self._resolve()

    async def _start_transaction(self) -> None:
        """Send BEGIN and wait for its answer."""
        if self.isolation_level == AUTOCOMMIT:
            return
        try:
            transaction = self._connection.transaction(
                isolation=self.isolation_level,
                readonly=self.readonly,
                deferrable=self.deferrable,
            )
            try:
                await transaction.start()
            except BaseException as error:
                # asyncpg would take it for an open one, and every later one for a savepoint in it
                driver.forget_transaction(self._connection, transaction)
                if interrupts(error):
                    self._doubt(transaction, ended=True)
                raise
        except Exception as error:
            self._handle_exception(error)
        self._work.units += 1
        self._work.ran()
        # kept only once BEGIN has succeeded: what never began has nothing to roll back
        self._transaction = transaction
        self._plain = False

    # the first statement, in front of which BEGIN travels

    def _first_answered(self) -> None:
        """Note that BEGIN has arrived, or that nothing had to be sent at all."""
        pipeline = self._pipeline
        if pipeline is not None and pipeline.begin_under_way:
            pipeline.begin_under_way = False
            self._forget_unsent()
        elif self._transaction is None:  # in AUTOCOMMIT
            self._work.units += 1
            self._last_used = monotonic()

    def _forget_unsent(self) -> bool:
        """Forget a BEGIN that has not been sent; tell whether there was one."""
        if self._pipeline is None or not self._pipeline.drop_unsent_begin():
            return False
        self._transaction = None
        self._work.units -= 1
        self._work.saved -= 1
        return True

    async def _first_failed(self, error: Exception) -> bool:
        """Find out whether there is a transaction after its first statement has failed.

        Tell whether the statement is to be executed again: it was refused without fault of its own.
        """
        pipeline = self._pipeline
        if pipeline is None or not pipeline.begin_under_way:
            return False
        if self._forget_unsent():
            return False
        if interrupts(error):
            self._doubt(self._transaction, ended=False)
        elif self._connection.is_closed():
            self._forget_begun()
        elif pipeline.end_refused:
            # it met the transaction before, whose end the server had refused
            self._forget_begun()
            try:
                await pipeline.roll_back_refused_end()
            except Exception:
                self._connection.terminate()
                return False
            return isinstance(error, driver_errors.InFailedSQLTransactionError)
        elif self._connection.is_in_transaction():
            pipeline.begin_under_way = False
        else:
            # BEGIN has failed, or has left without a Sync behind it
            try:
                self._work.trips += 1
                begun = await pipeline.synchronize()
            except Exception:
                self._connection.terminate()
                begun = False
            except BaseException:
                self._doubt(self._transaction, ended=False)
                raise
            if not begun:
                self._forget_begun()
        return False

    def _forget_begun(self) -> None:
        if self._pipeline is not None:
            self._pipeline.forget_transaction()
        self._transaction = None

    def _first_interrupted(self) -> None:
        """Remember to find that out; a cancelled task does not wait."""
        pipeline = self._pipeline
        if pipeline is not None and pipeline.begin_under_way:
            if not self._forget_unsent():
                self._doubt(self._transaction, ended=False)

    def _doubt(self, transaction: Any, *, ended: bool) -> None:
        self._transaction = None
        self._doubtful = transaction
        self._ended = ended
        if self._pipeline is not None:
            self._pipeline.begin_under_way = False

    async def _resolve(self) -> None:
        """Ask the server what has become of an interrupted transaction."""
        transaction = self._doubtful
        connection, pipeline = self._connection, self._pipeline
        try:
            if pipeline is not None:
                begun = await pipeline.synchronize()
            else:
                await connection.fetchrow(";")  # as level public can; no Sync is missing here
                begun = connection.is_in_transaction()
            if begun and not self._ended:
                self._transaction = transaction
            else:
                driver.forget_transaction(connection, transaction)
                if begun:
                    await connection.execute("ROLLBACK")
            self._doubtful = None  # and not before: it is asked again until it has answered
        except Exception as error:
            if connection.is_closed():
                self._doubtful = None
                driver.forget_transaction(connection, transaction)
            self._handle_exception(error)


def interrupts(error: BaseException) -> bool:
    """Tell whether an operation was left while the server was still at it."""
    return not isinstance(error, Exception) or isinstance(error, asyncio.TimeoutError)
