"""How one session's transactions end: COMMIT and ROLLBACK, awaited or not, ours or the program's.

The program may end a transaction, or begin one, by text or through asyncpg's connection.  What the
server says tells, not the text: the status that ends its every answer (ReadyForQuery).

Owned by the session, and used by the task that has its turn.  Errors are asyncpg's.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from asyncpg import exceptions as driver_errors

from .. import driver
from ..sqltext.commands import runs_alone
from .request import interrupts
from .statements.prepared_statements import PreparedStatements
from .statistics import Counters
from .transactions import Transactions
from .unit_of_work import UnitOfWork

_BEGUN_BY = frozenset({"BEGIN", "START TRANSACTION"})
_NOT_IN_A_BLOCK = frozenset({"25001", "2D000"})
"""active_sql_transaction, of what must run outside a transaction; invalid_transaction_termination,
of a COMMIT in a procedure or in DO."""


class TransactionEnds:
    """The ends of one session's transactions.

    When ``pipeline`` is ``auto``, an end that nothing depends on is deferred: ROLLBACK if
    only side-effect-free SELECTs have run; COMMIT if the transaction was also READ ONLY and not
    SERIALIZABLE.  Every other end is awaited, so that what the transaction did is stored and what
    it locked is free by then.
    """

    __slots__ = (
        "status",
        "begun_by_program",
        "entry",
        "closes_at_once",
        "_connection",
        "_transactions",
        "_unit",
        "_statements",
        "_counters",
    )

    def __init__(
        self,
        connection: driver.Connection,
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
        self.status = driver.transaction_status(connection)
        """Its ``status`` is the server's as of its last answer; 0 means to ask asyncpg."""
        self.begun_by_program = False
        """Whether a statement has begun a transaction in AUTOCOMMIT."""
        self.closes_at_once = False
        """Whether the pool closes each connection that comes back; behind a pooler that waits."""
        self.entry: Callable[[], Any] | None = None
        """Returns the pool's entry of the connection, from its checkout on."""

    # what the program does to transactions

    def has_ended(self) -> bool:
        """Forget the open transaction if the program has ended it, so that another begins.

        Tell whether to begin one.  Called before each statement in a transaction, except where
        ``status`` says that it is open.
        """
        unit, transactions = self._unit, self._transactions
        transaction, pipeline = unit.transaction, transactions.pipeline
        if unit.driver_exposed and pipeline is not None and pipeline.unsettled:
            # an operation that was cancelled, perhaps a COMMIT: the server will be asked
            transactions.doubt(transaction, ended=False)
        elif not transactions.in_transaction():
            self._note_ended(transaction)
        return unit.transaction is None

    def _note_ended(self, transaction: Any) -> None:
        unit = self._unit
        if unit.schema_changed:
            self._statements.schema.advance()
        exposed = unit.driver_exposed
        unit.end()
        unit.driver_exposed, unit.ended_by_program = exposed, True
        self._transactions.read_only.transaction_ended()
        self._counters.tidy("ended by the program")
        if driver.is_private():
            driver.forget_transaction(self._connection, transaction)
        else:
            unit.doubt(transaction, ended=True)

    def begins_again(self, operation: str, alone: bool) -> tuple[bool, bool]:
        """Tell how to execute a statement after the program has ended our transaction.

        Whether without another BEGIN, and whether to try that if the server refuses it behind one.
        """
        unit = self._unit
        alone = alone or runs_alone(operation)
        return alone, not alone and (unit.in_doubt is None or unit.end_in_doubt)

    async def left_for(self, error: Exception) -> bool:
        """Roll back what was begun for a statement that the server refuses in a transaction.

        Tell whether to execute it again, without one: it has done nothing, or nothing is left of
        it.
        """
        unit = self._unit
        state: str | None = getattr(error, "sqlstate", None)
        if state not in _NOT_IN_A_BLOCK or unit.transaction is None:
            return False
        exposed = unit.driver_exposed
        try:
            await self.end(commit=False)
        except Exception:
            return False
        unit.driver_exposed, unit.ended_by_program = exposed, True
        self._counters.tidy("refused in a transaction, and executed without")
        return True

    def note_command(self, status: str | None) -> None:
        """Note a transaction that a statement has begun in AUTOCOMMIT, or ended."""
        if status in _BEGUN_BY:
            self.begun_by_program = self.is_left_open()
        elif self.begun_by_program and not self.is_left_open():
            self.begun_by_program = False
            self._end_of_changes()

    def _end_of_changes(self) -> None:
        if self._unit.schema_changed:
            self._unit.schema_changed = False
            self._statements.schema.advance()

    async def end_begun_by_program(self, *, commit: bool) -> None:
        """End the transaction that a statement has begun in AUTOCOMMIT; raise asyncpg's errors."""
        try:
            with self._transactions.bounded_end(commit=commit):
                await self._connection.execute("COMMIT" if commit else "ROLLBACK")
        except driver_errors.PostgresError:
            if commit or not await self._rolled_back():
                await self._rolled_back()
                raise
        self._counters.ran()
        self._counters.tidy(
            "begun by text, and committed" if commit else "begun by text, and rolled back"
        )
        self.begun_by_program = False
        self._end_of_changes()

    def is_left_open(self) -> bool:
        """Tell whether the server is in a transaction, or asyncpg believes so, that is not ours."""
        unit = self._unit
        if unit.transaction is not None or unit.in_doubt is not None:
            return False
        return driver.has_transaction(self._connection)

    def watch_return(self) -> None:
        """Have the pool close the connection if it goes back in a transaction of the program's."""
        self._unit.begin_failed = False
        entry = self.pool_entry()
        if entry is not None and self.close_left_open not in entry.finalize_callback:
            entry.finalize_callback.append(self.close_left_open)

    def pool_entry(self) -> Any:
        """Return the pool's entry of the connection, None if no pool has handed it out."""
        return None if self.entry is None else self.entry()

    def close_left_open(self, adapted: Any) -> None:
        """Close the adapted connection if it is in a transaction that is not ours; await nothing.

        Called by the pool's entry, which has another connection if the program detached this one.
        """
        if adapted.session.ends is self and self.is_left_open():
            self._counters.tidy("left open by the program, and the connection closed")
            driver.drop(self._connection)

    # ours

    def end_soon(self, *, commit: bool) -> bool:
        """Send a deferred end, if that is safe; tell whether it was sent."""
        unit, pipeline = self._unit, self._transactions.pipeline
        if (
            not unit.side_effect_free
            or (self.closes_at_once and self._statements.route.pooled)
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
        if owned and self.status.status != driver.IN_TRANSACTION:
            if not self._transactions.in_transaction():
                self._note_ended(transaction)
                return
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
