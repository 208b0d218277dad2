"""The sum over an engine's connections, living and gone."""

from __future__ import annotations

from typing import Any

from fastpg.statistics import _FOLD_AT, EngineCounters, Statistics


class Retiring:
    """A connection that can be let go of."""

    def __init__(self) -> None:
        self.retired: Any = None

    def totals(self) -> Statistics:
        return Statistics(1, 2, 3, 4, 5)

    def retire_into(self, retired: Any) -> None:
        self.retired = retired

    def __del__(self) -> None:
        self.retired.append(self.totals())


def test_farewells_do_not_pile_up() -> None:
    counters = EngineCounters()
    for _ in range(10 * _FOLD_AT):
        counters.register(Retiring())
        assert len(counters._retired) <= _FOLD_AT
    assert counters.snapshot() == Statistics(*(10 * _FOLD_AT * n for n in (1, 2, 3, 4, 5)))
    assert counters.snapshot() == counters.snapshot()
