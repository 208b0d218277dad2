"""The house: what SQLAlchemy does not document is named in `compat/` only, and in its table.

What happens where a name is missing: `tests/parity/test_missing_names.py`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pgflight.compat import builtin, capability
from pgflight.compat.features import INSTEAD, Feature
from pgflight.compat.private_names import HOOK, OURS, PRIVATE_NAMES, READ
from tests.unit import house

ROOM = "compat"
TABLE = {"compat.private_names", "compat.features"}
ACCESSORS = ("compiled_statements", "connections", "results", "sql_types", "statements")
ELSEWHERE = {"driver", ROOM}
"""Rooms in which other private names may be used: asyncpg's in one, these in the other."""
OF_TUPLES = {"_fields", "_replace"}
"""Documented, in spite of the underscore."""
DERIVING = ("dialect", "parameters", "bulk", "copying", "dbapi", "session")
"""Rooms with classes that derive from SQLAlchemy's."""

FILES = [path for path in house.files() if house.room_of(house.module_of(path)) not in ELSEWHERE]
COMPAT = [path for path in house.files() if house.room_of(house.module_of(path)) == ROOM]
DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def names(use: str) -> set[str]:
    return {name.attribute for name in PRIVATE_NAMES if name.use == use}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def defined_here() -> set[str]:
    """Return the private names that pgflight gives to its own classes, functions and attributes."""
    found: set[str] = set()
    for path in house.files():
        for node in ast.walk(house.tree_of(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                found.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                    found.add(node.attr)
    return found


DEFINED = defined_here()


def allowed(node: ast.Attribute) -> bool:
    """Tell whether an attribute with a private name may be used where it is."""
    name = node.attr
    if name in names(READ):
        return False
    if name in names(HOOK):
        base = node.value.func if isinstance(node.value, ast.Call) else node.value
        return isinstance(base, ast.Name) and base.id in ("self", "cls", "super")
    return name in DEFINED | OF_TUPLES


@pytest.mark.parametrize("path", FILES, ids=[house.module_of(path) for path in FILES])
def test_private_names_stay_in_their_room(path: Path) -> None:
    found: list[tuple[str, int]] = []
    for node in ast.walk(house.tree_of(path)):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and not allowed(node):
            found.append((node.attr, node.lineno))
        elif isinstance(node, ast.Constant) and node.value in names(READ):
            found.append((str(node.value), node.lineno))
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("sqlalchemy"):
            imported = [alias.name for alias in node.names if is_private(alias.name)]
            found += [(name, node.lineno) for name in imported]
    assert found == []


def used(path: Path) -> Iterator[str]:
    """Yield the private names that a file of `compat/` gets, or has as text for a getter."""
    for node in ast.walk(house.tree_of(path)):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if DOTTED.fullmatch(node.value):
                yield from filter(is_private, node.value.split("."))


def test_the_table_is_what_the_room_uses() -> None:
    found = {
        name
        for path in COMPAT
        if house.module_of(path) not in TABLE
        for name in used(path)
        # a class of the built-in dialect is replaced where it is missing: no feature steps aside
        if name not in OF_TUPLES and name not in builtin.REPLACED
    }
    assert found - names(HOOK) == names(READ)


def test_each_name_is_listed_once() -> None:
    rows = [(name.owner, name.attribute) for name in PRIVATE_NAMES]
    assert len(rows) == len(set(rows))
    assert all(bool(name.needed_by) is (name.use != OURS) for name in PRIVATE_NAMES)
    needed = Feature(0)
    for name in PRIVATE_NAMES:
        needed |= name.needed_by
    assert all(feature in needed for feature in Feature)
    assert list(INSTEAD) == list(Feature)


def test_every_getter_is_used() -> None:
    texts = [path.read_text("utf-8") for path in house.files()]
    for module in ACCESSORS:
        path = next(path for path in COMPAT if house.module_of(path) == f"{ROOM}.{module}")
        public: list[str] = []
        for node in house.tree_of(path).body:
            if isinstance(node, ast.FunctionDef):
                public.append(node.name)
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                public += [target.id for target in targets if isinstance(target, ast.Name)]
        for name in set(public) - {"Getter"}:
            if is_private(name):
                continue
            word = re.compile(rf"\b{name}\b")
            assert sum(map(bool, map(word.search, texts))) > 1, name


def derived() -> Iterator[tuple[type, list[type]]]:
    """Yield our classes that derive from SQLAlchemy's, and what they derive from there."""
    for path in FILES:
        module = house.module_of(path)
        if house.room_of(module) not in DERIVING:
            continue
        for value in vars(import_module(f"pgflight.{module}")).values():
            if isinstance(value, type) and value.__module__ == f"pgflight.{module}":
                theirs = [cls for cls in value.__mro__ if cls.__module__.startswith("sqlalchemy.")]
                if theirs:
                    yield value, theirs


def test_what_overrides_a_private_method_is_listed_as_a_hook() -> None:
    listed = {(name.owner, name.attribute) for name in PRIVATE_NAMES if name.use != READ}
    unlisted = {
        f"{ours.__name__}.{name}"
        for ours, theirs in derived()
        for name in DEFINED.intersection(vars(ours))  # not what SQLAlchemy gives subclasses
        if is_private(name)
        and any(name in vars(cls) for cls in theirs)
        and not any((cls, name) in listed for cls in theirs)
    }
    assert unlisted == set()


def test_each_hook_is_overridden() -> None:
    methods = {
        node.name
        for path in FILES
        for node in ast.walk(house.tree_of(path))
        if isinstance(node, ast.FunctionDef)
    }
    assert names(HOOK) <= methods
    assert names(OURS) <= DEFINED


def test_this_sqlalchemy_has_them_all() -> None:
    assert capability.missing() == ()
    assert capability.reports() == []
    assert all(map(capability.has, Feature))


class _Subject:
    in_class: Any = None
    annotated_only: Any

    def __init__(self) -> None:
        self.in_code = 1

    def method(self, options: dict[str, Any]) -> Any:
        return options.get("a_word"), self.read_only  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("attribute", "found"),
    [
        ("in_class", True),
        ("in_code", True),
        ("a_word", True),
        ("annotated_only", False),
        ("read_only", False),
        ("nowhere", False),
    ],
)
def test_a_name_is_there_where_a_class_has_or_sets_it(attribute: str, found: bool) -> None:
    assert capability.is_there(_Subject, attribute) is found
