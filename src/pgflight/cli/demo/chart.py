"""Draw a Report as an SVG picture: per step, time and round trips of both dialects.

`demo --svg FILE` writes it; the one in the README comes from there. Within a step the
longer bar always has the same length, so that short steps stay visible; the figures are absolute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from xml.sax.saxutils import escape

from pgflight.cli.dark import with_dark_colours
from pgflight.cli.demo.report import BUILTIN, PGFLIGHT, Measurement, Report

_WIDTH = 900
_NAME_WIDTH = 190
_PANEL_WIDTH = 240
_PANEL_GAP = 110
_TOP = 92
_ROW = 34
_BAR = 11
_COLOURS = {BUILTIN: "#8c959f", PGFLIGHT: "#0969da"}
_TEXT = "#1f2328"
_FAINT = "#59636e"


def draw(report: Report) -> str:
    """Return the SVG document."""
    rows = [*report.steps, report.total()]
    height = _TOP + _ROW * len(rows) + 62
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" '
        'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">',
        "<title>The same work on the built-in dialect and on pgflight</title>",
        f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="#ffffff" stroke="#d1d9e0"/>',
        _text(24, 34, "The same work, built-in dialect and pgflight", size=18, weight=600),
        *_legend(),
        *_panel(_panel_left(0), "seconds (median)", rows, Measurement.median, "{:.3f}"),
    ]
    if report.not_counted:
        parts.append(_text(_panel_left(1), 80, "round trips: not counted", fill=_FAINT))
    else:
        trips = _panel(_panel_left(1), "round trips", rows, _round_trips, "{:,.0f}")
        parts += trips
    for index, step in enumerate(rows):
        last = step is rows[-1]
        parts.append(
            _text(24, _TOP + _ROW * index + 15, step.name, size=13, weight=600 if last else 400)
        )
    note = f"rounds that took turns: {report.rounds}; shorter is better"
    for line, said in enumerate(_wrapped(f"{report.conditions()}; {note}", 135)):
        parts.append(_text(24, height - 34 + 15 * line, said, size=11, fill=_FAINT))
    return with_dark_colours("\n".join([*parts, "</svg>"]) + "\n")


def _panel(
    left: float,
    heading: str,
    rows: list[Measurement],
    measure: Callable[[Measurement, str], float],
    layout: str,
) -> Iterator[str]:
    yield _text(left, 80, heading, size=12, fill=_FAINT)
    for index, step in enumerate(rows):
        top = _TOP + _ROW * index
        figures = {side: measure(step, side) for side in (BUILTIN, PGFLIGHT)}
        scale = _PANEL_WIDTH / max(*figures.values(), 1e-9)
        for place, side in enumerate((BUILTIN, PGFLIGHT)):
            y = top + place * (_BAR + 1)
            width = max(figures[side] * scale, 1.0)
            yield (
                f'<rect x="{left}" y="{y}" width="{width:.1f}" height="{_BAR}" '
                f'fill="{_COLOURS[side]}"/>'
            )
            yield _text(left + width + 5, y + 9, layout.format(figures[side]), size=10)


def _legend() -> Iterator[str]:
    for x, side, label in ((24, BUILTIN, "built into SQLAlchemy"), (190, PGFLIGHT, "pgflight")):
        yield f'<rect x="{x}" y="48" width="12" height="12" fill="{_COLOURS[side]}"/>'
        yield _text(x + 18, 58, label, size=12)


def _text(
    x: float, y: float, said: str, *, size: int = 12, weight: int = 400, fill: str = _TEXT
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" fill="{fill}">'
        f"{escape(said)}</text>"
    )


def _panel_left(number: int) -> int:
    return 24 + _NAME_WIDTH + number * (_PANEL_WIDTH + _PANEL_GAP)


def _round_trips(step: Measurement, side: str) -> float:
    return step.round_trips[side]


def _wrapped(said: str, length: int) -> list[str]:
    lines = [""]
    for word in said.split():
        if lines[-1] and len(lines[-1]) + len(word) >= length:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".lstrip()
    return lines
