"""`python -m pgflight demo`: whole runs with few rows, and what has to make one fail."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

import pgflight
from pgflight.__main__ import main
from pgflight.cli import own_schema
from pgflight.cli.demo import comparison, workload
from pgflight.cli.demo.dataset import Dataset
from pgflight.cli.demo.outcome import Outcome
from pgflight.cli.demo.report import BUILTIN, PGFLIGHT
from pgflight.cli.demo.workload import STEPS, Step
from pgflight.cli.environment import is_ours
from pgflight.cli.target import CommandError
from tests.fixtures.commands import ended_by, schemas
from tests.fixtures.server import Server

pytestmark = pytest.mark.slow

FEW = ["--rows", "40", "--rounds", "1"]


def demo(server: Server, *options: str) -> int:
    """Run the demonstration on the test server, few rows, in this process."""
    return main(["demo", "--url", server.text(), *FEW, *options])


def only(monkeypatch: pytest.MonkeyPatch, *steps: Step) -> None:
    """Let the demonstration consist of `steps`."""
    monkeypatch.setattr(workload, "STEPS", steps)


@pytest.fixture(autouse=True)
def nothing_left(server: Server) -> Any:
    """Check after each test that the database has the schemas that it had before."""
    before = schemas(server)
    yield
    assert schemas(server) == before
    assert not pgflight.installed()


def test_run(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured, picture = tmp_path / "measured.json", tmp_path / "picture.svg"
    assert demo(server, "--json", str(measured), "--svg", str(picture)) == 0
    said = capsys.readouterr().out
    assert f"All {len(STEPS)} steps gave the same results on both dialects." in said
    assert all(step.name in said for step in STEPS)
    report = json.loads(measured.read_text("utf-8"))
    assert [step["name"] for step in report["steps"]] == [step.name for step in STEPS]
    for step in report["steps"]:
        for side in (BUILTIN, PGFLIGHT):
            assert len(step["seconds"][side]) == 1
            assert step["cpu_seconds"][side][0] > 0
            assert step["round_trips"][side] > 0
    assert picture.read_text("utf-8").startswith("<svg ")


def test_smallest_run(server: Server) -> None:
    assert main(["demo", "--url", server.text(), "--rows", "1", "--rounds", "1"]) == 0


def test_run_where_pgflight_is_installed_already(server: Server) -> None:
    pgflight.install()
    try:
        assert demo(server) == 0
        assert pgflight.installed()
    finally:
        pgflight.uninstall()


def test_embedded_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *FEW]) == 0
    said = capsys.readouterr().out
    assert "Starting an embedded PostgreSQL" in said
    assert "PostgreSQL 18" in said


def wrong_on(side: str, value: object) -> Step:
    """Return a step that gives 42 on one dialect and `value` on the other."""

    async def run(engine: AsyncEngine, data: Dataset) -> Outcome:
        ours = is_ours(type(engine.dialect).__module__)
        return Outcome(1, value if ours == (side == PGFLIGHT) else 42)

    return Step("the doctored step", run)


def test_wrong_result_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    only(monkeypatch, STEPS[0], wrong_on(PGFLIGHT, 42.0), STEPS[-1])
    assert demo(server) == 1
    said = capsys.readouterr().out
    assert (
        "FAILED step 'the doctored step' returned on pgflight something else than it does" in said
    )
    assert "gave the same results" not in said


def test_wrong_result_in_a_later_round_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[str] = []

    async def run(engine: AsyncEngine, data: Dataset) -> Outcome:
        calls.append("")
        return Outcome(1, len(calls) == 4)

    only(monkeypatch, Step("the late step", run))
    assert demo(server) == 1
    assert "step 'the late step' returned on pgflight something else" in capsys.readouterr().out


def test_corrupted_value_of_a_real_step(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def corrupted(engine: AsyncEngine, data: Dataset) -> Outcome:
        outcome = await reading.run(engine, data)
        rows = outcome.value
        assert isinstance(rows, list)
        if is_ours(type(engine.dialect).__module__):
            rows[-1] = (*rows[-1][:-1], f"{rows[-1][-1]} ")
        return Outcome(outcome.rows, rows)

    reading = next(step for step in STEPS if step.name == "fetch whole tables")
    steps = [Step(step.name, corrupted) if step is reading else step for step in STEPS]
    only(monkeypatch, *steps)
    assert demo(server) == 1
    assert "step 'fetch whole tables' returned on pgflight" in capsys.readouterr().out


@pytest.mark.parametrize("side", [BUILTIN, PGFLIGHT])
def test_step_that_raises_is_named(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    side: str,
) -> None:
    async def run(engine: AsyncEngine, data: Dataset) -> Outcome:
        if is_ours(type(engine.dialect).__module__) == (side == PGFLIGHT):
            raise ValueError("out of order")
        return Outcome(1, None)

    only(monkeypatch, Step("the broken step", run))
    assert demo(server) == 1
    label = "pgflight" if side == PGFLIGHT else "the built-in dialect"
    expected = f"FAILED step 'the broken step' failed on {label}: ValueError: out of order"
    assert expected in capsys.readouterr().out


def test_time_is_bounded(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(engine: AsyncEngine, data: Dataset) -> Outcome:
        await asyncio.sleep(60)
        raise AssertionError

    only(monkeypatch, Step("the endless step", run))
    monkeypatch.setattr("pgflight.cli.demo.command._SECONDS", 1.0)
    assert demo(server) == 2
    assert "was not done after 1 seconds: try --rows 1000" in capsys.readouterr().err


def test_schema_of_somebody_else(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.execute("CREATE SCHEMA pgflight_demo", "CREATE TABLE pgflight_demo.precious (id int)")
    try:
        assert demo(server) == 2
        assert "has a schema 'pgflight_demo' that demo did not" in (capsys.readouterr().err)
        server.execute("SELECT id FROM pgflight_demo.precious")
    finally:
        server.execute("DROP SCHEMA pgflight_demo CASCADE")


def test_schema_left_by_a_run_that_was_killed(server: Server) -> None:
    server.execute(
        "CREATE SCHEMA pgflight_demo",
        f"COMMENT ON SCHEMA pgflight_demo IS '{comparison.SCHEMA.mark}'",
        "CREATE TABLE pgflight_demo.city (id int)",
    )
    assert demo(server) == 0


def test_two_runs_in_one_database(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    async def run(engine: AsyncEngine, data: Dataset) -> Outcome:
        if not seen:
            try:
                async with own_schema.made(
                    comparison.SCHEMA, engine.url.set(drivername="postgresql+asyncpg")
                ):
                    seen.append("made")
            except CommandError as error:
                seen.append(str(error))
        return Outcome(1, None)

    url = server.url()
    only(monkeypatch, Step("the second run", run))
    assert demo(server) == 0
    assert len(seen) == 1 and seen[0].startswith("another demo runs in postgresql+asyncpg")
    assert url.password is None or str(url.password) not in seen[0]


def test_server_that_is_not_there(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    url = server.url(port=1)
    assert main(["demo", "--url", url.render_as_string(hide_password=False), *FEW]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: cannot connect to postgresql+asyncpg://")
    assert ":***@" in said and len(said.splitlines()) == 1


def test_file_that_cannot_be_written(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo(server, "--json", "no-such-directory/x.json") == 2
    assert "no-such-directory/x.json cannot be written: create " in capsys.readouterr().err


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_a_signal_cleans_up(server: Server, tmp_path: Path, sent: signal.Signals) -> None:
    words = ["demo", "--url", server.text()]
    assert ended_by(sent, server, tmp_path, words, after="counting") == (130, "interrupted\n", True)
