"""The package as a graph of imports: which module imports which, wherever the import stands.

Used by `test_house.py`. A module is named by its path below the package, `dbapi.cursor`; a folder
by itself is the module of its `__init__`, and the package by itself is `__init__`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pgflight

PACKAGE = Path(pgflight.__file__).parent
FRONT = "__init__"
# The compiled pieces are another directory of the repository, mapped into the package.
_ELSEWHERE = "_speedups"


def files() -> list[Path]:
    """Return every Python file of the package but the pieces'."""
    return sorted(
        path
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in (_ELSEWHERE, "__pycache__")
    )


def module_of(path: Path) -> str:
    """Return the name of a file's module."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts[-1] == "__init__" and len(parts) > 1:
        parts = parts[:-1]
    return ".".join(parts)


def room_of(module: str) -> str:
    """Return the folder that a module is in, or the module itself where it is in none."""
    return module.partition(".")[0]


@cache
def tree_of(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text("utf-8"))


@cache
def modules() -> frozenset[str]:
    """Return the names of all modules, the pieces' package included."""
    return frozenset({_ELSEWHERE, *map(module_of, files())})


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Yield each module of the package that a file imports, and the line.

    At its top, in a function or for a type checker alone: all count. A name that is no module
    stands for the module that it comes from.
    """
    module = module_of(path)
    package = path.relative_to(PACKAGE).parent.parts
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE.name:
                    yield _known(alias.name.partition(".")[2]), node.lineno
        elif isinstance(node, ast.ImportFrom):
            source = _source(node, package)
            if source is None:
                continue
            for alias in node.names:
                imported = _known(".".join((*source, alias.name)))
                if imported != module:
                    yield imported, node.lineno


def _source(node: ast.ImportFrom, package: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the dotted path within the package that is imported from; None for another one."""
    named = tuple((node.module or "").split(".")) if node.module else ()
    if node.level:
        return package[: len(package) - node.level + 1] + named
    return named[1:] if named[:1] == (PACKAGE.name,) else None


def _known(dotted: str) -> str:
    """Return the longest beginning of a dotted path that is a module."""
    parts = dotted.split(".")
    if parts[0] == _ELSEWHERE:
        return _ELSEWHERE
    while parts and ".".join(parts) not in modules():
        parts.pop()
    return ".".join(parts) or FRONT


@cache
def graph() -> dict[str, frozenset[str]]:
    """Return for each module those that it imports."""
    return {
        module_of(path): frozenset(imported for imported, _ in imports(path)) for path in files()
    }


def circle() -> list[str] | None:
    """Return a circle of imports, None where there is none."""
    done: set[str] = set()
    under_way: list[str] = []

    def visit(module: str) -> list[str] | None:
        if module in under_way:
            return [*under_way[under_way.index(module) :], module]
        if module in done or module not in graph():
            return None
        under_way.append(module)
        for imported in sorted(graph()[module]):
            found = visit(imported)
            if found:
                return found
        under_way.pop()
        done.add(module)
        return None

    for module in sorted(graph()):
        found = visit(module)
        if found:
            return found
    return None
