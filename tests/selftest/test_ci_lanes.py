"""The runner of `.ci/run`: order, needs, failures, and what is printed at the end."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.ci import report
from tools.ci.jobs import Job, LeftOut, clean_environment
from tools.ci.lanes import Lanes, Result, Task

FAILING = """
def test_good():
    pass
def test_bad():
    number = 41
    assert number == 42
"""


def good(job: Job) -> None:
    job.call(sys.executable, "-c", "print('said')")


def bad(job: Job) -> None:
    job.call(sys.executable, "-c", "raise SystemExit(3)")


def broken(job: Job) -> None:
    raise ZeroDivisionError("by itself")


def nothing_here(job: Job) -> None:
    raise LeftOut("no such thing on this machine")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., list[Result]]:
    """Return a function that runs tasks in two lanes."""

    def run(*tasks: Task, count: int = 2) -> list[Result]:
        return Lanes(tmp_path, tmp_path, count, lambda result: None).run(tasks)

    return run


Run = Callable[..., list[Result]]


def test_it_goes_on_after_a_failure_and_not_with_what_needed_it(run: Run) -> None:
    results = run(
        *(Task("a", bad), Task("b", good, ("a",)), Task("c", broken), Task("d", nothing_here)),
        Task("e", good, ("d",)),
    )
    assert [(each.name, each.state) for each in results] == [
        *(("a", "FAILED"), ("b", "not run"), ("c", "FAILED"), ("d", "left out"), ("e", "ok")),
    ]
    assert "exit status 3" in results[0].why
    assert "ZeroDivisionError: by itself" in report.read(results[2])
    assert [each.bad for each in results] == [True, True, True, False, False]
    closing = report.verdict(results, 2.0)
    assert "0 passed, 3 failed in all, 2 of 5 steps ok" in closing


def test_it_ends_when_the_last_steps_cannot_run(run: Run) -> None:
    for _ in range(20):  # which of the lanes finds out is chance
        results = run(Task("a", broken), Task("b", good, ("a",)), Task("c", good, ("b",)))
        assert [each.state for each in results] == ["FAILED", "not run", "not run"]


def test_steps_run_beside_each_other_unless_one_is_to_be_alone(run: Run) -> None:
    running: list[str] = []
    together: list[set[str]] = []
    lock = threading.Lock()

    def noted(job: Job) -> None:
        with lock:
            running.append(job.name)
        time.sleep(0.2)
        with lock:
            together.append(set(running))
            running.remove(job.name)

    run(*(Task(name, noted) for name in "ab"), Task("c", noted, alone=True))
    assert {"a", "b"} in together
    assert {"c"} in together


def test_what_a_failed_command_said_is_kept_and_the_next_one_runs(run: Run, tmp_path: Path) -> None:
    test_file = tmp_path / "test_failing.py"
    test_file.write_text(FAILING)
    pytest_there = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(test_file))

    def tests(job: Job) -> None:
        job.attempt(*pytest_there)
        job.attempt(*pytest_there, "-k", "good", "-q", "--no-header")

    (result,) = run(Task("tests", tests))
    log = report.read(result)
    assert result.state == "FAILED"
    assert report.counted(log) == {"passed": 2, "failed": 1, "errors": 0}
    assert len(report.closing_lines(log)) == 2
    told = report.explanation(result, log)
    assert "assert 41 == 42" in told and "test_bad" in told
    assert "2 passed, 1 failed in all, 0 of 1 steps ok" in report.verdict([result], 1.0)


def test_a_traceback_that_is_long_is_cut_and_many_are_counted() -> None:
    lines = [
        "= FAILURES =",
        "____ test_with_a_frame ____",
        "= a title that a test printed =",
        "E   x",
    ]
    for number in range(report.MOST_FAILURES + 2):
        lines += [
            f"____ test_{number} ____",
            *("x" for _ in range(500)),
            f"E   the end of {number}",
        ]
    log = "\n".join([*lines, "= short test summary info =", "FAILED"])
    result = Result("a", "FAILED", 1.0, None, "why")
    told = report.explanation(result, log)
    assert "E   the end of 0" in told and "... and 3 more" in told
    assert "E   x" in told
    assert told.count("x\n") < report.MOST_FAILURES * (report.MOST_LINES + 1)


def test_a_stopped_step_ends_with_what_it_started(tmp_path: Path) -> None:
    started = tmp_path / "pid"
    code = f"""
import subprocess, sys, time, pathlib
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path({str(started)!r}).write_text(str(child.pid))
time.sleep(60)
"""
    lanes = Lanes(tmp_path, tmp_path, 1, lambda result: None)
    tasks = [Task("a", lambda job: job.call(sys.executable, "-c", code)), Task("b", good)]
    thread = threading.Thread(target=lambda: lanes.run(tasks))
    thread.start()
    while not started.exists() or not started.read_text():
        time.sleep(0.01)
    lanes.stop()
    thread.join(10)
    assert not thread.is_alive()
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{started.read_text()}") and time.monotonic() < deadline:
        state = Path(f"/proc/{started.read_text()}/stat").read_text().split()[2]
        if state == "Z":  # nobody waits for it; it is gone all the same
            break
        time.sleep(0.05)
    else:
        assert not os.path.exists(f"/proc/{started.read_text()}")


def test_what_runs_when_the_time_is_over_is_stopped(tmp_path: Path) -> None:
    code = "import time; time.sleep(60)"
    lanes = Lanes(tmp_path, tmp_path, 1, lambda result: None)
    tasks = [
        Task("a", good),
        Task("b", lambda job: job.call(sys.executable, "-c", code)),
        Task("c", good),
    ]
    began = time.monotonic()
    results = lanes.run(tasks, 1)
    assert time.monotonic() - began < 30
    assert [(r.name, r.state) for r in results] == [("a", "ok"), ("b", "FAILED"), ("c", "not run")]
    assert results[2].why == "1 s were over"


def test_a_step_inherits_none_of_our_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGFLIGHT_IMPL", "PGFLIGHT_TEST_URL", "PYTHONPATH", "PYTHONOPTIMIZE"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("PGFLIGHT_SA_SDIST", "y")
    made = clean_environment({"PGFLIGHT_DRIVER": "public"})
    ours = {name: value for name, value in made.items() if name.startswith("PGFLIGHT_")}
    assert ours == {"PGFLIGHT_SA_SDIST": "y", "PGFLIGHT_DRIVER": "public"}
    assert not made.keys() & {"PYTHONPATH", "PYTHONOPTIMIZE"}
