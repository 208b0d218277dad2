"""The first statement of a connection that serves one unit of work: known from another connection.

A base of the session's prepared statements; how it is executed, and proven, is said in
:mod:`pgflight.driver.poolers.described_elsewhere`.
"""

from __future__ import annotations

from functools import partial
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

    def schema_generation(self) -> int:
        """Return how often the engine's schema has changed, as far as is known."""
        return self.schema.number

    def described_elsewhere(self, operation: str, epoch: int) -> PreparedEntry | None:
        """Return the entry for a statement that another connection has had described.

        For the first statement of the connection, if it begins a transaction.
        """
        route, known = self.route, self.route.known
        if self._has_begun or not known.short_lived:
            return None
        self._has_begun = True
        described = known.descriptions.get(operation)
        sender, connection = route.sender, self._connection
        if described is None or sender is None or not (route.can_ask and route.begins):
            return None
        if not sender.can_hold_back or connection.is_closed() or self._watch.by() is not None:
            return None
        if (route.pooled and known.follows_names) or self.has_moving_names():
            return None
        if described.generation != self.schema.number:
            known.descriptions.forget(operation, refused=False)
            return None
        statement = driver.prepared_unsent(connection, sender, operation, described)
        if statement is None:
            return None
        first = driver.FirstStatement(
            *(connection, route, statement, operation, described, self._watch),
            partial(self.prove, operation),
        )
        return PreparedEntry(statement, epoch, operation, connection, self._watch).in_flight_by(
            first
        )

    def note_for_others(self, operation: str) -> None:
        """Let the engine's next connections know how the statement just prepared was described."""
        self._has_begun = True
        descriptions, heard = self.route.known.descriptions, self._told
        if heard is None or not descriptions.are_wanted(operation):
            return
        if self.has_moving_names() or not is_side_effect_free(operation):
            return
        described = driver.note_description(heard, self.schema.number)
        if described is not None:
            descriptions.put(operation, described)
