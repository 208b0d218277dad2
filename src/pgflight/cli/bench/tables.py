"""The results on the terminal, in tables that fit 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from pgflight.cli.bench.dialects import BUILTIN
from pgflight.cli.bench.results import Results, Sample
from pgflight.cli.bench.units import AT_ONCE, BULK, UNITS


def show(results: Results, prediction: Sequence[str], console: Console) -> None:
    """Print the tables of `results`, and what they mean for an application."""
    for title, headings, rows in tables(results):
        table = Table(
            title=title,
            title_justify="left",
            box=SIMPLE_HEAD,
            pad_edge=False,
            collapse_padding=True,
        )
        for number, heading in enumerate(headings):
            table.add_column(heading, justify="left" if number < 2 else "right", no_wrap=True)
        unit = ""
        for row in rows:
            if row[0] != unit and unit:
                table.add_section()
            table.add_row("" if row[0] == unit else row[0], *row[1:])
            unit = row[0]
        console.print(table)
    for line in notes(results):
        console.print(line, highlight=False, markup=False)
    console.print()
    for line in prediction:
        style = "bold" if line is prediction[0] else ""
        console.print(line, style=style, highlight=False, markup=False)


def tables(results: Results) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Yield each table: title, headings, rows of text. The first two columns are names."""
    latency = ["unit of work", "dialect", "waits", "median\nms", "p90\nms", "p99\nms", "client\nms"]
    yield "One task", [*latency, "times\nas fast"], [*_latencies(results)]
    levels = sorted({n for rates in results.at_once.values() for n in rates})
    title = "Tasks at once, units of work per second"
    yield title, ["unit of work", "dialect", *map(str, levels)], [*_throughputs(results, levels)]
    headings = ["", "dialect", "waits", "rows per\nsecond", "client\nms", "times\nas fast"]
    yield "Many rows", headings, [*_rows(results)]


def _latencies(results: Results) -> Iterator[list[str]]:
    for unit in UNITS:
        for dialect in results.dialects:
            sample = results.alone[unit.name, dialect]
            times = [sample.median, *sample.quantiles((0.9, 0.99)), sample.cpu]
            yield [
                unit.name,
                dialect,
                _waits(results, unit.name, dialect),
                *(f"{each * 1000:.3f}" for each in times),
                _times_as_fast(results.alone, unit.name, dialect),
            ]


def _throughputs(results: Results, levels: Sequence[int]) -> Iterator[list[str]]:
    for unit in AT_ONCE:
        for dialect in results.dialects:
            rates = results.at_once[unit.name, dialect]
            yield [unit.name, dialect, *(f"{rates[level]:,.0f}" for level in levels)]


def _rows(results: Results) -> Iterator[list[str]]:
    for unit in BULK:
        for dialect in results.dialects:
            sample = results.bulk[unit.name, dialect]
            yield [
                unit.name,
                dialect,
                _waits(results, unit.name, dialect),
                f"{unit.rows / sample.median:,.0f}",
                f"{sample.cpu * 1000:.1f}",
                _times_as_fast(results.bulk, unit.name, dialect),
            ]


def _waits(results: Results, unit: str, dialect: str) -> str:
    count = results.waits.get((unit, dialect))
    return "" if count is None else f"{count:.3g}"


def _times_as_fast(samples: dict[tuple[str, str], Sample], unit: str, dialect: str) -> str:
    against = samples.get((unit, BUILTIN))
    return "" if against is None else f"{against.median / samples[unit, dialect].median:.2f}"


def notes(results: Results) -> list[str]:
    """Return how it was measured, and what was not."""
    setup = results.setup
    named = ", ".join(f"{name} {version}" for name, version in setup.versions.items())
    said = [
        f"Wall clock; {setup.rounds} slices of {setup.seconds:g} s each, dialects in turn, a pool"
        f" of {setup.pool_size}. client: processor time of the program, not the server."
        " times as fast: against the built-in dialect, by the median. Tasks at once: the best of"
        " the slices.",
        f"{named}; {setup.implementation}; {setup.server}; {setup.cpu}; {setup.date}.",
    ]
    said += [f"Not measured: {name}, {why}." for name, why in results.refused.items()]
    if results.not_counted:
        said.append(f"Waits were not counted: {results.not_counted}.")
    return said
