"""About how much memory rows take: what ``max_bytes`` of a stream is measured by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from sys import getsizeof
from typing import Any

from sqlalchemy.engine import Row, RowMapping

_SAMPLE = 32
"""Rows measured in each batch, at even distances."""
_DEEPEST = 4
"""How many levels of documents and of related objects are followed."""
_STATE_BYTES = 600
"""What SQLAlchemy keeps for each object that the ORM has loaded."""


def average_size(items: Sequence[Any]) -> int:
    """Return about how many bytes an item of a batch takes: a row, mapping, scalar or object."""
    step = -(-len(items) // _SAMPLE)
    sample = items[::step]
    return max(1, sum(_size(item, _DEEPEST, set()) for item in sample) // len(sample))


def _size(value: Any, depth: int, seen: set[int]) -> int:
    if isinstance(value, (Row, RowMapping)):
        parts: Iterable[Any] = value.values() if isinstance(value, RowMapping) else value
        return 64 + sum(8 + _size(part, depth, seen) for part in parts)
    size = getsizeof(value, 64)
    if depth == 0 or isinstance(value, (str, bytes, int, float)):
        return size
    if isinstance(value, Mapping):
        inner: Iterable[Any] = value.values()
    elif isinstance(value, (list, tuple, set, frozenset)):
        inner = value
    elif "_sa_instance_state" in getattr(value, "__dict__", ()):
        if id(value) in seen:  # objects refer to each other
            return 0
        seen.add(id(value))
        size += _STATE_BYTES + getsizeof(value.__dict__)
        inner = [part for name, part in vars(value).items() if name != "_sa_instance_state"]
    else:
        return size
    return size + sum(_size(part, depth - 1, seen) for part in inner)
