"""The texts of one statement with IN lists, one for each shape its lists may have.

A list of fewer than ``limit`` elements is written as SQLAlchemy writes it, with one parameter for
each element; a longer one is one parameter, an array, so that all lengths share a text, or two:
see :mod:`pgflight.sqltext.long_lists`.  Made by the compiler
(:mod:`pgflight.parameters.in_lists`), used by it and by :mod:`pgflight.parameters.plan`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..sqltext.long_lists import LONG_FROM
from .contracts import Compiled
from .in_list_operators import MOST_PARAMETERS, Proof

TEXTS_KEPT = 200
"""Texts per statement."""
LONGEST_KEPT = 256
"""Parameters that lists of a text may have together for it to be kept."""

ARRAY = -1
"""In a shape: the list is one parameter.  Any number from 0 on is that of its elements."""
LONG_ARRAY = -2
"""In a shape: the list is one parameter, and so long that the server has to plan for its values."""

_TEXT_LIKE = (str, bytes, bytearray, memoryview)


class ExpandedList(NamedTuple):
    """The constant facts of one list of a statement."""

    name: str
    """The parameter's name in the compiled statement."""
    place: int
    """Its place among the statement's positional parameters."""
    convert: Callable[[Any], Any] | None
    """What an element goes through on its way to the driver."""
    limit: int
    """Number of elements from which it is an array; 0 if it never is."""
    untyped: bool
    """Whether only its first element shows the type of all."""
    ranges: bool
    """Whether the driver accepts lists as elements, too."""
    proof: Proof | None = None
    """Tells whether an array is compared as the list is; None if it is in any case."""

    def becomes_array(self, values: Sequence[Any]) -> bool:
        """Tell whether ``values``, ready for the driver, are sent as an array."""
        size = len(values)
        if not size >= self.limit > 0:
            return False
        if self.proof is None or size > MOST_PARAMETERS:
            return True
        try:
            return self.proof(values)
        except Exception:  # of a value's own methods: nothing is proven
            return False

    def is_nested(self, values: Sequence[Any]) -> bool:
        """Tell whether the driver would not take ``values``, converted, as that many elements."""
        if self.ranges:
            return any(is_nested([value]) for value in values)
        return is_nested(values)


class Wording(NamedTuple):
    """A statement's text for lists of a certain shape."""

    statement: str
    shape: tuple[int, ...]
    positions: list[str]
    """The names of all positional parameters."""
    keys: dict[str, list[str]]
    """For each list the names of its parameters."""


VALUES = "values that a type of the column could compare in another way"
TYPES = "a type that a type of the column could compare in another way"


def _count(dialect: Any, expanded: ExpandedList, size: int) -> None:
    """Count a list that might have been an array, if it is long enough for one."""
    if size >= dialect.in_array_threshold:
        reason = TYPES if expanded.proof is None else VALUES
        counts = dialect.in_list_fallbacks
        counts[reason] = counts.get(reason, 0) + 1
        dialect._counters.tell_once("an IN list is not sent as an array", reason)


