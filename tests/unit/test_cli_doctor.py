"""`python -m pgflight doctor`: what it finds sound, and what it finds wrong."""

from __future__ import annotations

import asyncio
import json
import re
import warnings
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from pgflight import driver
from pgflight.__main__ import main
from pgflight.cli.doctor import poolers, server_checks
from pgflight.cli.doctor.checking import Wrong, run_check
from pgflight.cli.doctor.command import GOOD, NO_CONNECTION, NOT_AS_ASKED, WRONG
from pgflight.cli.target import server_url, shown
from tests.fixtures.server import Server
from tests.unit.environments import import_path, run, succeed


@pytest.fixture
def path(tmp_path: Path) -> list[str]:
    """Where a new process finds pgflight."""
    return import_path(tmp_path)


def test_sound_environment(path: list[str]) -> None:
    said = succeed(run(["-m", "pgflight", "doctor"], path))
    for name in (
        "python",
        "sqlalchemy",
        "asyncpg",
        "pgflight",
        "implementation",
        "driver level",
        "pipeline",
        "SQLAlchemy's private names",
    ):
        assert f"ok    {name}: " in said
    assert (
        "ok    dialect: postgresql+pgflight is served by pgflight.dialect.PGDialect_asyncpg" in said
    )
    assert said.endswith("all 10 good")


@pytest.mark.parametrize(
    ("switch", "name"),
    [("PGFLIGHT_IMPL", "implementation"), ("PGFLIGHT_DRIVER", "driver level")],
)
def test_switch_with_an_unknown_value(path: list[str], switch: str, name: str) -> None:
    done = run(["-m", "pgflight", "doctor"], path, **{switch: "fastest"})
    assert done.returncode == 1
    assert f"WRONG {name}: cannot be loaded: " in done.stdout
    assert "fastest" in done.stdout
    assert done.stderr == ""


def test_slower_is_not_wrong(path: list[str]) -> None:
    switches = {"PGFLIGHT_IMPL": "python", "PGFLIGHT_DRIVER": "public"}
    said = succeed(run(["-m", "pgflight", "doctor"], path, **switches))
    assert "ok    implementation: python (PGFLIGHT_IMPL=python asks for it)" in said
    assert "ok    driver level: public (PGFLIGHT_DRIVER=public asks for it" in said
    assert "ok    pipeline: off (driver level public)" in said


def test_missing_private_name_is_not_wrong(path: list[str]) -> None:
    """SQLAlchemy's own way serves where a name is missing: slower, and the line says what."""
    code = (
        "from sqlalchemy.engine import Engine; del Engine._has_events\n"
        "from pgflight.__main__ import main; raise SystemExit(main(['doctor']))"
    )
    said = succeed(run(["-c", code], path))
    name = "ok    SQLAlchemy's private names: "
    lines = [line.removeprefix(name) for line in said.splitlines() if line.startswith(name)]
    assert lines[0].split()[0] != lines[0].split()[2]
    assert lines[1:] == [
        "without Engine._has_events: no arrays for many rows; rows are sent as SQLAlchemy sends"
        " them"
    ]
    assert said.endswith("all 11 good")


def test_source_tree_without_entry_points(path: list[str]) -> None:
    """Importing pgflight registers what the package's metadata would."""
    without = "import importlib.metadata as m; m.entry_points = lambda **kw: m.EntryPoints()\n"
    code = f"{without}from pgflight.__main__ import main; raise SystemExit(main(['doctor']))"
    said = succeed(run(["-c", code], path))
    assert "ok    dialect: postgresql+pgflight is served by pgflight" in said


