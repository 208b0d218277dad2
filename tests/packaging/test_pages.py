"""The generated pages are current, and what they are generated from is complete."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pgflight
from pgflight.dbapi.errors import BY_SQLSTATE_CLASS
from pgflight.options.table import OPTIONS
from tests.packaging.checkout import ROOT
from tools.docs import errors, options
from tools.docs.pages import DOCS, GENERATED, renewed


@pytest.mark.parametrize("page", GENERATED, ids=lambda page: page.name)
def test_a_generated_page_is_current(page: Path) -> None:
    assert page.read_text("utf-8") == renewed(page), "run: python -m tools.docs"


def test_every_option_has_one_row_with_its_default_and_origin() -> None:
    rows = [line for line in options.lines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
    assert {row[0].rstrip(" *").strip("`"): row[-1] for row in cells} == {
        name: option.source for name, option in OPTIONS.items()
    }
    assert len(rows) == len(OPTIONS)
    assert all(len(row) == 5 for row in cells)


def test_every_class_of_sqlstate_has_a_title() -> None:
    assert errors.TITLES.keys() == BY_SQLSTATE_CLASS.keys()


def test_the_demonstration_was_made_with_this_version() -> None:
    made = json.loads((DOCS / "demo.json").read_text("utf-8"))
    assert made["versions"]["pgflight"] == pgflight.__version__, (
        "run: python3 tools/demo.py --json docs/demo.json --svg docs/demo.svg"
    )


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:\n")[2]
    named = {word for word in navigation.split() if word.endswith(".md")}
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert named == pages | {"changelog.md", "contributing.md"}
