"""The public API under mypy and pyright: what is right is accepted, what is wrong is rejected."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pgflight

HERE = Path(__file__).parent
# Where pgflight is imported from, unless type checkers look there by themselves.
_HOME = Path(pgflight.__file__).parents[1]
_EXTRA = [] if _HOME.name == "site-packages" else [str(_HOME)]
_SECONDS = 300


def mypy(name: str, directory: Path) -> set[int]:
    """Return the lines of the file in `directory` in which mypy, strict, sees errors."""
    # Ours is checked elsewhere: here it counts as installed, also where it is a source tree.
    (directory / "mypy.ini").write_text("[mypy]\nstrict = true\nfollow_imports = silent\n")
    status, output = call(directory, "mypy", "--no-error-summary", name)
    assert status in (0, 1), output
    found = re.findall(r"^(.*?):(\d+): error: ", output, re.MULTILINE)
    assert {file for file, _ in found} <= {name}, output
    return {int(line) for _, line in found}


def pyright(name: str, directory: Path) -> set[int]:
    """Return the lines of the file in `directory` in which pyright, as it comes, sees errors."""
    settings = {"include": [name], "extraPaths": _EXTRA}
    (directory / "pyrightconfig.json").write_text(json.dumps(settings))
    arguments = ["--outputjson", "--project", ".", "--pythonpath", sys.executable]
    status, output = call(directory, "pyright", *arguments)
    assert status in (0, 1), output
    report = json.loads(output)
    assert report["summary"]["filesAnalyzed"] == 1, output
    errors = [item for item in report["generalDiagnostics"] if item["severity"] == "error"]
    return {item["range"]["start"]["line"] + 1 for item in errors}


def call(directory: Path, module: str, *arguments: str) -> tuple[int, str]:
    """Run a checker in `directory`; return its status and what it wrote to standard output."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, "MYPYPATH": os.pathsep.join(_EXTRA)},
        cwd=directory,
        stdout=subprocess.PIPE,
        text=True,
        timeout=_SECONDS,
    )
    return done.returncode, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("check", [mypy, pyright])
@pytest.mark.parametrize("source", ["accepted.py", "rejected.txt"])
def test_the_public_api_is_typed(
    source: str, check: Callable[[str, Path], set[int]], tmp_path: Path
) -> None:
    text = (HERE / source).read_text()
    (tmp_path / "program.py").write_text(text)
    marked = {n for n, line in enumerate(text.splitlines(), 1) if line.endswith("# rejected")}
    assert bool(marked) == (source == "rejected.txt")
    assert check("program.py", tmp_path) == marked
