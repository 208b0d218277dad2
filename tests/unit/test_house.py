"""The house: rooms import downwards, in no circle; files and functions stay small.

A new folder is added to :data:`HEIGHTS`, at its height. What a room may not do stands here as a
test; what it is for stands in its docstring.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.unit import house

HEIGHTS = (
    "__main__ cli plugin auto __init__ activation listening observing copying streaming dialect"
    " bulk parameters dbapi session options sqltext driver compat _greenlet_stacks _impl _contracts"
    " _warnings _speedups"
).split()
"""Folders, and files that are in none, from the top down."""
KNOW_SQLALCHEMY = {"cli", "plugin", "copying", "dialect", "bulk", "parameters", "dbapi", "session"}
KNOW_SQLALCHEMY |= {"__init__", "activation", "options", "compat", "streaming", "listening"}
KNOW_SQLALCHEMY |= {"observing"}
ALONE = "activation.start_up_hook"
"""Is copied out of the package, into one that SQLAlchemy may be missing from."""
ONLY_IMPL_IMPORTS = "_speedups"

MOST_FILES = 12
"""Files in a folder, its `__init__` not counted."""
LONGEST_FILE = 300
LONGEST_FUNCTION = 60
LONG_FUNCTIONS = {
    "options.table._table": "a table: one row for each option",
    "parameters.plan._init_compiled": "each execution pays for it: no calls in between, in the"
    " order in which SQLAlchemy's own sets the same attributes",
    "session.session.execute": "each statement pays for it: in line what `run()` does",
}
FILES = house.files()


def names_of(paths: list[Path]) -> list[str]:
    return [house.module_of(path) for path in paths]


def test_every_room_has_a_height() -> None:
    assert {house.room_of(module) for module in house.modules()} == set(HEIGHTS)


@pytest.mark.parametrize("path", FILES, ids=names_of(FILES))
def test_a_module_imports_only_from_rooms_below_its_own(path: Path) -> None:
    room = house.room_of(house.module_of(path))
    for imported, line in house.imports(path):
        other = house.room_of(imported)
        assert HEIGHTS.index(other) >= HEIGHTS.index(room), f"{imported}, imported in line {line}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert house.circle() is None


def test_the_compiled_pieces_are_imported_in_one_place() -> None:
    importing = {name for name, imported in house.graph().items() if ONLY_IMPL_IMPORTS in imported}
    # it loads them by name, as there are two forms
    assert importing <= {"_impl"}


@pytest.mark.parametrize("path", FILES, ids=names_of(FILES))
def test_the_lowest_rooms_do_not_know_sqlalchemy(path: Path) -> None:
    module = house.module_of(path)
    if house.room_of(module) in KNOW_SQLALCHEMY and module != ALONE:
        return
    imported = [
        alias.name if isinstance(node, ast.Import) else str(node.module)
        for node in ast.walk(house.tree_of(path))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    ]
    assert not [module for module in imported if module.split(".")[0] == "sqlalchemy"]


def test_a_folder_holds_a_dozen_files_at_most() -> None:
    files = Counter(path.parent for path in FILES if path.name != "__init__.py")
    assert {str(path): number for path, number in files.items() if number > MOST_FILES} == {}


@pytest.mark.parametrize("path", FILES, ids=names_of(FILES))
def test_a_file_is_small_and_says_what_it_is(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST_FILE
    assert ast.get_docstring(house.tree_of(path))


def long_functions() -> dict[str, int]:
    return {
        f"{house.module_of(path)}.{node.name}": length
        for path in FILES
        for node in ast.walk(house.tree_of(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (length := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    }


def test_functions_are_short_but_for_those_with_a_reason() -> None:
    assert set(long_functions()) == set(LONG_FUNCTIONS)
