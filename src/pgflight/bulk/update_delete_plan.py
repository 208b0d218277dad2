"""How an UPDATE or DELETE by key is written for one array per column, or why it is not.

``UPDATE t SET a=$1 WHERE t.id = $2`` becomes ``UPDATE t SET a=imp_u.b1 FROM (SELECT unnest($1::..)
AS b1, unnest($2::..) AS b2) AS imp_u WHERE t.id = imp_u.b2``, and ``DELETE FROM t WHERE t.id = $1``
becomes ``... WHERE t.id = ANY ($1::..)``.  SQLAlchemy's compiler writes both, from the same table,
values and criteria: a statement that consists of anything else has no plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import Column, Table, delete, literal_column, select, update
from sqlalchemy.sql import coercions, elements, operators, roles
from sqlalchemy.sql.elements import ColumnElement

from ..compat import compiled_statements, statements
from ..parameters.array_types import array_type, supposed_oid, why_not
from ..parameters.contracts import Compiled
from .insert_plan import ArrayChange, ArrayInsert, kept_plan
from .insert_texts import called_in, items_of
from .row_equivalence import NoPlan, check_expression, check_key, columns_compared, table_of
from .table_proof import CHANGED, PROOF, Change, Proof

_ROWS = "imp_u"


def plan_of(
    compiled: Compiled, statement: str, translation: Mapping[Any, str] | None
) -> ArrayInsert | str:
    """Return the plan for ``statement``, the text of an UPDATE or DELETE; else why there is none.

    ``translation`` is the schema_translate_map by which the text was made, if there was one.
    """
    return kept_plan(compiled, statement, translation, _plan)


def _plan(compiled: Compiled, statement: str, translation: Mapping[Any, str] | None) -> ArrayInsert:
    if not (compiled_statements.has_numbered_parameters(compiled) and compiled.positiontup):
        raise NoPlan("no numbered parameters")
    if compiled.post_compile_params or compiled.literal_execute_params:
        raise NoPlan("parameters that are rendered for each execution")
    simple = _Simple(compiled)
    if simple.table is None or simple.table.name == _ROWS:
        raise NoPlan("a table that is none of the metadata's")
    if _translated(compiled, compiled.string, translation) != statement:
        raise NoPlan("a text that is not the statement's")
    plain = simple.write(simple.criteria)
    if (plain.string, plain.positiontup) != (compiled.string, compiled.positiontup):
        raise NoPlan("a statement of more than SET and WHERE")

    keys = {}
    for term in _terms(simple.criteria):
        column, name = _key(term, simple.table, plain)
        if name in keys:
            raise NoPlan(_MORE_THAN_KEYS)
        check_key(column, plain.binds[name].type, compiled.dialect)
        keys[name] = column
    changed: set[str] = set()
    if compiled.isupdate:
        changed = _check_changes(compiled, simple, set(keys.values()))

    names = compiled.positiontup
    types = {place: _array(compiled, name) for place, name in enumerate(names)}
    made = simple.write(*_with_arrays(keys, names, types, compiled.isdelete))
    text = _translated(made, made.string, translation)
    if set(made.bind_names.values()).union(keys) != set(names):
        raise NoPlan(_MORE_THAN_KEYS)
    distinct = [names.index(name) for name in keys] if compiled.isupdate else ()
    types = {place: _translated(made, name, translation) for place, name in types.items()}
    target = CHANGED.match(text)
    if target is None or "\\" in target[1]:
        raise NoPlan(_MORE_THAN_KEYS)
    change = Change.DELETE if compiled.isdelete else Change.UPDATE
    functions = _called(plain.string) if compiled.isupdate else set()
    proof = Proof(target[1], change, functions=functions, changed=changed, may_change_nothing=True)
    return ArrayChange(f"{text} AND {PROOF}", types, len(names), distinct, proof)


_MORE_THAN_KEYS = "WHERE with more than columns that equal parameters"


class _Simple:
    """The statement's table, values and criteria, without anything else."""

    def __init__(self, compiled: Any) -> None:
        statement = compiled.compile_state.statement
        self.table: Any = table_of(statement)
        self.criteria = list(
            map(statements.without_any_annotations, statements.criteria(statement))
        )
        self.values: dict[str, Any] = {}
        if compiled.isupdate:
            for key, value in (statements.values(compiled.compile_state) or {}).items():
                if isinstance(value, elements.ClauseElement):
                    value = statements.without_any_annotations(value)
                self.values[coercions.expect_as_key(roles.DMLColumnRole, key)] = value
        self._compiled = compiled

    def write(self, criteria: list[Any], shown: Callable[[str], str] | None = None) -> Any:
        """Have the statement written with other criteria; ``shown`` writes parameters."""
        compiled = self._compiled
        statement: Any
        if compiled.isupdate:
            statement = update(self.table)
            statement = statement.values(self.values) if self.values else statement
        else:
            statement = delete(self.table)
        compiler: Any = type(compiled)
        if shown is not None:
            form = {"bindparam_string": lambda self, name, **options: shown(name)}
            compiler = type(compiler.__name__, (compiler,), form)
        return compiler(
            compiled.dialect,
            statement.where(*criteria),
            column_keys=compiled.column_keys,
            for_executemany=True,
            schema_translate_map=compiled.schema_translate_map,
        )


