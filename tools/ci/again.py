"""Asking once more what failed in a quick run, so that one test of 40,000 does not refuse a change.

The suites run beside each other on two cores, and a run has some 40,000 tests. What fails there is
asked twice more, in a process of its own. A test that then passes both times is *unsteady*: that is
a fault of the product or of the test all the same, so the end of the output names it, with its
traceback. A full run forgives nothing, and neither does a quick one with more than MOST of them in
a suite: that is no chance any more. Nor is an error of a fixture forgiven, as of those that look
for what a whole session has left behind: alone, a test would leave nothing.
"""

from __future__ import annotations

import json
from pathlib import Path

from tools.ci import report
from tools.ci.jobs import Job, StepFailed

MOST = 3
TIMES = 2
# https://docs.pytest.org/en/stable/reference/exit-codes.html
TESTS_FAILED = 1
INTERNAL_ERROR = 3  # and what pytest-xdist reports when a worker has ended too early


class Attempts:
    """The runs of one suite; `number` tells the suites of a step apart."""

    def __init__(self, job: Job, number: int) -> None:
        self._job = job
        self._cache = job.scratch / f"cache-{job.name}-{number}"

    def run(
        self, command: list[str], alone: list[str], environment: dict[str, str], *, forgives: bool
    ) -> None:
        """Run ``command``; note its failure, or, where it ``forgives``, what was unsteady.

        ``alone`` is the same command without workers.
        """
        try:
            self._call(command, environment)
        except StepFailed as error:
            if not forgives or not self._passes_now(error, command, alone, environment):
                self._job.failures.append(str(error))

    def _call(self, command: list[str], environment: dict[str, str]) -> None:
        self._job.call(*command, "-o", f"cache_dir={self._cache}", environment=environment)

    def _passes_now(
        self, error: StepFailed, command: list[str], alone: list[str], environment: dict[str, str]
    ) -> bool:
        failed = failed_tests(self._cache)
        if error.status == INTERNAL_ERROR and not failed:
            return self._again(["pytest itself"], [command], environment)
        if error.status != TESTS_FAILED or not 0 < len(failed) <= MOST:
            return False
        if report.counted(self._said())["errors"]:
            return False
        asked = [*alone, "--last-failed", "--last-failed-no-failures=none"]
        # The first that passes takes the test off the list: each goes by the list of the failures.
        return self._again(failed, [asked] * TIMES, environment)

    def _again(
        self, names: list[str], commands: list[list[str]], environment: dict[str, str]
    ) -> bool:
        kept = _list_of(self._cache)
        content = kept.read_bytes() if kept.exists() else None
        for command in commands:
            self._job.say(f"\nonce more, as this may have been chance: {', '.join(names)}")
            if content is not None:
                kept.write_bytes(content)
            before = len(self._said())
            try:
                self._call(command, environment)
            except StepFailed:
                return False
            passed = report.counted(self._said()[before:])["passed"]
            if content is not None and passed != len(names):  # one was skipped instead
                return False
        self._job.unsteady += names
        return True

    def _said(self) -> str:
        return self._job.log.read_text(encoding="utf-8", errors="replace")


def _list_of(cache: Path) -> Path:
    return cache / "v" / "cache" / "lastfailed"


def failed_tests(cache: Path) -> list[str]:
    """Return the ids of the tests that failed in the run that wrote this cache of pytest's."""
    kept = _list_of(cache)
    return sorted(json.loads(kept.read_text(encoding="utf-8"))) if kept.exists() else []
