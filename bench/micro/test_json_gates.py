"""The gated JSON benchmarks: documents to values and back, against the standard library."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.arena import Arena
from bench.catalogue import names
from bench.race import CLOCK


@pytest.mark.benchmark(timer=CLOCK.read)
@pytest.mark.parametrize("name", names("time", micro=True))
def test_json(name: str, benchmark: BenchmarkFixture, arena: Arena) -> None:
    arena.compete(name, benchmark)
