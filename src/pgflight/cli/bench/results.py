"""What was measured, by unit of work and dialect, and what it was measured with."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from pgflight.cli.bench.units import BULK

Key = tuple[str, str]
"""Name of the unit of work, name of the dialect."""


@dataclasses.dataclass
class Sample:
    """One unit of work on one dialect, done again and again by one task."""

    seconds: list[float] = dataclasses.field(default_factory=list)
    """What each took, wall clock."""
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

    def quantiles(self, parts: Sequence[float]) -> list[float]:
        """Return for each part (0 to 1) the seconds that it of the units did not exceed."""
        ordered = sorted(self.seconds)
        return [ordered[min(int(part * len(ordered)), len(ordered) - 1)] for part in parts]


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

    def document(self) -> dict[str, Any]:
        """Return all of it in JSON's types."""
        return {
            "report": "pgflight bench",
            **dataclasses.asdict(self.setup),
            "dialects": self.dialects,
            "not_measured": self.refused,
            "round_trip_ms": _ms(self.round_trip),
            "waits_not_counted": self.not_counted,
            "units": [self._unit(key, sample) for key, sample in self.alone.items()],
            "rows": [self._rows(key, sample) for key, sample in self.bulk.items()],
        }

    def _unit(self, key: Key, sample: Sample) -> dict[str, Any]:
        p90, p99 = sample.quantiles((0.9, 0.99))
        rates = self.at_once.get(key, {})
        return {
            **self._named(key),
            "count": len(sample.seconds),
            "median_ms": _ms(sample.median),
            "p90_ms": _ms(p90),
            "p99_ms": _ms(p99),
            "cpu_ms": _ms(sample.cpu),
            "per_second": {str(tasks): round(rate, 1) for tasks, rate in rates.items()},
        }

    def _rows(self, key: Key, sample: Sample) -> dict[str, Any]:
        (rows,) = (unit.rows for unit in BULK if unit.name == key[0])
        return {
            **self._named(key),
            "rows_per_second": round(rows / sample.median),
            "cpu_ms": _ms(sample.cpu),
        }

    def _named(self, key: Key) -> dict[str, Any]:
        return {"unit": key[0], "dialect": key[1], "waits": self.waits.get(key)}


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 4)
