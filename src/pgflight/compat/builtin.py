"""The built-in dialect's classes, from which ours of the same names derive.

Programs ask for them by isinstance(), catch them and patch them.  A class that this SQLAlchemy
lacks, or whose layout does not fit, is replaced by what it derives from: `isinstance()` with it is
false then, and `doctor` says so (:func:`without`).
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from types import FunctionType, MemberDescriptorType, SimpleNamespace
from typing import Any

from sqlalchemy.dialects.postgresql import asyncpg as builtin_asyncpg
from sqlalchemy.dialects.postgresql import base, ranges
from sqlalchemy.dialects.postgresql import json as pg_json
from sqlalchemy.dialects.postgresql.array import ARRAY
from sqlalchemy.dialects.postgresql.types import BIT, BYTEA
from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.sql import sqltypes

from .versions import SQLALCHEMY_2_1

BUILTIN_DIALECT: str = builtin_asyncpg.__name__
"""The module of the built-in dialect."""


class _Connection(AdaptedConnection):
    __slots__ = ("dbapi",)


class _Dbapi:
    """The exception classes of PEP 249."""


_ERRORS = {
    "Error": Exception,
    "Warning": Exception,
    "InterfaceError": "Error",
    "DatabaseError": "Error",
    "InternalError": "DatabaseError",
    "OperationalError": "DatabaseError",
    "ProgrammingError": "DatabaseError",
    "IntegrityError": "DatabaseError",
    "DataError": "DatabaseError",
    "NotSupportedError": "DatabaseError",
    "InvalidCachedStatementError": "NotSupportedError",
}
for _name, _base in _ERRORS.items():
    _bases: Any = (getattr(_Dbapi, _base) if isinstance(_base, str) else _base,)
    setattr(_Dbapi, _name, type(_name, _bases, {}))

_ELSE: dict[str, Any] = {
    "PGDialect_asyncpg": base.PGDialect,
    "PGExecutionContext_asyncpg": base.PGExecutionContext,
    "PGCompiler_asyncpg": base.PGCompiler,
    "PGIdentifierPreparer_asyncpg": base.PGIdentifierPreparer,
    "AsyncAdapt_asyncpg_dbapi": _Dbapi,
    "AsyncAdapt_asyncpg_connection": _Connection,
    "AsyncAdapt_asyncpg_cursor": object,
    "AsyncAdapt_asyncpg_ss_cursor": object,
    "AsyncpgARRAY": ARRAY,
    "AsyncpgString": sqltypes.String,
    "AsyncpgCHAR": sqltypes.CHAR,
    "AsyncpgREGCONFIG": base.REGCONFIG,
    "AsyncpgREGCLASS": base.REGCLASS,
    "AsyncpgOID": base.OID,
    "AsyncpgBit": BIT,
    "AsyncpgByteA": BYTEA,
    "AsyncpgDate": sqltypes.Date,
    "AsyncpgTime": sqltypes.Time,
    "AsyncpgDateTime": sqltypes.DateTime,
    "AsyncPgInterval": base.INTERVAL,
    "AsyncpgBoolean": sqltypes.Boolean,
    "AsyncPgEnum": base.ENUM,
    "AsyncpgInteger": sqltypes.Integer,
    "AsyncpgSmallInteger": sqltypes.SmallInteger,
    "AsyncpgBigInteger": sqltypes.BigInteger,
    "AsyncpgJSONIndexType": sqltypes.JSON.JSONIndexType,
    "AsyncpgJSONIntIndexType": sqltypes.JSON.JSONIntIndexType,
    "AsyncpgJSONStrIndexType": sqltypes.JSON.JSONStrIndexType,
    "AsyncpgJSONPathType": pg_json.JSONPathType,
    "AsyncpgNumeric": sqltypes.Numeric,
    "AsyncpgFloat": sqltypes.Float,
    "_AsyncpgRange": ranges.AbstractSingleRangeImpl,
    "_AsyncpgMultiRange": ranges.AbstractMultiRangeImpl,
}
"""The classes that both lines have, and what replaces each."""
_UNTIL_2_1: dict[str, Any] = {
    "AsyncpgJSON": pg_json.JSON,
    "AsyncpgJSONB": pg_json.JSONB,
    "AsyncAdaptFallback_asyncpg_connection": object,
}
REPLACED = frozenset({*_ELSE, *_UNTIL_2_1})
"""The names of the built-in dialect's classes, each of which may be missing."""

theirs: Any = SimpleNamespace(
    **{
        name: getattr(builtin_asyncpg, name, instead)
        for name, instead in (_ELSE | _UNTIL_2_1).items()
    }
)
"""The built-in dialect's classes by name."""

_without = [
    name
    for name in (_ELSE if SQLALCHEMY_2_1 else _ELSE | _UNTIL_2_1)
    if not hasattr(builtin_asyncpg, name)
]


