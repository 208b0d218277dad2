"""The tables of docs/application.md, written between its two marks, and their picture."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.app.operations import MIX
from bench.plots import FAINT, STYLE, save

OPENS, CLOSES = "<!-- figures -->\n", "<!-- end of the figures -->\n"
Document = dict[str, Any]
_DIALECTS = ("builtin", "pgflight", "psycopg")
_FROZEN = "pgflight, with gc.freeze() in both"
_COLOURS = {"pgflight": "#0969da", _FROZEN: "#1a7f37", "psycopg": "#bf8700"}


def write(page: Path, document: Document) -> None:
    """Renew the figures of ``page`` and the picture beside it; ValueError without the marks."""
    text = page.read_text("utf-8")
    if (text.count(OPENS), text.count(CLOSES)) != (1, 1):
        raise ValueError(f"{page}: a line {OPENS.strip()} and a line {CLOSES.strip()}, once each")
    before, _, rest = text.partition(OPENS)
    _, _, after = rest.partition(CLOSES)
    lines = "".join(f"{line}\n" for line in _lines(document))
    page.write_text(f"{before}{OPENS}\n{lines}\n{CLOSES}{after}", "utf-8")
    draw(document, page.with_suffix(".svg"))


def _lines(document: Document) -> Iterator[str]:
    yield document["conditions"]
    yield ""
    yield "The mix of all operations:"
    yield ""
    mixed, single = _as_written(document)
    yield from _table(mixed, _situation)
    yield ""
    yield "Each operation, 20 clients, over a Unix socket:"
    yield ""
    yield from _table(single, _operation)
    yield ""
    yield "The same where the service calls `gc.freeze()` when it starts (see below):"
    yield ""
    yield from _table([cell for cell in document["cells"] if cell["frozen"]], _operation)
    yield ""
    yield "Requests that come at random, in shares of what the built-in dialect can answer at most:"
    yield ""
    yield from _latencies([cell for cell in document["cells"] if cell["load"]])


def _as_written(document: Document) -> tuple[list[Document], list[Document]]:
    """Return the cells where clients ask the service as people write it: the mix, and the others.

    That is, in turn, not at random times.
    """
    cells = [cell for cell in document["cells"] if not cell["frozen"] and not cell["load"]]
    mixed = [cell for cell in cells if cell["operation"] == MIX]
    return mixed, [cell for cell in cells if cell["operation"] != MIX]


def _operation(cell: Document) -> str:
    return f"{cell['operation']}, {cell['loop']}"


def _situation(cell: Document) -> str:
    away = f", {cell['round_trip'] * 1e3:g} ms away" if cell["round_trip"] else ""
    clients = f"{cell['clients']} client{'s' * (cell['clients'] > 1)}"
    return f"{cell['loop']}, {clients}{away}"


def _table(cells: list[Document], title: Any) -> Iterator[str]:
    yield (
        "| | requests/s: built-in | pgflight | psycopg | pgflight : built-in"
        " | p50, p99 in ms: built-in | pgflight | psycopg | CPU µs: built-in | pgflight | psycopg |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    for cell in cells:
        rates = [f"{cell['dialects'][name]['rate']:,.0f}" for name in _DIALECTS]
        times = _times_and_processor(cell, "p50", "p99")
        yield f"| {' | '.join([title(cell), *rates, f'{_ratio(cell):.2f}', *times])} |"


def _latencies(cells: list[Document]) -> Iterator[str]:
    yield (
        "| | requests/s | p50, p90, p99 in ms: built-in | pgflight | psycopg"
        " | CPU µs: built-in | pgflight | psycopg |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for cell in cells:
        title = f"{_operation(cell)}, {cell['load']:.0%}"
        rate = f"{cell['dialects']['builtin']['rate']:,.0f}"
        times = _times_and_processor(cell, "p50", "p90", "p99")
        yield f"| {' | '.join([title, rate, *times])} |"


def _times_and_processor(cell: Document, *percentiles: str) -> list[str]:
    """Return these latencies of each dialect, in ms, then its processor time, in µs."""
    of = [cell["dialects"][name] for name in _DIALECTS]
    times = [", ".join(f"{each[p] * 1e3:.1f}" for p in percentiles) for each in of]
    return [*times, *(f"{each['processor'] * 1e6:,.0f}" for each in of)]


def _ratio(cell: Document, name: str = "pgflight") -> float:
    ratio: float = cell["dialects"][name]["rate"] / cell["dialects"]["builtin"]["rate"]
    return ratio


def draw(document: Document, path: Path) -> None:
    """Draw requests per second against the built-in dialect's: situations, then operations."""
    mixed, single = _as_written(document)
    frozen = {
        (cell["operation"], cell["loop"]): _ratio(cell)
        for cell in document["cells"]
        if cell["frozen"]
    }
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, len(mixed + single) * 0.36 + 2), layout="constrained")
        above, below = figure.subplots(2, height_ratios=[max(len(mixed), 1), max(len(single), 1)])
        _bars(above, [_situation(cell) for cell in mixed], _series(mixed))
        above.set_title("the mix of all operations", size=9, loc="left")
        series = _series(single)
        series[_FROZEN] = [frozen.get((cell["operation"], cell["loop"])) for cell in single]
        series = {name: series[name] for name in _COLOURS}
        _bars(below, [_operation(cell) for cell in single], series)
        below.set_title("20 clients", size=9, loc="left")
        below.set_xlabel("requests per second, times those on the built-in dialect", size=8)
        figure.suptitle("A FastAPI service", weight="bold")
        save(figure, path)


def _series(cells: list[Document]) -> dict[str, list[float | None]]:
    return {name: [_ratio(cell, name) for cell in cells] for name in ("pgflight", "psycopg")}


def _bars(axes: Axes, titles: list[str], series: dict[str, list[float | None]]) -> None:
    """Draw a row for each title, in it a bar of each series that has a number there."""
    height = 0.76 / len(series)
    for index, (name, numbers) in enumerate(series.items()):
        rows = [(row, number) for row, number in enumerate(numbers) if number is not None]
        places = [row + (index - (len(series) - 1) / 2) * height for row, _ in rows]
        ratios = [number for _, number in rows]
        bars = axes.barh(places, ratios, height * 0.95, color=_COLOURS[name], label=name)
        axes.bar_label(bars, [f"{ratio:.2f}" for ratio in ratios], padding=3, size=6.5)
    axes.axvline(1, color=FAINT, linewidth=1)
    axes.set_yticks(range(len(titles)), titles, size=7.5)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1 * max(filter(None, chain(*series.values())), default=1))
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=len(series), frameon=False, fontsize=7
    )
