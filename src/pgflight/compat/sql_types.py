"""What SQLAlchemy's types know of themselves."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from sqlalchemy import bindparam
from sqlalchemy.sql import sqltypes

from .capability import found

Getter = Callable[[Any], Any]

_DEFAULT_SCALE = 10  # of SQLAlchemy's documentation of Float

is_null: Getter = attrgetter("_isnull")
"""Tell whether it is the type of what has none."""

is_tuple: Getter = attrgetter("_is_tuple_type")
"""Tell whether its values are rows."""

enum_names: Getter = attrgetter("_valid_lookup")
"""Return an Enum's names on the server, by member and by name."""

enum_members: Getter = attrgetter("_object_lookup")
"""Return an Enum's members by their names on the server."""

text_type_of_json: Getter = attrgetter("_str_impl")
"""Return the type that a JSON type's text goes through."""


def unwrapped(type_: Any, dialect: Any) -> Any:
    """Return the dialect's form of a type, of that within where it is a TypeDecorator."""
    return type_._unwrapped_dialect_impl(dialect)


def _asked_for_expression(type_: Any) -> bool:
    return type_.bind_expression(bindparam("value", type_=type_)) is not None


binds_by_expression: Getter = (
    attrgetter("_has_bind_expression")
    if found("TypeEngine._has_bind_expression")
    else _asked_for_expression
)
"""Tell whether SQL stands around each bound value of a type."""


def makes_json_as_sqlalchemy(json_type: Any) -> bool:
    """Tell whether a JSON type has the bind processor of SQLAlchemy's own."""
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
"""Return the digits behind the point of a decimal that is made of a float."""
