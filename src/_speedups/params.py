"""Bound parameters: mappings by name become positional tuples.

The execution context keeps one plan per compiled statement and calls it for every execution,
through fastpg._impl.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from fastpg._speedups import _pure as cython

if cython.compiled:  # never at run time; the compiler has to see the import to know the types
    import cython  # type: ignore[no-redef]


@cython.cclass
class ParamPlan:
    """The order of a statement's parameters and the bind processor of each."""

    # Any: SQLAlchemy names parameters by subclasses of str, too
    _steps: list[tuple[Any, Any]]
    _plain: cython.bint
    _getter: Any

    @cython.annotation_typing(False)
    def __init__(self, keys: Sequence[str], processors: Mapping[str, Callable[[Any], Any]]) -> None:
        """Plan tuples in the order of `keys`; a key may occur more than once.

        `processors` maps keys to functions of one value; others than `keys` are ignored.
        TypeError when `keys` is a single string.
        """
        if isinstance(keys, str):
            raise TypeError(f"keys={keys!r}: pass a sequence of names, such as [{keys!r}]")
        names = tuple(keys)
        self._steps = [(name, processors.get(name)) for name in names]
        # Without processors one call looks all names up; it returns a tuple from two names on.
        self._plain = len(names) > 1 and all(step[1] is None for step in self._steps)
        self._getter = itemgetter(*names) if self._plain else None

    def row(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the parameters of one execution; KeyError for a name that `values` lacks."""
        return self._row(values)

    def rows(self, many: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        """Return the parameters of an execution per mapping, in order; KeyError as in row()."""
        if self._plain:
            return list(map(self._getter, many))
        return [self._row(values) for values in many]

    @cython.cfunc
    def _row(self, values: Any) -> tuple[Any, ...]:
        """Look up every key and process its value where the key has a processor."""
        if self._plain:
            found: tuple[Any, ...] = self._getter(values)
            return found
        row: list[Any] = []
        for name, processor in self._steps:
            value = values[name]
            row.append(value if processor is None else processor(value))
        return tuple(row)
