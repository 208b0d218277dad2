"""The picture of docs/benchmarks.md and the README, drawn from benchmarks.json by matplotlib.

    python -m bench.plots docs/benchmarks.json docs/benchmarks.svg

The suffix of the second file chooses the format. Nothing in it is drawn by hand.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.catalogue import UNIT
from bench.report import NAME
from pgflight.cli.dark import with_dark_colours

Document = dict[str, Any]

# Label of a lane -> name in the legend, colour.
_SHOWN = {
    "compiled": ("pgflight, compiled", "#0969da"),
    "python": ("pgflight, Python", "#80bfff"),
    "psycopg": ("psycopg, async", "#bf8700"),
}
_TEXT = "#1f2328"
FAINT = "#59636e"
_BAR = 0.26
_ROW_INCHES = 0.36
_TITLE_INCHES = 0.18
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": NAME,  # the same figures give the same file
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": "#d1d9e0",
    "text.color": _TEXT,
    "axes.labelcolor": _TEXT,
    "xtick.color": FAINT,
    "ytick.color": _TEXT,
}


def write(directory: Path, document: Document) -> Path:
    """Draw `document` into `directory` and return the file."""
    path = directory / f"{NAME}.svg"
    draw(document, path)
    return path


def panels(document: Document) -> list[tuple[str, list[Document]]]:
    """Return the headings of what can be drawn, and the benchmarks under each."""
    timed = [b for b in document["benchmarks"] if b["kind"] == "time" and "builtin" in b["medians"]]
    found = [
        ("statements", [b for b in timed if b["unit"] == "statement"]),
        ("units of work, from the pool and back, wall", [b for b in timed if b["unit"] == UNIT]),
        ("JSON documents, without a server", [b for b in timed if b["unit"] == "document"]),
    ]
    return [(title, benchmarks) for title, benchmarks in found if benchmarks]


def draw(document: Document, path: Path) -> None:
    """Draw how many times as fast as the built-in dialect each peer is; ValueError without any."""
    shown = panels(document)
    if not shown:
        raise ValueError("the report holds no benchmark with the built-in dialect: run them all")
    rows = [len(benchmarks) for _, benchmarks in shown]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, sum(rows) * _ROW_INCHES + 1.9), layout="constrained")
        axes = figure.subplots(len(shown), 1, squeeze=False, height_ratios=rows)
        for (title, benchmarks), place in zip(shown, axes[:, 0]):
            _panel(place, title, benchmarks)
        figure.suptitle(
            # the second line is the legend's
            "Times as fast as SQLAlchemy's built-in postgresql+asyncpg dialect\n",
            weight="bold",
        )
        handles, labels = axes[0, 0].get_legend_handles_labels()
        under = (0.5, 1 - _TITLE_INCHES / figure.get_figheight())
        figure.legend(
            handles,
            labels,
            loc="upper center",
            bbox_to_anchor=under,
            ncols=len(_SHOWN),
            frameon=False,
        )
        said = f"client processor time, longer is better; {conditions(document)}"
        figure.supxlabel(said, size=7.5, color=FAINT)
        save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write the picture, the same bytes for the same figures; an SVG has dark colours as well."""
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    if path.suffix == ".svg":
        lines = path.read_text("utf-8").splitlines()
        path.write_text(
            with_dark_colours("\n".join(line.rstrip() for line in lines) + "\n"), "utf-8"
        )


def _panel(axes: Axes, title: str, benchmarks: list[Document]) -> None:
    """Draw one group of bars for each benchmark, the first on top."""
    for place, (label, (name, colour)) in enumerate(_SHOWN.items()):
        heights, ratios = [], []
        for row, benchmark in enumerate(benchmarks):
            ratio = _ratio(benchmark, label)
            if ratio is not None:
                heights.append(row + (place - 1) * _BAR)
                ratios.append(ratio)
        bars = axes.barh(heights, ratios, height=_BAR, color=colour, label=name)
        axes.bar_label(bars, fmt="%.2f", padding=3, size=6, color=FAINT)
    names = [b["title"] + (" (wall)" if _says_wall(b) else "") for b in benchmarks]
    axes.set_yticks(range(len(benchmarks)), names)
    axes.invert_yaxis()
    axes.axvline(1, color=_TEXT, linewidth=0.8)
    axes.margins(x=0.08, y=0.02)
    axes.set_title(title, loc="left", size=9, color=FAINT)
    axes.spines[["top", "right"]].set_visible(False)


def _ratio(benchmark: Document, label: str) -> float | None:
    """Return the ratio that counted for the gate, or that of what has none, None without any."""
    for gate in benchmark["gates"]:
        if (gate["reference"], gate["ours"]) == ("builtin", label):
            counted: float = gate["ratio"]
            return counted
    medians, measure = benchmark["medians"], _measure(benchmark)
    if label not in medians:
        return None
    ratio: float = medians["builtin"][measure] / medians[label][measure]
    return ratio


def _says_wall(benchmark: Document) -> bool:
    return benchmark["unit"] != UNIT and _measure(benchmark) == "wall"


def _measure(benchmark: Document) -> str:
    measure: str = benchmark["gates"][0]["measure"]
    return measure


def conditions(document: Document) -> str:
    """Return the machine, the versions and the day, on two lines."""
    versions = document["versions"]
    named = [
        f"{name} {versions[key]}"
        for key, name in (
            ("python", "Python"),
            ("sqlalchemy", "SQLAlchemy"),
            ("asyncpg", "asyncpg"),
            ("psycopg", "psycopg"),
            ("postgresql", "PostgreSQL"),
        )
        if key in versions
    ]
    machine = document["machine"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores\n{', '.join(named)}; {document['date'][:10]}"
    )


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text("utf-8")), Path(sys.argv[2]))
