"""Third-party dialects that derive from the built-in one, and so are not served by pgflight.

`status` runs this module in a process of its own, as it imports the packages that register them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from pgflight.cli.environment import Fact

_GROUP = "sqlalchemy.dialects"
_OURS = ("pgflight", "sqlalchemy")
_SECONDS = 60


def third_party_fact(directory: Path) -> Fact | None:
    """Return what `status` says of such dialects of the environment; None if there are none."""
    name = "other dialects"
    try:
        probe = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", __name__],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Fact(name, True, f"cannot be looked for: {error}")
    if probe.returncode:
        lines = probe.stderr.strip().splitlines() or [f"exit code {probe.returncode}"]
        return Fact(name, True, f"cannot be looked for: {lines[-1]}")
    # a package may print while it is imported
    found = [line[1:] for line in probe.stdout.splitlines() if line.startswith("\t")]
    if not found:
        return None
    text = "; ".join(found)
    return Fact(name, True, f"{text}: on the built-in dialect, since they derive from it")


def derived_dialects() -> Iterator[str]:
    """Yield the name and the class of each registered dialect that stays on the built-in one."""
    from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

    for entry in sorted(entry_points(group=_GROUP), key=lambda each: each.name):
        if entry.module.partition(".")[0] in _OURS or not _may_use_asyncpg(entry):
            continue
        try:
            cls = entry.load()
        except Exception:
            continue  # a package that does not work says nothing
        if not isinstance(cls, type) or not issubclass(cls, PGDialect_asyncpg):
            continue
        if not any(base.__module__.startswith("pgflight.") for base in cls.__mro__):
            url = entry.name.replace(".", "+", 1)
            yield f"{url} ({cls.__module__}.{cls.__qualname__})"


def _may_use_asyncpg(entry: EntryPoint) -> bool:
    """Tell whether a dialect's module has the word in it, without importing it."""
    if entry.dist is None:
        return True
    place = Path(str(entry.dist.locate_file(entry.module.replace(".", "/"))))
    for file in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
        if file.is_file():
            return "asyncpg" in file.read_text("utf-8", errors="replace")
    return True  # not a file of Python's, or installed for development


if __name__ == "__main__":
    for line in derived_dialects():
        print(f"\t{line}")
