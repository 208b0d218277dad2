"""SQLAlchemy without its own extensions (DISABLE_SQLALCHEMY_CEXT): rows have another layout."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.fixtures.server import Server
from tests.parity.test_program import PROGRAMS

RUN = "import asyncio, without_extensions; asyncio.run(without_extensions.main())"


@pytest.mark.parametrize("form", ["compiled", "python"])
def test_both_dialects_read_the_same(server: Server, form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", RUN],
        env={
            **os.environ,
            "DATABASE_URL": server.text(),
            "PYTHONPATH": os.pathsep.join([str(PROGRAMS), *filter(None, sys.path)]),
            "FASTPG_IMPL": form,
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "extensions:",
        f"form: {form} {form == 'compiled'}",
        "same: True 100",
    ]
