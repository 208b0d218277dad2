"""When one statement for many rows has the same effect as one statement for each row.

Keys that are certainly different, expressions of a row's own values, and columns that no index
compares with those of other rows: the conditions of :mod:`pgflight.bulk.update_delete_plan` and
:mod:`pgflight.bulk.upserts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import ClauseElement, Column, PrimaryKeyConstraint, Table, UniqueConstraint
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import elements, functions, operators, sqltypes, visitors
from sqlalchemy.sql.elements import ColumnElement

from .. import driver
from ..compat import sql_types, statements

PER_ROW = frozenset(
    """
    abs btrim cast ceil char_length clock_timestamp coalesce concat concat_ws currval date_trunc
    encode floor gen_random_uuid greatest initcap lcase least left length lower lpad ltrim md5 mod
    nextval now nullif octet_length random replace right round rpad rtrim sha256
    substr substring timeofday timezone to_char to_date to_number to_timestamp
    to_tsvector transaction_timestamp trim upper uuid_generate_v1 uuid_generate_v4
    and or not in case when then else end like ilike
    current_date current_time current_timestamp localtime localtimestamp
    """.split()
)
"""Functions (and words in front of a parenthesis) that give one value for each row and read no
table.  An aggregate or a function of sets is an error in VALUES and none in a SELECT list.  Not
``statement_timestamp``: it tells rows apart that are statements of their own."""

_IN_TURN = frozenset({"currval", "nextval"})
"""Those whose value depends on the order of rows, which an UPDATE may choose freely."""

_SIMPLE = (
    elements.BindParameter,
    elements.BinaryExpression,
    elements.UnaryExpression,
    elements.Grouping,
    elements.ClauseList,
    elements.ExpressionClauseList,
    elements.Case,
    elements.Cast,
    elements.TypeClause,
    elements.Null,
    elements.True_,
    elements.False_,
)
_KEYS = driver.UUID_CLASSES | {int, date, type(None)}
"""Classes whose values are equal in Python if and only if they are equal on the server."""


_KEY_OIDS: dict[Any, tuple[int, ...]] = {
    sqltypes.Integer: (20, 21, 23),
    sqltypes.Uuid: (2950,),
    sqltypes.Date: (1082,),
}


class NoPlan(Exception):
    """The reason why a statement has no plan."""


def table_of(statement: Any) -> Table | None:
    """Return the table that a statement changes, None if it is not a ``Table`` of a metadata."""
    table = statement.table
    table = statements.without_annotations(table)
    return table if isinstance(table, Table) else None


def check_key(column: ColumnElement[Any], bound: object, dialect: Dialect) -> None:
    """Raise NoPlan unless the column's values are equal exactly if Python's are.

    ``bound`` is the type of the parameter that is compared with ``column`` or stored in it.
    """
    families = {_key_family(kind, dialect) for kind in (column.type, bound)}
    if len(families) != 1 or None in families:
        name = type(column.type).__name__
        raise NoPlan(f"a key of type {name}")
    if column.computed is not None or column.server_onupdate is not None:
        raise NoPlan("a key column that the server computes")


def key_types(kind: object, dialect: Dialect) -> tuple[int, ...]:
    """Return the oids of types that keep different keys of a type different, as the Table's does.

    A ``real``, for one, makes one number of many.
    """
    return _KEY_OIDS[_key_family(kind, dialect)]


def _key_family(kind: object, dialect: Dialect) -> type | None:
    impl = sql_types.unwrapped(kind, dialect)
    if isinstance(impl, sqltypes.Uuid):
        return sqltypes.Uuid if impl.native_uuid and dialect.supports_native_uuid else None
    for family in (sqltypes.Integer, sqltypes.Date):
        if isinstance(impl, family):
            return family
    return None


def why_not_distinct(columns: Sequence[list[Any]]) -> str | None:
    """Return the reason why the rows of some columns are not certainly different, else None."""
    for column in columns:
        if not _KEYS.issuperset(map(type, column)):
            return "a key value of another class"
    rows = set(columns[0]) if len(columns) == 1 else set(zip(*columns, strict=True))
    return None if len(rows) == len(columns[0]) else "a key that comes twice"


def check_expression(expression: object, table: object) -> None:
    """Raise NoPlan unless an expression reads parameters and its own row of ``table`` only."""
    if not isinstance(expression, ClauseElement):
        return  # a value that SQLAlchemy turns into a parameter
    for element in visitors.iterate(expression):
        if isinstance(element, Column):
            source = element.table
            if getattr(source, "element", source) is table:  # the table, or its "excluded"
                continue
        elif isinstance(element, functions.Function) and _is_upstream(element):
            name = element.name.lower()
            if name in PER_ROW - _IN_TURN and not element.packagenames:
                continue
            raise NoPlan(f"function {element.name} in SET")
        elif isinstance(element, _SIMPLE) and _is_upstream(element):
            if not isinstance(getattr(element, "operator", None), operators.custom_op):
                continue
        raise NoPlan(f"{type(element).__name__} in SET")


def _is_upstream(element: ClauseElement) -> bool:
    return type(element).__module__.startswith("sqlalchemy.")


def columns_compared(table: Table) -> frozenset[str] | None:
    """Return the keys of columns whose values are compared between rows; None if not clear.

    By unique and exclusion constraints and unique indexes: which of them a row violates may depend
    on which rows have been changed already.
    """
    compared: set[str] = set()
    rules: list[Any] = [*table.constraints, *table.indexes]
    for rule in rules:
        if isinstance(rule, PrimaryKeyConstraint | UniqueConstraint):
            parts: list[Any] = list(rule.columns)
        elif isinstance(rule, ExcludeConstraint):
            parts = statements.excluded(rule)
            parts.append(rule.where)
        elif getattr(rule, "unique", False):
            parts = [*rule.expressions, rule.dialect_options["postgresql"]["where"]]
        else:
            continue
        for part in parts:
            found = None if part is None else _columns_in(part)
            if found is None and part is not None:
                return None
            compared.update(found or ())
    return frozenset(compared)


def _columns_in(part: object) -> set[str] | None:
    found: set[str] = set()
    if not isinstance(part, ClauseElement):
        return None
    for element in visitors.iterate(part):
        if isinstance(element, Column):
            found.add(element.key)
        elif isinstance(element, elements.TextClause | elements.ColumnClause):
            return None
    return found
