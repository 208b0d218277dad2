"""The passes of `.ci/run` cover every pair of levels, and no smaller set would."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from tools.ci.environments import FACTORS, PASSES, VERSIONS, Environment
from tools.ci.steps import STEPS

NAMES = tuple(FACTORS)


def pairs(environments: list[Environment]) -> set[tuple[str, str, str, str]]:
    """Return every two levels of two factors that meet in one of the environments."""
    return {
        (one, getattr(each, one), other, getattr(each, other))
        for each in environments
        for one, other in combinations(NAMES, 2)
    }


def all_pairs() -> set[tuple[str, str, str, str]]:
    return {
        (one, here, other, there)
        for one, other in combinations(NAMES, 2)
        for here, there in product(FACTORS[one], FACTORS[other])
    }


def test_levels_are_those_of_the_table() -> None:
    assert Environment._fields == NAMES
    assert set(VERSIONS) == set(FACTORS["versions"])
    for each in PASSES.values():
        for name, level in zip(NAMES, each):
            assert level in FACTORS[name]


def test_every_pair_meets() -> None:
    assert len(all_pairs()) == 6 * 4 + 4 * 6  # of two levels each, and of the versions with them
    assert all_pairs() - pairs(list(PASSES.values())) == set()


@pytest.mark.parametrize("name", PASSES)
def test_no_pass_can_be_left_out(name: str) -> None:
    others = [each for other, each in PASSES.items() if other != name]
    assert all_pairs() - pairs(others)


@pytest.mark.parametrize("name", PASSES)
def test_every_pass_is_run_by_a_step(name: str) -> None:
    """With the tests that go through the whole dialect and compare it with the built-in one."""
    suites = [suite for step in STEPS for suite in step.suites(full=False)]
    assert any(
        suite.environment == PASSES[name] and "tests/parity" in suite.paths for suite in suites
    )


def test_a_pass_sets_what_it_names() -> None:
    assert PASSES["default"].variables() == {
        "PGFLIGHT_IMPL": "compiled",
        "PGFLIGHT_DRIVER": "private",
        "PGFLIGHT_TEST_SERVER": "local",
    }
    assert PASSES["opposite"].variables() == {
        "PGFLIGHT_IMPL": "python",
        "PGFLIGHT_DRIVER": "public",
        "PGFLIGHT_TEST_SERVER": "embedded",
        "PYTHONOPTIMIZE": "1",
    }
