"""The rounds of a benchmark: every lane in each of them, in an order that changes."""

from __future__ import annotations

import pytest

from bench.race import Race, Runner, Sample, iterations


def lanes(ran: list[str], *labels: str) -> dict[str, Runner]:
    """Return lanes that note when they run and take one second for each iteration."""

    def lane(label: str) -> Runner:
        def run(count: int) -> Sample:
            ran.append(label)
            return Sample(wall=2.0 * count, cpu=1.0 * count)

        return run

    return {label: lane(label) for label in labels}


def test_every_lane_runs_once_in_each_round() -> None:
    ran: list[str] = []
    race = Race(lanes(ran, "a", "b", "c"), 10)
    race.measure(6)
    rounds = [ran[start : start + 3] for start in range(0, 18, 3)]
    assert all(sorted(each) == ["a", "b", "c"] for each in rounds)
    # Nobody has a place of their own: each is first twice and last twice.
    for place in (0, 2):
        assert sorted(each[place] for each in rounds) == ["a", "a", "b", "b", "c", "c"]


def test_figures_are_seconds_of_one_iteration() -> None:
    race = Race(lanes([], "a"), 10)
    race.measure(3)
    assert race.figures == {"a": {"cpu": [1.0] * 3, "wall": [2.0] * 3}}


@pytest.mark.parametrize("seconds", [1e-7, 1e-5, 1e-3, 0.02, 3.0])
def test_a_batch_takes_about_the_time_asked_for(seconds: float) -> None:
    def run(count: int) -> Sample:
        return Sample(seconds * count + 5e-6, seconds * count)

    assert iterations(run, 0.04) == pytest.approx(max(1, 0.04 / seconds), rel=0.1)


@pytest.mark.parametrize("seconds, rounds", [(0.0, 5), (1e6, 11)])
def test_a_slow_machine_gets_fewer_rounds(seconds: float, rounds: int) -> None:
    race = Race(lanes([], "a", "b"), 1)
    assert race.warm_up(11, seconds) == rounds
    assert race.figures == {label: {"cpu": [], "wall": []} for label in "ab"}
