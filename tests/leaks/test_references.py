"""No piece keeps a reference, in this interpreter and in a debug build of it where there is one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.impl import FORMS
from tools import debug, instrumented

pytestmark = pytest.mark.leak

DEBUG = debug.interpreter()
COUNTED = ("references", "blocks") if DEBUG else ("blocks",)
Run = Callable[[str], str]


@pytest.fixture(scope="module", params=COUNTED)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs `references.py` for a form and returns what it printed.

    In a debug build our extensions have to be built with its headers: those of an ordinary
    interpreter do not count what they do themselves.
    """
    if request.param == "references":
        tree = tmp_path_factory.mktemp("debug") / "tree"
        instrumented.build(tree, str(DEBUG))
        command, env = str(DEBUG), instrumented.environment(tree)
    else:
        tree = Path.cwd()
        command = sys.executable
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    def run(form: str) -> str:
        done = subprocess.run(
            [command, "-m", "tests.leaks.references", form],
            cwd=tree,
            env=env,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["counted"] == request.param
        return done.stdout

    return run


@pytest.mark.parametrize("form", FORMS)
def test_references_level_off(run: Run, form: str) -> None:
    report = json.loads(run(form))
    assert report["calls"] > 150
    assert list(report["grown"]) == ["an object kept on purpose", "a reference lost on purpose"], (
        report
    )
