"""StatementCache: both forms follow one naive model through any sequence of operations."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pgflight._contracts import StatementCache
from tests.differential.outcome import outcome
from tests.fixtures.impl import load

compiled = load("compiled").stmtcache
python = load("python").stmtcache

KEYS = st.one_of(st.integers(0, 6), st.sampled_from(["a", "b", 1.0, True, None, (1, 2)]))
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["get", "get", "pop", "__contains__"]), KEYS),
        st.tuples(st.just("put"), KEYS, st.one_of(st.none(), st.integers())),
        st.tuples(st.sampled_from(["clear", "keys", "__len__"])),
        st.tuples(st.sampled_from(["get", "pop", "__contains__"]), st.just(["unhashable"])),
    ),
    max_size=60,
)


class Model:
    """The contract written as slowly and plainly as can be."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.entries: list[tuple[Any, Any]] = []
        self.hits = self.misses = self.evictions = self.invalidations = 0

    def _take(self, key: Any) -> list[tuple[Any, Any]]:
        hash(key)
        taken = [entry for entry in self.entries if entry[0] == key]
        self.entries = [entry for entry in self.entries if entry[0] != key]
        return taken

    def get(self, key: Any) -> Any:
        taken = self._take(key)
        self.entries += taken
        self.hits += len(taken)
        self.misses += 1 - len(taken)
        return taken[0][1] if taken else None

    def put(self, key: Any, value: Any) -> None:
        # As in a dictionary, the first of several equal keys stays.
        taken = self._take(key)
        self.entries.append((taken[0][0] if taken else key, value))
        while len(self.entries) > self.capacity:
            del self.entries[0]
            self.evictions += 1

    def pop(self, key: Any) -> Any:
        taken = self._take(key)
        return taken[0][1] if taken else None

    def clear(self) -> None:
        self.invalidations += len(self.entries)
        self.entries = []

    def keys(self) -> list[Any]:
        return [key for key, _ in self.entries]

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, key: object) -> bool:
        hash(key)
        return key in self.keys()


def state(cache: StatementCache | Model) -> tuple[Any, ...]:
    """Return all that can be seen of a cache."""
    counters = (cache.hits, cache.misses, cache.evictions, cache.invalidations)
    return (*counters, len(cache), [(type(key), key) for key in cache.keys()], cache.capacity)


@settings(max_examples=500, deadline=None)
@given(st.integers(1, 5), OPERATIONS)
def test_operations(capacity: int, operations: list[tuple[Any, ...]]) -> None:
    model = Model(capacity)
    caches = [form.StatementCache(capacity) for form in (compiled, python)]
    for name, *arguments in operations:
        expected = outcome(getattr(model, name), *arguments)
        for cache in caches:
            assert outcome(getattr(cache, name), *arguments) == expected
            assert state(cache) == state(model)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.integers(), st.floats(), st.text(max_size=3), st.none(), st.booleans()))
def test_construction(capacity: Any) -> None:
    def told(form: Any) -> tuple[Any, ...]:
        return outcome(lambda: form.StatementCache(capacity).capacity, messages=True)

    assert told(compiled) == told(python)
