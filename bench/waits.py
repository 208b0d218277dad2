"""The picture of waits: how often and how long each peer waits in a unit of work.

    python -m bench.waits docs/benchmarks.json docs/waits.svg

Drawn from benchmarks.json, as bench/plots.py draws the other one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.catalogue import SHORT_TRIP
from bench.plots import FAINT, STYLE, Document, conditions, save
from bench.report import WAITS_NAME

# Label of a lane -> name in the legend, colour; the order of the bars.
_SHOWN = {
    "builtin": ("built-in", "#8c959f"),
    "compiled": ("pgflight, compiled", "#0969da"),
    "python": ("pgflight, Python", "#80bfff"),
    "psycopg": ("psycopg, async", "#bf8700"),
    "asyncpg": ("asyncpg by hand", "#1a7f37"),
}
_BAR = 0.16
_ROW_INCHES = 0.85


def write(directory: Path, document: Document) -> Path:
    """Draw `document` into `directory` and return the file."""
    path = directory / f"{WAITS_NAME}.svg"
    draw(document, path)
    return path


def counted(document: Document) -> list[Document]:
    """Return the benchmarks of which this is a picture."""
    return [b for b in document["benchmarks"] if b["kind"] == "waits"]


def draw(document: Document, path: Path) -> None:
    """Draw a bar for each unit of work and peer; ValueError where none was measured."""
    shown = counted(document)
    if not shown:
        raise ValueError("the report holds no waits: run the benchmarks named waits_*")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, len(shown) * _ROW_INCHES + 1.6), layout="constrained")
        axes = figure.subplots()
        _bars(axes, shown)
        figure.suptitle("Waits for the server in one unit of work", weight="bold")
        figure.supxlabel(
            f"waits; milliseconds with a round trip of {SHORT_TRIP * 1e3:g} ms; shorter is better;"
            f" {conditions(document)}",
            size=7.5,
            color=FAINT,
        )
        save(figure, path)


def _bars(axes: Axes, shown: list[Document]) -> None:
    for place, (label, (name, colour)) in enumerate(_SHOWN.items()):
        rows = [row for row, b in enumerate(shown) if label in b["medians"]]
        found = [shown[row]["medians"][label] for row in rows]
        bars = axes.barh(
            [row + (place - (len(_SHOWN) - 1) / 2) * _BAR for row in rows],
            [each["waits"] for each in found],
            height=_BAR,
            color=colour,
            label=name,
        )
        said = [f"{each['waits']:g}, {each['wall'] * 1e3:.1f} ms" for each in found]
        axes.bar_label(bars, said, padding=3, size=7, color=FAINT)
    axes.set_yticks(range(len(shown)), [b["title"] for b in shown])
    axes.invert_yaxis()
    axes.margins(x=0.12, y=0.02)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=len(_SHOWN), frameon=False, borderpad=0
    )


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text("utf-8")), Path(sys.argv[2]))
