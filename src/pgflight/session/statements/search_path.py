"""Whether unqualified names mean the same tables in all statements of one session.

A prepared statement is bound to the columns it had when it was prepared. Where a program changes
the search path, or the role, from one unit of work to the next (a schema for each tenant), the same
text may have other columns each time, and PostgreSQL refuses the statement: "cached plan must not
change result type".

Asked by the session's prepared statements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...sqltext.commands import resets


class SearchPath:
    """What the statements of a program have done to one session's search path."""

    __slots__ = ("moves", "_set_by")

    def __init__(self) -> None:
        self.moves = False
        """Whether it is not certain that it stays as it is: from then on, for good."""
        self._set_by: tuple[str, tuple[Any, ...]] | None = None

    def note(self, operation: str, values: Sequence[Any], *, in_transaction: bool) -> bool:
        """Note a statement that may set it; tell whether earlier statements have become unsure.

        Set once outside of a transaction, as when a session begins, it stays; in one, the end of
        the transaction may undo it.
        """
        if self.moves or (self._set_by is None and resets(operation)):
            return False
        set_by = operation, tuple(values)
        if set_by == self._set_by:
            return False
        if self._set_by is None and not in_transaction:
            self._set_by = set_by
        else:
            self.moves = True
        return True
