"""One prepared statement, with what its preparation told: columns, parameters, side effects.

Made and kept by :mod:`~pgflight.session.statements.prepared_statements`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

from ... import driver
from ...sqltext.side_effects import is_side_effect_free

DescriptionColumn = tuple[str, int, None, None, None, None, None]
Description = tuple[DescriptionColumn, ...]


class PreparedEntry:
    """A prepared statement together with the description taken when it was prepared.

    ``epoch`` is the connection's at that time; ``timeless`` statements (DDL, SET) have neither
    columns nor parameters whose types could change.
    """

    __slots__ = (
        "statement",
        "execute",
        "description",
        "epoch",
        "timeless",
        "side_effect_free",
        "in_flight",
        "_described",
        "_numerics",
        "__weakref__",
    )

    execute: Callable[[Any], Any]
    _described: driver.DescribedStatement

    def __init__(
        self,
        statement: Any,
        epoch: int,
        operation: str,
        connection: driver.Connection,
        watch: driver.Watch | None,
    ) -> None:
        self.statement = statement
        parameters = driver.parameters_of(statement)
        self._numerics = driver.unchecked_numerics(connection, parameters)
        execute = driver.executor(statement, watch, parameters)
        self.execute_by(execute)
        self.description: Description | None = describe(statement.get_attributes())
        self.epoch = epoch
        self.timeless = self.description is None and not parameters
        self.side_effect_free = is_side_effect_free(operation)
        self.in_flight = False
        """Whether only ``execute`` may be used, which prepares the statement itself."""

    def execute_by(self, execute: Callable[[Any], Any]) -> None:
        """Have ``execute`` called with arguments that the codecs send as they are."""
        numerics = self._numerics
        if not numerics:
            self.execute = execute
            return

        def check_and_execute(values: Any) -> Any:
            # not by a method of the entry: in a cycle it would keep its statement on the server
            # until the next garbage collection
            driver.check_numerics(numerics, values)
            return execute(values)

        self.execute = check_and_execute

    def in_flight_by(self, described: driver.DescribedStatement) -> PreparedEntry:
        """Return an entry of the same statement for its next executions, each prepared anew."""
        made = PreparedEntry.__new__(PreparedEntry)
        made.statement, made.epoch, made._numerics = self.statement, self.epoch, self._numerics
        made.description, made.timeless = self.description, self.timeless
        made.side_effect_free, made.in_flight = self.side_effect_free, True
        made._described = described
        made.execute_by(described)
        return made

    def with_text(self, operation: str) -> PreparedEntry:
        """Return an entry for one execution in flight, under another text of the same statement."""
        described = self._described.with_text(operation)
        made = self.in_flight_by(described)
        itself = ref(made)  # no cycle, see above

        def renew(statement: Any) -> None:
            entry = itself()
            if entry is not None:
                entry.renew(statement)
            self.expire()

        described.renewed = lambda: renew
        return made

    def expire_after(self, executions: int) -> None:
        """Have the statement prepared again after that many executions."""
        left, execute, itself = executions, self.execute, ref(self)  # no cycle, see above

        def execute_and_count(values: Any) -> Any:
            nonlocal left
            left -= 1
            entry = itself()
            if left <= 0 and entry is not None:
                entry.expire()
            return execute(values)

        self.execute = execute_and_count

    def renew(self, statement: Any) -> None:
        """Take another description, for this execution only: the next prepares it again."""
        self.description = describe(statement.get_attributes())
        self.expire()

    def expire(self) -> None:
        """Have the statement prepared again when it is next asked for."""
        self.epoch, self.timeless = -1, False

    def checked(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return arguments; raise asyncpg's DataError for one that its codec would change.

        ``execute`` has called it.
        """
        if self._numerics:
            driver.check_numerics(self._numerics, values)
        return values


def describe(attributes: Any) -> Description | None:
    """Return PEP 249's column description for asyncpg's attributes, ``None`` without any."""
    if not attributes:
        return None
    return tuple(
        (attribute.name, attribute.type.oid, None, None, None, None, None)
        for attribute in attributes
    )
