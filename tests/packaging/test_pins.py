"""Everybody checks with the same versions of the same tools."""

from __future__ import annotations

import re

import pytest

from tests.packaging.checkout import ROOT

PINNED = re.compile(r'"(ruff|mypy|pyright)==([\d.]+)"')


def pins(name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for tool, version in PINNED.findall((ROOT / name).read_text("utf-8")):
        found.setdefault(tool, set()).add(version)
    return found


def test_before_a_commit_as_in_ci() -> None:
    ours = pins("pyproject.toml")
    assert set(ours) == {"ruff", "mypy", "pyright"}
    assert all(len(versions) == 1 for versions in ours.values())
    assert pins(".pre-commit-config.yaml") == {"ruff": ours["ruff"]}


@pytest.mark.parametrize("tool", ["ruff check", "ruff format", "mypy", "pyright"])
def test_each_tool_of_ci_is_a_hook(tool: str) -> None:
    assert f"name: {tool}\n" in (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
