"""What becomes of a statement that carries a proof: it is run, refused, or not sent at all.

Called by :mod:`pgflight.bulk.array_changes` before such a statement is sent, and after it has
changed nothing.  Of a table that the engine does not know yet the server is asked beforehand, once:
a statement that is refused fires triggers ``FOR EACH STATEMENT`` nevertheless.  So the one that is
sent first after another process has made such a trigger fires it once more, for no rows.
"""

from __future__ import annotations

from typing import Any

from ..session.session import Session
from .known_tables import UNKNOWN, KnownTables
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
    tables: KnownTables = dialect.known_tables
    return tables.reason(proof, session.statements.schema.number) or None


def first_refusal(cursor: Any, session: Session, proof: Proof, dialect: Any) -> str | None:
    """Return why a statement would be refused; ask the server unless it has been asked before."""
    generation = session.statements.schema.number
    tables: KnownTables = dialect.known_tables
    reason = tables.reason(proof, generation)
    if reason != UNKNOWN:
        return reason
    reason = _UNNAMED
    for row in _ask(cursor, proof):
        reason = row[0]
    tables.add(proof, generation, reason)
    return reason


def _ask(cursor: Any, proof: Proof) -> list[Any]:
    cursor.execute(proof.question)
    rows: list[Any] = cursor.fetchall()
    cursor._description = None
    return rows


def refusal(cursor: Any, session: Session, proof: Proof, dialect: Any) -> str | None:
    """Return why the server has refused a statement that changed nothing; None if it has not.

    Asks the server for the reason.  In a transaction the table is locked by now, so that the answer
    is still the one that the statement got.  In AUTOCOMMIT it may not be: what has found nothing to
    change is then sent again, in the usual way.
    """
    rows = _ask(cursor, proof)
    reason: str | None = rows[0][0] if rows else None
    if reason is None:
        if proof.may_change_nothing and rows and not session.transactions.autocommit:
            cursor._rowcount = 0
            return None
        return _NOTHING if proof.may_change_nothing else _UNNAMED
    dialect.known_tables.add(proof, session.statements.schema.number, reason)
    return reason
