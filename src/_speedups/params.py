"""Bound parameters: parameter sets by name become positional tuples.

The execution context keeps one plan per compiled statement and calls it for every execution; the
compiler joins the tuples of many rows into one. Both go through pgflight._impl.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from pgflight._speedups import _pure as cython

if cython.compiled:  # never at run time; the compiler has to see the import to know the types
    import cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.cpython.ref import Py_INCREF
    from cython.cimports.cpython.tuple import PyTuple_New, PyTuple_SET_ITEM

_MISSING = object()
_PLAIN, _CALLED, _REQUIRED = 0, 1, 2


@cython.cclass
class ParamPlan:
    """Where each parameter of a statement comes from, what converts it, and where it goes."""

    # Any: SQLAlchemy names parameters by subclasses of str, too
    _count: cython.Py_ssize_t
    _binds: tuple[Any, ...]
    _keys: tuple[Any, ...]
    _names: tuple[Any, ...]
    _indexes: tuple[Any, ...]
    _kinds: bytes
    _sources: tuple[Any, ...]
    _processors: tuple[Any, ...]
    _straight: cython.bint
    _plain: cython.bint
    _by_key: Any
    _by_name: Any

    @cython.annotation_typing(False)
    def __init__(
        self,
        binds: Mapping[Any, str],
        indexes: Mapping[Any, int],
        positions: Sequence[str],
        processors: Mapping[str, Callable[[Any], Any]],
    ) -> None:
        """Plan tuples in the order of `positions`, which holds each name once.

        `binds` maps SQLAlchemy's bound parameters to their names, in the order in which they are
        evaluated; `indexes` some of them to their place among the extracted ones. `processors`
        maps names to functions of one value; others than `positions` are ignored. ValueError when
        `positions` does not hold each name of `binds` exactly once.
        """
        names = list(binds.values())
        count = len(names)
        if len(set(names)) != count or sorted(names) != sorted(positions):
            raise ValueError(f"positions={positions!r} must hold each of {names!r} once")
        self._count = count
        self._binds = tuple(binds)
        self._names = tuple(names)
        self._keys = tuple([bind.key for bind in binds])
        self._indexes = tuple([indexes.get(bind, -1) for bind in binds])
        self._kinds = bytes(
            [_REQUIRED if b.required else _CALLED if b.callable else _PLAIN for b in binds]
        )
        self._sources = tuple([names.index(name) for name in positions])
        self._processors = tuple([processors.get(name) for name in positions])
        self._straight = self._sources == tuple(range(count))
        self._plain = self._processors.count(None) == count
        # Of a single name an itemgetter returns the value itself, not a tuple.
        self._by_key = itemgetter(*self._keys) if count > 1 else None
        self._by_name = itemgetter(*self._names) if count > 1 else None

    @cython.annotation_typing(False)
    def values(
        self, many: Sequence[Mapping[str, Any]], extracted: Sequence[Any] | None
    ) -> list[tuple[Any, ...]] | int:
        """Return the values of each parameter set, in the order of `binds`.

        A set has a value under the parameter's key, or else under its name; if it has neither, the
        value is the extracted parameter's, or else the parameter's own. If a set lacks a required
        one, the set's number is returned, counted from 0.
        """
        if not cython.compiled and self._by_key is not None and set(map(type, many)) == {dict}:
            try:
                return list(map(self._by_key, many)) if many[0] else self._values(many, extracted)
            except KeyError:
                pass
        return self._values(many, extracted)  # type: ignore[no-any-return]

    @cython.cfunc
    def _values(self, many: Any, extracted: Any) -> Any:
        """Look the values up one by one."""
        i: cython.Py_ssize_t
        value: Any
        missing: object = _MISSING
        values: list[Any] = []
        # A default may be any code: a tuple must not be half filled while it runs.
        found: list[Any] = [None] * self._count
        for given in many:
            if type(given) is not dict:
                given = self._known(given)
            row: dict[Any, Any] = given
            for i in range(self._count):
                value = row.get(self._keys[i], missing)
                if value is missing:
                    value = row.get(self._names[i], missing)
                    if value is missing:
                        if self._kinds[i] == _REQUIRED:
                            return len(values)
                        value = self._default(i, extracted)
                found[i] = value
            values.append(tuple(found))
        return values

    @cython.cfunc
    def _known(self, given: Any) -> dict[Any, Any]:
        """Return what a mapping of any kind has under the parameters' keys and names."""
        known: dict[Any, Any] = {}
        if given:
            for key in chain(self._keys, self._names):
                if key in given:
                    known[key] = given[key]
        return known

    @cython.cfunc
    def _default(self, i: cython.Py_ssize_t, extracted: Any) -> Any:
        """Return the value of the parameter at `i` for a set that lacks it."""
        bind: Any = self._binds[i]
        if extracted is not None:
            index: cython.Py_ssize_t = self._indexes[i]
            if 0 <= index < len(extracted):
                bind = extracted[index]
        return bind.effective_value if self._kinds[i] == _CALLED else bind.value

    @cython.annotation_typing(False)
    def named(self, sets: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        """Return the values of complete sets by name, as `values` does; KeyError for a gap."""
        if self._by_name is not None:
            return list(map(self._by_name, sets))
        return [tuple([given[name] for name in self._names]) for given in sets]

    @cython.annotation_typing(False)
    def sets(self, values: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
        """Return a new dictionary by name for each set of `values`."""
        self._check(values)
        if not cython.compiled:
            names = self._names
            return [dict(zip(names, row)) for row in values]
        return self._sets(values)

    @cython.annotation_typing(False)
    def rows(self, values: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Return the positional parameters of each set of `values`, in a new list.

        Processors are called set after set, within a set in the order of `positions`; what one
        raises comes through. ValueError when `values` is not what `values()` returns.
        """
        self._check(values)
        if self._plain and self._straight:
            return list(values)
        if not cython.compiled and len(values) > 1:
            # zip() takes one value of each column in turn for each row: the order is that of a loop
            columns = [
                map(itemgetter(source), values)
                if processor is None
                else map(processor, map(itemgetter(source), values))
                for source, processor in zip(self._sources, self._processors)
            ]
            rows = list(zip(*columns))
            if len(rows) != len(values):  # zip() takes it for the end of a column
                raise StopIteration("a bind processor raised StopIteration")
            return rows
        return self._rows(values)

    @cython.annotation_typing(False)
    def columns(self, values: list[tuple[Any, ...]]) -> list[list[Any]]:
        """Return what `rows` would, as a new list for each of `positions`.

        Processors are called column after column. A processor's StopIteration comes through as
        RuntimeError. ValueError when `values` is not what `values()` returns.
        """
        self._check(values)
        if not cython.compiled and len(values) < 10_000:
            by_place = list(zip(*values)) or [()] * self._count
            return self._processed([list(by_place[source]) for source in self._sources])
        return self._processed(self._columns(values))

    @cython.cfunc
    def _columns(self, values: list[Any]) -> list[Any]:
        """Build the columns one by one."""
        j: cython.Py_ssize_t
        source: cython.Py_ssize_t
        row: tuple[Any, ...]
        columns: list[Any] = []
        for j in range(self._count):
            source = self._sources[j]
            column: list[Any] = []
            for row in values:
                column.append(row[source])
            columns.append(column)
        return columns

    @cython.cfunc
    def _processed(self, columns: list[Any]) -> list[Any]:
        """Call each column's processor for its values."""
        j: cython.Py_ssize_t
        for j in range(self._count):
            processor = self._processors[j]
            if processor is not None:
                column: list[Any] = columns[j]
                made: list[Any] = list(map(processor, column))
                if len(made) != len(column):  # list() takes it for the end
                    raise RuntimeError("a bind processor raised StopIteration")
                columns[j] = made
        return columns

    @cython.cfunc
    def _check(self, values: Any) -> object:
        """Raise unless `values` is a list of tuples of the right size."""
        if type(values) is list:
            if not cython.compiled:
                if set(map(type, values)) <= {tuple} and set(map(len, values)) <= {self._count}:
                    return None
            else:
                for row in values:
                    if type(row) is not tuple or len(row) != self._count:
                        break
                else:
                    return None
        raise ValueError(f"values must be a list of tuples of {self._count} values each")

    @cython.cfunc
    def _sets(self, values: list[Any]) -> list[dict[str, Any]]:
        """Build the dictionaries one by one."""
        j: cython.Py_ssize_t
        row: tuple[Any, ...]
        sets: list[dict[str, Any]] = []
        for row in values:
            made: dict[Any, Any] = {}
            for j in range(self._count):
                made[self._names[j]] = row[j]
            sets.append(made)
        return sets

    @cython.cfunc
    def _rows(self, values: list[Any]) -> list[tuple[Any, ...]]:
        """Build the rows one by one."""
        j: cython.Py_ssize_t
        source: cython.Py_ssize_t
        given: tuple[Any, ...]
        rows: list[tuple[Any, ...]] = []
        # As with defaults: processors run while a row is not complete.
        row: list[Any] = [None] * self._count
        for given in values:
            for j in range(self._count):
                source = self._sources[j]
                value: Any = given[source]
                processor = self._processors[j]
                if processor is not None:
                    value = processor(value)
                row[j] = value
            rows.append(tuple(row))
        return rows


@cython.annotation_typing(False)
def flatten(batch: list[Any], lower: int, upper: int) -> Any:
    """Return the parameters of a statement that serves all rows of `batch` at once.

    `batch` holds the positional parameters of each row, at least one. Those from `lower` up to
    `upper` are taken of every row, the others, in front of them and behind, of the first row.
    """
    if cython.compiled:
        joined: Any = _joined(batch, lower, upper)
        if joined is not None:
            return joined
    first = batch[0]
    if not lower and upper == len(first):
        return tuple(chain.from_iterable(batch))
    inner = tuple(chain.from_iterable([row[lower:upper] for row in batch]))
    return first[:lower] + inner + first[upper:]


@cython.cfunc
def _joined(batch: Any, lower: cython.Py_ssize_t, upper: cython.Py_ssize_t) -> object:
    """Return what flatten() does for a list of exact tuples of one size, None for all else."""
    if not cython.compiled or type(batch) is not list or not batch:
        return None
    row: tuple[Any, ...]
    item: object
    rows: list[Any] = batch
    number: cython.Py_ssize_t = len(rows)
    if type(rows[0]) is not tuple:
        return None
    first: tuple[Any, ...] = rows[0]
    size: cython.Py_ssize_t = len(first)
    if not 0 <= lower <= upper <= size:
        return None
    i: cython.Py_ssize_t
    j: cython.Py_ssize_t
    for i in range(number):
        if type(rows[i]) is not tuple or len(rows[i]) != size:
            return None
    # No code but this runs from here on: nobody sees the tuple before it is full.
    at: cython.Py_ssize_t = 0
    joined: tuple[Any, ...] = PyTuple_New(size + (number - 1) * (upper - lower))
    for j in range(lower):
        item = first[j]
        Py_INCREF(item)
        PyTuple_SET_ITEM(joined, at, item)
        at += 1
    for i in range(number):
        row = rows[i]
        for j in range(lower, upper):
            item = row[j]
            Py_INCREF(item)
            PyTuple_SET_ITEM(joined, at, item)
            at += 1
    for j in range(upper, size):
        item = first[j]
        Py_INCREF(item)
        PyTuple_SET_ITEM(joined, at, item)
        at += 1
    return joined


@cython.annotation_typing(False)
def within(values: Sequence[Any], most: int) -> bool:
    """Tell whether all `values`, at least one, are numbers from `-most` to `most`.

    Raises TypeError for what cannot be compared.
    """
    if cython.compiled:
        fits: cython.Py_ssize_t = _fit(values, most)
        if fits >= 0:
            return fits == 1
    return bool(-most <= min(values) and max(values) <= most)


@cython.cfunc
def _fit(values: Any, most: cython.longlong) -> cython.Py_ssize_t:
    """Return 1 or 0 for a list of exact ints, -1 for all else."""
    if not cython.compiled or type(values) is not list or not values:
        return -1
    items: list[Any] = values
    item: Any
    number: cython.longlong
    i: cython.Py_ssize_t
    fits: cython.Py_ssize_t = 1
    for i in range(len(items)):
        item = items[i]
        if type(item) is not int:
            return -1
        try:
            number = item
        except OverflowError:
            fits = 0
            continue
        if number < -most or number > most:
            fits = 0
    return fits


@cython.annotation_typing(False)
def longest(values: Sequence[Any]) -> int:
    """Return the length of the longest of `values`, at least one; TypeError for what has none."""
    if cython.compiled:
        length: cython.Py_ssize_t = _longest(values)
        if length >= 0:
            return length
    return max(map(len, values))


@cython.cfunc
def _longest(values: Any) -> cython.Py_ssize_t:
    """Return the length of the longest in a list of exact texts, -1 for all else."""
    if not cython.compiled or type(values) is not list or not values:
        return -1
    items: list[Any] = values
    item: object
    text: str
    i: cython.Py_ssize_t
    most: cython.Py_ssize_t = 0
    for i in range(len(items)):
        item = items[i]
        if type(item) is not str:
            return -1
        text = item
        if len(text) > most:
            most = len(text)
    return most
