"""No piece keeps a reference, in this interpreter and in a debug build of it where there is one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.fixtures.impl import FORMS

pytestmark = pytest.mark.leak

# Debian's python3.11-dbg and the like: loads the extensions of an ordinary interpreter.
DEBUG = shutil.which(f"python{sys.version_info[0]}.{sys.version_info[1]}-dbg")
INTERPRETERS = {"references": DEBUG, "blocks": sys.executable}

# An interpreter of its own brings a standard library of its own.
SEARCH_PATH = [
    entry
    for entry in sys.path
    if entry and ("site-packages" in entry or not entry.startswith(sys.base_prefix))
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("counted", [name for name, found in INTERPRETERS.items() if found])
def test_references_level_off(counted: str, form: str) -> None:
    done = subprocess.run(
        [str(INTERPRETERS[counted]), "-m", "tests.leaks.references", form],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(SEARCH_PATH)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["counted"] == counted
    assert report["calls"] > 20
    assert list(report["grown"]) == ["a leak on purpose"], report
