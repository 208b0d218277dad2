"""Processors of single values that SQLAlchemy's types ask for, without Python frames in between.

pgflight.dialect.types makes them, through pgflight._impl; the row factories and parameter plans
call them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pgflight._speedups import _pure as cython

if cython.compiled:  # never at run time; the compiler has to see the import to know the types
    import cython  # type: ignore[no-redef]

_MISSING = object()


@cython.annotation_typing(False)
def lookup(mapping: dict[Any, Any], otherwise: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function from a key of `mapping` to its value.

    For a value that is not a key, or cannot be one, it returns or raises what `otherwise` does.
    Later changes of `mapping` are seen. TypeError when it is not a dict.
    """
    if not isinstance(mapping, dict):
        raise TypeError(f"a value is looked up in a dict, not in a {type(mapping).__name__}")
    get = mapping.get
    missing = _MISSING

    def look(value: Any) -> Any:
        try:
            found = get(value, missing)
        except Exception:
            return otherwise(value)
        return otherwise(value) if found is missing else found

    return look
