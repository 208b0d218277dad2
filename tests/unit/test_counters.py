"""The sum over an engine's connections, living and gone."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from pgflight.dialect import PGDialect_asyncpg
from pgflight.session.statistics import _FOLD_AT, NOTHING, EngineCounters, Statistics


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
    numbers: Any = [10 * _FOLD_AT * n for n in (1, 2, 3, 4, 5)]
    assert counters.snapshot() == Statistics(*numbers)
    assert counters.snapshot() == counters.snapshot()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_a_copy_of_a_dialect_counts_for_itself(copied: Callable[[Any], Any]) -> None:
    """As with the built-in dialect, both kinds of copies can be made."""
    dialect: Any = PGDialect_asyncpg()
    dialect._counters.register(Retiring())
    twin = copied(dialect)
    assert type(twin) is PGDialect_asyncpg
    assert dialect._counters.snapshot() != NOTHING
    assert twin._counters.snapshot() == NOTHING
