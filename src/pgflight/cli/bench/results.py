"""What was measured, by unit of work and dialect, and what it was measured with."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping
from typing import Any

Key = tuple[str, str]
"""Name of the unit of work, name of the dialect."""


@dataclasses.dataclass
class Sample:
    """One unit of work on one dialect, done again and again by one task."""

    seconds: list[float] = dataclasses.field(default_factory=list)
    """What each took, wall clock."""
    _ordered: list[float] = dataclasses.field(default_factory=list)
    cpu_seconds: float = 0.0
    """Processor time of this process for all of them: SQLAlchemy, dialect and driver."""

    @property
    def median(self) -> float:
        """The median of the seconds."""
        return statistics.median(self.seconds)

    @property
    def cpu(self) -> float:
        """Processor seconds of one unit of work."""
        return self.cpu_seconds / len(self.seconds)

    def quantile(self, part: float) -> float:
        """Return the seconds that `part` (0 to 1) of the units did not exceed."""
        if len(self._ordered) != len(self.seconds):
            self._ordered = sorted(self.seconds)
        return self._ordered[min(int(part * len(self._ordered)), len(self._ordered) - 1)]


@dataclasses.dataclass(frozen=True)
class Setup:
    """What was measured where."""

    date: str
    server: str
    cpu: str
    versions: dict[str, str]
    implementation: str
    seconds: float
    rounds: int
    pool_size: int


@dataclasses.dataclass
class Results:
    """A whole run. Seconds are wall clock; a rate is per second."""

    setup: Setup
    dialects: list[str]
    refused: dict[str, str]
    """Dialect -> why it was not measured."""
    round_trip: float = 0.0
    """Seconds between a statement's last byte and its answer's first, and the server's work."""
    waits: dict[Key, float] = dataclasses.field(default_factory=dict)
    """Round trips of a unit of work."""
    not_counted: str = ""
    """The reason why round trips were not counted, if they were not."""
    alone: dict[Key, Sample] = dataclasses.field(default_factory=dict)
    at_once: dict[Key, dict[int, float]] = dataclasses.field(default_factory=dict)
    """Number of tasks -> units of work per second."""
    bulk: dict[Key, Sample] = dataclasses.field(default_factory=dict)

    def leave_out(self, dialects: Mapping[str, str]) -> None:
        """Drop what was measured of `dialects`, whose values are the reasons."""
        self.refused.update(dialects)
        self.dialects = [each for each in self.dialects if each not in dialects]
        for found in (self.waits, self.alone, self.at_once, self.bulk):
            for key in [key for key in found if key[1] in dialects]:
                del found[key]

    def document(self, rows: dict[str, int]) -> dict[str, Any]:
        """Return all of it in JSON's types; `rows` are those of each bulk unit."""
        return {
            "report": "pgflight bench",
            **dataclasses.asdict(self.setup),
            "dialects": self.dialects,
            "not_measured": self.refused,
            "round_trip_ms": _ms(self.round_trip),
            "waits_not_counted": self.not_counted,
            "units": [
                {
                    "unit": unit,
                    "dialect": dialect,
                    "waits": self.waits.get((unit, dialect)),
                    "count": len(sample.seconds),
                    "median_ms": _ms(sample.median),
                    "p90_ms": _ms(sample.quantile(0.9)),
                    "p99_ms": _ms(sample.quantile(0.99)),
                    "cpu_ms": _ms(sample.cpu),
                    "per_second": {str(n): round(r, 1) for n, r in at_once.items()},
                }
                for (unit, dialect), sample in self.alone.items()
                for at_once in [self.at_once.get((unit, dialect), {})]
            ],
            "rows": [
                {
                    "unit": unit,
                    "dialect": dialect,
                    "waits": self.waits.get((unit, dialect)),
                    "rows_per_second": round(rows[unit] / sample.median),
                    "cpu_ms": _ms(sample.cpu),
                }
                for (unit, dialect), sample in self.bulk.items()
            ],
        }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 4)
