"""The result of a step of the demonstration, and its fingerprint.

`demo` compares the fingerprints of the two dialects step by step: equal values of equal types have
the same fingerprint.
"""

from __future__ import annotations

import datetime
import hashlib
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from pgflight.cli.demo.dataset import Rows


class Outcome(NamedTuple):
    """`rows`: number of rows sent or received; `value`: what the step read, to be compared."""

    rows: int
    value: object


def spread(rows: Rows, count: int) -> Rows:
    """Return at most `count` of `rows`, evenly spread."""
    return rows[:: max(1, len(rows) // count)][:count]


def tuples(result: Any) -> list[tuple[Any, ...]]:
    """Fetch all rows of a result as tuples."""
    return [tuple(row) for row in result]


def digest(value: object) -> str:
    """Return the SHA-256 (hexadecimal) of `value`.

    Order counts, in mappings too, as does the type: 1, 1.0, True and "1" differ. A subclass
    counts as its base (a driver's UUID as uuid.UUID). Raises TypeError for a
    type that no step should return.
    """
    pieces: list[str] = []
    _collect(value, pieces.append)
    return hashlib.sha256("".join(pieces).encode("utf-8", "surrogatepass")).hexdigest()


def _collect(value: object, put: Callable[[str], None]) -> None:
    # The length of a text keeps two neighbours from running into each other.
    if isinstance(value, str):
        put(f"str{len(value)}:{value};")
    # bool before int and datetime before date: the former are subclasses of the latter.
    elif value is None or isinstance(value, bool):
        put(f"{value};")
    elif isinstance(value, (int, float, Decimal)):
        kind = next(base for base in (int, float, Decimal) if isinstance(value, base))
        put(f"{kind.__name__}:{value!r};")
    elif isinstance(value, datetime.date):
        exact = "datetime" if isinstance(value, datetime.datetime) else "date"
        put(f"{exact}:{value.isoformat()};")
    elif isinstance(value, uuid.UUID):
        put(f"uuid:{value};")
    elif isinstance(value, dict):
        put(f"dict{len(value)}(")
        for key, item in value.items():
            _collect(key, put)
            _collect(item, put)
        put(")")
    elif isinstance(value, (list, tuple)):
        put(f"{'list' if isinstance(value, list) else 'tuple'}{len(value)}(")
        for item in value:
            _collect(item, put)
        put(")")
    else:
        raise TypeError(f"a step returned {type(value).__name__}, which cannot be compared")
