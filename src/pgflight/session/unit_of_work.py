"""What is known about a session's open transaction: one object, reset when that ends.

Held by :class:`pgflight.session.session.Session` and written only by this folder.
"""

from __future__ import annotations

from typing import Any


class UnitOfWork:
    """The facts of one unit of work, from its first statement to the answer to its end.

    ``transaction`` is asyncpg's Transaction, or ``None`` where none is open.
    """

    __slots__ = (
        "transaction",
        "side_effect_free",
        "commit_cannot_fail",
        "operations",
        "schema_changed",
        "driver_exposed",
        "ended_by_program",
        "begin_failed",
        "in_doubt",
        "end_in_doubt",
    )

    transaction: Any
    side_effect_free: bool
    """Whether only side-effect-free SELECTs have run, so that its end stores and frees nothing."""
    commit_cannot_fail: bool
    """Whether it is READ ONLY, and not SERIALIZABLE."""
    operations: int
    """Operations of asyncpg's protocol since it began."""
    schema_changed: bool
    """Whether it has changed the schema; other sessions do not see that before it ends."""
    driver_exposed: bool
    """Whether the program has been given asyncpg's connection, whose use the session cannot see."""
    ended_by_program: bool
    """Whether the program has ended its transaction unseen, by text or by asyncpg's connection."""
    begin_failed: bool
    """Whether an awaited BEGIN failed, perhaps because the program had begun a transaction."""
    in_doubt: Any
    """asyncpg's Transaction whose first statement or end was interrupted."""
    end_in_doubt: bool
    """Whether its end was requested, so that it is rolled back if it is still open."""

    def __init__(self) -> None:
        self.in_doubt = None
        self.end_in_doubt = False
        self.end()

    def begin(
        self, transaction: object, *, side_effect_free: bool, commit_cannot_fail: bool = False
    ) -> None:
        """Record a transaction that has begun, or will begin with its first statement."""
        self.transaction = transaction
        self.side_effect_free = side_effect_free
        self.commit_cannot_fail = commit_cannot_fail
        self.operations = 0

    def end(self) -> None:
        """Forget everything except a transaction in doubt, which outlives its unit of work."""
        self.transaction = None
        self.side_effect_free = self.commit_cannot_fail = False
        self.operations = 0
        self.schema_changed = self.driver_exposed = False
        self.ended_by_program = self.begin_failed = False

    def doubt(self, transaction: object, *, ended: bool) -> None:
        """Note that ``transaction`` may or may not be open; ``ended`` if it should not be."""
        self.transaction = None
        self.in_doubt = transaction
        self.end_in_doubt = ended
