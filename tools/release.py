"""Refuse to release a tree that is not ready for the tag: python tools/release.py v0.1.0

The workflow that builds the wheels runs it for a tag v*, and tools/wheels.py where HEAD has one.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def constant(file: Path, name: str) -> str:
    """Return the text that `file` assigns to `name`; SystemExit when it assigns none."""
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return str(ast.literal_eval(node.value))
    raise SystemExit(f"{file} assigns nothing to {name}")


def fragments(root: Path) -> list[str]:
    """Return the names of the changes that towncrier has not moved into CHANGELOG.md."""
    return sorted(
        file.name
        for file in (root / "changes").glob("*")
        if file.name != "README.md" and not file.name.startswith(".")
    )


def check(root: Path, tag: str) -> None:
    """Raise SystemExit unless the tree `root` can be released as `tag`."""
    version = constant(root / "src" / "pgflight" / "__init__.py", "__version__")
    if tag != f"v{version}":
        raise SystemExit(
            f"the tag {tag} is not v{version}, the version in src/pgflight/__init__.py: "
            "change one of them"
        )
    if not constant(root / "setup.py", "REPOSITORY"):
        raise SystemExit(
            f"REPOSITORY in setup.py is empty, so the links of the README would lead nowhere on "
            f"PyPI: write the address of the repository there before {tag} is released"
        )
    left = fragments(root)
    if left:
        raise SystemExit(
            f"changes/ has {', '.join(left)}: run towncrier build --version {version} before {tag} "
            "is released"
        )
    if "(not released)" in (root / "CHANGELOG.md").read_text("utf-8"):
        raise SystemExit(f"CHANGELOG.md says (not released): write the date of {tag} in its place")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python tools/release.py TAG")
    check(ROOT, sys.argv[1])
