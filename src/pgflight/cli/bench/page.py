"""The results as one HTML page that needs no other file and no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from pgflight.cli.bench.plots import PLOTS, THEMES, svg
from pgflight.cli.bench.results import Results
from pgflight.cli.bench.tables import notes, tables

_STYLE = """
:root { color-scheme: light dark; --text: #1f2328; --page: #ffffff; --faint: #d1d9e0; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --page: #0d1117; --faint: #3d444d; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
svg { max-width: 100%; height: auto; }
.dark { display: none; }
@media (prefers-color-scheme: dark) { .light { display: none; } .dark { display: block; } }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--faint); text-align: right;
  vertical-align: bottom; white-space: nowrap; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
.first { font-weight: 600; }
"""


def page(results: Results, prediction: Sequence[str]) -> str:
    """Return the page."""
    return "\n".join(_parts(results, prediction)) + "\n"


def _parts(results: Results, prediction: Sequence[str]) -> Iterator[str]:
    title = f"pgflight bench, {results.setup.date}"
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>"
    yield f"<h1>{escape(title)}</h1>"
    for number, line in enumerate(prediction):
        yield f"<p{'' if number else ' class=first'}>{escape(line)}</p>"
    for plot in PLOTS:
        if plot.shows(results):
            yield f"<h2>{escape(plot.title)}</h2>\n<p>{escape(plot.about)}</p>"
            for theme in THEMES:
                yield f'<div class="{theme.name}">{svg(plot, results, theme)}</div>'
    for heading, headings, rows in tables(results):
        yield f'<h2>{escape(heading)}</h2>\n<div class="wide"><table>'
        yield _row("th", headings)
        yield from (_row("td", row) for row in rows)
        yield "</table></div>"
    yield from (f"<p>{escape(line)}</p>" for line in notes(results))
    yield "</body>\n</html>"


def _row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
