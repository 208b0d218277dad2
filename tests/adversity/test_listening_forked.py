"""A child process that has inherited a listener is refused, and the parent goes on."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.fixtures.server import Server


@pytest.mark.parametrize("driver", ["postgresql+asyncpg", "postgresql+pgflight"])
def test_a_listener_belongs_to_one_process(server: Server, driver: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.adversity.listening_program", server.text(driver)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr, done.stderr
