"""What is generated in which page: the lines between two marks. Read by `__main__` and a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tools.docs import errors, options

DOCS = Path(__file__).resolve().parents[2] / "docs"
OPENS = "<!-- table: written by `python -m tools.docs` -->\n"
CLOSES = "<!-- end of the table -->\n"
GENERATED: dict[Path, Callable[[], Iterator[str]]] = {
    DOCS / "options.md": options.lines,
    DOCS / "errors.md": errors.lines,
}


def renewed(page: Path) -> str:
    """Return the text of a page with what is generated in it; ValueError without the marks."""
    text = page.read_text("utf-8")
    if (text.count(OPENS), text.count(CLOSES)) != (1, 1):
        raise ValueError(f"{page}: a line {OPENS.strip()} and a line {CLOSES.strip()}, once each")
    before, _, rest = text.partition(OPENS)
    _, _, after = rest.partition(CLOSES)
    table = "".join(f"{line}\n" for line in GENERATED[page]())
    return before + OPENS + table + CLOSES + after
