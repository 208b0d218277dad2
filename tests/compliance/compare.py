"""Two runs of one suite side by side: what is worse on ours than on the built-in dialect."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_KEYS = {"test", "outcome", "reason"}
_LEVEL = "level"


class Outcome(NamedTuple):
    """What became of one test: `name` is passed, failed, error, skipped, xfailed or missing."""

    name: str
    text: str = ""


class Allowed(NamedTuple):
    """A difference that expected.toml permits: a pattern of test ids, our outcome, the reason.

    At one driver level only, where `level` is not empty.
    """

    test: str
    outcome: str
    reason: str
    level: str = ""


@dataclass
class Differences:
    """`worse` and `stale` fail the comparison; the others are for the reader."""

    worse: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    better: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    @property
    def acceptable(self) -> bool:
        """Whether ours is as good as the built-in dialect."""
        return not self.worse and not self.stale

    def __str__(self) -> str:
        parts = []
        for title, lines in (
            ("worse on ours", self.worse),
            ("allowed by expected.toml, yet not seen", self.stale),
            ("better on ours", self.better),
            ("allowed by expected.toml", self.allowed),
        ):
            parts.append(f"{title}: {len(lines)}")
            parts.extend(f"  {line}" for line in lines)
        return "\n".join(parts)


def compare(
    builtin: Mapping[str, Outcome],
    ours: Mapping[str, Outcome],
    allowed: Iterable[Allowed] = (),
) -> Differences:
    """Compare the outcomes of the built-in dialect with ours, test by test.

    Worse: failed, skipped or missing on ours where the built-in dialect is better than that. A
    test that both fail is no difference.
    """
    permitted = list(allowed)
    used: set[Allowed] = set()
    found = Differences()
    for test in sorted(builtin.keys() | ours.keys()):
        theirs = builtin.get(test, Outcome("missing"))
        mine = ours.get(test, Outcome("missing"))
        if _rank(theirs.name) == _rank(mine.name):
            continue
        line = f"{test}: {theirs.name} on the built-in dialect, {mine.name} on ours"
        if _rank(mine.name) < _rank(theirs.name):
            found.better.append(line)
            continue
        excuse = next((a for a in permitted if _covers(a, test, mine.name)), None)
        if excuse is None:
            found.worse.append(f"{line}\n{mine.text}".rstrip())
        else:
            used.add(excuse)
            found.allowed.append(f"{line} ({excuse.reason})")
    found.stale.extend(f"{a.test}: {a.outcome}" for a in permitted if a not in used)
    return found


def read_allowed(file: Path, level: str = "private") -> list[Allowed]:
    """Read the differences allowed at a driver level; ValueError for an incomplete entry."""
    entries = tomllib.loads(file.read_text()).get("difference", [])
    for entry in entries:
        if set(entry) - {_LEVEL} != _KEYS or not all(str(entry[key]).strip() for key in _KEYS):
            raise ValueError(
                f"{file.name}: {entry!r} must have exactly test, outcome and reason, none empty"
            )
    found = [Allowed(**entry) for entry in entries]
    return [allowed for allowed in found if allowed.level in ("", level)]


def _covers(allowed: Allowed, test: str, outcome: str) -> bool:
    # Ids hold brackets of parametrised tests, which fnmatch would take for sets of characters.
    pattern = allowed.test.replace("[", "[[]")
    return allowed.outcome == outcome and fnmatchcase(test, pattern)


def _rank(outcome: str) -> int:
    # An error in set-up or tear-down is a failure; an expected failure is a kind of pass.
    return {"passed": 0, "xfailed": 0, "skipped": 1, "missing": 2}.get(outcome, 3)
