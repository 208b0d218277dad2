"""How one session's transactions end: COMMIT and ROLLBACK, awaited or not.

Owned by the session, and used by the task that has its turn.  Errors are asyncpg's.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from asyncpg import exceptions as driver_errors

from .. import driver
from .prepared_statements import PreparedStatements
from .statistics import Counters
from .transactions import Transactions
from .unit_of_work import UnitOfWork, interrupts


class TransactionEnds:
    """The ends of one session's transactions.

    When ``pipeline`` is ``auto``, an end that nothing depends on is deferred: ROLLBACK if
    only side-effect-free SELECTs have run; COMMIT if the transaction was also READ ONLY and not
    SERIALIZABLE.  Every other end is awaited, so that what the transaction did is stored and what
    it locked is free by then.
    """

    __slots__ = ("_connection", "_transactions", "_unit", "_statements", "_counters")

    def __init__(
        self,
        connection: Any,
        transactions: Transactions,
        unit: UnitOfWork,
        statements: PreparedStatements,
        counters: Counters,
    ) -> None:
        self._connection = connection
        self._transactions = transactions
        self._unit = unit
        self._statements = statements
        self._counters = counters

    def end_soon(self, *, commit: bool) -> bool:
        """Send a deferred end, if that is safe; tell whether it was sent."""
        unit, pipeline = self._unit, self._transactions.pipeline
        if (
            not unit.side_effect_free
            or (commit and not unit.commit_cannot_fail)
            or unit.transaction is None
            or pipeline is None
            or not pipeline.end_unawaited(unit.transaction, unit.operations, commit=commit)
        ):
            return False
        unit.transaction = None
        self._transactions.last_used = monotonic()  # roughly when the last SELECT was answered
        counters = self._counters
        counters.deferred += 1
        counters.saved += 1
        counters.trips -= 1  # asyncpg has counted it
        return True

    async def end(self, *, commit: bool) -> None:
        """End the open transaction, if there is one.

        After a COMMIT the statements that this connection prepared since its own DDL stay valid:
        they were prepared against the schema that has been committed.
        """
        schema = self._statements.schema
        before, changed = schema.number, self._unit.schema_changed
        try:
            await self._end(commit=commit)
        finally:
            self._transactions.read_only.transaction_ended()
        if commit and changed and schema.number == before + 1 and self._statements.seen == before:
            self._statements.adopt(schema.number)

    async def _end(self, *, commit: bool) -> None:
        unit = self._unit
        if unit.in_doubt is not None:
            try:
                await self._transactions.clear_up()
            except BaseException:
                unit.end_in_doubt = True  # requested: roll back if still open
                raise
        transaction, pipeline = unit.transaction, self._transactions.pipeline
        if transaction is None:
            return
        owned = pipeline is not None and pipeline.owns(transaction)
        try:
            if pipeline is None:
                await driver.end(self._connection, transaction, commit=commit)
            elif not (unit.side_effect_free and self.end_soon(commit=commit)):
                await pipeline.end(transaction, commit=commit)
        except BaseException as error:
            driver.forget_transaction(self._connection, transaction)
            # an end that asyncpg refuses was not sent: another statement is under way
            refused = isinstance(error, driver_errors.InterfaceError) and owned
            if interrupts(error) or (refused and not self._connection.is_closed()):
                self._transactions.doubt(transaction, ended=True)
            elif isinstance(error, driver_errors.PostgresError):
                if await self._rolled_back() and not commit:
                    return  # rolled back at the second try, as requested
            raise
        finally:
            self._counters.ran()
            if unit.schema_changed:
                # other connections may have prepared against the old schema before this end
                self._statements.schema.advance()
            # whatever the outcome, an asyncpg transaction object cannot be used again
            unit.end()

    async def _rolled_back(self) -> bool:
        """Roll back a transaction whose end the server refused; tell whether that worked."""
        connection = self._connection
        if connection.is_closed() or not connection.is_in_transaction():
            return False
        try:
            await connection.execute("ROLLBACK")
        except Exception:
            connection.terminate()
            return False
        return True
