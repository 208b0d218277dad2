"""Lanes that run in turns, and the clock that lets pytest-benchmark record one of them.

bench/arena.py drives a Race. A lane is anything that runs n iterations and says what they took.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

BATCH_SECONDS = 0.03
_ATTEMPTS = 3
_FEWEST = 5


class Sample(NamedTuple):
    """Seconds that one batch took: on the wall, and of the client's processor."""

    wall: float
    cpu: float


Runner = Callable[[int], Sample]


class Race:
    """Runs every lane in each round, in an order that changes, and keeps seconds per iteration.

    `lanes` maps a label to its runner; `iterations` is the length of a batch.
    """

    def __init__(self, lanes: Mapping[str, Runner], iterations: int) -> None:
        self.lanes = dict(lanes)
        self.iterations = iterations
        self.figures: dict[str, dict[str, list[float]]] = {}
        self._rounds = 0
        self._forget()

    def order(self) -> list[str]:
        """Return the labels as the next round takes them: rotated, every other time backwards."""
        labels = list(self.lanes)
        start = self._rounds // 2 % len(labels)
        labels = labels[start:] + labels[:start]
        return labels[::-1] if self._rounds % 2 else labels

    def round(self) -> None:
        """Run one batch of every lane."""
        for label in self.order():
            sample = self.lanes[label](self.iterations)
            self.figures[label]["cpu"].append(sample.cpu / self.iterations)
            self.figures[label]["wall"].append(sample.wall / self.iterations)
        self._rounds += 1

    def warm_up(self, most: int, seconds: float) -> int:
        """Run a round that is not kept; return how many fit into `seconds`, from 5 to `most`."""
        start = time.perf_counter()
        self.round()
        taken = time.perf_counter() - start
        self._forget()
        return min(most, max(_FEWEST, int(seconds / taken)))

    def _forget(self) -> None:
        self.figures = {label: {"cpu": [], "wall": []} for label in self.lanes}

    def measure(self, rounds: int) -> None:
        """Run that many rounds."""
        for _ in range(rounds):
            self.round()


def iterations(runner: Runner, seconds: float = BATCH_SECONDS) -> int:
    """Return how many iterations of `runner` take about `seconds`, at least 1."""
    number = 1
    if runner(number).wall >= seconds:
        return number
    while True:
        took = min(runner(number).wall for _ in range(_ATTEMPTS))
        if took >= seconds / 4 or took * 4 >= seconds:
            return max(1, round(number * seconds / took))
        number = min(number * 10, max(number + 1, round(number * seconds / max(took, 1e-7) / 2)))


class Clock:
    """A timer for pytest-benchmark that runs by what a lane reports, not by the time of day.

    So its table and its JSON show client CPU seconds per iteration of that lane alone, though one
    call of the benchmarked function runs all of them.
    """

    def __init__(self) -> None:
        self._now = 0.0

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._now += seconds

    def read(self) -> float:
        """Return the seconds that have passed."""
        return self._now


CLOCK = Clock()
"""The clock that the arena advances; `CLOCK.read` is the timer of every gated benchmark."""
