"""The first statement of a connection that serves one unit of work: known from another connection.

A base of the session's prepared statements; how it is executed, and proven, is said in
:mod:`pgflight.driver.poolers.described_elsewhere`.
"""

from __future__ import annotations

from typing import Any

from ... import driver
from ...sqltext.side_effects import is_side_effect_free
from .prepared_entry import PreparedEntry
from .schema_generation import SchemaGeneration


class FirstStatements(driver.Preparer):
    """Has the first statement of a short-lived connection executed without preparing it."""

    __slots__ = ("schema", "_has_begun")

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.schema = SchemaGeneration()
        """The engine's schema generation; a private one until the connection joins an engine."""
        self._has_begun = False

    def serves_others(self, operation: str) -> bool:
        """Tell whether a statement is prepared without a name, so that others may know of it."""
        known = self.route.known
        return (
            known.short_lived
            and known.descriptions.are_wanted(operation)
            and is_side_effect_free(operation)
            and not self.describes_each_time(operation)
            and not self.has_moving_names()
        )

    def described_elsewhere(self, operation: str) -> PreparedEntry | None:
        """Return the entry for a statement that another connection has had described.

        For the first statement of the connection, if it also begins a transaction.
        """
        route, known = self.route, self.route.known
        if self._has_begun or not known.short_lived:
            return None
        self._has_begun = True
        described = known.descriptions.get(operation)
        if described is None or not (route.can_ask and route.begins_now()):
            return None
        if (route.pooled and known.follows_names) or self._watch.by() is not None:
            return None
        if not described.fits(self._connection._protocol.get_settings(), self.schema.number):
            known.descriptions.forget(operation, refused=False)
            return None
        first = driver.FirstStatement(
            self._connection, route, described, operation, self._watch, self._question(operation)
        )
        entry: PreparedEntry = described.entry.in_flight_by(first)
        entry.statement = first.statement
        return entry

    def _question(self, operation: str) -> Any:
        def ask() -> None:
            if self.route.asks:
                self.prove(operation)

        return ask

    def note_for_others(self, entry: PreparedEntry, operation: str) -> None:
        """Let the engine's next connections know how a statement was described."""
        self._has_begun = True
        if self._told is None or not self.serves_others(operation):
            return
        statement: Any = entry.statement
        kept = entry.in_flight_by(None)  # type: ignore[arg-type]  # it is never executed itself
        kept.statement = None  # nor does it keep the connection
        described = driver.note_description(
            self._connection, statement, self._told, kept, self.schema.number
        )
        if described is not None:
            self.route.known.descriptions.put(operation, described)
