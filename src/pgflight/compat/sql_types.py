"""Private attributes of SQLAlchemy's types."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from sqlalchemy import bindparam
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import sqltypes

from .capability import found

Getter = Callable[[Any], Any]

_DEFAULT_SCALE = 10  # from SQLAlchemy's documentation of Float

is_null: Getter = attrgetter("_isnull")
"""Tell whether a type is NullType, which stands for an unknown type."""

is_tuple: Getter = attrgetter("_is_tuple_type")
"""Tell whether a type's values are tuples."""

enum_names: Getter = attrgetter("_valid_lookup")
"""Return an Enum's names on the server, by member and by name."""

enum_members: Getter = attrgetter("_object_lookup")
"""Return an Enum's members by their names on the server."""

text_type_of_json: Getter = attrgetter("_str_impl")
"""Return the type by which a JSON type converts its text."""


def unwrapped(type_: Any, dialect: Dialect) -> Any:
    """Return the dialect's implementation of a type, for a TypeDecorator of the type inside."""
    return type_._unwrapped_dialect_impl(dialect)


def _asked_for_expression(type_: Any) -> bool:
    return type_.bind_expression(bindparam("value", type_=type_)) is not None


binds_by_expression: Getter = (
    attrgetter("_has_bind_expression")
    if found("TypeEngine._has_bind_expression")
    else _asked_for_expression
)
"""Tell whether a type wraps each bound value in an SQL expression."""


def makes_json_as_sqlalchemy(json_type: Any) -> bool:
    """Tell whether a JSON type uses SQLAlchemy's own bind processor."""
    return type(json_type)._make_bind_processor is sqltypes.JSON._make_bind_processor


def _documented_scale(numeric: Any) -> Any:
    given = numeric.decimal_return_scale
    scale = getattr(numeric, "scale", None) if given is None else given
    return _DEFAULT_SCALE if scale is None else scale


decimal_scale: Getter = (
    attrgetter("_effective_decimal_return_scale")
    if found("Numeric._effective_decimal_return_scale")
    else _documented_scale
)
"""Return the number of decimal places of a decimal that is made from a float."""
