"""`PGFLIGHT_TEST_SELECTION`: which tests of a suite it chooses."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.selection import VARIABLE
from tests.packaging.checkout import ROOT

SUITE = """
import pytest

@pytest.fixture(params=["builtin", "ours"])
def dialect(request):
    return request.param

@pytest.mark.parametrize("one", range(8))
def test_one(one): ...

@pytest.mark.parametrize("a", range(5))
@pytest.mark.parametrize("b", range(4))
def test_two(a, b): ...

@pytest.mark.parametrize(("a", "b"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_pairs(a, b): ...

@pytest.mark.parametrize("value", [[], {}, [1]])  # no hash
def test_both(dialect, value): ...

def test_none(): ...
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("suite") / "test_it.py"
    file.write_text(SUITE)
    return file


def collect(suite: Path, selection: str) -> subprocess.CompletedProcess[str]:
    arguments = ("-q", "--collect-only", "-p", "tests.fixtures.selection", "-p", "no:cacheprovider")
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, "-c", os.devnull, suite.name],
        cwd=suite.parent,
        env={**os.environ, VARIABLE: selection, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


@functools.cache
def collected(suite: Path, selection: str) -> list[str]:
    """Return the names of the tests of the suite that are chosen."""
    ended = collect(suite, selection)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return [line.partition("::")[2] for line in ended.stdout.splitlines() if "::" in line]


def of(names: list[str], function: str) -> set[str]:
    return {name.partition("[")[2].rstrip("]") for name in names if name.startswith(function)}


def test_each_value_occurs(suite: Path) -> None:
    everything, chosen = collected(suite, ""), collected(suite, "word")
    assert len(everything) == 8 + 20 + 4 + 6 + 1
    assert [name for name in everything if name in chosen] == chosen  # in the suite's order
    for function in ("test_one", "test_pairs", "test_none"):
        assert of(chosen, function) == of(everything, function)
    two = of(chosen, "test_two")
    assert len(two) < 20
    assert {part.split("-")[0] for part in two} == set("0123")
    assert {part.split("-")[1] for part in two} == set("01234")


def test_ours_has_all_values_of_what_is_no_grid_otherwise(suite: Path) -> None:
    both = of(collected(suite, "word"), "test_both")
    assert {f"ours-value{number}" for number in range(3)} < both
    assert len(both) == 4


def test_another_word_takes_others(suite: Path) -> None:
    assert len({frozenset(collected(suite, word)) for word in ("one", "two", "word")}) > 1


def test_the_parts_are_the_whole(suite: Path) -> None:
    first, second = collected(suite, "word:1/2"), collected(suite, "word:2/2")
    assert set(first) | set(second) == set(collected(suite, "word"))
    assert not set(first) & set(second)
    assert first and second


def test_two_shares_have_all_values_of_a_function_between_them(suite: Path) -> None:
    first, second = collected(suite, "word:1/1:1/2"), collected(suite, "other:1/1:2/2")
    everything = collected(suite, "")
    for function in ("test_one", "test_pairs"):
        halves = of(first, function), of(second, function)
        assert halves[0] | halves[1] == of(everything, function)
        assert len(halves[0]) == len(halves[1])
    for chosen in (first, second):
        assert "test_none" in chosen
        assert 3 <= len(of(chosen, "test_two")) <= 5
    numbers = [set(part.split("-")) for part in of(first, "test_two") | of(second, "test_two")]
    assert set.union(*numbers) == set("01234")


def test_parts_can_be_joined(suite: Path) -> None:
    joined = collected(suite, "word:1/2:1/2+2/2:2/2")
    apart = [*collected(suite, "word:1/2:1/2"), *collected(suite, "word:2/2:2/2")]
    assert sorted(joined) == sorted(apart)
    assert joined == [name for name in collected(suite, "") if name in joined]


def test_what_a_fixture_adds_is_not_shared(suite: Path) -> None:
    chosen = [of(collected(suite, f"word:1/1:{share}"), "test_both") for share in ("1/2", "2/2")]
    assert all({name.split("-")[0] for name in names} == {"builtin", "ours"} for names in chosen)
    ours = {name for names in chosen for name in names if name.startswith("ours")}
    assert ours == {f"ours-value{number}" for number in range(3)}


@pytest.mark.parametrize("wrong", ["a:3/2", "a:", "a b", "a:1/2:3/2", "a:1/2+", "a:1/2+3/2"])
def test_what_is_none_is_refused(suite: Path, wrong: str) -> None:
    ended = collect(suite, wrong)
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"PGFLIGHT_TEST_SELECTION={wrong!r}: give a word" in ended.stderr
