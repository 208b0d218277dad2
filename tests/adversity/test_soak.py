"""The soak in short: 50 tasks, a fault a second; `python -m bench.soak` is the long form."""

from __future__ import annotations

import pytest

from bench.soak.storm import soak
from pgflight import driver
from tests.fixtures.engines import Dialect
from tests.fixtures.scale import scaled

pytestmark = pytest.mark.slow

SECONDS = scaled(60, least=20)
SEED = 1
FEW = 2
"""Errors that look avoidable: a fault from before a unit may reach it while it goes on elsewhere,
and then it is struck twice. The built-in dialect has some fifty."""


@pytest.mark.filterwarnings("ignore")  # of connections that are closed without their loop's turn
def test_nothing_is_wrong_lost_or_stuck(pgflight_dialect: Dialect) -> None:
    outcome = soak("ours", pgflight_dialect.server, SECONDS, SEED)
    print(outcome)
    assert outcome.done > SECONDS  # or it has shown nothing
    assert outcome.wrong == []
    assert (outcome.lost, outcome.halves, outcome.undead) == (0, 0, 0)
    assert outcome.hangs == 0
    assert outcome.whole
    if driver.is_private():  # at level public a stream's first rows are a question of their own
        assert outcome.avoidable <= FEW, outcome.errors
