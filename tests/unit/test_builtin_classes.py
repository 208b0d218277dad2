"""Each class of the built-in dialect has one of ours that derives from it, with nothing unseen."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.connectors import asyncio as connectors
from sqlalchemy.dialects.postgresql import asyncpg as builtin
from sqlalchemy.engine import AdaptedConnection

import pgflight.dialect
from pgflight.compat import capability
from pgflight.compat.builtin import theirs, without
from pgflight.dbapi import errors

NOT_DERIVED = {
    "_AsyncpgNumericCommon": "what Numeric and Float share, in SQLAlchemy 2.1",
    "_AsyncpgTransaction": "a Protocol for type checkers",
    "_AsyncpgConnection": "a Protocol for type checkers",
    "_AsyncpgCursor": "a Protocol for type checkers",
}
OURS = {
    name: value
    for name, value in vars(builtin).items()
    if isinstance(value, type)
    and value.__module__ == builtin.__name__
    and name == value.__name__
    and name not in NOT_DERIVED
}
ERRORS = {
    name: value
    for name, value in vars(builtin.AsyncAdapt_asyncpg_dbapi).items()
    if isinstance(value, type) and issubclass(value, Exception)
}

SLOT = "a slot, which ours uses for the same thing"
UNUSED_SLOT = "a slot that nothing uses: the methods that do are ours"
ONLY_BASE = "of drivers with cursors of their own; the built-in adapter does not use it, either"
INHERITED: dict[str, dict[str, str]] = {
    "PGDialect_asyncpg": {
        "_invalidate_schema_cache_asof": "for the built-in adapter, which a creator may return",
    },
    "AsyncAdapt_asyncpg_connection": {
        "__repr__": "the same",
        "_default_name_func": "the same as our default",
        "_terminate_handled_exceptions": "called by SQLAlchemy's terminate() alone, for a patch",
        "dbapi": SLOT,
    },
    "AsyncAdapt_asyncpg_cursor": {
        **dict.fromkeys(("_adapt_connection", "_connection", "_cursor", "_rows"), SLOT),
        "_arraysize": "a slot, which ours uses for arraysize",
        "_soft_closed_memoized": UNUSED_SLOT,
        "_aenter_cursor": ONLY_BASE,
        "_make_new_cursor": ONLY_BASE,
        "_execute_async": ONLY_BASE,
        "_executemany_async": ONLY_BASE,
        "nextset": "an AttributeError in both, as there is no second result",
    },
    "AsyncAdapt_asyncpg_ss_cursor": {
        "__anext__": "goes through _rowbuffer and _buffer_rows(), which are ours",
    },
    "AsyncAdapt_asyncpg_dbapi": {
        "_asyncpg_error_translate": "takes the classes from self, which are ours",
    },
}
"""Class -> what ours inherits from SQLAlchemy's adapter and dialect, and why that is right."""
INHERITED["AsyncAdapt_asyncpg_ss_cursor"].update(INHERITED["AsyncAdapt_asyncpg_cursor"])
OF_PYTHON = set("__module__ __doc__ __slots__ __dict__ __weakref__ __annotations__".split())


@pytest.mark.parametrize("name", OURS)
def test_ours_derives_from_it(name: str) -> None:
    ours = getattr(pgflight.dialect, name)
    assert issubclass(ours, OURS[name])
    assert ours is not OURS[name]
    assert ours.__module__.startswith("pgflight.")


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_caught_as_sqlalchemy_s(name: str) -> None:
    dbapi = pgflight.dialect.AsyncAdapt_asyncpg_dbapi
    error = getattr(dbapi, name)("text") if name != "Warning" else dbapi.Warning("text")
    assert isinstance(error, ERRORS[name])
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert again.args == error.args


def test_the_dialect_keeps_its_module() -> None:
    assert pgflight.dialect.PGDialect_asyncpg.__module__ == "pgflight.dialect"
    assert errors.Error.__module__ == "pgflight.dbapi.errors"


@pytest.mark.parametrize(
    "name", [name for name in OURS if not name.lower().startswith(("asyncpg", "_asyncpg"))]
)
def test_what_is_inherited_has_been_decided(name: str) -> None:
    """A name that a new SQLAlchemy adds is overridden, or listed with a reason."""
    ours: type = getattr(pgflight.dialect, name)
    found: set[str] = set()
    for cls in ours.__mro__:
        if cls.__module__ in (builtin.__name__, connectors.__name__) or cls is AdaptedConnection:
            for attribute in vars(cls):
                first = next(each for each in ours.__mro__ if attribute in vars(each))
                if not first.__module__.startswith("pgflight."):
                    found.add(attribute)
    undecided = found - OF_PYTHON - set(INHERITED.get(name, {}))
    if name == "AsyncAdaptFallback_asyncpg_connection":
        undecided -= set(INHERITED["AsyncAdapt_asyncpg_connection"])
    assert undecided == set()


@pytest.mark.skipif(
    sqlalchemy.__version__.startswith("2.0"), reason="the list names what both lines have"
)
def test_the_list_has_no_name_that_is_gone() -> None:
    for name, listed in INHERITED.items():
        ours: Any = getattr(pgflight.dialect, name)
        assert {attribute for attribute in listed if not hasattr(ours, attribute)} == set()


def test_no_more_memory_than_the_built_in_cursor() -> None:
    for name in ("AsyncAdapt_asyncpg_cursor", "AsyncAdapt_asyncpg_ss_cursor"):
        assert getattr(pgflight.dialect, name).__basicsize__ == getattr(builtin, name).__basicsize__


def test_nothing_is_missing() -> None:
    assert without() == ()
    assert all(
        getattr(theirs, name) is value for name, value in OURS.items() if hasattr(theirs, name)
    )


MISSING = """
import sqlalchemy.dialects.postgresql.asyncpg as builtin
class Other:
    __slots__ = ("_rows",)
for name in {names!r}:
    delattr(builtin, name)
if {odd!r}:
    builtin.AsyncAdapt_asyncpg_cursor = Other
import pgflight.dialect
from pgflight.compat import capability
print(*capability.reports()[0].lacking)
from sqlalchemy import create_mock_engine, select, Column, String, table
cursor = pgflight.dialect.AsyncAdapt_asyncpg_ss_cursor
class Adapted:
    class session:
        connection = None
made = cursor(Adapted)
made._as_tuples, made._description, made.arraysize = True, None, 5
print(made._as_tuples, made.description, made.rowcount, made.arraysize)
print(pgflight.dialect.AsyncAdapt_asyncpg_dbapi.UniqueViolationError("x"))
"""


@pytest.mark.parametrize(
    ("names", "odd"),
    [
        (["AsyncAdapt_asyncpg_ss_cursor"], False),
        (["AsyncpgString", "PGExecutionContext_asyncpg", "PGDialect_asyncpg"], False),
        (["AsyncAdapt_asyncpg_dbapi", "AsyncAdapt_asyncpg_connection"], False),
        ([], True),
        (list(OURS), False),
    ],
)
def test_a_class_that_is_missing_is_done_without(names: list[str], odd: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MISSING.format(names=names, odd=odd)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    lacking, cursor, error = done.stdout.splitlines()
    assert set(names) <= set(lacking.split())
    assert cursor == "True None -1 5"
    assert error == "x"


def test_doctor_is_told() -> None:
    assert not any("derivation" in report.feature for report in capability.reports())
