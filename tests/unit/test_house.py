"""The house: a room imports only from rooms below it; private asyncpg names stay in one room.

A new room is added to :data:`ROOMS`, at its height.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pgflight

PACKAGE = Path(pgflight.__file__).parent
ROOMS = (
    "__main__ plugin auto __init__ _autostart _registration"
    " copyout copying copycursor copyfeed copyrows copytable copytypes copytext copyoutcursor"
    " dialect liveness initialize isolation execution result compiler bulk batches columnwise"
    " dmlplan bulkplan upserts perrow inlists parameters inplan _upstream arraytypes"
    " typemap types dbapi url service unknown hosts settings tls tls_files options coercion"
    " sync loopthread connection errors server_side cursor portal transaction begin unit readonly"
    " mutex statements work statistics codecs conversions plain purenames"
    " driver _sqlalchemy _impl _contracts"
).split()
BELOW_SQLALCHEMY = ("_impl", "_contracts", "_autostart")
LONGEST_FILE = 300


def imported_rooms(tree: ast.Module) -> Iterator[str]:
    """Yield the rooms that a module imports when it runs, wherever the import stands."""
    for_types = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.unparse(test.test)
        for node in ast.walk(test)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and (
            node.level == 1 or (node.module or "").startswith("pgflight")
        ):
            module = (node.module or "").removeprefix("pgflight").removeprefix(".")
            if module:
                yield module.split(".")[0]
            else:
                yield from (alias.name for alias in node.names)


def room_files() -> list[Path]:
    return sorted(PACKAGE.glob("*.py"))


def driver_files() -> list[Path]:
    """Return the files of the one room that is a package."""
    return sorted((PACKAGE / "driver").glob("*.py"))


def test_every_room_has_a_height() -> None:
    assert sorted([*(path.stem for path in room_files()), "driver"]) == sorted(ROOMS)


@pytest.mark.parametrize("path", room_files(), ids=lambda path: path.stem)
def test_a_room_imports_only_from_rooms_below_it(path: Path) -> None:
    below = ROOMS[ROOMS.index(path.stem) + 1 :]
    for room in imported_rooms(ast.parse(path.read_text())):
        if room in ROOMS:  # names such as install() come out of the package itself
            assert room in below, f"{path.stem} imports {room}, which is not below it"


@pytest.mark.parametrize("path", driver_files(), ids=lambda path: path.stem)
def test_the_driver_room_imports_only_what_is_below_it(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 2:
            assert {alias.name for alias in node.names} <= {"_impl", "_contracts"}
        elif isinstance(node, ast.ImportFrom):
            assert node.level < 2
            assert not (node.module or "").startswith("pgflight")


LOWEST = [PACKAGE / f"{name}.py" for name in BELOW_SQLALCHEMY]


@pytest.mark.parametrize("path", [*LOWEST, *driver_files()], ids=lambda path: path.stem)
def test_the_lowest_rooms_do_not_know_sqlalchemy(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = [
        alias.name if isinstance(node, ast.Import) else str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    ]
    assert not [module for module in imported if module.split(".")[0] == "sqlalchemy"]


PRIVATE = re.compile(
    r"\._(protocol|transport|state|stmt_cache\w*|top_xact|query_loggers|params|config|con)\b"
)


@pytest.mark.parametrize("path", room_files(), ids=lambda path: path.stem)
def test_private_names_of_asyncpg_stay_in_the_driver_room(path: Path) -> None:
    assert not PRIVATE.search(path.read_text())


@pytest.mark.parametrize(
    "path",
    [*room_files(), *driver_files(), *sorted((PACKAGE / "cli").glob("*.py"))],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_a_room_is_small_and_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST_FILE
    assert ast.get_docstring(ast.parse(text))
