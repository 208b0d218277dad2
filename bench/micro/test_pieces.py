"""Nanoseconds of each compiled piece, compiled and interpreted, without a server.

    python -m pytest bench/micro --benchmark-json=micro.json

Each benchmark checks its result once; the figures are only worth something beside each other.
"""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from sqlalchemy.engine import Row
from sqlalchemy.engine.result import SimpleResultMetaData

from tests.fixtures.binds import plan
from tests.fixtures.impl import Impl
from tests.unit.record_source import records
from tests.unit.value_samples import BOTH_WAYS

KEYS = ("a", "b", "c", "d")
VALUES = {"a": 1, "b": "two", "c": 3.0, "d": None}
# One value of each type, neither its first nor an end of the calendar.
TYPICAL = {
    name: (value, wire)
    for name, value, wire in BOTH_WAYS
    if repr(value)
    in (
        "datetime.date(2000, 2, 29)",
        "datetime.time(12, 34, 56, 789012)",
        "datetime.datetime(2024, 2, 29, 12, 34, 56, 789012)",
        "datetime.datetime(1969, 12, 31, 23, 59, 59, 5, tzinfo=datetime.timezone.utc)",
        "datetime.timedelta(days=3, seconds=4, microseconds=5)",
        "Decimal('-12345.678')",
    )
    or name == "timetz"
}


def test_thousand_records_to_tuples(benchmark: BenchmarkFixture, impl: Impl) -> None:
    rows = [(n, f"name {n}", n * 2, None) for n in range(1000)]
    given = records(["id", "name", "double", "none"], rows)
    # Conversion is in place, so every round needs a list of its own.
    converted = benchmark.pedantic(  # type: ignore[no-untyped-call]
        impl.rows.tuples, setup=lambda: ((list(given),), {}), rounds=500, warmup_rounds=20
    )
    assert converted == rows


def test_thousand_records_to_rows(benchmark: BenchmarkFixture, impl: Impl) -> None:
    rows = [(n, f"name {n}", n * 2, None) for n in range(1000)]
    keys = ("id", "name", "double", "none")
    given = records(keys, rows)
    index = {key: position for position, key in enumerate(keys)}
    factory = impl.results.RowFactory(Row, SimpleResultMetaData(keys), None, index)
    made = benchmark.pedantic(  # type: ignore[no-untyped-call]
        factory.fill, setup=lambda: ((list(given),), {}), rounds=500, warmup_rounds=20
    )
    assert made == rows
    assert type(made[0]) is Row


def test_thousand_records_to_a_column(benchmark: BenchmarkFixture, impl: Impl) -> None:
    rows = [(n, f"name {n}") for n in range(1000)]
    given = records(("id", "name"), rows)
    index = {"id": 0, "name": 1}
    factory = impl.results.RowFactory(Row, SimpleResultMetaData(("id", "name")), None, index)
    made = benchmark.pedantic(  # type: ignore[no-untyped-call]
        factory.column, setup=lambda: ((list(given), 1), {}), rounds=500, warmup_rounds=20
    )
    assert made == [name for _, name in rows]


def test_bytes_received(benchmark: BenchmarkFixture, impl: Impl) -> None:
    """What it costs to stand between a transport and a protocol that does nothing."""

    class Protocol:
        received = 0

        def data_received(self, data: bytes) -> None:
            self.received = len(data)

    protocol = Protocol()
    benchmark(impl.receiving.Receiver(protocol).data_received, bytes(20_000))
    assert protocol.received == 20_000


@pytest.mark.parametrize("status", ["SELECT 1000", "INSERT 0 1", "CREATE TABLE"])
def test_rowcount(benchmark: BenchmarkFixture, impl: Impl, status: str) -> None:
    expected = {"SELECT 1000": 1000, "INSERT 0 1": 1, "CREATE TABLE": -1}[status]
    assert benchmark(impl.rows.rowcount, status) == expected


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


@pytest.mark.parametrize("name", TYPICAL)
def test_value_result(benchmark: BenchmarkFixture, impl: Impl, name: str) -> None:
    value, wire = TYPICAL[name]
    decode = (impl.numeric if name == "numeric" else impl.temporal).CODECS[name][1]
    assert benchmark(decode, wire) == value


@pytest.mark.parametrize("name", TYPICAL)
def test_value_parameter(benchmark: BenchmarkFixture, impl: Impl, name: str) -> None:
    value, wire = TYPICAL[name]
    encode = (impl.numeric if name == "numeric" else impl.temporal).CODECS[name][0]
    assert benchmark(encode, value) == wire


def test_uuid_text(benchmark: BenchmarkFixture, impl: Impl) -> None:
    text = "0f8fad5b-d9cb-469f-a165-70867728950e"
    assert benchmark(impl.uuids.uuid_text, uuid.UUID(text)) == text


def test_a_member_of_an_enum(benchmark: BenchmarkFixture, impl: Impl) -> None:
    look = impl.processors.lookup({"a": 1, "b": 2}, str)
    assert benchmark(look, "b") == 2
