"""Keeping greenlets' stacks: when it begins, the switch, other allocators, threads, forks, the end.

Each program runs in a process of its own, in the compiled form whatever the form of this run.
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import pgflight
from pgflight import _greenlet_stacks
from pgflight._greenlet_stacks import GreenletStacks
from pgflight.session.statistics import EngineCounters, Statistics
from tests.fixtures import ledger
from tests.fixtures.impl import Impl
from tests.unit import greenlet_stacks_program as program

ROOT = Path(__file__).parents[2]
MODULE = "tests.unit.greenlet_stacks_program"

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
KEEPS = (3, 11) <= sys.version_info < (3, 15) and not FREE_THREADED
keeps = pytest.mark.skipif(not KEEPS, reason="greenlets of this Python have no such stacks")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")


def run(
    name: str, *arguments: str, options: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run one of the programs; no warning, and no word about an error, may come of it."""
    environment = {
        name: value for name, value in os.environ.items() if name != _greenlet_stacks.VARIABLE
    }
    environment["PGFLIGHT_IMPL"] = "compiled"
    environment["PYTHONFAULTHANDLER"] = "1"
    environment.update(variables)
    ran = subprocess.run(
        [sys.executable, "-W", "error", *options, "-m", MODULE, name, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, f"{ran.returncode}\n{ran.stdout}\n{ran.stderr}"
    return ran


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Another allocator, compiled."""
    return str(ledger.build(tmp_path_factory.mktemp("ledger")))


@keeps
def test_it_begins_with_the_first_engine() -> None:
    lines = run("begins").stdout.splitlines()
    assert lines == [
        "imported: True",
        "reason: no engine has been made / False",
        "engine: False",
        "reason: ",
        "hits: 999 bound: 256 kept: True",
        "PGFLIGHT_IMPL=compiled asks for it; greenlets' stacks are kept",
        "bound: 256",
    ]


def test_zero_switches_it_off() -> None:
    lines = run("begins", PGFLIGHT_KEEP_STACKS="0").stdout.splitlines()
    assert lines[2:] == [
        "engine: True",
        "reason: PGFLIGHT_KEEP_STACKS=0",
        "hits: 0 bound: 0 kept: False",
        "PGFLIGHT_IMPL=compiled asks for it; "
        "greenlets' stacks are not kept: PGFLIGHT_KEEP_STACKS=0",
        "bound: 0",
    ]


@keeps
@pytest.mark.parametrize("value", ["", "1"])
def test_empty_and_one_leave_it_on(value: str) -> None:
    assert "hits: 999" in run("begins", PGFLIGHT_KEEP_STACKS=value).stdout


def test_another_value_is_an_error_that_lists_the_two() -> None:
    lines = run("refuses", PGFLIGHT_KEEP_STACKS="no").stdout.splitlines()
    assert lines == ["PGFLIGHT_KEEP_STACKS='no' is not one of: 0, 1"] * 2


def test_the_python_form_keeps_none() -> None:
    lines = run("begins", PGFLIGHT_IMPL="python").stdout.splitlines()
    assert lines[2:] == [
        "engine: True",
        "reason: not compiled",
        "hits: 0 bound: 0 kept: False",
        "PGFLIGHT_IMPL=python asks for it",
        "bound: 0",
    ]


@pytest.mark.skipif(KEEPS, reason="greenlets of this Python have such stacks")
def test_it_steps_aside_where_stacks_are_other_or_unknown() -> None:
    lines = run("begins").stdout.splitlines()
    assert lines[2] == "engine: True"
    assert lines[3].endswith(
        ("this Python keeps frames elsewhere", "of this Python are not known", "are not known")
    )
    assert lines[4] == "hits: 0 bound: 0 kept: False"


@keeps
def test_the_program_switches_it() -> None:
    run("switches")


@keeps
def test_no_more_are_kept_than_the_bound() -> None:
    run("bound")


@keeps
@pytest.mark.parametrize("name", ["other_before", "other_around", "other_instead", "never_asked"])
def test_another_allocator(library: str, name: str) -> None:
    run(name, library)


@keeps
def test_the_allocator_before_may_be_put_back() -> None:
    run("put_back")


@keeps
def test_many_threads() -> None:
    run("threads")


@keeps
def test_the_first_engine_may_be_made_anywhere() -> None:
    run("in_a_greenlet")


@keeps
@needs_fork
def test_forks_beside_threads() -> None:
    run("forks")


@keeps
@needs_fork
def test_a_child_begins_by_itself() -> None:
    run("fork_and_begin")


@keeps
def test_sub_interpreters() -> None:
    run("sub_interpreters")


@keeps
@pytest.mark.parametrize("variables", [{}, {"PYTHONMALLOC": "malloc"}, {"PYTHONMALLOC": "debug"}])
def test_the_end_of_the_interpreter(variables: dict[str, str]) -> None:
    ran = run("ends", options=(), **variables)
    assert ran.stdout == "at the end\n"
    assert ran.stderr == ""


@keeps
def test_the_end_in_development_mode() -> None:
    assert run("ends", options=("-X", "dev")).stderr == ""


@keeps
def test_memory_tools() -> None:
    # the sanitizers run with malloc, which has no arenas to list
    ran = run("memory_tools", PYTHONMALLOC="pymalloc")
    assert ran.stdout == "traced\n"
    if hasattr(sys, "_debugmallocstats"):
        assert "arenas" in ran.stderr


def test_both_forms_say_what_they_do(impl: Impl) -> None:
    """In the process of the tests, where an engine may have been made or not."""
    stacks = impl.stacks
    hits, misses, kept, size, bound = stacks.numbers()
    assert 0 <= kept <= bound or kept == 0
    assert bound <= stacks.BOUND
    if stacks.obstacle():
        assert stacks.start(program.nothing) == stacks.obstacle()
        assert (hits, misses, kept, size, bound) == (0, 0, 0, 0, 0)
        assert not stacks.outermost()
    assert bool(stacks.obstacle()) == (impl.name == "python" or not KEEPS)


def test_statistics_have_them_of_the_process() -> None:
    engine = program.engine_made()
    found = pgflight.stats(engine).greenlet_stacks
    assert isinstance(found, GreenletStacks)
    assert bool(found.bound) != bool(found.reason)
    assert pgflight.stats(program.engine_made()).greenlet_stacks.bound == found.bound


def test_connections_do_not_add_to_them() -> None:
    class Connection:
        def totals(self) -> Statistics:
            return Statistics(1, 2, 3, 4, 5)

        def retire_into(self, retired: object) -> None: ...

    counters = EngineCounters()
    two = [Connection(), Connection()]
    for each in two:
        counters.register(each)
    assert counters.snapshot().greenlet_stacks == GreenletStacks()
    assert copy.deepcopy(counters).snapshot().greenlet_stacks == GreenletStacks()
