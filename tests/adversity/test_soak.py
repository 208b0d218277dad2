"""The soak in short: 50 tasks, a fault a second; `python -m bench.soak` is the long form."""

from __future__ import annotations

import pytest

from bench.soak.storm import soak
from tests.fixtures.engines import Dialect
from tests.fixtures.scale import scaled

pytestmark = pytest.mark.slow

SECONDS = scaled(60, least=20)
SEED = 1


@pytest.mark.filterwarnings("ignore")  # of connections that are closed without their loop's turn
def test_nothing_is_wrong_lost_or_stuck(pgflight_dialect: Dialect) -> None:
    outcome = soak("ours", pgflight_dialect.server, SECONDS, SEED)
    print(outcome)
    assert outcome.done > SECONDS  # or it has shown nothing
    assert outcome.wrong == []
    assert (outcome.lost, outcome.halves, outcome.undead) == (0, 0, 0)
    assert outcome.hangs == 0
    assert outcome.whole
    assert outcome.avoidable == 0, outcome.errors
