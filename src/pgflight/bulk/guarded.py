"""What becomes of a statement that carries a proof: it is run, refused, or not sent at all.

Called by :mod:`pgflight.bulk.array_changes` before such a statement is sent, and after it has
changed nothing.
"""

from __future__ import annotations

from typing import Any

from ..session.session import Session
from .refusals import Refusals
from .table_proof import SNAPSHOT, Proof

_SNAPSHOT_LEVELS = ("repeatable_read", "serializable")
_UNNAMED = "a table that has changed meanwhile"
_NOTHING = "nothing to change, in AUTOCOMMIT"


def is_postgresql(dialect: Any) -> bool:
    """Tell whether the server is PostgreSQL itself, for all that is known of it."""
    return dialect.name == "postgresql" and bool(getattr(dialect, "server_is_postgresql", False))


def known_refusal(dialect: Any, session: Session, proof: Proof) -> str | None:
    """Return why a statement would be refused, if that is known without asking."""
    transactions = session.transactions
    level = transactions.characteristics.isolation_level
    if level is None:
        default = transactions.characteristics.default_isolation() or ""
        level = default.lower().replace(" ", "_")
    if level in _SNAPSHOT_LEVELS:
        return SNAPSHOT
    if proof.may_change_nothing and transactions.autocommit and not proof.repeatable:
        # a refusal could not be told from rows that are all in conflict: the lock that keeps the
        # table as it is has gone by the time of another question
        return "ON CONFLICT in AUTOCOMMIT"
    refusals: Refusals = dialect.table_refusals
    return refusals.reason(proof, session.statements.schema.number)


def refusal(cursor: Any, session: Session, proof: Proof, dialect: Any) -> str | None:
    """Return why the server has refused a statement that changed nothing; None if it has not.

    Asks the server for the reason.  In a transaction the table is locked by now, so that the answer
    is still the one that the statement got.  In AUTOCOMMIT it may not be: what has found nothing to
    change is then sent again, in the usual way.
    """
    cursor.execute(proof.question)
    rows = cursor.fetchall()
    cursor._description = None
    reason: str | None = rows[0][0] if rows else None
    if reason is None:
        if proof.may_change_nothing and rows and not session.transactions.autocommit:
            cursor._rowcount = 0
            return None
        return _NOTHING if proof.may_change_nothing else _UNNAMED
    dialect.table_refusals.add(proof, session.statements.schema.number, reason)
    return reason