def test_server(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", server.text()]) == GOOD
    said = capsys.readouterr().out
    assert f"ok    connect: PostgreSQL {server.version[0]}." in said
    for check in server_checks.CHECKS:
        assert f"ok    {check.name}: " in said
    assert server.address.password is None or str(server.address.password) not in said


def test_a_document(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Programs read the same from --json, whatever way the URL is given."""
    assert main(["doctor", "--json", "--url", server.text()]) == GOOD
    said = capsys.readouterr().out
    found = json.loads(said)
    data = {fact["name"]: fact["data"] for fact in found["facts"]}
    assert found["exit_code"] == GOOD
    assert found["url"] == shown(server_url(server.text()))
    assert found["settings"] == []
    assert data["connect"]["version"].startswith(f"{server.version[0]}.")
    assert data["authentication"] == {"method": "SCRAM-SHA-256"}
    assert data["encryption"]["tls"] is None
    assert data["pooler"]["found"] == "none"
    assert data["pooler"]["process_of_login"] == data["pooler"]["process_of_statements"]
    waits = data["round trips"]["waits"], data["round trips"]["waits_without_pipeline"]
    assert waits == ((1.0, 3.0) if driver.can_pipeline() else (3.0, 3.0))
    assert server.address.password is None or f":{server.address.password}@" not in said


def test_the_url_of_the_environment(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", server.text())
    assert main(["doctor", "--json"]) == GOOD
    assert json.loads(capsys.readouterr().out)["url"] == shown(server_url(server.text()))
    monkeypatch.setenv("DATABASE_URL", "mysql://u:w0rd@h/d")
    assert main(["doctor"]) == NOT_AS_ASKED
    assert "error: DATABASE_URL names the driver 'mysql'" in capsys.readouterr().err
    assert main(["doctor", "--json"]) == NOT_AS_ASKED
    found = json.loads(capsys.readouterr().out)
    assert (found["exit_code"], "w0rd" in str(found)) == (NOT_AS_ASKED, False)


def test_two_urls(capsys: pytest.CaptureFixture[str]) -> None:
    url = "postgresql://u:w0rd@h/d"
    assert main(["doctor", url, "--url", url]) == NOT_AS_ASKED
    said = capsys.readouterr().err
    assert "given twice" in said and "w0rd" not in said


def test_exit_codes_are_documented(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["doctor", "--help"])
    said = capsys.readouterr().out
    for code in (GOOD, WRONG, NOT_AS_ASKED, NO_CONNECTION, 130):
        assert re.search(rf"^  {code} +\S", said, re.MULTILINE)


def test_settings_worth_changing(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    query = {
        "pooler": "transaction",
        "statement_cache_size": "0",
        "pipeline": "off",
        "application_name": "web",
    }
    url = server.url().update_query_dict(query)
    assert main(["doctor", "--json", url.render_as_string(hide_password=False)]) == GOOD
    found = json.loads(capsys.readouterr().out)
    assert [(each["option"], each["value"]) for each in found["settings"]] == [
        ("pooler", None),
        ("statement_cache_size", None),
        ("pipeline", None),
    ]
    kept = server.url().update_query_dict({"application_name": "web"})
    assert found["url_advised"] == shown(server_url(kept.render_as_string(hide_password=False)))


def test_wrong_answer_is_found(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (server_checks, poolers):
        monkeypatch.setattr(module, "expect", _expect_anything_else)
    for check in server_checks.CHECKS:
        if check.name in ("prepared statements", "values", "transaction", "streaming", "errors"):
            fact = asyncio.run(run_check(check, server.url("postgresql+pgflight"), 20))
            assert (fact.name, fact.good) == (check.name, False)
            assert "gave" in fact.text


def _expect_anything_else(what: str, found: object, expected: object) -> None:
    raise Wrong(f"{what} gave {found!r}")


def test_server_that_does_not_answer() -> None:
    async def silent() -> str:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        listener = await asyncio.start_server(accept, "127.0.0.1", 0)
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            url = make_url(f"postgresql+pgflight://u:p@127.0.0.1:{port}/d")
            fact = await run_check(server_checks.CHECKS[0], url, 0.3)
        assert not fact.good
        return fact.text

    assert asyncio.run(silent()) == "no answer within 0.3 seconds"


HALF = [
    "postgresql://u:p@ssw0rd@h/d",
    "postgresql://u:p@ss/w0rd@h/d",
    "postgresql://u:p@ss:w0rd@h/d",
    "postgresql://u:p@ss?w0rd=x/y@h/d",
    "postgresql://u:p@ss?x=w0rd@h/d",
    "postgresql://u@h:1/d?password=w0rd",
    "postgresql://u@127.0.0.1:1/d?pasword=w0rd",
    "postgresql://u@127.0.0.1:1/d?sslpassword=w0rd",
    "postgresql://u:w0rd@127.0.0.1:1/d",
    "postgresql://u@127.0.0.1:1/d?oauth_client_secret=w0rd",
]


@pytest.mark.parametrize("words", [[], ["--json"], ["--url"]], ids=str)
@pytest.mark.parametrize("url", HALF)
def test_no_part_of_a_password_is_shown(
    url: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert main(["doctor", *words, url]) != GOOD
    said = "".join((*capsys.readouterr(), *(str(each.message) for each in caught)))
    assert "w0rd" not in said
