"""The source files of the hot paths, the registry in _impl and the list in setup.py agree."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from setuptools import find_packages

import pgflight
from pgflight import _impl
from tests.fixtures.impl import load
from tests.packaging.checkout import ROOT

SPEEDUPS = ROOT / "src" / "_speedups"
PIECES = sorted(path.stem for path in SPEEDUPS.glob("*.py") if not path.name.startswith("_"))
TWINS = sorted(path.stem.removesuffix("_c") for path in SPEEDUPS.glob("*.pyx"))
SINGLE_SOURCES = [piece for piece in PIECES if piece not in TWINS]


def constant(name: str) -> Any:
    """Return the literal that setup.py assigns to `name`."""
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    raise AssertionError(f"setup.py assigns nothing to {name}")


def argument(name: str) -> Any:
    """Return what setup.py passes to setup() as `name`, when it is run in the tree."""
    for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "setup":
            passed = next(ast.unparse(kw.value) for kw in node.keywords if kw.arg == name)
            return eval(passed, {"find_packages": find_packages})
    raise AssertionError("setup.py does not call setup()")


def test_every_source_is_compiled_and_chosen() -> None:
    assert PIECES
    assert set(TWINS) < set(PIECES)
    assert sorted(constant("SPEEDUPS")) == PIECES
    assert sorted(_impl.PIECES) == PIECES
    assert sorted(load("compiled")._fields[1:]) == PIECES


def test_every_package_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    packages = {"pgflight._speedups"}
    for path in (ROOT / "src" / "pgflight").rglob("__init__.py"):
        package = ".".join(path.parent.relative_to(ROOT / "src").parts)
        packages.add(package)
    assert sorted(argument("packages")) == sorted(packages)
    assert argument("package_dir") == {"": "src", "pgflight._speedups": "src/_speedups"}


@pytest.mark.parametrize("piece", PIECES)
def test_compiled_modules_are_leaves(piece: str) -> None:
    """A mapped package loses .pxd files silently, and siblings cannot cimport each other."""
    source = (SPEEDUPS / f"{piece}.py").read_text()
    imported = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    assert imported
    for node in imported:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, ast.unparse(node)
            if (node.module or "").startswith("pgflight"):
                assert ast.unparse(node) == "from pgflight._speedups import _pure as cython"
        else:
            assert not any(name.name.startswith("pgflight") for name in node.names)
    assert not list(SPEEDUPS.glob("*.pxd"))


@pytest.mark.parametrize("piece", SINGLE_SOURCES)
def test_no_check_of_cython_is_switched_off(piece: str) -> None:
    source = (SPEEDUPS / f"{piece}.py").read_text()
    assert not re.search(r"boundscheck|wraparound|initializedcheck|nonecheck|# *cython:", source)
    assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assert)]


@pytest.mark.parametrize("piece", TWINS)
def test_a_twin_keeps_cythons_checks_and_is_a_leaf(piece: str) -> None:
    text = (SPEEDUPS / f"{piece}_c.pyx").read_text()
    assert not re.search(r"boundscheck|wraparound|initializedcheck|nonecheck|# *cython:", text)
    imported = re.findall(r"^\s*(?:from|c?import) +([\w.]+)", text, re.MULTILINE)
    assert not [name for name in imported if name.startswith((".", "pgflight"))]
    assert text.startswith('"""'), "a twin's docstring says why it is not one source"


C_TYPES = {
    "Py_ssize_t": "Py_ssize_t",
    "bint": "int",
    "longlong": "PY_LONG_LONG",
    "p_uchar": r"unsigned char \*",
}


@pytest.mark.parametrize("piece", SINGLE_SOURCES)
def test_c_types_are_in_force(piece: str, tmp_path: Path) -> None:
    """An annotation that Cython does not understand is an object to it, without a word."""
    source = SPEEDUPS / f"{piece}.py"
    translated = tmp_path / f"{piece}.c"
    command = [*(sys.executable, "-m", "cython", "-3", "-o"), str(translated), str(source)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert "warning" not in ran.stderr
    code = translated.read_text()
    typed = []
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, (ast.AnnAssign, ast.arg)) and node.annotation is not None:
            module, _, name = ast.unparse(node.annotation).partition(".")
            variable = node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)
            typed += [(variable, name)] if module == "cython" else []
    assert typed or "@cython.c" not in source.read_text()
    for variable, name in typed:
        c_type = C_TYPES[name]
        assert re.search(rf"\b{c_type} ?(__pyx_\w+_)?{variable}[;,)]", code), variable


def test_runtime_dependencies_are_three() -> None:
    """What is installed is what pyproject.toml says, extras apart."""
    text = (ROOT / "pyproject.toml").read_text()
    found = re.search(r"^dependencies = (\[.*?^\])", text, re.MULTILINE | re.DOTALL)
    assert found
    assert ast.literal_eval(found[1]) == [
        "sqlalchemy[asyncio]>=2.0.40,<2.2",
        "asyncpg>=0.30,<0.33",
        "greenlet",
    ]


def test_version_is_written_once() -> None:
    version = re.escape(pgflight.__version__)
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.?(dev|a|b|rc)\d+)?", pgflight.__version__)
    for name in ("pyproject.toml", "setup.py"):
        assert not re.search(rf"version *= *.{version}", (ROOT / name).read_text())
