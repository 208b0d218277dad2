"""What statements and expressions consist of, before they are compiled."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.sql import annotation

Getter = Callable[[Any], Any]

returning: Getter = attrgetter("_returning")
"""Return what the program asked to be returned by an INSERT, UPDATE or DELETE."""

supplemental_returning: Getter = attrgetter("_supplemental_returning")
"""Return what was asked for beside that which SQLAlchemy itself needs."""

returns_in_order: Getter = attrgetter("_sort_by_parameter_order")
"""Tell whether an INSERT has to return rows in the order of its parameters."""

conflict_clause: Getter = attrgetter("_post_values_clause")
"""Return an INSERT's ON CONFLICT, ``None`` where it has none."""

criteria: Getter = attrgetter("_where_criteria")
"""Return the terms of the WHERE of an UPDATE or DELETE."""

values: Getter = attrgetter("_dict_parameters")
"""Return what columns are set to: of a statement's ``compile_state``; may be ``None``."""

without_any_annotations: Callable[[Any], Any] = getattr(annotation, "_deep_deannotate", None)  # type: ignore[assignment]
"""Return an expression without what the ORM has noted in any part of it."""


def without_annotations(element: Any) -> Any:
    """Return an element without what the ORM has noted on it: itself where there is nothing."""
    return element._deannotate() if element._annotations else element


def excluded(constraint: Any) -> list[Any]:
    """Return the expressions that an EXCLUDE constraint compares."""
    return [expression for expression, *_ in constraint._render_exprs]


def is_compiled_by_program(element: Any) -> bool:
    """Tell whether a program compiles elements of this class itself (``@compiles``)."""
    return getattr(type(element), "_compiler_dispatcher", None) is not None


def orm_subject(statement: Any) -> Any:
    """Return the mapper of the ORM's entities that a select is of, ``None`` where it is of none."""
    noted = getattr(statement, "_propagate_attrs", None)
    if noted is not None:
        return noted.get("plugin_subject")
    for column in getattr(statement, "column_descriptions", ()):
        if column.get("entity") is not None:
            return inspect(column["entity"])
    return None
