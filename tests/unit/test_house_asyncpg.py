"""Names inside asyncpg: used in the driver room alone, and all of them listed there.

The lists of `pgflight.driver.capability` say what steps aside where a name is missing, so a name
that is used and not listed would be an AttributeError in somebody's program instead.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import asyncpg
import pytest

from pgflight.driver import capability
from tests.unit import house

GROUPS: dict[str, capability.Names] = {
    name: value for name, value in vars(capability).items() if name.endswith("_NAMES")
}
LISTED = {pair for names in GROUPS.values() for pair in names}
PRIVATE = {name for _, name in LISTED if name.startswith("_")}

CALLED = {
    **dict.fromkeys(["connection", "_connection"], "Connection"),
    **dict.fromkeys(["config", "_config"], "ConnectionConfig"),
    **dict.fromkeys(["settings", "get_settings"], "ConnectionSettings"),
    **dict.fromkeys(["statement", "_statement", "described"], "PreparedStatement"),
    **dict.fromkeys(["state", "_state", "_probe"], "PreparedStatementState"),
    **dict.fromkeys(["params"], "ConnectionParameters"),
    **dict.fromkeys(["protocol", "_protocol", "counter"], "Protocol"),
    **dict.fromkeys(["transaction"], "Transaction"),
    **dict.fromkeys(["TransactionState"], "TransactionState"),
    **{name: name for name in ("compat", "connect_utils", "pgproto")},
}
"""What the driver room calls asyncpg's objects, and the class that each is of."""

ASYNCIO = ("asyncio", "asyncio_transport", "asyncio_protocol")
"""What it calls asyncio, and objects of asyncio's."""

UNDOCUMENTED = {
    "ConnectionConfig",
    "ConnectionParameters",
    "ConnectionSettings",
    "PreparedStatementState",
    "Protocol",
    "TransactionState",
    "compat",
    "connect_utils",
    "pgproto",
}
"""Classes (and modules) of which asyncpg documents nothing: all that is used has to be listed."""

SHAPES = {
    "ProtocolOfAsyncpg": "Protocol",
    "Settings": "ConnectionSettings",
    "Statement": "PreparedStatement",
    "StatementState": "PreparedStatementState",
}
"""Classes of `driver/contracts.py` that the lists call otherwise."""

BY_NAME = ("getattr", "hasattr", "setattr", "delattr")
DOCUMENTED = {*asyncpg.__all__, *dir(asyncpg.exceptions), *dir(asyncpg.types)}
DOCUMENTED |= {"exceptions", "types", "__version__"}

DRIVER = [path for path in house.files() if house.room_of(house.module_of(path)) == "driver"]
OUTSIDE = [path for path in house.files() if path not in DRIVER]
outside = pytest.mark.parametrize("path", OUTSIDE, ids=map(house.module_of, OUTSIDE))


def called(node: ast.expr) -> str:
    """Return the last word of an expression: what it calls the object that it stands for."""
    if isinstance(node, ast.Call):
        return called(node.func)
    if isinstance(node, ast.Subscript):  # OWNERS["pgproto"]
        return called(node.slice)
    if isinstance(node, ast.Attribute):
        return node.attr
    return str(getattr(node, "id", getattr(node, "value", "")))


def is_mine(thing: ast.expr) -> bool:
    """Tell whether an object is the one whose class the code is in."""
    return called(thing) in ("self", "cls", "super")


def accesses(path: Path) -> Iterator[tuple[ast.expr, str, int]]:
    """Yield the object, the name and the line of `x.name`, `getattr(x, "name")`, and the like."""
    for node in ast.walk(house.tree_of(path)):
        if isinstance(node, ast.Attribute):
            yield node.value, node.attr, node.lineno
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in BY_NAME:
            yield node.args[0], called(node.args[1]), node.lineno


@cache
def made_here() -> frozenset[str]:
    """Return the names of the functions and classes of the driver room."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return frozenset(
        node.name
        for path in DRIVER
        if path.name != "contracts.py"
        for node in ast.walk(house.tree_of(path))
        if isinstance(node, kinds)
    )


def used() -> set[tuple[str, str]]:
    """Return the pairs that the driver room uses; the class is "?" where it cannot be told."""
    found = set()
    for path in DRIVER:
        for thing, name, _ in accesses(path):
            owner = CALLED.get(called(thing), "?")
            private = name.startswith("_") and not name.startswith("__")
            own = name in made_here() or called(thing) in ASYNCIO
            if not is_mine(thing) and (owner in UNDOCUMENTED or (private and not own)):
                found.add((owner, name))
    return found


def described() -> set[tuple[str, str]]:
    """Return the pairs that the contracts describe, but for what asyncpg documents."""
    found = set()
    path = next(path for path in DRIVER if path.name == "contracts.py")
    for cls in house.tree_of(path).body:
        if not isinstance(cls, ast.ClassDef):
            continue
        owner = SHAPES.get(cls.name, cls.name)
        for node in cls.body:
            name = getattr(node, "name", None) or getattr(getattr(node, "target", None), "id", "")
            if name and (owner in UNDOCUMENTED or name.startswith("_")):
                found.add((owner, name))
    return found


def test_what_the_driver_uses_is_what_it_lists() -> None:
    assert used() == LISTED


def test_what_the_contracts_describe_is_listed() -> None:
    assert len(described()) > 20
    assert described() - LISTED == set()


@pytest.mark.parametrize("group", GROUPS)
def test_this_asyncpg_has_every_name(group: str) -> None:
    assert capability._missing_names(GROUPS[group]) == ()


@outside
def test_private_names_of_asyncpg_stay_in_the_driver_room(path: Path) -> None:
    for thing, name, line in accesses(path):
        # connections of ours have one of asyncpg's; of asyncpg's own objects, statements have one
        ours = name == "_connection" and CALLED.get(called(thing)) in (None, "Connection")
        assert name not in PRIVATE or is_mine(thing) or ours, f"{name} in line {line}"


@outside
def test_only_what_asyncpg_documents_is_used_elsewhere(path: Path) -> None:
    for node in ast.walk(house.tree_of(path)):
        names: set[str] = set()
        if isinstance(node, ast.Import):
            found = [alias.name.split(".") for alias in node.names]
            names = {name for first, *inner in found if first == "asyncpg" for name in inner}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            first, *inner = (node.module or "").split(".")
            if first == "asyncpg":
                names = set(inner) or {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names = {node.attr} if node.value.id == "asyncpg" else set()
        assert names <= DOCUMENTED, f"line {getattr(node, 'lineno', 0)}"
