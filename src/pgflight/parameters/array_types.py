"""Which bound values may be sent as one array per column, and the element type of that array.

Used by the plans for INSERTs of many rows (:mod:`pgflight.bulk.insert_plan`) and for long IN lists.
A type is refused unless the server is known to end up with the same values, or the same error, as
with one parameter per value.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.postgresql.base import (
    CIDR,
    CITEXT,
    ENUM,
    INET,
    INTERVAL,
    MACADDR,
    MACADDR8,
    MONEY,
    OID,
    REGCLASS,
    TSVECTOR,
)
from sqlalchemy.dialects.postgresql.ranges import AbstractSingleRange
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import sqltypes
from sqlalchemy.types import TypeEngine

from ..compat.builtin import BUILTIN_DIALECT
from ..compat.sql_types import binds_by_expression, unwrapped
from .contracts import Compiled

_STATED = (
    sqltypes.String,
    sqltypes.Integer,
    sqltypes.Numeric,
    sqltypes.Float,
    sqltypes.Boolean,
    sqltypes.Date,
    sqltypes.Time,
    sqltypes.DateTime,
    sqltypes.Interval,
    INTERVAL,
    sqltypes.LargeBinary,
    sqltypes.Uuid,
    sqltypes.JSON,
    ENUM,
    OID,
    REGCLASS,
    AbstractSingleRange,
)
"""Types that SQLAlchemy casts each parameter to; arrays of each were tested."""

_NAMED = (INET, CIDR, CITEXT, MACADDR, MACADDR8, MONEY, TSVECTOR)
"""Types without such a cast, whose names are unambiguous."""

_OIDS = ((INET, 869), (CIDR, 650), (MACADDR, 829), (MACADDR8, 774), (MONEY, 790), (TSVECTOR, 3614))
"""What the columns are supposed to be whose values SQLAlchemy does not cast."""

_TEXTUAL = (sqltypes.Enum, sqltypes.Uuid)
"""Types that may be stored as text: without a cast the column's own type decides."""


def array_type(
    bind_type: TypeEngine[Any], compiler: Compiled, *, stated: bool = False
) -> str | None:
    """Return the SQL name of the array type for values of ``bind_type``, ``None`` if there is none.

    ``bind_type`` is a bound parameter's type and ``compiler`` the ``PGCompiler`` of its statement;
    where that has a ``schema_translate_map`` the name holds the same tokens as the statement.
    ``stated`` says that the statement itself casts the values to the type, wherever they come from.
    """
    impl = unwrapped(bind_type, compiler.dialect)
    if _refusal(bind_type, impl, compiler, stated) is not None:
        return None
    if isinstance(impl, CITEXT) and not impl.render_bind_cast:
        # the statement does not name it, and its schema may be in no search path
        return "TEXT[]"
    text: str = compiler.render_bind_cast(bind_type, impl, "")
    element = text.removeprefix("::")
    return None if element.endswith("]") else f"{element}[]"


def supposed_oid(bind_type: TypeEngine[Any], dialect: Dialect) -> int | None:
    """Return the oid of the type that a column must have for an array of ``bind_type``.

    None if SQLAlchemy casts each parameter as well, so that the column's type does not matter, or
    where any text will do.
    """
    impl = unwrapped(bind_type, dialect)
    if impl.render_bind_cast:
        return None
    return next((oid for cls, oid in _OIDS if isinstance(impl, cls)), None)


def why_not(bind_type: TypeEngine[Any], compiler: Compiled, *, stated: bool = False) -> str:
    """Return the reason why :func:`array_type` returns ``None``, in a few words."""
    impl = unwrapped(bind_type, compiler.dialect)
    refusal = _refusal(bind_type, impl, compiler, stated)
    if refusal is None and not impl.render_bind_cast:
        return f"type {_family(impl)} without a cast"
    return refusal or f"type {type(impl).__name__} renders as an array"


def _refusal(
    bind_type: TypeEngine[Any], impl: TypeEngine[Any], compiler: Compiled, stated: bool
) -> str | None:
    outer = bind_type.dialect_impl(compiler.dialect)
    if any(map(binds_by_expression, (bind_type, outer, impl))):
        return "a type with a bind expression"
    if isinstance(impl, _NAMED):
        return None
    if isinstance(impl, sqltypes.JSON.JSONElementType) or not isinstance(impl, _STATED):
        # ARRAY (unnest would flatten it), multiranges, types of a program, no type at all
        return f"type {_family(impl)}"
    if getattr(impl, "collation", None) is not None:
        if " COLLATE " in compiler.render_bind_cast(bind_type, impl, ""):
            return "a type with a collation in its cast"
    if impl.render_bind_cast and not _emulated(impl, compiler.dialect):
        return None
    if stated and isinstance(impl, _TEXTUAL):
        return None
    return f"type {_family(impl)} without a cast"


def _emulated(impl: TypeEngine[Any], dialect: Dialect) -> bool:
    """Tell whether a UUID is stored as text."""
    return isinstance(impl, sqltypes.Uuid) and not (
        impl.native_uuid and dialect.supports_native_uuid
    )


def _family(impl: TypeEngine[Any]) -> str:
    """Return SQLAlchemy's public name of a type: ours, and the built-in ones, derive from it."""
    for cls in type(impl).__mro__:
        known = cls.__module__.startswith("sqlalchemy.") and cls.__module__ != BUILTIN_DIALECT
        if known and not cls.__name__.startswith("_") and not cls.__name__.endswith("Impl"):
            return cls.__name__
    return type(impl).__name__
