"""Rows, mappings and scalars of a result.

pgflight.dialect.result makes a factory per result, through pgflight._impl. The compiled form is
results_c.pyx.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

OWN_ROWS = False
"""Whether many() is worth calling: the loops of SQLAlchemy, which are compiled, are faster."""


def layout_found(row_class: Any) -> bool:
    """Tell whether the instances of `row_class` can be filled without calling it."""
    return False


class RowFactory:
    """Makes the rows of one result: instances of `row_class`, or single values."""

    __slots__ = ("parent", "_row_class", "_index", "_processors")

    def __init__(
        self,
        row_class: Callable[..., Any],
        parent: Any,
        processors: Iterable[Callable[[Any], Any] | None] | None,
        key_to_index: Any,
    ) -> None:
        """Make rows over `parent` and `key_to_index` (str to int).

        `processors` is a sequence with a function of one value, or None, for each column; None
        where there are none.
        """
        self.parent = parent
        self._row_class = row_class
        self._index = key_to_index
        each = () if processors is None else tuple(processors)
        self._processors = each if any(one is not None for one in each) else None

    def __call__(self, record: Any) -> Any:
        """Return the row of one record."""
        return self._row_class(self.parent, None, self._index, self._values(record))

    def many(self, records: Iterable[Any]) -> list[Any]:
        """Return the rows of a sequence of records, as a new list."""
        row_class, parent, index = self._row_class, self.parent, self._index
        return [row_class(parent, None, index, values) for values in self.interim(records)]

    def fill(self, records: list[Any]) -> list[Any]:
        """Replace the records in a list by their rows, and return the list."""
        return _replace(records, self) if self._processors else _set(records, self.many(records))

    def interim(self, records: Iterable[Any]) -> list[Any]:
        """Return processed tuples of a sequence of records, as a new list."""
        if self._processors is None:
            return list(map(_plain, records))
        return list(map(self._values, records))

    def tuples(self, records: list[Any]) -> list[Any]:
        """Replace the records in a list by processed tuples, and return the list."""
        if self._processors:
            return _replace(records, self._values)
        return _set(records, self.interim(records))

    def column(self, records: list[Any], position: int) -> list[Any]:
        """Replace the records in a list by the value at `position` of each; return the list."""
        if position < 0:
            raise IndexError(f"position={position}: columns are counted from 0")
        processor = None if self._processors is None else self._processors[position]
        if processor is None:
            return _set(records, [record[position] for record in records])
        return _replace(records, lambda record: processor(record[position]))

    def iterate(
        self, result: Any, cursor: Any, rows: deque[Any], stock: Callable[[], Iterator[Any]]
    ) -> Iterator[Any]:
        """Return an iterator that takes rows from the deque `rows` of an open `cursor`.

        When `result.cursor` is no longer `cursor`, the iterator that `stock()` returns is asked
        for the rest; when no row is left, `result` is closed softly.
        """
        if type(rows) is not deque:
            raise TypeError(f"rows wait in a deque, not in a {type(rows).__name__}")
        return self._iterate(result, cursor, rows, stock)

    def _iterate(
        self, result: Any, cursor: Any, rows: deque[Any], stock: Callable[[], Iterator[Any]]
    ) -> Iterator[Any]:
        while result.cursor is cursor:
            if not rows:
                result.close_softly()
                return
            yield self(rows.popleft())
        yield from stock()

    def _values(self, record: Sequence[Any]) -> tuple[Any, ...]:
        """Return the processed values of a record."""
        if self._processors is None:
            return _plain(record)
        return tuple(
            [
                record[i] if processor is None else processor(record[i])
                for i, processor in enumerate(self._processors)
            ]
        )


def _set(records: list[Any], made: list[Any]) -> list[Any]:
    """Give `records` new elements; TypeError when it is not a list."""
    if not isinstance(records, list):
        raise TypeError(f"records are replaced in a list, not in a {type(records).__name__}")
    records[:] = made
    return records


def _replace(records: list[Any], make: Callable[[Any], Any]) -> list[Any]:
    """Replace each record by what a function with effects makes of it, while the list lasts."""
    for i, record in enumerate(records):
        made = make(record)
        if i >= len(records):
            break
        records[i] = made
    return records


def _plain(record: Iterable[Any]) -> tuple[Any, ...]:
    """Return the values of a row of the driver as an exact tuple."""
    return record if type(record) is tuple else tuple(record)