def without() -> tuple[str, ...]:
    """Return the names of the classes that ours do not derive from, complete once all are made."""
    return tuple(_without)


def slot(cls: type, *names: str) -> Any:
    """Return the descriptor of the first of these slots that a class has, None without any.

    As an attribute of a subclass, under whatever name, it reads and writes that slot.
    """
    for name in names:
        found = inspect.getattr_static(cls, name, None)
        if isinstance(found, MemberDescriptorType):
            return found
    return None


def require_slots(name: str, *slots: tuple[str, ...]) -> None:
    """Replace the class `name` by one with the first of each of these slots, unless it has one.

    Two classes with slots of their own cannot be bases of one class, so ours add none to these.
    """
    cls = getattr(theirs, name)
    if not all(slot(cls, *names) is not None for names in slots):
        _replace(name, type(f"_{name}", (), {"__slots__": tuple(names[0] for names in slots)}))


def require_base(name: str, parent: type) -> None:
    """Replace the class `name` by `parent`, unless it derives from it."""
    if not issubclass(getattr(theirs, name), parent):
        _replace(name, parent)


def _replace(name: str, cls: type) -> None:
    setattr(theirs, name, cls)
    if name not in _without and hasattr(builtin_asyncpg, name):
        _without.append(name)


# what a program has patched

MISSING: Any = object()
"""Stands for no value."""
_ADAPTERS = (BUILTIN_DIALECT, "sqlalchemy.connectors.asyncio")
_ORIGINALS: dict[type, dict[str, Any]] = {}
"""Class -> its attributes when pgflight was imported."""
_PATCHED_BEFORE: set[tuple[type, str]] = set()
_PACKAGE = os.path.dirname(sqltypes.String.__init__.__code__.co_filename).removesuffix("sql")
_COLSPECS: dict[Any, Any] = dict(getattr(theirs.PGDialect_asyncpg, "colspecs", {}))


def _function_of(value: object) -> Any:
    """Return the function inside a method, a property or what SQLAlchemy makes of one."""
    for name in ("__func__", "fget"):
        value = getattr(value, name, None) or value
    return value


def _is_foreign(value: object) -> bool:
    """Tell whether an attribute of a class of SQLAlchemy's is a function from elsewhere."""
    function = _function_of(value)
    if type(function) is FunctionType:  # not isinstance(): wrappers pretend to be functions
        return not function.__code__.co_filename.startswith(_PACKAGE)
    return callable(function) and not isinstance(function, type)


def _remember() -> None:
    for each in vars(theirs).values():
        for cls in each.__mro__:
            if cls.__module__ in _ADAPTERS or cls is AdaptedConnection:
                _ORIGINALS[cls] = dict(vars(cls))
                _PATCHED_BEFORE.update(
                    (cls, name) for name, value in vars(cls).items() if _is_foreign(value)
                )


_remember()


class Attribute:
    """An attribute of a class of SQLAlchemy's, which a program may have patched."""

    __slots__ = ("name", "owner", "stock", "above", "before")

    def __init__(self, cls: type, name: str) -> None:
        self.name = name
        self.owner: type | None = None
        """The class that has it, None if there is none."""
        self.stock = MISSING
        self.above: list[type] = []
        for each in cls.__mro__:
            attributes = _ORIGINALS.get(each) or vars(each)
            if name in attributes:
                self.owner, self.stock = each, attributes[name]
                break
            if each in _ORIGINALS:
                self.above.append(each)
        self.before = (self.owner, name) in _PATCHED_BEFORE

    def probes(self) -> Iterator[tuple[Mapping[str, Any], str, Any]]:
        """Yield classes' dictionaries, the name, and what each has of it while nothing is patched.

        Comparing these is a fifth of the cost of :meth:`patch`.
        """
        for each in self.above:
            yield each.__dict__, self.name, MISSING
        if self.owner is not None and self.owner in _ORIGINALS:
            yield self.owner.__dict__, self.name, object() if self.before else self.stock

    def patch(self) -> tuple[type, Any] | None:
        """Return what a program has put in its place, and onto which class; None if nothing.

        As it is in the class: a function, a property, a classmethod object; a removed attribute is
        that of the base.
        """
        name, owner = self.name, self.owner
        for each in self.above:
            if name in each.__dict__:
                return each, each.__dict__[name]
        if owner is None or owner not in _ORIGINALS:
            return None
        value = owner.__dict__.get(name, MISSING)
        if value is self.stock:
            return (owner, value) if self.before else None
        if value is MISSING:
            return owner, inspect.getattr_static(owner, name)
        return None if self.before and not _is_foreign(value) else (owner, value)


def patched_types() -> dict[Any, Any]:
    """Return the entries of the built-in dialect's ``colspecs`` that a program has changed."""
    now = getattr(theirs.PGDialect_asyncpg, "colspecs", _COLSPECS)
    return {key: value for key, value in now.items() if _COLSPECS.get(key) is not value}