class InLists:
    """The lists of one compiled statement, and the texts written so far; safe in any thread."""

    __slots__ = ("lists", "_plain", "_write", "_texts")

    def __init__(
        self,
        lists: Sequence[ExpandedList],
        positions: Sequence[str],
        write: Callable[[Any, tuple[int, ...]], Wording],
    ) -> None:
        """Keep ``write``, which makes the compiled statement's text for a shape.

        The statement itself is not kept: it keeps this.  ``lists`` are in the order of
        ``positions``, which names all parameters while each list is still one of them.
        """
        self.lists = tuple(lists)
        names = {expanded.name for expanded in lists}
        self._plain = [place for place, name in enumerate(positions) if name not in names]
        self._write = write
        self._texts: dict[tuple[int, ...], Wording | None] = {}

    def worded(
        self, compiled: Compiled, given: Sequence[Any], ready: list[list[Any] | None] | None = None
    ) -> tuple[Wording, list[list[Any]]] | None:
        """Return the text for the values of each list, and these as lists of their own.

        To ``ready`` the lists are appended as the driver gets them, None for those that have not
        been converted yet.  ``None`` is returned if SQLAlchemy has to do it: the elements are not
        single values, or there are too many to keep the text.  An iterator among ``given`` is not
        consumed then.
        """
        shape: list[int] = []
        found: list[list[Any]] = []
        loose = 0
        for expanded, values in zip(self.lists, given):
            if not values:
                values = []
            elif type(values) is list or hasattr(values, "__len__"):
                values = list(values)
            else:
                return None
            size = len(values)
            sent: list[Any] | None = None if expanded.convert else values
            if size >= expanded.limit > 0 and expanded.proof is not None and sent is None:
                sent = list(map(expanded.convert, values))  # type: ignore[arg-type]
            if ready is not None:
                ready.append(sent)
            if expanded.becomes_array(values if sent is None else sent):
                size = LONG_ARRAY if size >= LONG_FROM else ARRAY
            elif expanded.untyped and size and _is_row(values[0]):
                return None
            else:
                loose += size
                if size > 9 and expanded.limit:
                    _count(compiled.dialect, expanded, size)
            shape.append(size)
            found.append(values)
        if loose > LONGEST_KEPT:
            return None
        wording = self._text(compiled, tuple(shape))
        return None if wording is None else (wording, found)

    def positional(
        self, compiled: Compiled, row: Sequence[Any]
    ) -> tuple[Wording, tuple[Any, ...], list[list[Any]]] | None:
        """Return the text, all positional parameters and the lists; ``None`` as :meth:`worded`.

        ``row`` has the parameters in the order of ``positions``, ready for the driver but for the
        lists.
        """
        ready: list[list[Any] | None] = []
        worded = self.worded(compiled, [row[expanded.place] for expanded in self.lists], ready)
        if worded is None:
            return None
        wording, found = worded
        parameters = [row[place] for place in self._plain]
        for expanded, size, values, sent in zip(self.lists, wording.shape, found, ready):
            if sent is None:
                sent = list(map(expanded.convert, values))  # type: ignore[arg-type]
            if size >= 0:
                parameters += sent
            elif expanded.is_nested(sent):
                return None
            else:
                parameters.append(sent)
        return wording, tuple(parameters), found

    def expand(
        self, named: dict[str, Any], wording: Wording, found: Sequence[list[Any]]
    ) -> dict[str, Any]:
        """Replace each list in ``named``, a set by name, by the parameters that it becomes."""
        for expanded, size, values in zip(self.lists, wording.shape, found):
            del named[expanded.name]
            keys = wording.keys[expanded.name]
            named.update(zip(keys, [values] if size < 0 else values))
        return named

    def _text(self, compiled: Compiled, shape: tuple[int, ...]) -> Wording | None:
        try:
            return self._texts[shape]
        except KeyError:
            pass
        written = self._write(compiled, shape)
        kept: Wording | None = written
        expected = [key for expanded in self.lists for key in written.keys[expanded.name]]
        behind = written.positions[len(self._plain) :]
        if behind != expected or len(set(written.positions)) != len(written.positions):
            kept = None  # names that collide, in SQLAlchemy 2.0.40
        if len(self._texts) >= TEXTS_KEPT:
            for oldest in list(self._texts)[:1]:
                self._texts.pop(oldest, None)
        self._texts[shape] = kept
        return kept


class ExpandedSets:
    """Makes the parameter set that a program sees for an execution with lists."""

    __slots__ = ("_sets", "_lists", "_wording", "_found")

    def __init__(
        self,
        sets: Callable[[Any], list[dict[str, Any]]],
        lists: InLists,
        wording: Wording,
        found: list[list[Any]],
    ) -> None:
        """Keep ``sets``, which makes the set that has the lists."""
        self._sets = sets
        self._lists = lists
        self._wording = wording
        self._found = found

    def sets(self, values: object) -> list[dict[str, Any]]:
        """Return the only set of ``values``, by name."""
        (named,) = self._sets(values)
        return [self._lists.expand(named, self._wording, self._found)]


def are_planned(compiled: Compiled) -> bool:
    """Tell whether the compiler writes the texts for a statement's lists, and no default sees them.

    Before SQLAlchemy calls defaults, the lists are in a parameter set as the program gave them.
    """
    return (
        getattr(compiled, "in_lists", None) is not None
        and not compiled.insert_prefetch
        and not compiled.update_prefetch
    )


def is_nested(values: Sequence[Any]) -> bool:
    """Tell whether the driver would take ``values`` for an array of more than one dimension.

    If the first element is not an array, the driver refuses a later one that is.
    """
    if not values:
        return False
    first = values[0]
    return hasattr(first, "__len__") and not isinstance(first, _TEXT_LIKE)


def _is_row(value: object) -> bool:
    """Tell whether SQLAlchemy takes an element without a type for a tuple of several values."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def element_by_element(
    convert: Callable[[Any], Any] | None,
) -> Callable[[Sequence[Any]], list[Any]] | None:
    """Return what an array goes through, given what an element does."""
    if convert is None:
        return None

    def converted(values: Sequence[Any]) -> list[Any]:
        return list(map(convert, values))

    return converted


def dummies(lists: Sequence[ExpandedList], shape: Sequence[int]) -> dict[str, list[None]]:
    """Return values for each list; only their number matters."""
    return {
        expanded.name: [None] * (1 if size < 0 else size) for expanded, size in zip(lists, shape)
    }


def processors_of(
    lists: Sequence[ExpandedList], wording: Wording
) -> dict[str, Callable[[Any], Any]]:
    """Return what each parameter of the lists goes through, where it goes through anything."""
    found: dict[str, Callable[[Any], Any]] = {}
    for expanded, size in zip(lists, wording.shape):
        each = expanded.convert
        convert: Any = element_by_element(each) if size < 0 else each
        if convert is not None:
            for key in wording.keys[expanded.name]:
                found[key] = convert
    return found
