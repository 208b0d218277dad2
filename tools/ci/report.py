"""What is printed at the end: what failed and why, the steps and their times, one closing line.

The end of the output is what is read first, and sometimes all that is kept: so the tracebacks of
failed tests are printed again here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tools.ci.lanes import Result

# pytest's own last line, with or without a frame: "= 3 failed, 5 passed in 1.21s (0:00:01) ="
_CLOSING = re.compile(r"^=* ?((?:\d+ \w+(?:, )?)+ in [\d.]+s.*?) ?=*$")
_COUNT = re.compile(r"(\d+) (passed|failed|errors?)\b")
_TITLE = re.compile(r"^=+ (.*?) =+$")
_FAILURE = re.compile(r"^_{3,} (.*?) _{3,}$")
_INTERNAL = "INTERNALERROR>"
_BEGIN = ("FAILURES", "ERRORS")
_END = ("short test summary", "slowest ", "warnings summary", "test session starts")
MOST_LINES = 45  # of each traceback: where it began is in the step's own output
MOST_FAILURES = 12  # of each step
TAIL_LINES = 40


def closing_lines(log: str) -> list[str]:
    """Return the closing lines of every pytest in a log, with their frame."""
    found = []
    for line in log.splitlines():
        match = _CLOSING.match(line.strip())
        if match and _COUNT.search(match[1]):
            found.append(f"== {match[1]} ==")
    return found


def counted(log: str) -> dict[str, int]:
    """Return how many tests passed and failed, and how many errors there were, in a log."""
    counts = {"passed": 0, "failed": 0, "errors": 0}
    for line in closing_lines(log):
        for number, what in _COUNT.findall(line):
            counts["errors" if what.startswith("error") else what] += int(number)
    return counts


def tracebacks(log: str) -> list[str]:
    """Return the end of each traceback that pytest printed, at most MOST_LINES of it."""
    found: list[list[str]] = []
    inside = False
    for line in log.splitlines():
        title = _TITLE.match(line)
        if title and title[1] in _BEGIN:
            inside = True
        elif title and title[1].startswith(_END):
            inside = False
        elif inside and _FAILURE.match(line):
            found.append([line])
        elif inside and found:
            found[-1].append(line)
    return ["\n".join([part[0], *part[1:][-MOST_LINES:]]).rstrip() for part in found]


def internal_errors(log: str) -> list[str]:
    """Return the end of each error of pytest itself, such as that of a worker that was lost."""
    found: list[list[str]] = []
    for line in log.splitlines():
        if line.startswith(_INTERNAL):
            if not found or line.startswith(f"{_INTERNAL} Traceback"):
                found.append([])
            found[-1].append(line)
    return ["\n".join(part[-MOST_LINES:]) for part in found]


def explanation(result: Result, log: str) -> str:
    """Return why a step did not end well, or what was unsteady in it."""
    why = result.why or f"passed when asked again: {', '.join(result.unsteady)}"
    head = f"##### {result.name}: {result.state}: {why}"
    shown = [*internal_errors(log), *tracebacks(log)]
    if not shown:
        return "\n".join([head, *log.splitlines()[-TAIL_LINES:]])
    parts = [head, *shown[:MOST_FAILURES]]
    if len(shown) > MOST_FAILURES:
        parts.append(f"... and {len(shown) - MOST_FAILURES} more: see the output of the step")
    return "\n".join(parts)


def read(result: Result) -> str:
    """Return the log of a step; empty where it has none."""
    if result.log is None:
        return ""
    return result.log.read_text(encoding="utf-8", errors="replace")


def table(results: Iterable[Result], unneeded: Sequence[tuple[str, str]] = ()) -> str:
    """Return a line for each step, followed by the closing lines of its tests."""
    lines = []
    for result in results:
        why = f"  {result.why}" if result.state in ("left out", "not run") else ""
        times = f"{result.seconds:6.0f} s, processor {result.processor_seconds:5.0f} s"
        lines.append(f"{result.name:<18} {result.state:<8} {times}{why}")
        lines += [f"{'':18} {line}" for line in closing_lines(read(result))]
    lines += [f"{name:<18} unneeded {why}" for name, why in unneeded]
    return "\n".join(lines)


def verdict(results: Sequence[Result], seconds: float) -> str:
    """Return the closing line: how many tests passed and failed in all, in how many steps."""
    sums = {"passed": 0, "failed": 0, "errors": 0}
    for result in results:
        counts = counted(read(result))
        if not result.bad:  # what failed in it has passed since
            counts["failed"] = counts["errors"] = 0
        for what, number in counts.items():
            sums[what] += number
    bad = [result.name for result in results if result.bad]
    # A step can fail without a test of it failing: it counts as one, or the sum would look green.
    lost = len(bad) if not sums["failed"] + sums["errors"] else 0
    said = f"{sums['passed']} passed, {sums['failed'] + sums['errors'] + lost} failed in all"
    unsteady = sum(len(result.unsteady) for result in results)
    said += f", {unsteady} unsteady" if unsteady else ""
    steps = f"{len(results) - len(bad)} of {len(results)} steps ok"
    return f"===== {said}, {steps} in {seconds:.2f}s ({seconds / 60:.0f} min) ====="
