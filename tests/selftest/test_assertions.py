"""An assertion of a helper holds under `python -O`, too, and what it awaits is sent there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def helpers() -> list[str]:
    """Return the names of the modules beside the tests that make assertions."""
    found = []
    for path in sorted(ROOT.glob("tests/*/*.py")):
        asserts = re.search(r"^\s+assert ", path.read_text(), re.MULTILINE)
        if asserts and not path.name.startswith(("test_", "conftest")):
            found.append(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return found


@pytest.mark.parametrize("name", helpers())
def test_pytest_keeps_the_assertions_of_a_helper(name: str) -> None:
    loader = importlib.import_module(name).__loader__
    assert type(loader).__name__ == "AssertionRewritingHook"
