"""Which ON CONFLICT DO UPDATE has the same effect on many rows at once as on one after the other.

That is so if no row conflicts with another of the same statement: their values for the conflict's
target are different, and stay different.  Used by :mod:`pgflight.bulk.insert_plan`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, PrimaryKeyConstraint, Table, UniqueConstraint
from sqlalchemy.sql import elements
from sqlalchemy.sql.elements import ColumnElement

from ..compat import statements
from ..parameters.contracts import Compiled
from .row_equivalence import NoPlan, check_expression, check_key, table_of

_UNKNOWN_TARGET = "a conflict target other than columns"
_UNBOUND_TARGET = "a conflict target that is not bound"


def target_of(compiled: Compiled, clause: Any) -> list[int]:
    """Return the places, from 0, of the parameters that are stored in the conflict's target.

    Raises NoPlan if rows may conflict, or if that cannot be decided.
    """
    table = table_of(compiled.compile_state.statement)
    if table is None:
        raise NoPlan(_UNKNOWN_TARGET)
    target = _columns(table, clause)
    changes = clause.update_values_to_set  # a list in SQLAlchemy 2.0
    for key, value in changes.items() if isinstance(changes, dict) else changes:
        column = _column(table, key)
        check_expression(value, table)
        if column in target and not _is_excluded(value, column):
            raise NoPlan("a key column in SET")
    check_expression(clause.update_whereclause, table)
    return [_place(compiled, column) for column in target]


def _columns(table: Table, clause: Any) -> list[Any]:
    """Return the columns of the conflict's target."""
    if clause.constraint_target is not None:
        for rule in table.constraints:
            if rule.name == clause.constraint_target:
                if isinstance(rule, PrimaryKeyConstraint | UniqueConstraint):
                    return list(rule.columns)
        raise NoPlan(_UNKNOWN_TARGET)
    columns = [_column(table, element) for element in clause.inferred_target_elements or ()]
    if not columns:
        raise NoPlan(_UNKNOWN_TARGET)
    return columns


def _column(table: Table, named: object) -> Any:
    """Return the column of ``table`` that is given, or named by its key."""
    if isinstance(named, elements.ClauseElement):
        named = statements.without_annotations(named)
    column = table.c.get(named) if isinstance(named, str) else named
    if not isinstance(column, Column) or column.table is not table:
        raise NoPlan(_UNKNOWN_TARGET)
    return column


def _is_excluded(value: object, column: ColumnElement[Any]) -> bool:
    """Tell whether a column is set to its present value: the one that caused the conflict."""
    return (
        isinstance(value, Column)
        and value.key == column.key
        and getattr(value.table, "element", None) is column.table
        and value.table.name == "excluded"
    )


def _place(compiled: Compiled, column: ColumnElement[Any]) -> int:
    """Return the place of the parameter that is stored in ``column``."""
    given = statements.values(compiled.compile_state) or {}
    value = given.get(column, given.get(column.key))
    if value is None:
        if (
            column.key not in (compiled.column_keys or ())
            and column not in compiled.insert_prefetch
        ):
            raise NoPlan(_UNBOUND_TARGET)
        name = column.key
    elif isinstance(value, elements.BindParameter) and not value.unique:
        name = value.key
    else:
        raise NoPlan(_UNBOUND_TARGET)
    if name is None or name not in compiled.positiontup:
        raise NoPlan(_UNBOUND_TARGET)
    check_key(column, compiled.binds[name].type, compiled.dialect)
    place: int = compiled.positiontup.index(name)
    return place
