"""The choice between compiled and Python: PGFLIGHT_IMPL, its errors, what it must not import."""

from __future__ import annotations

import os
import subprocess
import sys
from inspect import isclass, isfunction

import pytest

from pgflight import _contracts, _impl
from tests.fixtures.impl import FORMS, Impl, load

SHOW = """
import sys
from pgflight import _impl
pieces = [getattr(_impl, name) for name in _impl.PIECES]
print(_impl.implementation().name)
print(" ".join(sorted(piece.__name__.rpartition(".")[2] for piece in pieces)))
print(_impl.implementation().reason)
"""
NAMES = {
    "compiled": " ".join(sorted(f"{piece}_c" for piece in _impl.PIECES)),
    "python": " ".join(sorted(_impl.PIECES)),
}


def run(value: str | None, code: str = SHOW) -> subprocess.CompletedProcess[str]:
    """Run `code` in a new interpreter with PGFLIGHT_IMPL set to `value`, None for unset."""
    environment = {name: text for name, text in os.environ.items() if name != "PGFLIGHT_IMPL"}
    if value is not None:
        environment["PGFLIGHT_IMPL"] = value
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def without(module: str) -> str:
    """Return code that chooses while `module` cannot be imported."""
    return f"import sys\nsys.modules['pgflight._speedups.{module}'] = None\n{SHOW}"


@pytest.mark.parametrize("value", [None, "", "auto", "compiled"])
def test_extensions_are_preferred(value: str | None) -> None:
    ran = run(value)
    assert ran.returncode == 0, ran.stderr
    name, pieces, reason = ran.stdout.splitlines()
    assert (name, pieces) == ("compiled", NAMES["compiled"])
    assert reason == (
        "PGFLIGHT_IMPL=compiled asks for it"
        if value == "compiled"
        else "all extensions are importable"
    )


def test_python_on_request() -> None:
    ran = run("python")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "python",
        NAMES["python"],
        "PGFLIGHT_IMPL=python asks for it",
    ]


@pytest.mark.parametrize("module", NAMES["compiled"].split())
def test_one_missing_extension_turns_all_pieces_to_python(module: str) -> None:
    ran = run("auto", without(module))
    assert ran.returncode == 0, ran.stderr
    name, pieces, reason = ran.stdout.splitlines()
    assert (name, pieces) == ("python", NAMES["python"])
    assert reason.startswith("an extension cannot be imported: ")
    assert module in reason


@pytest.mark.parametrize("module", NAMES["compiled"].split())
def test_compiled_on_request_fails_with_the_cause(module: str) -> None:
    ran = run("compiled", without(module))
    assert ran.returncode != 0
    last = ran.stderr.splitlines()[-1]
    assert last.startswith(
        "ImportError: PGFLIGHT_IMPL=compiled, but an extension cannot be imported"
    )
    assert module in last
    assert "PGFLIGHT_IMPL=auto" in last
    assert "The above exception was the direct cause" in ran.stderr


@pytest.mark.parametrize("value", ["Compiled", "c", "1", " auto"])
def test_another_value_is_an_error_that_lists_the_three(value: str) -> None:
    ran = run(value)
    assert ran.returncode != 0
    assert ran.stderr.splitlines()[-1] == (
        f"ValueError: PGFLIGHT_IMPL={value!r} is not one of: auto, compiled, python"
    )


@pytest.mark.parametrize("form", FORMS)
def test_cython_is_not_imported(form: str) -> None:
    code = f"{SHOW}\nprint([name for name in sys.modules if name.lower() == 'cython'])"
    ran = run(form, code)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "[]"


def test_this_process_says_what_it_runs() -> None:
    chosen = _impl.implementation()
    suffix = {"compiled": "_c", "python": ""}[chosen.name]
    assert _impl.rows.__name__ == f"pgflight._speedups.rows{suffix}"  # type: ignore[attr-defined]
    assert chosen == (chosen.name, chosen.reason)
    assert chosen.reason


def test_forms_are_what_they_are_called() -> None:
    assert load("python").rows.__file__.endswith("rows.py")  # type: ignore[attr-defined]
    assert not load("compiled").rows.__file__.endswith(".py")  # type: ignore[attr-defined]


def test_forms_have_every_name_of_their_contract(impl: Impl) -> None:
    def names(protocol: type) -> list[str]:
        constants = protocol.__annotations__
        return [name for name in [*vars(protocol), *constants] if not name.startswith("_")]

    contracts = {
        impl.rows: _contracts.Rows,
        impl.results: _contracts.Results,
        impl.receiving: _contracts.Receiving,
        impl.receiving.Receiver: _contracts.Receiver,
        impl.results.RowFactory: _contracts.RowFactory,
        impl.jsondecode: _contracts.JsonDecode,
        impl.jsonencode: _contracts.JsonEncode,
        impl.params: _contracts.Params,
        impl.processors: _contracts.Processors,
        impl.stmtcache: _contracts.StmtCache,
        impl.tags: _contracts.Tags,
        impl.temporal: _contracts.ValueCodecs,
        impl.numeric: _contracts.ValueCodecs,
        impl.uuids: _contracts.Uuids,
        impl.stacks: _contracts.Stacks,
        impl.params.ParamPlan: _contracts.ParamPlan,
        impl.stmtcache.StatementCache: _contracts.StatementCache,
        impl.tags.Tally: _contracts.Tally,
    }
    for offered, contract in contracts.items():
        wanted = names(contract)
        assert wanted
        assert [name for name in wanted if not hasattr(offered, name)] == []


def test_python_form_offers_nothing_that_its_contract_lacks() -> None:
    python = load("python")
    for module, contract in {
        python.rows: _contracts.Rows,
        python.results: _contracts.Results,
        python.receiving: _contracts.Receiving,
        python.jsondecode: _contracts.JsonDecode,
        python.jsonencode: _contracts.JsonEncode,
        python.params: _contracts.Params,
        python.processors: _contracts.Processors,
        python.stmtcache: _contracts.StmtCache,
        python.tags: _contracts.Tags,
        python.temporal: _contracts.ValueCodecs,
        python.numeric: _contracts.ValueCodecs,
        python.uuids: _contracts.Uuids,
        python.stacks: _contracts.Stacks,
    }.items():
        own = {
            name
            for name, value in vars(module).items()
            if (isfunction(value) or isclass(value))
            and value.__module__ == module.__name__  # type: ignore[attr-defined]
            and not name.startswith("_")
        }
        promised = {name for name in vars(contract) if not name.startswith("_")}
        assert own == {name for name in promised if not name.isupper()}
