"""`pytest bench --benchmark-only` as a whole, on one benchmark, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import gates
from tests.fixtures.server import Server
from tests.packaging.checkout import ROOT

pytestmark = pytest.mark.slow

_SECONDS = 280


def _of_xdist(name: str) -> bool:
    return name.startswith("PYTEST_XDIST_")


class Bench:
    """Runs the benchmark `one_row` under gates of the test's own."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.report = directory / "report"
        self._gates = directory / "gates.toml"
        self._environment = os.environ | {
            "PGFLIGHT_TEST_URL": server.text(),
            gates.FILE_VARIABLE: str(self._gates),
        }
        # pytest-benchmark measures nothing in a worker of pytest-xdist, which this one is not.
        for name in ("PGFLIGHT_TEST_SERVER", *filter(_of_xdist, os.environ)):
            self._environment.pop(name, None)

    def set_floors(self, floor: float) -> None:
        """Write the gates as they are, but for the floors that `one_row` has to reach."""
        pairs = ", ".join(f"{key} = {floor}" for key in ("floor", "aim"))
        own = "".join(f"{name} = {{ {pairs} }}\n" for name in ("compiled", "python", "psycopg"))
        text = gates.FILE.read_text("utf-8")
        text, changed = re.subn(r"(?m)^\[one_row\]\n.*\n", f"[one_row]\n{own}", text)
        assert changed == 1
        self._gates.write_text(text, "utf-8")

    def write_gates(self, text: str) -> None:
        """Write `text` instead of the gates."""
        self._gates.write_text(text, "utf-8")

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run it and return what it said, both streams as one."""
        return subprocess.run(
            [sys.executable, "-m", "pytest", "bench", "-k", "test_time and one_row", *options],
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
        )


@pytest.fixture
def bench(server: Server, tmp_path: Path) -> Bench:
    return Bench(server, tmp_path)


def test_a_gate_that_nobody_can_hold_fails_the_run(bench: Bench) -> None:
    bench.set_floors(1000)
    run = bench.run("--benchmark-only")
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout
    assert "missed twice" in run.stdout
    for comparison in ("compiled", "python", "psycopg"):
        assert re.search(rf"one_row +{comparison} +cpu .*>= 1000 +1000 MISSED", run.stdout)


def test_gates_that_hold_pass_and_are_reported(bench: Bench, tmp_path: Path) -> None:
    bench.set_floors(0.01)
    own = tmp_path / "pytest-benchmark.json"
    run = bench.run(
        "--benchmark-only", f"--pgflight-report={bench.report}", f"--benchmark-json={own}"
    )
    assert run.returncode == pytest.ExitCode.OK, run.stdout
    document = json.loads((bench.report / "benchmarks.json").read_text("utf-8"))
    (one_row,) = document["benchmarks"]
    assert set(one_row["figures"]) == {"builtin", "compiled", "python", "psycopg", "asyncpg"}
    for measures in one_row["figures"].values():
        for figures in measures.values():
            assert len(figures) == one_row["rounds"] >= 5
            assert all(1e-6 < seconds < 1 for seconds in figures)
    assert [gate["held"] for gate in one_row["gates"]] == [True] * 3
    assert {"python", "sqlalchemy", "asyncpg", "psycopg", "postgresql"} <= set(document["versions"])
    assert "one_row" not in document["missing"] and "rows_uuid" in document["missing"]
    page = (bench.report / "benchmarks.md").read_text("utf-8")
    assert page.index("Read this first") < page.index("one-row SELECT on an open connection")
    assert "Where pgflight does not win" in page
    picture = (bench.report / "benchmarks.svg").read_text("utf-8")
    assert picture.startswith("<?xml") and "one-row SELECT" in picture
    (noted,) = json.loads(own.read_text("utf-8"))["benchmarks"]
    # pytest-benchmark's own figure is the client's processor time of the compiled form.
    assert noted["stats"]["median"] == pytest.approx(
        noted["extra_info"]["medians"]["compiled"]["cpu"], rel=0.01
    )


def test_without_timing_the_peers_are_still_compared(bench: Bench) -> None:
    bench.set_floors(1000)
    run = bench.run("--benchmark-disable")
    assert run.returncode == pytest.ExitCode.OK, run.stdout
    assert "1 passed" in run.stdout


def test_gates_that_cannot_be_used_end_the_run_at_once(bench: Bench) -> None:
    bench.write_gates("[one_rwo]\n")
    run = bench.run("--benchmark-only")
    assert run.returncode == pytest.ExitCode.USAGE_ERROR, run.stdout
    assert "[one_rwo]: there is no such benchmark" in run.stdout
