"""The pictures that pages show: colours of their own for readers who prefer dark pages."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pgflight.cli.dark import COLOURS, with_dark_colours

PICTURES = sorted((Path(__file__).parents[2] / "docs").glob("*.svg"))
COLOURED = re.compile(r'(?:fill|stroke)(?:="|: )(#[0-9a-f]{6})')


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_of_the_documentation_has_both(path: Path) -> None:
    """Every colour in it has a dark one; a new colour fails here until it is in the table."""
    text = path.read_text("utf-8")
    assert text.count("@media (prefers-color-scheme: dark)") == 1
    assert set(COLOURED.findall(text)) <= set(COLOURS), path
    ElementTree.fromstring(text)


def test_colours_are_replaced_where_they_stand() -> None:
    svg = '<?xml?><svg width="1"><rect fill="#ffffff"/><path style="stroke: #d1d9e0"/></svg>'
    made = with_dark_colours(svg)
    assert made.startswith('<?xml?><svg width="1">\n<style>@media')
    assert '[fill="#ffffff"],[style*="fill: #ffffff"]{fill:#0d1117!important}' in made
    assert '[stroke="#d1d9e0"],[style*="stroke: #d1d9e0"]{stroke:#3d444d!important}' in made
    assert "#0969da" not in made
    assert made.endswith('</style><rect fill="#ffffff"/><path style="stroke: #d1d9e0"/></svg>')


def test_what_is_no_picture_is_an_error() -> None:
    for document in ("<html></html>", "<svg/>"):
        with pytest.raises(ValueError, match="no <svg> element"):
            with_dark_colours(document)


def test_a_text_of_another_colour_keeps_it() -> None:
    made = with_dark_colours('<svg><text>a</text><text fill="#cf222e">b</text></svg>')
    assert 'text:not([fill]):not([style*="fill"]){fill:#e6edf3}' in made
