"""Run the steps that decide a change; `.ci/run` calls this. Options: see there."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from tools.ci import report
from tools.ci.changes import Repository
from tools.ci.lanes import Lanes, Result, Task
from tools.ci.steps import BY_NAME, STEPS, Step

ROOT = Path(__file__).resolve().parents[2]
# What decides a change may take 90 minutes: a test that hangs must not hide what the others say.
QUICK_SECONDS = 80 * 60.0
_printing = threading.Lock()


def main() -> int:
    """Run what the command line asks for; return 0 when every step ended well."""
    options = parse(sys.argv[1:])
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    repository = Repository(ROOT)
    full, steps, unneeded = choose(options.what, repository)
    with tempfile.TemporaryDirectory(prefix="pgflight-ci-") as scratch:
        os.chmod(scratch, 0o755)  # a server that does not run as root reads our files
        tasks = [task(step, full) for step in steps]
        lanes = Lanes(ROOT, Path(scratch), options.lanes, show)
        try:
            results = lanes.run(tasks, float("inf") if full else QUICK_SECONDS)
        except (KeyboardInterrupt, SystemExit):
            lanes.stop()
            raise
        summary(results, unneeded, time.monotonic() - began)
    failed = any(result.bad for result in results)
    if not failed and not options.what:
        repository.remember()
    return 1 if failed else 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog=".ci/run",
        epilog="steps: " + " ".join(f"{step.name}" for step in STEPS),
        description="Decide whether a change may be taken.",
    )
    parser.add_argument("--lanes", type=int, default=2, help="steps at a time (default: 2)")
    parser.add_argument(
        "what",
        nargs="*",
        metavar="full | STEP",
        help="everything, or these steps alone; after `full`, as a full run does them",
    )
    options = parser.parse_args(arguments)
    full, names = split(options.what)
    if unknown := [name for name in names if name not in BY_NAME]:
        parser.error(f"{' '.join(unknown)}: no step of that name; `full` comes first")
    if full and (absent := [name for name in names if not BY_NAME[name].work(True)]):
        parser.error(f"{' '.join(absent)}: no part of a full run, which does it in another step")
    if options.lanes < 1:
        parser.error("--lanes: at least 1")
    return options


def split(what: list[str]) -> tuple[bool, list[str]]:
    """Return whether `full` comes first, and the names of steps."""
    full = what[:1] == ["full"]
    return full, what[full:]


def choose(
    what: list[str], repository: Repository
) -> tuple[bool, list[Step], list[tuple[str, str]]]:
    """Return whether this is a full run, its steps, and those that it does without, with why."""
    full, names = split(what)
    if names:
        return full, with_needs(names), []
    if full:
        return True, [step for step in STEPS if step.work(True)], []
    steps = [step for step in STEPS if step.work(False)]
    changed = repository.build_changed()
    if changed is None:
        print("what landed last is unknown here: all that is built is tested", flush=True)
        return False, steps, []
    if changed:
        print(f"changed in what is built: {' '.join(changed)}", flush=True)
        return False, steps, []
    base = (repository.base() or "")[:12]
    unneeded = [
        (step.name, f"nothing built has changed since {base}") for step in steps if step.built
    ]
    return False, [step for step in steps if not step.built], unneeded


def with_needs(names: list[str]) -> list[Step]:
    """Return these steps and those that they need, in the order of the table."""
    wanted: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in wanted:
            wanted.add(name)
            left += BY_NAME[name].needs
    return [step for step in STEPS if step.name in wanted]


def task(step: Step, full: bool) -> Task:
    """Return the task of a step; one that is part of the full run only runs as it does there."""
    work = step.work(full) or step.work(True)
    assert work is not None, step.name
    return Task(step.name, work, step.needs, step.alone)


def show(result: Result) -> None:
    """Print what a step has printed, once it has ended."""
    with _printing:
        print(f"\n===== {result.name}: {result.state} after {result.seconds:.0f} s", flush=True)
        print(report.read(result), flush=True)


def summary(results: list[Result], unneeded: list[tuple[str, str]], seconds: float) -> None:
    """Print the end: what failed and why, the table, the closing line."""
    bad = [result for result in results if result.bad]
    if bad:
        print("\n===== what failed")
        for result in bad:
            print(report.explanation(result, report.read(result)), end="\n\n")
    unsteady = [result for result in results if result.unsteady and not result.bad]
    if unsteady:
        print("\n===== what is unsteady: it failed once, which is a fault to be found")
        for result in unsteady:
            print(report.explanation(result, report.read(result)), end="\n\n")
    print(f"\n===== steps\n{report.table(results, unneeded)}")
    print(report.verdict(results, seconds), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
