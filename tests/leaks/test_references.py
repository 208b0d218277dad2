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

# Debian names the build data of its debug interpreter otherwise than that interpreter expects.
NAMED = {
    "_PYTHON_SYSCONFIGDATA_NAME": "_sysconfigdata_d_"
    + getattr(sys.implementation, "_multiarch", "")
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("counted", [name for name, found in INTERPRETERS.items() if found])
def test_references_level_off(counted: str, form: str) -> None:
    done = subprocess.run(
        [str(INTERPRETERS[counted]), "-m", "tests.leaks.references", form],
        env={
            **os.environ,
            **(NAMED if counted == "references" else {}),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["counted"] == counted
    assert report["calls"] > 20
    assert list(report["grown"]) == ["a leak on purpose"], report
