"""Parameters of many rows column by column, which become rows only when somebody reads them.

A statement that goes through arrays (:mod:`pgflight.bulk.array_changes`) needs no row at all:
neither the positional tuples nor their concatenation. The second half of an execution context's
parameters: the first half, used for all other statements, is :mod:`pgflight.parameters.plan`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from datetime import date, time, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any
from uuid import UUID

from .insert_plan import ArrayInsert
from .row_equivalence import why_not_distinct

PAGE_BYTES = 4 * 1024 * 1024
"""Size of a page's text and binary values, of which client and server hold some copies."""
PAGE_ROWS = 10_000
"""Of an INSERT without RETURNING: each page is awaited, where an executemany() waits once."""
LARGE_ROW = 10 * 1024
"""Mean row size above which rows are sent faster one by one, if nothing is returned."""
LARGE_ROW_OF_PAGES = 1024
"""The same for more than a page: there arrays save too little for a wait per page."""

_SCALARS = (
    *(str, bytes, bytearray, memoryview, tuple),  # sized, but no arrays to asyncpg
    *(int, float, Decimal, date, time, timedelta, UUID, type(None)),
)


class ColumnRows(list[Any]):
    """Positional parameters of many rows: a list of tuples, once a program reads it.

    ``columns`` holds a list of values for each parameter of the statement, ``number`` tells how
    many rows there are, and ``plan`` how they are sent.
    """

    __slots__ = ("columns", "number", "plan", "_filled")

    columns: list[Any]
    number: int
    plan: ArrayInsert

    def __init__(self, columns: Iterable[Any], number: int, plan: ArrayInsert) -> None:
        """Take the columns, each of ``number`` values."""
        self.columns = list(columns)
        self.number = number
        self.plan = plan
        self._filled = False

    def fill(self) -> None:
        """Make the rows."""
        if not self._filled:
            self._filled = True
            list.extend(self, zip(*self.columns, strict=True))

    def rows(self) -> list[tuple[Any, ...]]:
        """Return the rows in a new list."""
        return list(zip(*self.columns, strict=True))

    # what is to be sent

    def obstacle(self) -> str | None:
        """Return the reason why these values cannot go through arrays, None if they can."""
        plan = self.plan
        for place in plan.inner:
            # if all of a column's values are lists, asyncpg takes them for further dimensions
            if _may_be_array(self.columns[place][0]):
                return "a list among the values"
        for place in plan.ranges:
            if any(map(_may_be_array, self.columns[place])):
                return "a list among the values"
        if plan.keys:
            reason = why_not_distinct([self.columns[place] for place in plan.keys])
            if reason is not None:
                return reason
        if len(plan.inner) < plan.width:
            for place in set(range(plan.width)).difference(plan.inner):
                column = self.columns[place]
                first = column[0]
                if not all(value is first or _equal(value, first) for value in column):
                    return "parameters outside of VALUES that differ"
        return None

    def size(self) -> int:
        """Return the size of the text and binary values: characters and bytes."""
        columns = [self.columns[place] for place in self.plan.sized]
        try:
            return sum(sum(map(len, filter(None, column))) for column in columns)
        except Exception:  # a value that the driver will refuse, or with methods of its own
            return sum(map(sum, self._measured()))

    def _measured(self) -> list[Any]:
        return [
            [_length(value) if isinstance(value, Sized) else 0 for value in self.columns[place]]
            for place in self.plan.sized
        ]

    def pages(self, rows: int, size: int | None = None) -> list[slice]:
        """Cut into pages of up to ``rows`` rows and (with more than one row) ``PAGE_BYTES``.

        ``size`` is the result of :meth:`size`, if it is known already.
        """
        if (self.size() if size is None else size) <= PAGE_BYTES:
            return [slice(at, at + rows) for at in range(0, self.number, rows)]
        ends = list(accumulate(map(sum, zip(*self._measured(), strict=True))))
        pages: list[slice] = []
        start = before = 0
        for at, end in enumerate(ends):
            if at > start and (at - start >= rows or end - before > PAGE_BYTES):
                pages.append(slice(start, at))
                start, before = at, ends[at - 1]
        return [*pages, slice(start, self.number)]

    def why_large(self, rows: int, size: int) -> str | None:
        """Return why these rows, in pages of up to ``rows``, are sent faster one by one."""
        if size > LARGE_ROW * self.number:
            return "rows of more than 10 KB"
        several = self.number > rows or size > PAGE_BYTES  # as pages() cuts two rows or more
        if several and size > LARGE_ROW_OF_PAGES * self.number:
            return "more than a page of rows of more than 1 KB"
        return None

    def page(self, rows: slice) -> ColumnRows:
        """Return some of the rows."""
        number = len(range(*rows.indices(self.number)))
        if number == self.number:
            return self
        return ColumnRows((column[rows] for column in self.columns), number, self.plan)

    def arrays(self) -> tuple[Any, ...]:
        """Return the parameters of the plan's text: arrays, or values that all rows share."""
        inner = self.plan.inner
        if len(inner) == self.plan.width:
            return tuple(self.columns)
        return tuple(
            column if place in inner else column[0] for place, column in enumerate(self.columns)
        )

    # a list, to those who look

    def __len__(self) -> int:
        return self.number if not self._filled else list.__len__(self)

    def __bool__(self) -> bool:
        return len(self) > 0

    def __reduce_ex__(self, protocol: object) -> Any:
        return list, (list(iter(self)),)

    def __iter__(self) -> Iterator[Any]:
        self.fill()
        return list.__iter__(self)


def _filling(name: str) -> Any:
    method = getattr(list, name)

    def filled(self: ColumnRows, *arguments: Any, **named: Any) -> Any:
        self.fill()
        return method(self, *arguments, **named)

    filled.__name__ = name
    filled.__doc__ = method.__doc__
    return filled


for _name in """
    __add__ __contains__ __delitem__ __eq__ __ge__ __getitem__ __gt__ __iadd__ __imul__ __le__
    __lt__ __mul__ __ne__ __repr__ __reversed__ __rmul__ __setitem__ append clear copy count extend
    index insert pop remove reverse sort
""".split():
    setattr(ColumnRows, _name, _filling(_name))


def _length(value: Sized) -> int:
    try:
        return len(value)
    except Exception:  # the driver does not ask texts for it
        return 0


def _may_be_array(value: object) -> bool:
    """Tell whether asyncpg may take a value for an array."""
    return (
        not isinstance(value, _SCALARS) and isinstance(value, Sized) and isinstance(value, Iterable)
    )


def _equal(value: object, other: object) -> bool:
    try:
        # 1.0 and 1.00 are equal, and not the same NUMERIC
        return type(value) is type(other) and bool(value == other) and repr(value) == repr(other)
    except Exception:
        return False
