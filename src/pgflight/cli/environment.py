"""Facts about the running Python environment: versions, form in use, driver level, CPU.

Used by `status`, `doctor` and the report of `demo`.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

SUPPORTED: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "sqlalchemy": ((2, 0, 40), (2, 2)),
    "asyncpg": ((0, 30), (0, 33)),
}
"""Package -> (oldest version that is supported, first version that is not)."""

# Run in a process of its own, started the way a program is: what serves the URL there?
_PROBE = (
    "from sqlalchemy.dialects import registry\n"
    "cls = registry.load('postgresql.asyncpg')\n"
    "print(cls.__module__ + '.' + cls.__qualname__)\n"
)


class Fact(NamedTuple):
    """One finding: `good` is False if it is wrong, not merely slower."""

    name: str
    good: bool
    text: str
    data: Mapping[str, object] = MappingProxyType({})
    """The same for programs, of what JSON knows."""

    def document(self) -> dict[str, object]:
        """Return what `doctor --json` prints of it."""
        return {"name": self.name, "good": self.good, "text": self.text, "data": {**self.data}}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages; raise ImportError if one is missing."""
    import asyncpg
    import sqlalchemy

    import pgflight

    return {
        "python": platform.python_version(),
        "sqlalchemy": sqlalchemy.__version__,
        "asyncpg": str(asyncpg.__version__),
        "pgflight": pgflight.__version__,
    }


def version_fact(package: str, version: str) -> Fact:
    """Say whether `version` of `package` is within SUPPORTED."""
    oldest, beyond = SUPPORTED[package]
    found = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if oldest <= found < beyond:
        return Fact(package, True, version)
    span = f">={'.'.join(map(str, oldest))},<{'.'.join(map(str, beyond))}"
    return Fact(package, False, f"{version} is not supported: pip install '{package}{span}'")


def implementation_fact() -> Fact:
    """Say which form of the hot paths runs, and why."""
    try:
        import pgflight

        name, reason = pgflight.implementation()
    except (ImportError, ValueError) as error:
        return Fact("implementation", False, f"cannot be loaded: {error}")
    return Fact("implementation", True, f"{name} ({reason})", {"form": name, "reason": reason})


def driver_fact() -> Fact:
    """Say how much of asyncpg is used, and why."""
    try:
        from pgflight.driver import capabilities, stepped_aside

        level, reason, missing = capabilities()
        slower = stepped_aside()
    except (ImportError, ValueError) as error:
        return Fact("driver level", False, f"cannot be loaded: {error}")
    lacking = f"; not there: {', '.join(missing)}" if missing else ""
    asides = "".join(f"; {name} goes the slower way: {why}" for name, why in slower.items())
    data = {"level": level, "reason": reason, "missing": [*missing], "slower": {**slower}}
    return Fact("driver level", True, f"{level} ({reason}{lacking}{asides})", data)


def pipeline_fact() -> Fact:
    """Say whether BEGIN can travel with the first statement, and why; off is slower, not wrong."""
    try:
        from pgflight.driver import pipeline_capability

        possible, reason = pipeline_capability()
    except (ImportError, ValueError) as error:
        return Fact("pipeline", False, f"cannot be loaded: {error}")
    return Fact("pipeline", True, f"{'possible' if possible else 'off'} ({reason})")


def private_name_facts() -> list[Fact]:
    """Say which private names of SQLAlchemy are there, and what steps aside without the others."""
    what = "SQLAlchemy's private names"
    try:
        from pgflight.compat import capability

        facts = [Fact(what, True, capability.summary())]
        for feature, lacking, instead in capability.reports():
            text = f"without {', '.join(lacking)}: no {feature}; {instead}"
            facts.append(Fact(what, True, text))
    except (ImportError, ValueError) as error:
        return [Fact(what, False, f"cannot be read: {error}")]
    return facts


def serving_class(directory: Path) -> Fact:
    """Start a Python of this environment and say which class serves postgresql+asyncpg there.

    It runs in `directory` (site-packages), so that pgflight is not found just because the current
    directory is its source tree.
    """
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=120,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Fact("postgresql+asyncpg", False, f"cannot be asked: {error}")
    if probe.returncode:
        lines = probe.stderr.strip().splitlines() or [f"exit code {probe.returncode}"]
        return Fact("postgresql+asyncpg", False, f"cannot be loaded: {lines[-1]}")
    return Fact("postgresql+asyncpg", True, probe.stdout.strip())


def is_ours(class_name: str) -> bool:
    """Tell whether the dotted `class_name` is pgflight's."""
    return class_name.partition(".")[0] == "pgflight"


def cpu_name() -> str:
    """Return the processor's name as the system reports it."""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()
