"""The least-recently-used cache of one connection's prepared statements.

pgflight.session has one per connection, through pgflight._impl. The cache only drops entries; its
owner closes the dropped statements on the server.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import Any

from pgflight._speedups import _pure as cython

if cython.compiled:  # never at run time; the compiler has to see the import to know the types
    import cython  # type: ignore[no-redef]

_MISSING = object()


@cython.cclass
class StatementCache:
    """A mapping of at most `capacity` entries that counts what happens to it."""

    _entries: OrderedDict[Any, Any]
    _latest: object
    _capacity: cython.Py_ssize_t
    _hits: cython.Py_ssize_t
    _misses: cython.Py_ssize_t
    _evictions: cython.Py_ssize_t
    _invalidations: cython.Py_ssize_t

    @cython.annotation_typing(False)
    def __init__(self, capacity: int) -> None:
        """Start empty; ValueError when `capacity` is not a whole number of at least 1."""
        if not isinstance(capacity, int) or capacity < 1:
            raise ValueError(
                f"capacity={capacity!r}: a statement cache holds at least 1 entry; "
                "for no caching at all, do without the cache"
            )
        self._entries = OrderedDict()
        self._latest = _MISSING  # the key that needs no move to be the most recent
        self._capacity = int(min(capacity, sys.maxsize))
        self._hits = 0
        self._misses = 0
        self._evictions = 0
        self._invalidations = 0

    @property
    def capacity(self) -> int:
        """The number of entries beyond which the least recently used one is dropped."""
        return self._capacity

    @property
    def hits(self) -> int:
        """How often get() found its key."""
        return self._hits

    @property
    def misses(self) -> int:
        """How often get() did not find its key."""
        return self._misses

    @property
    def evictions(self) -> int:
        """How many entries put() dropped to make room."""
        return self._evictions

    @property
    def invalidations(self) -> int:
        """How many entries clear() dropped."""
        return self._invalidations

    def get(self, key: Any) -> Any:
        """Return the value of `key` and mark it most recent; None when it is not there."""
        # `in` and a subscript are slots to the compiler, get() would be a method call: 10 ns less
        entries = self._entries
        if key in entries:
            self._hits += 1
            if key is not self._latest:
                entries.move_to_end(key)
                self._latest = key
            return entries[key]
        self._misses += 1
        return None

    def put(self, key: Any, value: Any) -> None:
        """Store `value` as the most recent entry; drop the least recent one beyond capacity."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        self._latest = key
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
            self._evictions += 1

    def pop(self, key: Any) -> Any:
        """Remove `key` and return its value, None when it is not there; no counter changes."""
        self._latest = _MISSING
        return self._entries.pop(key, None)

    def clear(self) -> None:
        """Drop every entry and count them as invalidated."""
        self._invalidations += len(self._entries)
        self._entries.clear()
        self._latest = _MISSING

    def keys(self) -> list[Any]:
        """Return the keys, least recently used first."""
        return list(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        """Tell whether `key` is there, without marking it or counting."""
        return key in self._entries
