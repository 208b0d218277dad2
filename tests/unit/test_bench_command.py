"""`python -m pgflight bench`: whole runs in short, their files, and what stops one."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

import pgflight
from pgflight import driver
from pgflight.__main__ import main
from pgflight.cli.bench import command, units
from pgflight.cli.bench import run as running
from pgflight.cli.bench.dialects import BUILTIN, DIALECTS, PGFLIGHT, PSYCOPG, url_for
from pgflight.cli.bench.measuring import Turns
from pgflight.cli.bench.units import BULK, UNITS, Unit
from pgflight.cli.server.cluster import TempCluster, embedded_binaries, find_binaries
from tests.fixtures.commands import begun, ended_by, schemas
from tests.fixtures.engines import Dialect
from tests.fixtures.pgbouncer import Pgbouncer
from tests.fixtures.server import Server

SHORT = ["--seconds", "0.02", "--rounds", "2", "--tasks", "1,3", "--pool", "2"]


@pytest.fixture
def nothing_left(server: Server) -> Any:
    """Check after the test that the database has the schemas that it had before."""
    before = schemas(server)
    yield
    assert schemas(server) == before
    assert not pgflight.installed()


def bench(server: Server, *options: str) -> int:
    """Measure on the test server, in short, in this process."""
    return main(["bench", server.text(), *SHORT, *options])


@pytest.mark.usefixtures("nothing_left")
def test_run(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured, written = tmp_path / "measured.json", tmp_path / "page.html"
    assert bench(server, "--json", str(measured), "--html", str(written), "--units", "4") == 0
    said = capsys.readouterr().out
    assert all(unit.name in said for unit in (*UNITS, *BULK))
    assert "A request of 4 units of work" in said
    document = json.loads(measured.read_text("utf-8"))
    assert document["dialects"] == list(DIALECTS) and document["not_measured"] == {}
    assert document["round_trip_ms"] > 0
    found = {(row["unit"], row["dialect"]): row for row in document["units"]}
    assert set(found) == {(unit.name, dialect) for unit in UNITS for dialect in DIALECTS}
    for row in found.values():
        assert 0 < row["median_ms"] <= row["p90_ms"] <= row["p99_ms"]
        assert row["count"] >= 2 and row["cpu_ms"] > 0
    assert all(row["rows_per_second"] > 0 for row in document["rows"])
    waits = {key: row["waits"] for key, row in found.items()}
    assert waits["read a row", BUILTIN] == 3
    assert waits["read a row", PGFLIGHT] == (1 if driver.can_pipeline() else 3)
    at_once = [row["per_second"] for row in document["units"] if row["per_second"]]
    assert len(at_once) == 2 * len(DIALECTS) and all(set(each) == {"1", "3"} for each in at_once)
    text = written.read_text("utf-8")
    assert text.count("<svg") == 8 and text.startswith("<!DOCTYPE html>")


def test_a_slice_that_is_over_at_once_measures_all_the_same(pgflight_dialect: Dialect) -> None:
    """A busy machine may be elsewhere from the slice's beginning to its end."""

    async def one(engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            await connection.scalar(sa.select(1))

    async def work() -> None:
        unit = Unit("one", one)
        turns = Turns({PGFLIGHT: pgflight_dialect.engine()}, 0.0, 1, lambda unit, dialect: None)
        sample = (await turns.alone([unit]))["one", PGFLIGHT]
        assert 0 < sample.median and len(sample.seconds) == 1
        rates = (await turns.at_once([unit], [1, 2]))["one", PGFLIGHT]
        assert all(rate > 0 for rate in rates.values())

    asyncio.run(work())


@pytest.mark.usefixtures("nothing_left")
def test_without_the_counting_proxy(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A URL of two hosts: measured all the same, and the page has no picture of waits."""
    url = make_url(server.text())
    one = f"host={url.host}:{url.port}"
    both = f"postgresql://{url.username}:{url.password}@/{url.database}?{one}&{one}"
    page = tmp_path / "page.html"
    words = [both, *SHORT, "--html", str(page)]
    assert main(["bench", *words]) == 0
    assert "Waits were not counted: the URL names no single host." in capsys.readouterr().out
    assert page.read_text("utf-8").count("<svg") == 6


@pytest.mark.usefixtures("nothing_left")
def test_a_dialect_that_cannot_log_in_is_left_out(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the built-in dialect refuses an option of libpq's that asyncpg has no argument for."""
    url = make_url(server.text()).update_query_dict({"min_protocol_version": "3.0"})
    assert main(["bench", url.render_as_string(hide_password=False), *SHORT]) == 0
    said = capsys.readouterr().out
    assert f"Not measured: {BUILTIN}, " in said
    assert "The built-in dialect was not measured, so there is nothing to compare with." in said


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_a_signal_cleans_up(server: Server, tmp_path: Path, sent: signal.Signals) -> None:
    words = ["bench", server.text()]
    how = ended_by(sent, server, tmp_path, words, after="Measuring")
    assert how == (130, "interrupted\n", True)


@pytest.mark.usefixtures("nothing_left")
def test_a_unit_that_fails_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table of the units is not filled, as if somebody had emptied it."""

    async def emptied(engine: Any) -> None:
        async with engine.begin() as connection:
            await connection.run_sync(units.Base.metadata.create_all)

    monkeypatch.setattr(running, "fill", emptied)
    assert bench(server) == 2
    said = capsys.readouterr().err
    assert "error: the unit of work 'read a row' failed on pgflight: NoResultFound: " in said


# SQLAlchemy 2.0 leaves a connection of the built-in dialect open whose first question has failed
@pytest.mark.filterwarnings("ignore:unclosed connection")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("nothing_left")
def test_a_dialect_that_fails_on_the_way_is_left_out(
    server: Server, pgbouncer: Pgbouncer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """As the built-in one does behind a pooler, whose connections have others' statements."""
    page = tmp_path / "page.html"
    words = [pgbouncer.url().render_as_string(hide_password=False), *SHORT, "--html", str(page)]
    assert main(["bench", *words]) == 0
    said = capsys.readouterr().out
    assert f"Not measured: {BUILTIN}, the unit of work " in said
    assert "prepared statement" in said
    assert page.read_text("utf-8").count("<svg") == 8


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "error: bench measures on your own server: write"),
        (["postgresql://h/d", "--url", "postgresql://h/d"], "error: the URL is given twice"),
        (["mysql://h/d"], "names the driver 'mysql'"),
        (["postgresql://h/d", "--html", "no-such/x.html"], "no-such/x.html cannot be written"),
        (["postgresql://h/d", "--json", "/"], "error: / cannot be written: name another file"),
        (
            ["postgresql://u:w0rd@127.0.0.1:1/d?connect_timeout=5"],
            "error: pgflight cannot connect to postgresql+asyncpg://u:***@127.0.0.1:1/d",
        ),
    ],
    ids=["no URL", "two URLs", "another driver", "no directory", "a directory", "no server"],
)
def test_refused(
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert main(["bench", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and "w0rd" not in error and len(error.splitlines()) == 1


@pytest.mark.parametrize("after", ["Counting", "Measuring: insert a row"])
def test_a_server_that_goes_away(after: str, tmp_path: Path) -> None:
    with TempCluster(find_binaries() or embedded_binaries()) as cluster:
        process = begun(tmp_path, ["bench", cluster.url()], until=after)
        cluster.stop("immediate")
        _, complaint = process.communicate(timeout=120)
    assert process.returncode == 2, complaint
    assert complaint.startswith("error: ") and len(complaint.splitlines()) == 1


def test_a_host_that_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        began = time.monotonic()
        assert main(["bench", f"postgresql://u@127.0.0.1:{port}/d?connect_timeout=1"]) == 2
    assert time.monotonic() - began < 15
    assert "error: pgflight cannot connect to " in capsys.readouterr().err


def test_packages_that_are_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_PACKAGES", ("rich", "no_such_package"))
    assert main(["bench", "postgresql://h/d"]) == 2
    said = "error: bench needs no_such_package: pip install 'pgflight[bench]'\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--seconds", "0"),
        ("--seconds", "nan"),
        ("--tasks", "1,x"),
        ("--tasks", ""),
        ("--pool", "-1"),
    ],
)
def test_a_number_that_is_none(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["bench", "postgresql://h/d", f"{option}={value}"])
    assert refused.value.code == 2
    assert re.search(r"is not a (number above 0|positive whole number)", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("query", "builtin", "psycopg"),
    [
        ("sslmode=require&pipeline=off", "ssl=require", "sslmode=require"),
        ("ssl=require&array_insert=false", "ssl=require", "sslmode=require"),
        ("prepared_statement_cache_size=7", "prepared_statement_cache_size=7", ""),
        ("host=/run&port=5433", "host=%2Frun&port=5433", "host=%2Frun&port=5433"),
        ("connect_timeout=3&application_name=x", "", ""),
    ],
)
def test_each_dialect_gets_what_it_knows(query: str, builtin: str, psycopg: str) -> None:
    url = make_url(f"postgresql+asyncpg://u:p@/d?{query}")
    for dialect, expected in ((BUILTIN, builtin), (PSYCOPG, psycopg)):
        text = url_for(url, dialect).render_as_string(hide_password=False)
        assert text.partition("/d")[2] == (f"?{expected}" if expected else ""), dialect
    assert url_for(url, PGFLIGHT).query == url.query
