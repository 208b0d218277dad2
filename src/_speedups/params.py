"""Bound parameters: mappings by name become positional tuples.

The execution context keeps one plan per compiled statement and calls it for every execution,
through fastpg._impl.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastpg._speedups import _pure as cython

if cython.compiled:  # never at run time; the compiler has to see the import to know the types
    import cython  # type: ignore[no-redef]


@cython.cclass
class ParamPlan:
    """The order of a statement's parameters and the bind processor of each."""

    _keys: tuple[Any, ...]  # Any: SQLAlchemy names parameters by subclasses of str, too
    _processors: tuple[Callable[[Any], Any] | None, ...]
    _plain: cython.bint

    @cython.annotation_typing(False)
    def __init__(self, keys: Sequence[str], processors: Mapping[str, Callable[[Any], Any]]) -> None:
        """Plan tuples in the order of `keys`; a key may occur more than once.

        `processors` maps keys to functions of one value; others than `keys` are ignored.
        TypeError when `keys` is a single string.
        """
        if isinstance(keys, str):
            raise TypeError(f"keys={keys!r}: pass a sequence of names, such as [{keys!r}]")
        self._keys = tuple(keys)
        self._processors = tuple([processors.get(key) for key in self._keys])
        self._plain = self._processors.count(None) == len(self._processors)

    def row(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the parameters of one execution; KeyError for a name that `values` lacks."""
        return self._row(values)

    def rows(self, many: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        """Return the parameters of an execution per mapping, in order; KeyError as in row()."""
        return [self._row(values) for values in many]

    @cython.cfunc
    def _row(self, values: Any) -> tuple[Any, ...]:
        """Look up every key and process its value where the key has a processor."""
        if self._plain:
            return tuple([values[key] for key in self._keys])
        row: list[Any] = []
        i: cython.Py_ssize_t
        for i in range(len(self._keys)):
            value = values[self._keys[i]]
            processor = self._processors[i]
            row.append(value if processor is None else processor(value))
        return tuple(row)
