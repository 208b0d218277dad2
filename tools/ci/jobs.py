"""One step under way: `Job` runs its commands, keeps what they print, and ends them when told to.

`lanes` makes one for each step. What the caller has set of our own variables is not inherited.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

GRACE_SECONDS = 20.0  # for pytest to stop its servers after an interrupt
_OURS = (
    *("PGFLIGHT_", "PYTHONOPTIMIZE", "PYTHONPATH", "PYTEST_ADDOPTS", "VIRTUAL_ENV"),
    # Without byte code, each of the many processes under -O compiles SQLAlchemy again: seconds.
    "PYTHONDONTWRITEBYTECODE",
)
_KEPT = ("PGFLIGHT_CI_BASE", "PGFLIGHT_SA_SDIST")


class StepFailed(Exception):
    """A command of a step failed; the message says which and how, `status` is its exit status."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class LeftOut(Exception):
    """A step has nothing to run on here; the message says what is missing."""


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the caller's environment without what would change what is tested, and with `more`."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or not name.startswith(_OURS)
    }
    return {**inherited, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **(more or {})}


class Job:
    """Runs the commands of one step in `root`; their output goes to `log`."""

    def __init__(self, name: str, root: Path, scratch: Path) -> None:
        self.name = name
        self.root = root
        self.scratch = scratch
        self.log = scratch / f"{name}.log"
        self.failures: list[str] = []
        self.unsteady: list[str] = []  # what failed, and passed when `again` asked once more
        self.processor_seconds = 0.0
        self._output = self.log.open("w", encoding="utf-8", errors="replace")
        self._lock = threading.Lock()
        self._process: int | None = None
        self._ended = threading.Event()
        self._stopped = False

    def call(
        self,
        *command: str | Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        """Run a command; StepFailed when it fails."""
        words = [str(part) for part in command]
        began = time.monotonic()
        self.say(f"$ {' '.join(f'{k}={v}' for k, v in (environment or {}).items())} ", end="")
        self.say(shlex.join(words))
        with self._lock:
            if self._stopped:
                raise StepFailed("stopped")
            self._ended.clear()
            # A session of its own: what it starts can be ended with it.
            process = subprocess.Popen(
                words,
                cwd=directory or self.root,
                env=clean_environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._process = process.pid
        _, ended, used = os.wait4(process.pid, 0)
        self._ended.set()
        # For Popen, which has not seen it end.
        process.returncode = status = os.waitstatus_to_exitcode(ended)
        self.processor_seconds += used.ru_utime + used.ru_stime
        self.say(f"--- {time.monotonic() - began:.0f} s, exit status {status}")
        if status:
            raise StepFailed(f"exit status {status}: {shlex.join(words)}", status)

    def attempt(
        self,
        *command: str | Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        """Run a command and note its failure: the step goes on and fails at its end."""
        try:
            self.call(*command, environment=environment, directory=directory)
        except StepFailed as error:
            self.failures.append(str(error))

    def say(self, text: str, end: str = "\n") -> None:
        """Write a line into the log."""
        print(text, file=self._output, end=end, flush=True)

    def close(self) -> None:
        """End the log."""
        self._output.close()

    def stop(self) -> None:
        """Interrupt the running command, and kill it and what it started if it does not end."""
        with self._lock:
            self._stopped = True
            process = self._process
        if process is None or self._ended.is_set():
            return
        _signal(process, signal.SIGINT)
        self._ended.wait(GRACE_SECONDS)
        _signal(process, signal.SIGKILL)


def _signal(process: int, number: int) -> None:
    try:
        os.killpg(process, number)
    except ProcessLookupError:
        pass
