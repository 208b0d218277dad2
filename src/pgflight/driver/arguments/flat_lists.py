"""Lists that asyncpg does not search for lists inside of them.

asyncpg goes through an array twice: first for its dimensions, where it asks of each element, in one
or two calls of Python's ``isinstance`` for abstract classes, whether it is an array itself; then to
encode the elements.  The first costs more than all the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from ..known_types import UUID_CLASSES
from .rehearsal import goes_through_arrays_twice

FEWEST_ELEMENTS = 16
"""Length from which a list is worth looking at."""

_NO_ARRAYS = frozenset(
    {
        *(type(None), bool, int, float, str, bytes, bytearray, tuple),
        *(Decimal, date, datetime, time, timedelta),
        *UUID_CLASSES,
    }
)
"""Classes whose own instances, not those of subclasses, asyncpg never takes for inner arrays."""


class FlatList(list[Any]):
    """A copy of a list that seems empty to the first who goes through it.

    Not with its length, its representation or its items by number.  For asyncpg alone.
    """

    __slots__ = ("_searched",)

    def __init__(self, values: Iterable[Any]) -> None:
        super().__init__(values)
        self._searched = False

    def __iter__(self) -> Iterator[Any]:
        if self._searched:
            return super().__iter__()
        self._searched = True
        return iter(())


def places_of_arrays(types: Iterable[Any]) -> tuple[int, ...]:
    """Return which of a statement's parameters, of asyncpg's ``types``, are arrays.

    None of them if the installed asyncpg goes through arrays otherwise than expected.
    """
    places = tuple(place for place, each in enumerate(types) if each.kind == "array")
    return places if places and goes_through_arrays_twice() else ()


def flat_lists(arguments: Sequence[Any], places: tuple[int, ...]) -> Sequence[Any]:
    """Return arguments with the lists at ``places`` made flat, where no element is an array.

    That is looked at now, in a copy which nobody else can change.
    """
    made: list[Any] | None = None
    for place in places:
        if place >= len(arguments):
            break  # asyncpg says so
        value = arguments[place]
        if type(value) is not list or len(value) < FEWEST_ELEMENTS:
            continue
        flat = FlatList(value)
        if _NO_ARRAYS.issuperset(map(type, list.__iter__(flat))):
            made = made or list(arguments)
            made[place] = flat
    return arguments if made is None else made
