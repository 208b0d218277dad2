"""What the compiled pieces find out at import may turn out otherwise: results stay the same.

Among others SQLAlchemy without its own extensions (DISABLE_SQLALCHEMY_CEXT), whose rows are laid
out in another way.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.fixtures.server import Server

READING = "tests.parity.programs.reading"
# By what programs/force.py does: extensions, layouts of Row and RowMapping, UUIDs left tracked.
FORCED = {
    "nothing": (True, True, True, False),
    "no_extensions": (False, True, True, False),
    "another_state": (True, False, False, False),
    "a_constructor": (True, False, False, False),
    "copied_index": (False, False, False, False),
    "other_mappings": (True, True, False, False),
    "uuids_that_refer": (True, True, True, True),
}


@pytest.mark.parametrize("form", ["compiled", "python"])
@pytest.mark.parametrize("forced", FORCED)
def test_both_dialects_read_the_same(server: Server, forced: str, form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-m", READING, forced],
        env={
            **os.environ,
            "DATABASE_URL": server.text(),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PGFLIGHT_IMPL": form,
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    extensions, rows, mappings, tracked = FORCED[forced]
    if form == "python":
        rows, mappings, tracked = False, False, True
    assert done.stdout.splitlines() == [
        f"extensions: {extensions}",
        f"form: {form}",
        f"layouts: {rows} {mappings}",
        f"uuids tracked: {tracked}",
        "same: True 100",
    ]
