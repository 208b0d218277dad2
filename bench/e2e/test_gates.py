"""The gated benchmarks that need a server: time, peak memory, memory
of the server's process, function calls, waits and bursts of units of work.

What they are stands in bench/catalogue.py, their bounds in bench/gates.toml.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.arena import Arena
from bench.catalogue import names
from bench.race import CLOCK


@pytest.mark.benchmark(timer=CLOCK.read)
@pytest.mark.parametrize("name", names("time"))
def test_time(name: str, benchmark: BenchmarkFixture, arena: Arena) -> None:
    arena.compete(name, benchmark)


@pytest.mark.parametrize("name", names("memory"))
def test_memory(name: str, benchmark: BenchmarkFixture, arena: Arena) -> None:
    arena.compete(name, benchmark)


@pytest.mark.parametrize("name", names("backend"))
def test_backend(name: str, benchmark: BenchmarkFixture, arena: Arena) -> None:
    arena.compete(name, benchmark)


@pytest.mark.parametrize("name", names("calls"))
def test_calls(name: str, benchmark: BenchmarkFixture, arena: Arena) -> None:
    arena.compete(name, benchmark)


@pytest.mark.parametrize("name", names("waits"))
def test_waits(name: str, benchmark: BenchmarkFixture, arena: Arena) -> None:
    arena.compete(name, benchmark)


@pytest.mark.parametrize("name", names("bursts"))
def test_bursts(name: str, benchmark: BenchmarkFixture, arena: Arena) -> None:
    arena.compete(name, benchmark)
