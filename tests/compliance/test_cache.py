"""The cache of outcomes gives back what was put in, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.compliance import run
from tests.compliance.cache import FEWEST_TESTS, VARIABLE, Cache, run_key
from tests.compliance.compare import Outcome
from tests.compliance.run import SuiteRun, run_builtin
from tests.fixtures.server import Server

KEY = {"format": 1, "packages": {"sqlalchemy": "2.1.0"}, "postgresql": [15, 3]}
OUTCOMES = {f"t{number}": Outcome("passed") for number in range(FEWEST_TESTS)}
OUTCOMES["t1"] = Outcome("failed", "traceback")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    made = Cache(tmp_path)
    made.store(KEY, OUTCOMES)
    return made


def only(cache: Cache) -> Path:
    (file,) = cache.directory.iterdir()
    return file


def test_it_gives_back_what_it_got(cache: Cache) -> None:
    assert cache.load(KEY) == OUTCOMES


@pytest.mark.parametrize("other", ["2.1.1", ""])
def test_another_version_has_no_entry(cache: Cache, other: str) -> None:
    assert cache.load({**KEY, "packages": {"sqlalchemy": other}}) is None


def cut(text: str) -> str:
    return text[:-100]


def better(text: str) -> str:
    return text.replace('"failed"', '"passed"')


def fewer(text: str) -> str:
    entry = json.loads(text)
    del entry["outcomes"]["t2"]
    return json.dumps(entry)


def of_another(text: str) -> str:
    entry = json.loads(text)
    entry["key"]["postgresql"] = [18, 0]
    return json.dumps(entry)


def nothing(text: str) -> str:
    return ""


def a_list(text: str) -> str:
    return "[]"


@pytest.mark.parametrize("damage", [cut, better, fewer, of_another, nothing, a_list])
def test_a_damaged_entry_counts_as_none_and_is_made_again(
    cache: Cache, damage: Callable[[str], str]
) -> None:
    file = only(cache)
    file.write_text(damage(file.read_text()))
    assert cache.load(KEY) is None
    cache.store(KEY, OUTCOMES)
    assert cache.load(KEY) == OUTCOMES


def test_a_run_that_broke_off_is_not_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.store(KEY, {"t": Outcome("passed")})
    cache.store(KEY, {**OUTCOMES, "t3": Outcome("error", "in set-up")})
    assert list(tmp_path.iterdir()) == []
    assert cache.load(KEY) is None


def test_the_builtin_dialect_runs_when_there_is_no_entry_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def suite(dialect: str, *arguments: Any) -> SuiteRun:
        ran.append(dialect)
        return SuiteRun(None, None, OUTCOMES)

    monkeypatch.setattr(run, "run_suite", suite)
    cache = Cache(tmp_path)
    for expected in (["builtin"], ["builtin"]):
        assert run_builtin(tmp_path, cache).outcomes == OUTCOMES
        assert ran == expected
    only(cache).write_text("damaged")
    assert run_builtin(tmp_path, cache).outcomes == OUTCOMES
    assert run_builtin(tmp_path).outcomes == OUTCOMES
    assert ran == ["builtin"] * 3


def test_the_key_tells_what_matters(server: Server) -> None:
    key = run_key(server, ("test/dialect",))
    assert key == json.loads(json.dumps(key)) == run_key(server, ("test/dialect",))
    assert all(key["packages"][name] for name in ("sqlalchemy", "asyncpg", "pytest"))
    assert tuple(key["postgresql"]) == server.version
    assert run_key(server, ("test/other",)) != key


def test_it_is_used_only_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert Cache.asked_for() is None
    monkeypatch.setenv(VARIABLE, str(tmp_path / "made" / "here"))
    made = Cache.asked_for()
    assert made is not None and made.directory.is_dir()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "in it"))
    assert Cache.asked_for() is None
