"""StatementCache: order, capacity and counters, on both forms."""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest

from pgflight._contracts import StatementCache
from tests.fixtures.impl import Impl


def counters(cache: StatementCache) -> tuple[int, int, int, int]:
    """Return hits, misses, evictions and invalidations."""
    return cache.hits, cache.misses, cache.evictions, cache.invalidations


def filled(impl: Impl, capacity: int, keys: str) -> StatementCache:
    """Return a cache with every key of `keys` stored under itself."""
    cache = impl.stmtcache.StatementCache(capacity)
    for key in keys:
        cache.put(key, key)
    return cache


def test_a_new_cache_is_empty(impl: Impl) -> None:
    cache = impl.stmtcache.StatementCache(3)
    assert (len(cache), cache.keys(), cache.capacity) == (0, [], 3)
    assert counters(cache) == (0, 0, 0, 0)


def test_get_counts_hits_and_misses(impl: Impl) -> None:
    cache = filled(impl, 2, "a")
    assert cache.get("a") == "a"
    assert cache.get("b") is None
    assert counters(cache) == (1, 1, 0, 0)


def test_the_least_recently_used_entry_leaves(impl: Impl) -> None:
    cache = filled(impl, 3, "abc")
    assert cache.get("a") == "a"
    cache.put("d", "d")
    assert cache.keys() == ["c", "a", "d"]
    assert counters(cache) == (1, 0, 1, 0)


def test_putting_a_known_key_replaces_and_refreshes_it(impl: Impl) -> None:
    cache = filled(impl, 2, "ab")
    cache.put("a", "new")
    assert cache.keys() == ["b", "a"]
    assert (cache.get("a"), len(cache), cache.evictions) == ("new", 2, 0)


def test_capacity_of_one(impl: Impl) -> None:
    cache = filled(impl, 1, "abc")
    assert (cache.keys(), cache.evictions) == (["c"], 2)


def test_looking_without_touching(impl: Impl) -> None:
    cache = filled(impl, 2, "ab")
    assert "a" in cache
    assert "z" not in cache
    assert cache.keys() == ["a", "b"]
    assert counters(cache) == (0, 0, 0, 0)


def test_pop_removes_without_counting(impl: Impl) -> None:
    cache = filled(impl, 2, "ab")
    assert cache.pop("a") == "a"
    assert cache.pop("a") is None
    assert cache.keys() == ["b"]
    assert counters(cache) == (0, 0, 0, 0)


def test_clear_counts_what_it_drops(impl: Impl) -> None:
    cache = filled(impl, 3, "ab")
    cache.clear()
    cache.clear()
    assert (len(cache), cache.invalidations) == (0, 2)
    cache.put("c", "c")
    cache.clear()
    assert counters(cache) == (0, 0, 0, 3)


def test_a_stored_none_is_a_hit(impl: Impl) -> None:
    cache = impl.stmtcache.StatementCache(1)
    cache.put("a", None)
    assert cache.get("a") is None
    assert counters(cache) == (1, 0, 0, 0)


def test_keys_is_a_snapshot(impl: Impl) -> None:
    cache = filled(impl, 2, "ab")
    keys = cache.keys()
    keys.clear()
    assert cache.keys() == ["a", "b"]


def test_a_key_that_cannot_be_hashed(impl: Impl) -> None:
    cache = filled(impl, 2, "a")
    for attempt in (cache.get, cache.pop, cache.__contains__, lambda key: cache.put(key, 1)):
        with pytest.raises(TypeError, match="unhashable"):
            attempt(["a"])
    assert cache.keys() == ["a"]
    assert counters(cache) == (0, 0, 0, 0)


@pytest.mark.parametrize("capacity", [0, -1, -(10**30), "5", 1.5, None])
def test_a_capacity_below_one_is_refused(impl: Impl, capacity: Any) -> None:
    with pytest.raises(ValueError, match="a statement cache holds at least 1 entry") as error:
        impl.stmtcache.StatementCache(capacity)
    assert str(error.value).startswith(f"capacity={capacity!r}: ")


def test_a_capacity_beyond_the_machine_is_no_limit(impl: Impl) -> None:
    cache = impl.stmtcache.StatementCache(10**30)
    cache.put("a", 1)
    assert cache.get("a") == 1


@pytest.mark.parametrize("name", ["hits", "misses", "evictions", "invalidations", "capacity"])
def test_counters_cannot_be_set(impl: Impl, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(impl.stmtcache.StatementCache(1), name, 7)


def test_dropped_values_are_let_go(impl: Impl) -> None:
    value = object()
    before = sys.getrefcount(value)
    cache = impl.stmtcache.StatementCache(2)
    for number in range(100):
        cache.put(number, value)
        cache.get(number)
    assert sys.getrefcount(value) == before + 2
    cache.pop(99)
    assert sys.getrefcount(value) == before + 1
    cache.clear()
    gc.collect()
    assert sys.getrefcount(value) == before
