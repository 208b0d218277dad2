"""An engine in several event loops, threads and processes: no wrong answer, no hang, no crash."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.fixtures.server import Server

PROGRAM = "tests.adversity.loops_program"
USES = (
    "one_loop_after_the_other",
    "disposed_of_in_another_loop",
    "two_threads_at_once",
    "two_first_connections_at_once",
    "a_first_connection_that_is_cancelled",
    "a_pool_that_threads_wait_for",
    "a_pool_whose_waiters_give_up",
    "a_fork_within_a_task",
    "a_child_without_dispose",
    "a_child_of_a_running_loop",
    "multiprocessing_by_fork",
    "a_connection_carried_over",
    "a_connection_of_a_loop_that_runs",
)


@pytest.mark.parametrize("how", ["as it is", "pre_ping", "uvloop"])
@pytest.mark.parametrize("use", USES)
def test_an_engine_in_several_loops(server: Server, use: str, how: str) -> None:
    url = server.text("postgresql+pgflight")
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", PROGRAM, url, use, how],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr, done.stderr
