"""A picture that is dark where its reader's other pages are.

GitHub, PyPI and the documentation site show a picture of README.md as a file of its own, which
nothing on the page can colour: so it holds both sets of colours, and the browser chooses.
"""

from __future__ import annotations

# Light -> dark: GitHub's colours for text, lines and marks on its two backgrounds.
COLOURS = {
    "#ffffff": "#0d1117",  # background
    "#1f2328": "#e6edf3",  # text
    "#59636e": "#9198a1",  # text that matters less
    "#d1d9e0": "#3d444d",  # lines
    "#8c959f": "#7d8590",  # the built-in dialect
    "#0969da": "#4493f8",  # pgflight
    "#80bfff": "#a5d6ff",  # its Python form
    "#bf8700": "#d29922",  # psycopg
    "#1a7f37": "#3fb950",  # asyncpg by hand
}


def with_dark_colours(svg: str) -> str:
    """Return an SVG document that is drawn with `COLOURS` for readers who prefer dark pages.

    A colour is found in ``fill`` and ``stroke``, as attributes and within ``style``. ValueError if
    the document has no ``<svg ...>``, or nothing in it.
    """
    opening = svg.find(">", svg.find("<svg"))
    if "<svg" not in svg or opening < 0 or svg[opening - 1] == "/":
        raise ValueError("the document has no <svg> element")
    rules = [
        f'[{name}="{light}"],[style*="{name}: {light}"]{{{name}:{dark}!important}}'
        for light, dark in COLOURS.items()
        for name in ("fill", "stroke")
        if f'{name}="{light}"' in svg or f"{name}: {light}" in svg
    ]
    if "<text" in svg:  # black where nothing colours it
        plain = 'text:not([fill]):not([style*="fill"])'
        rules.insert(0, f"{plain}{{fill:{COLOURS['#1f2328']}}}")
    style = "\n".join(["<style>@media (prefers-color-scheme: dark) {", *rules, "}</style>"])
    return f"{svg[: opening + 1]}\n{style}{svg[opening + 1 :]}"
