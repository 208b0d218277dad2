"""Nanoseconds of each compiled piece, compiled and interpreted, without a server.

    python -m pytest bench/micro --benchmark-json=micro.json

Each benchmark checks its result once; the figures are only worth something beside each other.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.fixtures.binds import plan
from tests.fixtures.impl import Impl
from tests.unit.record_source import records

SMALL = {"id": 12345, "name": "somebody", "tags": ["a", "b"]}
MEDIUM = {f"key {n}": [n, n / 4, None, True, {"text": "é" * 10, "n": n}] for n in range(10)}
KEYS = ("a", "b", "c", "d")
VALUES = {"a": 1, "b": "two", "c": 3.0, "d": None}


def test_thousand_records_to_tuples(benchmark: BenchmarkFixture, impl: Impl) -> None:
    rows = [(n, f"name {n}", n * 2, None) for n in range(1000)]
    given = records(["id", "name", "double", "none"], rows)
    # Conversion is in place, so every round needs a list of its own.
    converted = benchmark.pedantic(  # type: ignore[no-untyped-call]
        impl.rows.tuples, setup=lambda: ((list(given),), {}), rounds=500, warmup_rounds=20
    )
    assert converted == rows


@pytest.mark.parametrize("status", ["SELECT 1000", "INSERT 0 1", "CREATE TABLE"])
def test_rowcount(benchmark: BenchmarkFixture, impl: Impl, status: str) -> None:
    expected = {"SELECT 1000": 1000, "INSERT 0 1": 1, "CREATE TABLE": -1}[status]
    assert benchmark(impl.rows.rowcount, status) == expected


@pytest.mark.parametrize("document", [SMALL, MEDIUM], ids=["small", "medium"])
def test_jsonb_result(benchmark: BenchmarkFixture, impl: Impl, document: Any) -> None:
    decode = impl.converters.json_decoder(None, takes_bytes=False, prefix=1)
    assert benchmark(decode, b"\x01" + json.dumps(document).encode()) == document


def test_jsonb_parameter(benchmark: BenchmarkFixture, impl: Impl) -> None:
    text = json.dumps(SMALL)
    assert benchmark(impl.converters.json_encoder(b"\x01"), text) == b"\x01" + text.encode()


SETS = [dict(VALUES, a=n) for n in range(1000)]
PROCESSORS = [{}, {"b": str.upper}]


@pytest.mark.parametrize("processors", PROCESSORS, ids=["plain", "processed"])
@pytest.mark.parametrize("number", [1, 1000])
def test_parameters(benchmark: BenchmarkFixture, impl: Impl, processors: Any, number: int) -> None:
    planned = plan(impl, KEYS, processors)
    sets = SETS[:number]

    def rows() -> list[tuple[Any, ...]]:
        return planned.rows(planned.values(sets, None))  # type: ignore[arg-type]

    assert benchmark(rows)[-1] == (number - 1, "TWO" if processors else "two", 3.0, None)


def test_thousand_parameter_sets_as_dictionaries(benchmark: BenchmarkFixture, impl: Impl) -> None:
    planned = plan(impl, KEYS)
    values = planned.values(SETS, None)
    assert benchmark(planned.sets, values) == SETS


@pytest.mark.parametrize("lower", [0, 1])
def test_thousand_rows_of_parameters_in_one(
    benchmark: BenchmarkFixture, impl: Impl, lower: int
) -> None:
    batch = [tuple(given.values()) for given in SETS]
    joined = benchmark(impl.params.flatten, batch, lower, 4)
    assert len(joined) == lower + 1000 * (4 - lower)
    assert joined[-4 + lower :] == batch[-1][lower:]


def test_cache_hit(benchmark: BenchmarkFixture, impl: Impl) -> None:
    cache = impl.stmtcache.StatementCache(100)
    for number in range(100):
        cache.put(f"SELECT {number}", number)
    assert benchmark(cache.get, "SELECT 50") == 50
