"""The result of the demonstration: the measurements, their JSON, and the table on the terminal.

`demo` fills a Report; `chart.py` draws the same Report as a picture.
"""

from __future__ import annotations

import dataclasses
import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

BUILTIN = "builtin"
PGFLIGHT = "pgflight"
SIDES = (BUILTIN, PGFLIGHT)


@dataclasses.dataclass
class Measurement:
    """One step: the time of each round, and the round trips, of both sides."""

    name: str
    rows: int
    seconds: dict[str, list[float]] = dataclasses.field(
        default_factory=lambda: {side: [] for side in SIDES}
    )
    cpu_seconds: dict[str, list[float]] = dataclasses.field(
        default_factory=lambda: {side: [] for side in SIDES}
    )
    """Processor time of this process: the dialect, the driver and SQLAlchemy, not the server."""
    round_trips: dict[str, int] = dataclasses.field(default_factory=dict)

    def median(self, side: str) -> float:
        """Return the median of the seconds that the step took on `side`."""
        return statistics.median(self.seconds[side])

    @property
    def speedup(self) -> float:
        """The built-in dialect's time divided by ours."""
        return self.median(BUILTIN) / self.median(PGFLIGHT)


@dataclasses.dataclass
class Report:
    """A whole run, with everything that is needed to judge it later."""

    date: str
    server: str
    cpu: str
    versions: dict[str, str]
    implementation: str
    driver: str
    rounds: int
    row_limit: int | None
    steps: list[Measurement]
    not_counted: str = ""
    """The reason why round trips were not counted, if they were not."""

    def total(self) -> Measurement:
        """Return the sum of all steps, round by round."""
        whole = Measurement("together", sum(step.rows for step in self.steps))
        for side in SIDES:
            rounds = zip(*(step.seconds[side] for step in self.steps), strict=True)
            whole.seconds[side] = [sum(one_round) for one_round in rounds]
            rounds = zip(*(step.cpu_seconds[side] for step in self.steps), strict=True)
            whole.cpu_seconds[side] = [sum(one_round) for one_round in rounds]
            if not self.not_counted:
                whole.round_trips[side] = sum(step.round_trips[side] for step in self.steps)
        return whole

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON's types, with the medians that readers look for."""
        plain = dataclasses.asdict(self)
        for step, shown in zip(self.steps, plain["steps"], strict=True):
            shown["median_seconds"] = {side: round(step.median(side), 6) for side in SIDES}
            shown["speedup"] = round(step.speedup, 3)
        return {"report": "pgflight demo", **plain}

    def conditions(self) -> str:
        """Return versions, machine and date in one sentence."""
        named = ", ".join(
            f"{label} {self.versions[name]}"
            for name, label in (
                ("pgflight", "pgflight"),
                ("sqlalchemy", "SQLAlchemy"),
                ("asyncpg", "asyncpg"),
                ("python", "Python"),
            )
        )
        return f"{named}; {self.server}; {self.implementation}; {self.cpu}; {self.date}"


def show(report: Report, console: Console) -> None:
    """Print the table of `report`."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    # Narrow enough for a terminal of 80 columns.
    table = Table(
        title="The same work on both dialects",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("step", no_wrap=True)
    headings = ["rows", "built-in\nseconds", "pgflight\nseconds", "times\nas fast"]
    if not report.not_counted:
        headings += ["built-in\ntrips", "pgflight\ntrips"]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for step in report.steps:
        table.add_row(*_cells(step))
    table.add_section()
    table.add_row(*_cells(report.total()), style="bold")
    console.print(table)
    rounds = "one round each" if report.rounds == 1 else f"median of {report.rounds} rounds each"
    console.print(f"Seconds: {rounds}, taking turns, nothing between client and server.")
    cpu = {side: statistics.median(report.total().cpu_seconds[side]) for side in SIDES}
    console.print(
        f"Of these the client's processor: {cpu[BUILTIN]:.2f} built-in, "
        f"{cpu[PGFLIGHT]:.2f} pgflight."
    )
    if report.not_counted:
        console.print(f"Round trips were not counted: {report.not_counted}")
    else:
        console.print("Round trips: counted in a run of its own, through a proxy.")
    console.print(report.conditions(), highlight=False)


def _cells(step: Measurement) -> list[str]:
    cells = [
        step.name,
        f"{step.rows:,}",
        f"{step.median(BUILTIN):.3f}",
        f"{step.median(PGFLIGHT):.3f}",
        f"{step.speedup:.2f}",
    ]
    return cells + [f"{step.round_trips[side]:,}" for side in SIDES if side in step.round_trips]
