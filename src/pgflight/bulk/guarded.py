"""What becomes of a statement that carries a proof: it is run, refused, or not sent at all.

Called by :mod:`pgflight.bulk.array_changes` before such a statement is sent, and after it has
changed nothing.  Of a table that the engine does not know yet the server is asked beforehand, once:
a statement that is refused fires triggers ``FOR EACH STATEMENT`` nevertheless.  So the one that is
sent first after another process has made such a trigger fires it once more, for no rows.
"""

from __future__ import annotations

from typing import Any, Protocol

from ..session.session import Session
from .known_tables import CHANGED, KnownTables, Plain
from .table_proof import SNAPSHOT, Proof

_SNAPSHOT_LEVELS = ("repeatable_read", "serializable")  # of the session
_SNAPSHOT_DEFAULTS = ("REPEATABLE READ", "SERIALIZABLE")
_NOTHING = "nothing to change, in AUTOCOMMIT"


class TableKnowing(Protocol):
    """A dialect that remembers what its server said about tables."""

    @property
    def name(self) -> str: ...
    @property
    def known_tables(self) -> KnownTables: ...


def is_postgresql(dialect: TableKnowing) -> bool:
    """Tell whether the server is PostgreSQL itself, for all that is known of it."""
    return dialect.name == "postgresql" and bool(getattr(dialect, "server_is_postgresql", False))


def _known(dialect: TableKnowing, session: Session, proof: Proof) -> str | Plain | None:
    """Return what the server said of the table, None if it was not asked."""
    return dialect.known_tables.answer(proof, session.statements.schema.number)


def known_refusal(dialect: TableKnowing, session: Session, proof: Proof) -> str | None:
    """Return why a statement would be refused, if that is known without asking."""
    transactions = session.transactions
    level = transactions.characteristics.isolation_level
    if level is None:
        if transactions.characteristics.default_isolation() in _SNAPSHOT_DEFAULTS:
            return SNAPSHOT
    elif level in _SNAPSHOT_LEVELS:
        return SNAPSHOT
    if proof.may_change_nothing and transactions.autocommit and not proof.repeatable:
        # a refusal could not be told from rows that are all in conflict: the lock that keeps the
        # table as it is has gone by the time of another question
        return "ON CONFLICT in AUTOCOMMIT"
    answer = _known(dialect, session, proof)
    return answer if isinstance(answer, str) else None


def permitted(cursor: Any, session: Session, proof: Proof, dialect: TableKnowing) -> str | Plain:
    """Return the condition to send with a statement, or why it would be refused.

    Asks the server unless it has been asked before.
    """
    answer = _known(dialect, session, proof)
    return _ask(cursor, session, proof, dialect) if answer is None else answer


def _ask(cursor: Any, session: Session, proof: Proof, dialect: TableKnowing) -> str | Plain:
    cursor.execute(proof.question)
    rows: list[Any] = cursor.fetchall()
    cursor._description = None
    tables: KnownTables = dialect.known_tables
    return tables.add(proof, session.statements.schema.number, rows)


def refusal(
    cursor: Any, session: Session, proof: Proof, dialect: TableKnowing, sent: Plain
) -> str | None:
    """Return why the server has refused a statement that changed nothing; None if it has not.

    ``sent`` is what it was sent with.  Asks the server again.  In a transaction the table is locked
    by now, so that the answer is still the one that the statement got.  In AUTOCOMMIT it may not
    be: what has found nothing to change is then sent once more, in the usual way.
    """
    answer = _ask(cursor, session, proof, dialect)
    if isinstance(answer, str):
        return answer
    if not proof.may_change_nothing or answer.condition != sent.condition:
        return CHANGED
    if session.transactions.autocommit:
        return _NOTHING
    cursor._rowcount = 0
    return None
