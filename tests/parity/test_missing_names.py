"""A private name of SQLAlchemy that is missing costs time, not answers, and `doctor` says so."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pgflight.compat.capability import LOOKED_FOR
from pgflight.compat.features import Feature
from tests.fixtures.scale import scaled
from tests.fixtures.server import Server

PROGRAM = "tests.parity.programs.missing_names"
EACH_FEATURE = {
    Feature.PARAMETERS: "SQLCompiler._result_columns",
    Feature.IN_LISTS: "TypeEngine._is_tuple_type",
    Feature.BATCHES: "sql.compiler._InsertManyValuesBatch",
    Feature.ARRAYS: "Engine._has_events",
    Feature.CHANGES: "Update._where_criteria",
    Feature.RESULTS: "CursorResult._metadata",
    Feature.FIRST_CONNECTION: "Connection._log_info",
    Feature.VALUES: "Enum._valid_lookup",
    Feature.RECONNECTING: "_ConnectionFairy._pool",
    Feature.QUEUES: "QueuePool._pool",
    Feature.DOCUMENTED: "TypeEngine._has_bind_expression",
}


def run(server: Server, names: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", PROGRAM, *names],
        env={
            **os.environ,
            "DATABASE_URL": server.text("postgresql+pgflight"),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    assert said == dict.fromkeys(["all", *names], "right")


def test_one_name_of_each_feature(server: Server) -> None:
    assert set(EACH_FEATURE) == set(Feature)
    run(server, list(EACH_FEATURE.values()))


@pytest.mark.slow
def test_every_name(server: Server) -> None:
    """In a run that is scaled down, every third or so: one of each feature is tried above."""
    names = [str(name) for name in LOOKED_FOR]
    run(server, names[:: len(names) // scaled(len(names), least=len(names) // 3)])
