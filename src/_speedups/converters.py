"""Converters of single values: uuid to text.

types.py uses `uuid_text`, through fastpg._impl.
"""

from __future__ import annotations

from typing import Any

from fastpg._speedups import _pure as cython

if cython.compiled:  # never at run time; the compiler has to see the import to know the types
    import cython  # type: ignore[no-redef]


@cython.annotation_typing(False)
def uuid_text(value: Any) -> str | None:
    """Return the canonical lower-case text of a UUID of uuid or asyncpg; None stays None."""
    return None if value is None else str(value)
