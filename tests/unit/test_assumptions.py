"""docs/assumptions.md names tests that exist, and each of its rows names one."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "assumptions.md"
COLUMNS = 5

_TEST = re.compile(r"`(tests/[\w/.]+\.py)::(\w+)`")


def rows() -> list[str]:
    """Return the rows of the page's tables, without their heads."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    return [line for line in lines if not line.startswith(("|---", "| shortcut |"))]


@cache
def functions(path: str) -> set[str]:
    """Return the names of the functions of a test module, also of its classes' methods."""
    tree = ast.parse((ROOT / path).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def test_there_are_rows() -> None:
    assert len(rows()) >= 20


def test_every_row_is_complete_and_names_a_test() -> None:
    for row in rows():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == COLUMNS, row
        assert all(cells), row
        assert _TEST.search(cells[-1]), f"no test is named: {row}"


def test_every_named_test_exists() -> None:
    missing = [
        f"{path}::{name}"
        for path, name in _TEST.findall(PAGE.read_text())
        if not (ROOT / path).is_file() or name not in functions(path)
    ]
    assert not missing
