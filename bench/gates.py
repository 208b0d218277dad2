"""The gates of bench/gates.toml: read, checked against the catalogue, and applied to figures.

bench/arena.py asks here after each benchmark. `PGFLIGHT_BENCH_GATES` names another file,
`PGFLIGHT_BENCH_SLACK` lowers the floors of time on a machine that others use as well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.catalogue import Benchmark, Comparison, Kind

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it along on 3.10

FILE = Path(__file__).with_name("gates.toml")
FILE_VARIABLE = "PGFLIGHT_BENCH_GATES"
SLACK_VARIABLE = "PGFLIGHT_BENCH_SLACK"
EVERY = "every"
MEASURES: dict[Kind, tuple[str, ...]] = {
    "time": ("cpu", "wall"),
    "memory": ("memory",),
    "backend": ("backend",),
    "calls": ("calls",),
    "waits": ("waits",),
    "bursts": ("bursts",),
}

Figures = Mapping[str, Mapping[str, list[float]]]
"""Label of a lane -> measure -> one figure for each round."""


class GateError(ValueError):
    """The gates cannot be used as they are written; the message lists every reason."""


@dataclass(frozen=True)
class Gate:
    """One bound: `floor` of reference / ours in time, `ceiling` of ours / reference otherwise."""

    comparison: Comparison
    measure: str
    key: str
    bound: float
    aim: float
    slack: float = 1.0

    @property
    def limit(self) -> float:
        """The bound with the slack in it; what is counted has no such noise, and gets none."""
        return self.bound * self.slack if self.key == "floor" else self.bound

    def ratio(self, figures: Figures) -> float:
        """Return the ratio of the medians of the rounds."""
        return self._divide(*map(median, self._sides(figures)))

    def paired(self, figures: Figures) -> float:
        """Return the median of the ratios within each round."""
        return median(map(self._divide, *self._sides(figures)))

    def best(self, figures: Figures) -> float:
        """Return the ratio of the lowest figures."""
        return self._divide(*map(min, self._sides(figures)))

    def holds(self, ratio: float) -> bool:
        """Tell whether `ratio` is on the right side of the limit."""
        return ratio >= self.limit if self.key == "floor" else ratio <= self.limit

    def reaches_aim(self, ratio: float) -> bool:
        """Tell whether `ratio` is on the right side of the aim."""
        return ratio >= self.aim if self.key == "floor" else ratio <= self.aim

    def _sides(self, figures: Figures) -> tuple[list[float], list[float]]:
        names = self.comparison.reference, self.comparison.ours
        reference, ours = (figures[name][self.measure] for name in names)
        return reference, ours

    def _divide(self, reference: float, ours: float) -> float:
        return reference / ours if self.key == "floor" else ours / reference


def slack() -> float:
    """Return the factor of PGFLIGHT_BENCH_SLACK, 1.0 when unset; GateError unless 0 < it <= 1."""
    given = os.environ.get(SLACK_VARIABLE, "")
    if not given:
        return 1.0
    try:
        factor = float(given)
    except ValueError:
        factor = 0.0
    if not 0.0 < factor <= 1.0:
        raise GateError(
            f"{SLACK_VARIABLE}={given!r}: give a number above 0 and up to 1 that the floors are"
            " multiplied by, such as 0.9, or unset it"
        )
    return factor


def load(benchmarks: Mapping[str, Benchmark], path: Path | None = None) -> dict[str, list[Gate]]:
    """Return the gates of each benchmark out of `path` or the file that the environment names.

    GateError lists what is wrong: an unknown benchmark, comparison, measure or key, a benchmark or
    comparison without a gate, an aim that is easier than its bound.
    """
    path = path or Path(os.environ.get(FILE_VARIABLE) or FILE)
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise GateError(f"{path} cannot be read: {error}") from error
    gates, problems = parse(document, benchmarks, slack())
    if problems:
        raise GateError("\n".join([f"{path}:", *(f"  {problem}" for problem in problems)]))
    return gates


def parse(
    document: Mapping[str, Any], benchmarks: Mapping[str, Benchmark], factor: float = 1.0
) -> tuple[dict[str, list[Gate]], list[str]]:
    """Return the gates that `document` describes, and what is wrong with it."""
    problems: list[str] = []
    common = document.get(EVERY, {})
    known = {c.name for b in benchmarks.values() if b.kind == "time" for c in b.comparisons}
    for name, table in common.items():
        if name not in known:
            problems.append(f"[{EVERY}.{name}]: no benchmark compares {name!r}")
        problems += _complaints(f"[{EVERY}.{name}]", table, "floor")
    for name in document:
        if name != EVERY and name not in benchmarks:
            problems.append(f"[{name}]: there is no such benchmark")
    gates: dict[str, list[Gate]] = {}
    for name, benchmark in benchmarks.items():
        if name in document:
            found = list(_gates(benchmark, document[name], common, factor, problems))
            gates[name] = found
        else:
            problems.append(f"[{name}] is missing: every benchmark has a gate")
    return gates, problems


def _gates(
    benchmark: Benchmark,
    table: Any,
    common: Mapping[str, Any],
    factor: float,
    problems: list[str],
) -> Iterator[Gate]:
    place = f"[{benchmark.name}]"
    if not isinstance(table, dict):
        problems.append(f"{place}: is not a table")
        return
    allowed = MEASURES[benchmark.kind]
    measures = table.get("measures", [allowed[0]])
    if not isinstance(measures, list) or not measures or not set(measures) <= set(allowed):
        problems.append(f"{place}: measures is a list out of {', '.join(allowed)}")
        measures = []
    names = [comparison.name for comparison in benchmark.comparisons]
    for key in table:
        if key != "measures" and key not in names:
            problems.append(f"{place}: {key!r} is none of: measures, {', '.join(names)}")
    bound = "floor" if benchmark.kind == "time" else "ceiling"
    for comparison in benchmark.comparisons:
        entry = table.get(comparison.name)
        if entry is None and benchmark.kind == "time":
            entry = common.get(comparison.name)
        if entry is None:
            problems.append(f"{place}: {comparison.name!r} has no gate")
            continue
        wrong = list(_complaints(f"{place} {comparison.name}", entry, bound))
        problems += wrong
        if not wrong:
            for measure in measures:
                yield Gate(comparison, measure, bound, entry[bound], entry["aim"], factor)


def _complaints(place: str, entry: Any, bound: str) -> Iterator[str]:
    """Yield what is wrong with one pair of `bound` (floor or ceiling) and aim."""
    if not isinstance(entry, dict):
        yield f"{place}: is not a table of {bound} and aim"
        return
    for key in entry:
        if key not in (bound, "aim"):
            yield f"{place}: {key!r} is none of: {bound}, aim"
    values = []
    for key in (bound, "aim"):
        value = entry.get(key)
        if value is None:
            yield f"{place}: {key} is missing"
        elif isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            yield f"{place}: {key} = {value!r} is not a number above 0"
        else:
            values.append(value)
    if len(values) == 2 and (values[1] < values[0] if bound == "floor" else values[1] > values[0]):
        yield f"{place}: the aim {values[1]} is easier than the {bound} {values[0]}"