def _terms(criteria: list[Any]) -> Iterator[Any]:
    """Yield the criteria that AND joins."""
    for part in criteria:
        if isinstance(part, elements.BooleanClauseList) and part.operator is operators.and_:
            yield from _terms(list(part.clauses))
        else:
            yield part


def _key(term: Any, table: Table, plain: Any) -> tuple[Any, str]:
    """Return the column and the parameter's name in a term of WHERE."""
    if (
        type(term) is elements.BinaryExpression
        and term.operator is operators.eq
        and not term.modifiers
        and isinstance(term.left, Column)
        and term.left.table is table
        and isinstance(term.right, elements.BindParameter)
        and term.right in plain.bind_names
    ):
        return term.left, plain.bind_names[term.right]
    raise NoPlan(_MORE_THAN_KEYS)


def _called(text: str) -> set[str]:
    """Return the functions that the SET of an UPDATE calls; raise NoPlan for others."""
    items, _ = items_of(text.partition(" SET ")[2].rpartition(" WHERE ")[0] + ")")
    return {name for item in items for name in called_in(item.partition("=")[2].strip(), "SET")}


def _check_changes(compiled: Compiled, simple: Any, keys: set[Any]) -> set[str]:
    """Raise unless each row is changed on its own, and by its own values only.

    Return the names of the changed columns, as the server may have them.
    """
    if not keys:
        raise NoPlan(_MORE_THAN_KEYS)
    given = {*simple.values, *(compiled.column_keys or ())}
    changed = [
        column for column in simple.table.c if column.key in given or column.onupdate is not None
    ]
    if not keys.isdisjoint(changed):
        raise NoPlan("a key column in SET")
    compared = columns_compared(simple.table)
    if compared is None or not compared.isdisjoint(column.key for column in changed):
        raise NoPlan("a column of a unique constraint in SET")
    for value in simple.values.values():
        check_expression(value, simple.table)
    for column in changed:
        default = column.onupdate
        if column.key not in given and getattr(default, "is_clause_element", False):
            check_expression(default.arg, simple.table)
    names = {str(column.name) for column in changed}
    if any("\\" in name for name in names):
        raise NoPlan("a name with a backslash")
    return names | {name.lower() for name in names}


def _array(compiled: Compiled, name: str) -> str:
    kind = compiled.binds[name].type
    array = array_type(kind, compiled)
    if array is None or supposed_oid(kind, compiled.dialect) is not None:
        raise NoPlan(why_not(kind, compiled))
    return array


def _with_arrays(
    keys: dict[str, Any], names: list[str], types: dict[int, str], in_place: bool
) -> tuple[list[Any], Callable[[str], str]]:
    """Return the criteria of the statement of arrays, and what is written for a parameter."""
    places = {name: place for place, name in enumerate(names)}
    if in_place and len(keys) == 1:
        [(name, column)] = keys.items()
        array = f"ANY (${places[name] + 1}::{types[places[name]]})"
        return [_equal(column, literal_column(array))], lambda name: ""
    arrays: list[Any] = [
        literal_column(f"unnest(${place + 1}::{types[place]})").label(f"b{place + 1}")
        for place in types
    ]
    rows = select(*arrays).subquery(_ROWS)
    criteria = [_equal(column, rows.c[f"b{places[name] + 1}"]) for name, column in keys.items()]

    def shown(name: str) -> str:
        if name not in places:
            raise NoPlan(_MORE_THAN_KEYS)
        return f"{_ROWS}.b{places[name] + 1}"

    return criteria, shown


def _equal(column: ColumnElement[Any], other: Any) -> Any:
    return elements.BinaryExpression(column, other, operators.eq)


def _translated(compiled: Compiled, text: str, translation: Mapping[Any, str] | None) -> str:
    if translation is None:
        return text
    rendered: str = compiled_statements.schema_translator(compiled)(text, translation)
    return rendered
