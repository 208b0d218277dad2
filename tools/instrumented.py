"""A copy of the tree with extensions built in another way, for tools/sanitize.py and debug.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Without a database, without what starts compilers and installs, and without what never calls a
# compiled piece.
TESTS = (
    "tests/unit",
    "tests/differential",
    *("-m", "not db and not slow"),
    *(f"--ignore-glob=*test_{part}*" for part in ("activation", "cli", "demo", "tls", "url")),
)
SCALE = "0.12"  # 3,000 random documents of JSON per seed instead of 25,000
_BUILT = shutil.ignore_patterns("*.so", "*.pyd", "*.c", "__pycache__", "*.egg-info")

# The running interpreter's packages; a different interpreter has its own standard library.
PACKAGES = [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]


def build(tree: Path, python: str, **switches: str) -> None:
    """Copy the sources into the directory `tree`, which is made, and compile them for `python`.

    `switches` are added to the environment of the build. CalledProcessError when it fails.
    """
    tree.mkdir(exist_ok=True)
    for name in ("src", "tests", "bench", "tools", "docs"):
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=_BUILT)
    for file in (ROOT / "setup.py", ROOT / "pyproject.toml", ROOT / "LICENSE", *ROOT.glob("*.md")):
        shutil.copy(file, tree / file.name)
    link = tree / "src" / "pgflight" / "_speedups"
    if not link.exists():
        link.symlink_to(Path("..") / "_speedups")
    subprocess.run(
        [python, "setup.py", "-q", "build_ext", "--inplace", "--force", "--parallel", "2"],
        cwd=tree,
        env=environment(tree, PGFLIGHT_REQUIRE_EXTENSIONS="1", **switches),
        check=True,
    )


def environment(tree: Path, **more: str) -> dict[str, str]:
    """Return the environment in which an interpreter finds the copy, then our packages.

    PGFLIGHT_TEST_SCALE is taken from the caller's environment where it is set there.
    """
    path = os.pathsep.join([str(tree / "src"), str(tree), *PACKAGES])
    return {"PGFLIGHT_TEST_SCALE": SCALE, **os.environ, "PYTHONPATH": path, **more}


def test(
    tree: Path, python: Sequence[str], arguments: Sequence[str], env: Mapping[str, str]
) -> int:
    """Run pytest in the copy; return its exit status."""
    # pytest must not capture what C code writes as it aborts.
    options = ("-p", "no:cacheprovider", "--capture=sys")
    command = [*python, "-m", "pytest", *options, *(arguments or TESTS)]
    return abs(subprocess.run(command, cwd=tree, env=env).returncode)
