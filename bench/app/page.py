"""The tables of docs/application.md, written between its two marks, and their picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from bench.app.operations import MIX
from bench.plots import FAINT, STYLE, save

OPENS, CLOSES = "<!-- figures -->\n", "<!-- end of the figures -->\n"
Document = dict[str, Any]
_COLOURS = {"pgflight": "#0969da", "psycopg": "#bf8700"}


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
    yield from _table([cell for cell in document["cells"] if cell["operation"] == MIX], _situation)
    yield ""
    yield "Each operation, 20 clients, over a Unix socket:"
    yield ""
    single = [cell for cell in document["cells"] if cell["operation"] != MIX]
    yield from _table(single, lambda cell: f"{cell['operation']}, {cell['loop']}")


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
        of = cell["dialects"]
        names = ("builtin", "pgflight", "psycopg")
        rates = [f"{of[name]['rate']:,.0f}" for name in names]
        times = [f"{of[name]['p50'] * 1e3:.1f}, {of[name]['p99'] * 1e3:.1f}" for name in names]
        used = [f"{of[name]['processor'] * 1e6:,.0f}" for name in names]
        yield f"| {' | '.join([title(cell), *rates, f'{_ratio(cell):.2f}', *times, *used])} |"


def _ratio(cell: Document, name: str = "pgflight") -> float:
    ratio: float = cell["dialects"][name]["rate"] / cell["dialects"]["builtin"]["rate"]
    return ratio


def draw(document: Document, path: Path) -> None:
    """Draw requests per second against the built-in dialect's, a bar for each cell and dialect."""
    cells = document["cells"]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, len(cells) * 0.36 + 1.4), layout="constrained")
        axes = figure.subplots()
        for offset, (name, colour) in zip((-0.19, 0.19), _COLOURS.items()):
            ratios = [_ratio(cell, name) for cell in cells]
            places = [number + offset for number in range(len(cells))]
            bars = axes.barh(places, ratios, 0.36, color=colour, label=name)
            axes.bar_label(bars, [f"{ratio:.2f}" for ratio in ratios], padding=3, size=7)
        axes.axvline(1, color=FAINT, linewidth=1)
        titles = [
            f"{cell['operation']}: {_situation(cell)}"
            if cell["operation"] == MIX
            else f"{cell['operation']}: {cell['loop']}"
            for cell in cells
        ]
        axes.set_yticks(range(len(cells)), titles, size=7.5)
        axes.invert_yaxis()
        axes.legend(loc="lower right", frameon=False)
        axes.set_xlabel("requests per second, times those on the built-in dialect", size=8)
        figure.suptitle("A FastAPI service", weight="bold")
        save(figure, path)
