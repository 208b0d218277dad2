"""What a step of the demonstration returns, and what the steps of both kinds share."""

from __future__ import annotations

from typing import Any, NamedTuple

from pgflight.cli.dataset import Rows


class Outcome(NamedTuple):
    """`rows`: rows sent or received; `value`: what the step got to see, to be compared."""

    rows: int
    value: object


def spread(rows: Rows, count: int) -> Rows:
    """Return at most `count` of `rows`, evenly spread."""
    return rows[:: max(1, len(rows) // count)][:count]


def tuples(result: Any) -> list[tuple[Any, ...]]:
    """Fetch all rows of a result as plain tuples."""
    return [tuple(row) for row in result]
