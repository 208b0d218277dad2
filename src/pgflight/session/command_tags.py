"""What a command tag without a row count tells: DDL, DISCARD, LISTEN, the end of a transaction.

Told by the session, and by cursors that send statements of their own.
"""

from __future__ import annotations

from ..sqltext.commands import drops_statements, is_ddl
from .statements.prepared_statements import PreparedStatements
from .transaction_ends import TransactionEnds
from .transactions import Transactions
from .unit_of_work import UnitOfWork


class CommandTags:
    """Acts on the commands of one session."""

    __slots__ = ("_unit", "_statements", "_transactions", "_ends")

    def __init__(
        self,
        unit: UnitOfWork,
        statements: PreparedStatements,
        transactions: Transactions,
        ends: TransactionEnds,
    ) -> None:
        self._unit = unit
        self._statements = statements
        self._transactions = transactions
        self._ends = ends

    def note(self, status: str | bytes | None, operation: str) -> None:
        """Act on a command whose tag carries no row count."""
        if isinstance(status, bytes):
            status = status.decode()
        pipeline = self._transactions.pipeline
        if status == "LISTEN" and pipeline is not None:
            pipeline.listening = True
        self._ends.note_command(status)
        if is_ddl(status, operation):
            self.note_schema_change()
        elif drops_statements(status):
            self._statements.clear()
        else:
            self._transactions.read_only.note(status, operation)
            if status == "ROLLBACK" and self._unit.schema_changed:
                # to a savepoint: statements prepared since then may be stale
                self._statements.schema.advance()

    def note_schema_change(self) -> None:
        """Invalidate the engine's statements now, and again when the open transaction ends."""
        self._statements.schema.advance()
        if self._unit.transaction is not None or self._ends.begun_by_program:
            self._unit.schema_changed = True
