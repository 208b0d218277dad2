"""What a run has measured: kept while it lasts, then written as benchmarks.json.

The arena adds entries; bench/conftest.py prints the table and, with `--pgflight-report=DIR`, writes
the JSON, the page of bench/page.py and the pictures of bench/plots.py and bench/waits.py from it.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any

from bench.catalogue import BENCHMARKS, Benchmark
from bench.gates import Figures
from bench.peers.spec import PEERS
from bench.verdicts import Reading, Verdict
from pgflight.cli.environment import cpu_name

FORMAT = 1
NAME = "benchmarks"
WAITS_NAME = "waits"


@dataclass
class Entry:
    """One benchmark of the run."""

    benchmark: Benchmark
    iterations: int = 1
    figures: Figures = field(default_factory=dict)
    repeated: Figures | None = None
    verdicts: list[Verdict] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Return what pytest-benchmark's JSON carries as extra_info."""
        return {
            "unit": self.benchmark.unit,
            "rounds": max(
                len(values) for each in self.figures.values() for values in each.values()
            ),
            "iterations": self.iterations,
            "medians": {
                label: {measure: _short(median(values)) for measure, values in measures.items()}
                for label, measures in self.figures.items()
            },
            "gates": [_verdict(verdict) for verdict in self.verdicts],
        }

    def document(self) -> dict[str, Any]:
        """Return everything, every round included."""
        benchmark = self.benchmark
        return {
            "name": benchmark.name,
            "title": benchmark.title,
            "kind": benchmark.kind,
            **self.summary(),
            "figures": _figures(self.figures),
            "repeated": None if self.repeated is None else _figures(self.repeated),
        }


class Report:
    """The entries of a run and the conditions they were measured under."""

    def __init__(self, slack: float) -> None:
        self.slack = slack
        self.versions: dict[str, str] = {}
        self.server = ""
        self.transport = ""
        self.entries: list[Entry] = []
        self._started = datetime.now(timezone.utc)
        self._load = _load_average()

    def add(self, entry: Entry) -> None:
        """Take the result of one benchmark."""
        self.entries.append(entry)

    def document(self) -> dict[str, Any]:
        """Return the report as it is written to benchmarks.json."""
        taken = datetime.now(timezone.utc) - self._started
        versions = dict(self.versions)
        if self.server:
            versions["postgresql"] = self.server
        return {
            "format": FORMAT,
            "date": self._started.isoformat(timespec="seconds"),
            "seconds": round(taken.total_seconds()),
            "machine": {
                "cpu": cpu_name(),
                "cores": os.cpu_count(),
                "system": f"{platform.system()} {platform.release()}",
                "load_before": self._load,
                "load_after": _load_average(),
            },
            "versions": versions,
            "transport": self.transport,
            "slack": self.slack,
            "peers": {name: peer.title for name, peer in PEERS.items()},
            "missing": sorted(BENCHMARKS.keys() - {e.benchmark.name for e in self.entries}),
            "benchmarks": [entry.document() for entry in self.entries],
        }

    def write(self, directory: Path, document: dict[str, Any]) -> Path:
        """Write `document` into `directory`, which is made, and return the file."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{NAME}.json"
        path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
        return path

    def lines(self) -> Iterator[str]:
        """Yield the table for the terminal: one line for each gate."""
        heading = ("benchmark", "comparison", "measure", "ratio", "bound", "aim")
        yield "{:20} {:16} {:7} {:>6} {:>9} {:>5}".format(*heading)
        for entry in self.entries:
            for verdict in entry.verdicts:
                gate = verdict.gate
                bound = f"{'>=' if gate.key == 'floor' else '<='} {gate.limit:.4g}"
                state = "aim" if verdict.aim_reached else "" if verdict.held else "MISSED"
                yield (
                    f"{entry.benchmark.name:20} {gate.comparison.name:16} {gate.measure:7}"
                    f" {verdict.final.ratio:6.3f} {bound:>9} {gate.aim:5g} {state}"
                )


def _verdict(verdict: Verdict) -> dict[str, Any]:
    gate = verdict.gate
    return {
        "comparison": gate.comparison.name,
        "reference": gate.comparison.reference,
        "ours": gate.comparison.ours,
        "measure": gate.measure,
        gate.key: gate.bound,
        "aim": gate.aim,
        "held": verdict.held,
        "aim_reached": verdict.aim_reached,
        **_reading(verdict.final),
        "first": _reading(verdict.first),
    }


def _reading(reading: Reading) -> dict[str, float]:
    return {name: _short(value) for name, value in reading._asdict().items()}


def _figures(figures: Figures) -> dict[str, dict[str, list[float]]]:
    return {
        label: {measure: [_short(value) for value in values] for measure, values in each.items()}
        for label, each in figures.items()
    }


def _short(value: float) -> float:
    """Round to what a measurement is worth."""
    return float(f"{value:.5g}")


def _load_average() -> float | None:
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
