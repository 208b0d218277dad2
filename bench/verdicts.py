"""From figures to verdicts: every gate is judged, and a missed one gets one more chance.

bench/arena.py provides the figures; bench/report.py writes the verdicts down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from bench.gates import Figures, Gate


class Reading(NamedTuple):
    """The ratios of one measurement: of the medians (it counts), in pairs, of the lowest."""

    ratio: float
    paired: float
    best: float


@dataclass
class Verdict:
    """A gate with what was read for it; `repeated` is None unless the first reading missed."""

    gate: Gate
    first: Reading
    repeated: Reading | None = None

    @property
    def final(self) -> Reading:
        """The reading that counts."""
        return self.repeated or self.first

    @property
    def held(self) -> bool:
        """Whether the gate holds."""
        return self.gate.holds(self.final.ratio)

    @property
    def aim_reached(self) -> bool:
        """Whether the aim is reached as well."""
        return self.gate.reaches_aim(self.final.ratio)

    def __str__(self) -> str:
        gate = self.gate
        said = (
            f"{gate.comparison.name} ({gate.measure}): {self.final.ratio:.2f} x of"
            f" {gate.comparison.reference}, {gate.key} {gate.limit:.4g}, aim {gate.aim:g}"
        )
        return f"{said} (first {self.first.ratio:.2f})" if self.repeated else said


def read(gate: Gate, figures: Figures) -> Reading:
    """Return the ratios of `gate` in `figures`."""
    return Reading(gate.ratio(figures), gate.paired(figures), gate.best(figures))


def judge(
    gates: Sequence[Gate], first: Figures, again: Callable[[Set[str]], Figures]
) -> list[Verdict]:
    """Return a verdict for each gate.

    If one is missed, `again` measures the lanes that the missed ones compare once more.
    """
    verdicts = [Verdict(gate, read(gate, first)) for gate in gates]
    missed = [verdict for verdict in verdicts if not verdict.held]
    if missed:
        compared = [verdict.gate.comparison for verdict in missed]
        figures = again({label for c in compared for label in (c.reference, c.ours)})
        for verdict in missed:
            verdict.repeated = read(verdict.gate, figures)
    return verdicts
