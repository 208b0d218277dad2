"""A private copy of the source tree, and the builds and installs that the tests try on it.

Builds use the tools of the running environment (`--no-build-isolation`), so no network is needed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOP = ("CHANGELOG.md", "LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py")
SWITCHES = ("PGFLIGHT_IMPL", "PGFLIGHT_NO_EXTENSIONS", "PGFLIGHT_REQUIRE_EXTENSIONS")
# Whether it builds is the question here, not how fast what was built is: a third of the time.
_FLAGS = {"CFLAGS": "-O0"}
_BUILT = shutil.ignore_patterns("*.so", "*.pyd", "*.c", "__pycache__", "*.egg-info")


def copy(target: Path) -> Path:
    """Copy what a release is built from into `target` and return it."""
    target.mkdir()
    for name in TOP:
        shutil.copy(ROOT / name, target / name)
    shutil.copytree(ROOT / "src", target / "src", symlinks=True, ignore=_BUILT)
    # Where the tree is used without an install, a link makes _speedups visible inside pgflight.
    link = target / "src" / "pgflight" / "_speedups"
    if link.is_symlink():
        link.unlink()
    return target


def set_repository(tree: Path, address: str) -> None:
    """Write `address` into the setup.py of `tree`, as a release does."""
    setup = tree / "setup.py"
    text, number = re.subn(
        r'^REPOSITORY = ".*"$', f'REPOSITORY = "{address}"', setup.read_text(), flags=re.MULTILINE
    )
    if number != 1:
        raise AssertionError(f"setup.py assigns REPOSITORY {number} times")
    setup.write_text(text)


def run(
    *arguments: str, directory: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run this Python with `arguments`; none of our switches is inherited."""
    own = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    own.pop("PYTHONPATH", None)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=own | _FLAGS | dict(environment or {}),
        capture_output=True,
        text=True,
        timeout=280,
    )


def install(
    tree: Path, target: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Install `tree` into the directory `target` by pip, without its dependencies."""
    return run(
        *("-m", "pip", "install", "--no-index", "--no-deps", "--no-build-isolation"),
        *("--no-cache-dir", "--disable-pip-version-check", "--verbose"),
        *("--target", str(target), str(tree)),
        directory=tree,
        environment=environment,
    )


def use(target: Path, code: str) -> str:
    """Run `code` on the installation in `target`, warnings as errors; return its output."""
    ran = run("-W", "error", "-c", code, directory=target, environment={"PYTHONPATH": str(target)})
    # Not `assert`: python -O would drop it here, outside a test module.
    if ran.returncode:
        raise AssertionError(ran.stderr)
    return ran.stdout


def build(tree: Path, kind: str, environment: Mapping[str, str] | None = None) -> Path:
    """Build the `kind` ("sdist" or "wheel") of `tree` and return the only file it made."""
    output = tree / f"dist-{kind}"
    ran = run(
        *("-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(output), str(tree)),
        directory=tree,
        environment=environment,
    )
    if ran.returncode:
        raise AssertionError(ran.stdout + ran.stderr)
    (made,) = output.iterdir()
    return made
