"""Running the steps: several at a time, each after what it needs, on to the end whatever fails."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.ci.jobs import Job, LeftOut, StepFailed

Work = Callable[[Job], None]


@dataclass(frozen=True)
class Task:
    """A step to run: `needs` are the names of those that must have ended well before it."""

    name: str
    work: Work
    needs: tuple[str, ...] = ()
    alone: bool = False


@dataclass(frozen=True)
class Result:
    """How a step ended: `state` is "ok", "FAILED", "not run" or "left out".

    `processor_seconds` are those of its processes, without the servers that they start;
    `unsteady` names the tests that failed and then passed (`again`).
    """

    name: str
    state: str
    seconds: float
    log: Path | None = None
    why: str = ""
    processor_seconds: float = 0.0
    unsteady: tuple[str, ...] = ()

    @property
    def bad(self) -> bool:
        """Whether it makes the whole run fail."""
        return self.state not in ("ok", "left out")


class Lanes:
    """Runs tasks in their order, `count` at a time; `ended` is called with each result."""

    def __init__(
        self, root: Path, scratch: Path, count: int, ended: Callable[[Result], None]
    ) -> None:
        self._root = root
        self._scratch = scratch
        self._count = count
        self._ended = ended
        self._change = threading.Condition()
        self._waiting: list[Task] = []
        self._running: dict[str, tuple[Task, Job]] = {}
        self._results: dict[str, Result] = {}

    def run(self, tasks: Sequence[Task], limit: float = float("inf")) -> list[Result]:
        """Run all; return the results in the order of the tasks.

        What has not ended after ``limit`` seconds is stopped and has failed.
        """
        end = time.monotonic() + limit
        named = {task.name for task in tasks}
        # A step that was not asked for is taken to have been done.
        self._waiting = [
            Task(t.name, t.work, tuple(n for n in t.needs if n in named), t.alone) for t in tasks
        ]
        threads = [threading.Thread(target=self._lane, daemon=True) for _ in range(self._count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():  # so that a signal is handled meanwhile
                thread.join(0.5)
                if time.monotonic() > end:
                    self._run_out(limit)
                    end = float("inf")
        return [self._results[task.name] for task in tasks if task.name in self._results]

    def stop(self) -> None:
        """Start no more steps, and end those that run."""
        with self._change:
            self._waiting.clear()
            self._change.notify_all()
            jobs = [job for _, job in self._running.values()]
        threads = [threading.Thread(target=job.stop) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _run_out(self, limit: float) -> None:
        with self._change:
            for task in self._waiting:
                self._finish(Result(task.name, "not run", 0.0, why=f"{limit:.0f} s were over"))
            self._waiting.clear()
        self.stop()

    def _lane(self) -> None:
        while (taken := self._take()) is not None:
            task, job = taken
            result = perform(task, job)
            with self._change:
                del self._running[task.name]
                self._finish(result)

    def _finish(self, result: Result) -> None:
        self._results[result.name] = result
        self._ended(result)
        self._change.notify_all()

    def _take(self) -> tuple[Task, Job] | None:
        """Wait for a task that may start and return it with its job; None when none is left."""
        with self._change:
            # Asking may itself take the last ones off the list: those whose needs were not met.
            while (task := self._next()) is None and self._waiting:
                self._change.wait()
            if task is None:
                return None
            self._waiting.remove(task)
            job = Job(task.name, self._root, self._scratch)
            self._running[task.name] = task, job
            return task, job

    def _next(self) -> Task | None:
        for task in list(self._waiting):
            lost = [n for n in task.needs if n in self._results and self._results[n].bad]
            if lost:
                self._waiting.remove(task)
                self._finish(Result(task.name, "not run", 0.0, why=f"{lost[0]} did not end well"))
        if any(task.alone for task, _ in self._running.values()):
            return None
        for task in self._waiting:
            if task.alone and (self._running or task is not self._waiting[0]):
                continue
            if all(name in self._results for name in task.needs):
                return task
        return None


def perform(task: Task, job: Job) -> Result:
    """Do the work of a step and return how it ended."""
    began = time.monotonic()
    state, why = "ok", ""
    try:
        task.work(job)
        if job.failures:
            raise StepFailed("; ".join(job.failures))
    except LeftOut as error:
        state, why = "left out", str(error)
    except Exception as error:
        state, why = "FAILED", str(error) or type(error).__name__
        if not isinstance(error, StepFailed):
            job.say(traceback.format_exc())
    finally:
        if why:
            job.say(f"{state}: {why}")
        job.close()
    seconds = time.monotonic() - began
    unsteady = tuple(job.unsteady)
    return Result(task.name, state, seconds, job.log, why, job.processor_seconds, unsteady)
