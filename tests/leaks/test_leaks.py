"""Objects, memory, tasks, threads, cursors and connections level off over many units of work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

from tests.fixtures.scale import scaled
from tests.fixtures.server import Server
from tests.leaks.measure import Snapshot
from tests.leaks.program import POOL_SIZE, STATEMENT_CACHE

# The fewest are so many that one object or block of each is more than the bounds below.
UNITS = scaled(10_000, least=3_000)
ENGINES = scaled(400, least=160)
# Over all units after warm-up: room for caches that still fill, and far below one object or one
# hundred bytes per unit. Resident memory swings by megabytes while nothing more is allocated; its
# bound is there for what neither Python nor malloc() knows of, such as a mapped page per unit.
MOST_OBJECTS_OF_A_CLASS = 100
MOST_BLOCKS = 1_000
MOST_ALLOCATED_KB = 500
MOST_RESIDENT_KB = 20_000
# Dropped statements whose Close has not gone: it waits for the flight after, and garbage in cycles
# for its collection.
MOST_DROPPED = 4
_SECONDS = 900


@dataclass
class Run:
    """What one process of `program.py` printed."""

    dialect: str
    implementation: str
    snapshots: list[Snapshot]

    @property
    def grown(self) -> dict[str, int]:
        """By class, the objects more at the end than after warm-up, where they are too many."""
        first, last = self.snapshots[0].objects, self.snapshots[-1].objects
        more = {name: count - first.get(name, 0) for name, count in last.items()}
        return {name: count for name, count in more.items() if count > MOST_OBJECTS_OF_A_CLASS}

    @property
    def tells_allocated(self) -> bool:
        """Say whether this C library counts what it has given out."""
        return self.snapshots[0].allocated_kb is not None

    def more(self, name: str) -> int:
        """Return the growth of one count between warm-up and the end."""
        return int(getattr(self.snapshots[-1], name) - getattr(self.snapshots[0], name))


def start(
    server: Server, kind: str, count: int, implementation: str, *options: str, parts: int = 4
) -> Run:
    """Run the program on our dialect in a process of its own."""
    arguments = [server.text(), kind, "--count", str(count), "--parts", str(parts), *options]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.leaks.program", *arguments],
        env={
            **os.environ,
            "PGFLIGHT_IMPL": implementation,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    head, *lines = (json.loads(line) for line in done.stdout.splitlines())
    return Run(head["dialect"], head["implementation"], [Snapshot(**line) for line in lines])


def assert_level(run: Run, implementation: str) -> None:
    """Fail for what has grown since warm-up."""
    assert run.dialect == "pgflight.dialect"
    assert run.implementation == implementation
    for taken in run.snapshots:
        assert (taken.tasks, taken.cursors) == (1, 0)
        assert taken.threads == run.snapshots[0].threads
        assert taken.connections <= POOL_SIZE
        assert taken.prepared <= 2 * STATEMENT_CACHE + MOST_DROPPED  # ours and asyncpg's own
    assert run.grown == {}
    assert run.more("blocks") < MOST_BLOCKS, run.snapshots
    if run.tells_allocated:
        assert run.more("allocated_kb") < MOST_ALLOCATED_KB, run.snapshots
    assert run.more("resident_kb") < MOST_RESIDENT_KB, run.snapshots


@pytest.mark.parametrize("implementation", ["compiled", "python"])
def test_units_of_work_level_off(implementation: str, server: Server) -> None:
    run = start(server, "units", UNITS, implementation)
    print([(taken.blocks, taken.allocated_kb, taken.resident_kb) for taken in run.snapshots])
    assert_level(run, implementation)


@pytest.mark.parametrize("implementation", ["compiled", "python"])
def test_engines_made_and_disposed_level_off(implementation: str, server: Server) -> None:
    run = start(server, "engines", ENGINES, implementation, parts=1)
    print([(taken.blocks, taken.allocated_kb, taken.resident_kb) for taken in run.snapshots])
    assert_level(run, implementation)


@pytest.mark.parametrize(("kind", "count"), [("units", 1_500), ("engines", 100)])
def test_a_leak_is_found(kind: str, count: int, server: Server) -> None:
    run = start(server, kind, count, "compiled", "--leak", parts=1)
    with pytest.raises(AssertionError):
        assert_level(run, "compiled")
    assert run.more("blocks") >= min(count, MOST_BLOCKS)
    if run.tells_allocated:
        assert run.more("allocated_kb") >= count  # each leaves more than a kilobyte
