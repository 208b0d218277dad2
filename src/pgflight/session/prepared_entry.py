"""One prepared statement, with what its preparation told: columns, parameters, side effects.

Made and kept by :mod:`pgflight.session.prepared_statements`; executed by session and cursors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import driver
from ..sqltext.side_effects import is_side_effect_free

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
        "_numerics",
    )

    def __init__(
        self,
        statement: Any,
        epoch: int,
        operation: str,
        connection: Any,
        watch: driver.Watch | None,
    ) -> None:
        self.statement = statement
        parameters = driver.parameters_of(statement)
        self._numerics = driver.unchecked_numerics(connection, parameters)
        execute = driver.executor(statement, watch)
        if self._numerics:
            self.execute: Any = lambda values: execute(self.checked(values))
        else:
            self.execute = execute
        self.description: Description | None = describe(statement.get_attributes())
        self.epoch = epoch
        self.timeless = self.description is None and not parameters
        self.side_effect_free = is_side_effect_free(operation)

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
