"""Nothing in the tree has the project's first name, which belongs to somebody else on PyPI."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.packaging.checkout import ROOT

# In two parts, so that this file does not contain it.
FIRST_NAME = b"fast" + b"pg"
# What builds, tools and environments leave behind, where no git tells it from the sources.
NOT_SOURCES = {"build", "dist", "wheelhouse", "venv", "htmlcov", "__pycache__"}
HIDDEN_SOURCES = {".ci", ".github"}
BUILT = (".c", ".so", ".pyd", ".pyc", ".pyo")


def tracked(root: Path) -> set[str]:
    """Return what git tracks in the checkout `root`, and what it would add."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    return {os.fsdecode(name) for name in listing.stdout.split(b"\0") if name}


def walked(root: Path) -> set[str]:
    """Return the source files below `root`, a tree without git."""
    found = set()
    for directory, folders, files in os.walk(root):
        folders[:] = [
            name
            for name in folders
            if name not in NOT_SOURCES
            and not name.endswith(".egg-info")
            and (not name.startswith(".") or name in HIDDEN_SOURCES)
        ]
        found |= {
            Path(directory, name).relative_to(root).as_posix()
            for name in files
            if not name.endswith(BUILT) and not name.startswith(".coverage")
        }
    return found


def with_first_name(root: Path, names: Iterable[str]) -> list[str]:
    """Return the files, by path below `root`, that have the first name in their path or text."""
    return sorted(
        name
        for name in names
        # A file may be in git's index and no longer on the disk.
        if (root / name).is_file()
        and FIRST_NAME in os.fsencode(name).lower() + b"\0" + (root / name).read_bytes().lower()
    )


def test_no_file_has_the_first_name() -> None:
    names = tracked(ROOT) if (ROOT / ".git").exists() else walked(ROOT)
    here = Path(__file__).relative_to(ROOT).as_posix()
    assert {"README.md", "setup.py", "src/pgflight/__init__.py", here} <= names
    assert with_first_name(ROOT, names) == []


def test_the_tree_without_git_has_every_tracked_file() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this tree is no checkout: there is nothing to compare with")
    assert {name for name in tracked(ROOT) if (ROOT / name).is_file()} <= walked(ROOT)


def test_the_first_name_is_found_in_any_case_in_text_and_path(tmp_path: Path) -> None:
    name = FIRST_NAME.decode()
    texts = {
        "a.py": f"import {name}",
        "b.yml": f"{name.upper()}_X",
        f"{name.title()}.md": "",
        "c": "",
    }
    for file, text in texts.items():
        (tmp_path / file).write_text(text)
    assert with_first_name(tmp_path, walked(tmp_path)) == sorted({*texts} - {"c"})
