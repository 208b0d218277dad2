"""The results as pictures, each drawn once for a light page and once for a dark one."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pgflight.cli.bench.dialects import BUILTIN, PGFLIGHT, PSYCOPG
from pgflight.cli.bench.results import Results
from pgflight.cli.bench.units import AT_ONCE, BULK, UNITS

_COLOURS = {BUILTIN: "#8c959f", PGFLIGHT: "#2f81f7", PSYCOPG: "#d29922"}
_BAR = 0.8
_WIDTH = 9.0
_POINTS = 200  # of a curve


class Theme(NamedTuple):
    """A page's colours."""

    name: str
    text: str
    faint: str


THEMES = (Theme("light", "#1f2328", "#d1d9e0"), Theme("dark", "#e6edf3", "#3d444d"))


class Plot(NamedTuple):
    """A picture of the page; `shows` tells whether there is anything to draw."""

    title: str
    about: str
    draw: Callable[[Results, Figure], None]
    height: float
    shows: Callable[[Results], bool] = lambda results: True


def svg(plot: Plot, results: Results, theme: Theme) -> str:
    """Return the picture as an SVG element without a background."""
    style: dict[Any, Any] = {
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": f"{plot.title} {theme.name}",  # unique names in one page
        "font.family": "sans-serif",
        "font.size": 9,
        "axes.edgecolor": theme.faint,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": theme.faint,
        "legend.frameon": False,
    }
    inked = ("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color")
    style.update((name, theme.text) for name in inked)
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(_WIDTH, plot.height), layout="constrained")
        plot.draw(results, figure)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(labels))
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def _latencies(results: Results, figure: Figure) -> None:
    places = figure.subplots(2, 2).flat
    parts = [n / _POINTS for n in range(_POINTS + 1)]
    percent = [part * 100 for part in parts]
    for unit, axes in zip(UNITS, places):
        for dialect in results.dialects:
            times = [each * 1000 for each in results.alone[unit.name, dialect].quantiles(parts)]
            axes.plot(
                times, percent, color=_COLOURS[dialect], label=dialect, drawstyle="steps-post"
            )
        axes.set_title(unit.name, loc="left")
        axes.set_xscale("log")
        _plain_numbers(axes)
        axes.set_xlabel("milliseconds or less")
        axes.set_ylabel("% of the units")
        axes.grid(visible=True, alpha=0.5)


def _throughputs(results: Results, figure: Figure) -> None:
    for unit, axes in zip(AT_ONCE, figure.subplots(1, len(AT_ONCE))):
        levels: list[int] = []
        for dialect in results.dialects:
            rates = results.at_once[unit.name, dialect]
            levels = sorted(rates)
            heights = [rates[level] for level in levels]
            axes.plot(levels, heights, marker="o", color=_COLOURS[dialect], label=dialect)
        axes.set_title(unit.name, loc="left")
        axes.set_xscale("log")
        axes.set_xticks(levels, [str(level) for level in levels])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_xlabel("tasks at once")
        axes.set_ylabel("units of work per second")
        axes.grid(visible=True, alpha=0.5)


def _rows(results: Results, figure: Figure) -> None:
    for unit, axes in zip(BULK, figure.subplots(1, len(BULK))):
        for place, dialect in enumerate(results.dialects):
            rate = unit.rows / results.bulk[unit.name, dialect].median
            bar = axes.barh(place, rate, _BAR, color=_COLOURS[dialect], label=dialect)
            axes.bar_label(bar, [f" {rate:,.0f}"])
        axes.set_title(f"{unit.name}: rows per second", loc="left")
        _bars(axes)


def _waits(results: Results, figure: Figure) -> None:
    axes = figure.subplots()
    units = (*UNITS, *BULK)
    dialects = [each for each in results.dialects if (units[-1].name, each) in results.waits]
    thick = _BAR / len(dialects)
    for number, dialect in enumerate(dialects):
        counts = [results.waits[unit.name, dialect] for unit in units]
        places = [row + (number - (len(dialects) - 1) / 2) * thick for row in range(len(units))]
        bars = axes.barh(places, counts, thick, color=_COLOURS[dialect], label=dialect)
        axes.bar_label(bars, [f" {count:.3g}" for count in counts])
    _bars(axes)
    axes.set_yticks(range(len(units)), [unit.name for unit in units])


def _bars(axes: Axes) -> None:
    """Let bars go from the top down, with room for their labels, and without axes."""
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.set_yticks([])
    axes.set_xticks([])
    axes.spines[:].set_visible(False)


def _plain_numbers(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


PLOTS = (
    Plot(
        "Waits",
        "Round trips of one unit of work: how often it waits for the server.",
        _waits,
        4.2,
        lambda results: (BULK[-1].name, PGFLIGHT) in results.waits,
    ),
    Plot("Latency", "One task at a time: which part of the units was done by then.", _latencies, 6),
    Plot("Throughput", "Many tasks on one pool of connections.", _throughputs, 3.4),
    Plot("Many rows", "One statement at a time.", _rows, 2.2),
)
