"""What `.ci/run` does with a test that failed: once more, and what is said of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools.ci import again, report
from tools.ci.again import Attempts
from tools.ci.jobs import Job
from tools.ci.lanes import Result, Task, perform

# `fails(name, times)` raises so many times, and then no more.
COUNTED = """
import pathlib
def fails(name, times):
    counter = pathlib.Path(__file__).with_name(name)
    before = int(counter.read_text()) if counter.exists() else 0
    counter.write_text(str(before + 1))
    assert before >= times, f"fault {before + 1} of {name}"
"""


class Suite:
    """A directory with tests, run as a step of `.ci/run` runs them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "test_counted.py").write_text(COUNTED + "def test_good():\n    pass\n")
        (directory / "pytest.ini").write_text("[pytest]\n")

    def add(self, name: str, times: int) -> None:
        self.append(f"def test_{name}():\n    fails({name!r}, {times})\n")

    def append(self, source: str) -> None:
        path = self.directory / "test_counted.py"
        path.write_text(path.read_text() + source)

    def count(self, name: str) -> int:
        return int((self.directory / name).read_text())

    def run(self, *, forgives: bool = True, workers: bool = False) -> Result:
        alone = [sys.executable, "-m", "pytest", "-p", "cacheprovider", str(self.directory)]
        command = [*alone, "-n", "2", "--dist", "worksteal"] if workers else alone

        def work(job: Job) -> None:
            Attempts(job, 0).run(command, alone, {}, forgives=forgives)

        return perform(Task("s", work), Job("s", self.directory, self.directory))


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path)


@pytest.mark.parametrize("workers", [False, True], ids=["one process", "workers"])
def test_a_test_that_fails_once_is_unsteady_and_shown(suite: Suite, workers: bool) -> None:
    suite.add("chance", 1)
    result = suite.run(workers=workers)
    log = report.read(result)
    assert (result.state, suite.count("chance")) == ("ok", 1 + again.TIMES)
    (name,) = result.unsteady
    assert name.endswith("test_counted.py::test_chance")
    assert "fault 1 of chance" in report.explanation(result, log)
    verdict = report.verdict([result], 1.0)
    assert "0 failed in all, 1 unsteady, 1 of 1 steps ok" in verdict


@pytest.mark.parametrize("times", [2, 3, 100])
def test_one_that_fails_again_is_a_failure(suite: Suite, times: int) -> None:
    """Each time it is asked, not only the first."""
    suite.add("fault", times)
    suite.add("chance", 1)
    result = suite.run()
    assert (result.state, result.unsteady) == ("FAILED", ())
    assert "exit status 1" in result.why
    assert suite.count("fault") <= 1 + again.TIMES


def test_one_that_fails_at_the_last_time_is_a_failure(suite: Suite) -> None:
    suite.append(
        "def test_odd():\n"
        "    fails('odd', 1)\n"
        "    assert int(pathlib.Path(__file__).with_name('odd').read_text()) != 3\n"
    )
    result = suite.run()
    assert (result.state, suite.count("odd")) == ("FAILED", 3)


def test_one_that_is_skipped_has_not_passed(suite: Suite) -> None:
    suite.append(
        "def test_odd():\n    import pytest\n    fails('odd', 1)\n    pytest.skip('now')\n"
    )
    assert suite.run().state == "FAILED"


def test_what_a_session_leaves_behind_is_no_chance(suite: Suite) -> None:
    """Alone, the test that comes last leaves nothing."""
    (suite.directory / "conftest.py").write_text(
        "import pytest\nleft = []\n"
        "@pytest.fixture(autouse=True, scope='session')\n"
        "def leaks():\n    yield\n    assert not left\n"
    )
    (suite.directory / "test_left.py").write_text(
        "import conftest\ndef test_a():\n    conftest.left.append(1)\ndef test_b():\n    pass\n"
    )
    result = suite.run()
    assert (result.state, result.unsteady) == ("FAILED", ())


def test_many_are_no_chance(suite: Suite) -> None:
    names = [f"chance_{number}" for number in range(again.MOST + 1)]
    for name in names:
        suite.add(name, 1)
    result = suite.run()
    assert result.state == "FAILED"
    assert [suite.count(name) for name in names] == [1] * len(names)


def test_a_full_run_forgives_nothing(suite: Suite) -> None:
    suite.add("chance", 1)
    result = suite.run(forgives=False)
    assert (result.state, suite.count("chance"), result.unsteady) == ("FAILED", 1, ())


def test_pytest_ends_too_early(suite: Suite) -> None:
    """The whole suite is run again; what has been printed of it is shown."""
    (suite.directory / "conftest.py").write_text(
        f"{COUNTED}\ndef pytest_runtest_logstart(nodeid):\n    fails('hook', 1)\n"
    )
    result = suite.run()
    log = report.read(result)
    assert (result.state, result.unsteady) == ("ok", ("pytest itself",))
    assert report.counted(log)["passed"] == 1
    assert "fault 1 of hook" in report.explanation(result, log)


def test_pytest_ends_too_early_each_time(suite: Suite) -> None:
    (suite.directory / "conftest.py").write_text(
        f"{COUNTED}\ndef pytest_runtest_logstart(nodeid):\n    fails('hook', 9)\n"
    )
    result = suite.run()
    assert (result.state, suite.count("hook")) == ("FAILED", 2)


def test_what_cannot_be_collected_is_not_asked_again(suite: Suite) -> None:
    (suite.directory / "test_broken.py").write_text("import no_such_module\n")
    result = suite.run()
    assert result.state == "FAILED"
    assert "once more" not in report.read(result)
