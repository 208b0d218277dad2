"""Which step covers what: `.ci/run full` leaves nothing out, `.ci/run` only what is listed here.

The passes that are not the default one run a selection of the tests in both kinds of run; a full
run has each of their versions and levels in a suite that runs them all.

Derived from the tables that `.ci/run` and tools/check.py read: a directory or a marker that is new
fails here until a step runs it.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import pytest

from tests.packaging.checkout import ROOT
from tools import check
from tools.ci import work
from tools.ci.environments import FACTORS, PASSES, Environment
from tools.ci.steps import BY_NAME, CORE, STEPS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DIRECTORIES = {
    f"tests/{path.name}"
    for path in (ROOT / "tests").iterdir()
    if path.is_dir() and list(path.glob("test_*.py"))
}
MARKERS = {
    line.partition(":")[0]
    for line in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"][
        "ini_options"
    ]["markers"]
}

# Steps of the full run that a quick one does without, each with the reason.
LEFT_OUT = {
    "oldest": "the pairs oldest_compiled and oldest_python run its calm tests",
    "sqlalchemy_20": "the pairs sa20_compiled and sa20_python run its calm tests",
    "optimized": "three of the pairs run under -O",
    "embedded": "three of the pairs run on the embedded server",
    "public": "three of the pairs run at level public",
    "compliance_20": "SQLAlchemy's own tests run on 2.1, compiled; other versions change rarely",
    "benchmarks": "times are noise beside other steps; what counts is in gates",
}
# What quick does instead of the whole, each with the reason.
SMALLER = {
    "poolers": "storms scaled down",
    "readme": "installs from source and runs two files: the rest is the step default",
    "wheels": "the interpreters that tests run on; full has every one of a release",
    "sanitized": "the unit tests of the pieces, without the random documents",
    "debug": "counts references, in a build that asserts what it does; full runs the pieces' tests",
}
# What the step default does without, each with the step of the quick run that has it.
ELSEWHERE = {
    "tests/packaging/test_installs.py": "installs",
    "tests/packaging/test_reproducible.py": "installs",
    "tests/leaks/test_references.py::test_references_level_off[references-": "debug",
}


class Part(NamedTuple):
    """A selection of tests, wherever it was declared."""

    environment: Environment
    paths: frozenset[str]
    ignored: frozenset[str]
    marker: str
    keyword: str
    scale: str
    selection: str = ""

    @property
    def whole(self) -> bool:
        """Whether nothing is left out of its paths but what it ignores."""
        return (self.marker, self.keyword, self.scale, self.selection) == ("", "", "1", "")


def parts(full: bool) -> list[Part]:
    """Return every selection of tests in this kind of run."""
    found = [
        Part(
            suite.environment,
            frozenset(suite.paths),
            frozenset(suite.ignore),
            suite.marker,
            suite.keyword,
            suite.scale,
            suite.selection,
        )
        for step in STEPS
        for suite in step.suites(full)
        if step.work(full) is not None
    ]
    if full:
        assert BY_NAME["readme"].full is work.readme_full
        for each in check.selections(full=True, python_only=False):
            paths = set(DIRECTORIES if each.paths == ("tests",) else each.paths)
            ignored = frozenset(f"tests/{name}" for name in each.ignored)
            chosen = (each.marker, each.keyword, each.scale, each.selection)
            environment = Environment(form=each.form)
            found.append(Part(environment, frozenset(paths - ignored), ignored, *chosen))
    return found


def within(directory: str, part: Part) -> list[str]:
    """Return what is ignored of a directory."""
    return [name for name in part.ignored if name.startswith(f"{directory}/")]


@pytest.mark.parametrize("directory", sorted(DIRECTORIES))
def test_full_runs_every_directory_whole(directory: str) -> None:
    whole = [
        part
        for part in parts(full=True)
        if directory in part.paths and part.whole and not within(directory, part)
    ]
    assert any(part.environment == PASSES["default"] for part in whole)


@pytest.mark.parametrize("directory", sorted(DIRECTORIES))
def test_quick_runs_every_directory(directory: str) -> None:
    found = [part for part in parts(full=False) if directory in part.paths]
    assert any(
        part.environment == PASSES["default"]
        and not part.marker
        and not part.selection
        and set(within(directory, part)) <= set(ELSEWHERE)
        for part in found
    ), f"{directory} is in no step of `.ci/run`: add it to tools/ci/steps.py"


@pytest.mark.parametrize("full", [False, True], ids=["quick", "full"])
@pytest.mark.parametrize("marker", sorted(MARKERS))
def test_no_marker_is_excluded_everywhere(marker: str, full: bool) -> None:
    assert any(f"not {marker}" not in part.marker for part in parts(full))


@pytest.mark.parametrize("full", [False, True], ids=["quick", "full"])
@pytest.mark.parametrize(
    ("factor", "level"), [(name, level) for name in FACTORS for level in FACTORS[name]]
)
def test_every_level_is_in_some_step(factor: str, level: str, full: bool) -> None:
    assert any(getattr(part.environment, factor) == level for part in parts(full))


@pytest.mark.parametrize(
    ("factor", "level"), [(name, level) for name in FACTORS for level in FACTORS[name][1:]]
)
def test_full_runs_a_suite_one_level_away_from_the_default(factor: str, level: str) -> None:
    wanted = PASSES["default"]._replace(**{factor: level})
    found = [part for part in parts(full=True) if part.environment == wanted]
    assert any(
        part.scale == "1" and not part.selection and "tests/parity" in part.paths | whole(part)
        for part in found
    )


def whole(part: Part) -> frozenset[str]:
    return frozenset(DIRECTORIES) if "tests" in part.paths else frozenset()


@pytest.mark.parametrize("half", ["1/2", "2/2"])
@pytest.mark.parametrize("directory", CORE)
def test_each_function_runs_on_each_version_and_at_each_level(directory: str, half: str) -> None:
    """A quick run has it in four environments: the default, its opposite, and two that differ.

    What breaks connections has one level public less: see the table of steps.
    """
    found = [
        part.environment
        for part in parts(full=False)
        if directory in part.paths and half in shares_of(part)
    ]
    assert PASSES["default"] in found and PASSES["opposite"] in found
    assert len(found) == len(set(found)) == 4
    for number, factor in enumerate(FACTORS):
        assert {environment[number] for environment in found} == set(FACTORS[factor]), factor


def shares_of(part: Part) -> dict[str, str]:
    """Return by half of the functions which of their values a selection has."""
    found = {}
    for each in part.selection.partition(":")[2].split("+"):
        half, _, share = each.partition(":")
        for name in ("1/2", "2/2") if half in ("", "1/1") else (half,):
            found[name] = share or "1/1"
    return found


@pytest.mark.parametrize("half", ["1/2", "2/2"])
@pytest.mark.parametrize("directory", CORE)
def test_each_value_meets_both_forms_and_an_older_line(directory: str, half: str) -> None:
    found = [
        (part.environment, shares_of(part)[half])
        for part in parts(full=False)
        if directory in part.paths and half in shares_of(part)
    ]
    for those in (
        [share for environment, share in found if environment.form == "python"],
        [share for environment, share in found if environment.versions != "2.1"],
    ):
        assert set(those) == {"1/2", "2/2"}
    assert (PASSES["default"], "1/1") in found


def test_what_quick_leaves_out_is_listed() -> None:
    quick = {step.name for step in STEPS if step.work(full=False)}
    full = {step.name for step in STEPS if step.work(full=True)}
    assert full - quick == set(LEFT_OUT)
    # and what full replaces: the README's command and all benchmarks have more than these
    assert quick - full == {"default", "compliance", "gates", "installs"}
    assert {s.name for s in STEPS if s.quick and s.full and s.quick is not s.full} == set(SMALLER)
    assert all([*LEFT_OUT.values(), *SMALLER.values()])


def test_what_default_does_without_is_in_another_step() -> None:
    (default,) = BY_NAME["default"].suites(full=False)
    assert set(default.ignore) == set(ELSEWHERE)
    assert all(BY_NAME[name].work(full=False) for name in ELSEWHERE.values())
    (installs,) = BY_NAME["installs"].suites(full=False)
    assert installs.paths == tuple(name for name in ELSEWHERE if ELSEWHERE[name] == "installs")
    assert BY_NAME["debug"].quick is work.references


def test_steps_come_after_what_they_need() -> None:
    seen: set[str] = set()
    for step in STEPS:
        assert set(step.needs) <= seen, step.name
        assert step.needs or step.name == "machine", "it would begin before PostgreSQL is installed"
        seen.add(step.name)
        for full in (False, True):
            if step.work(full) is not None:
                assert all(BY_NAME[name].work(full) for name in step.needs), step.name
                used = {suite.environment.versions for suite in step.suites(full)}
                assert {f"env-{versions}" for versions in used} <= set(step.needs)


def test_what_is_named_is_there() -> None:
    for step in STEPS:
        for suite in (*step.suites(full=False), *step.suites(full=True)):
            assert all((ROOT / path).exists() for path in suite.paths)
            assert all((ROOT / path.partition("::")[0]).exists() for path in suite.ignore)
    assert all((ROOT / path).exists() for path in work.PIECES)
    for full in (False, True):
        for each in check.selections(full=full, python_only=False):
            assert all((ROOT / "tests" / name).exists() for name in each.ignored)


def test_the_quick_check_of_the_readme_runs_both_forms() -> None:
    compiled, python = check.selections(full=False, python_only=False)
    assert (compiled.form, python.form) == ("compiled", "python")
    assert set(compiled.ignored) == {"compliance", "leaks", "packaging", "selftest"}
    assert not compiled.marker and not compiled.keyword
    # so that the two forms take different combinations
    assert (compiled.selection, python.selection) == ("compiled", "python:1/2:1/2")
