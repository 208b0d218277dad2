"""Private attributes of statements and expressions, before they are compiled."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.sql import annotation
from sqlalchemy.sql.elements import ClauseElement

Getter = Callable[[Any], Any]

returning: Getter = attrgetter("_returning")
"""Return the RETURNING columns that the program gave an INSERT, UPDATE or DELETE."""

supplemental_returning: Getter = attrgetter("_supplemental_returning")
"""Return the columns of ``return_defaults()``'s ``supplemental_cols``."""

returns_in_order: Getter = attrgetter("_sort_by_parameter_order")
"""Tell whether an INSERT has to return rows in the order of its parameters."""

conflict_clause: Getter = attrgetter("_post_values_clause")
"""Return an INSERT's ON CONFLICT, ``None`` if it has none."""

criteria: Getter = attrgetter("_where_criteria")
"""Return the WHERE terms of an UPDATE or DELETE."""

values: Getter = attrgetter("_dict_parameters")
"""Given a statement's ``compile_state``, return its values by column; may be ``None``."""

without_any_annotations: Callable[[Any], Any] = getattr(annotation, "_deep_deannotate", None)  # type: ignore[assignment]
"""Return an expression without the ORM's annotations on any part of it."""


def without_annotations(element: ClauseElement) -> Any:
    """Return an element without the ORM's annotations on it; itself if there are none."""
    return element._deannotate() if element._annotations else element


def excluded(constraint: Any) -> list[Any]:
    """Return the expressions that an EXCLUDE constraint compares."""
    return [expression for expression, *_ in constraint._render_exprs]


def is_compiled_by_program(element: ClauseElement) -> bool:
    """Tell whether a program compiles elements of this class itself (``@compiles``)."""
    return getattr(type(element), "_compiler_dispatcher", None) is not None


def orm_subject(statement: Any) -> Any:
    """Return the mapper of the entity that a select is for, ``None`` if there is none."""
    noted = getattr(statement, "_propagate_attrs", None)
    if noted is not None:
        return noted.get("plugin_subject")
    for column in getattr(statement, "column_descriptions", ()):
        if column.get("entity") is not None:
            return inspect(column["entity"])
    return None
