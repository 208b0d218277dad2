"""Plans for INSERTs through arrays: what is written, and what is left as it is, with the reason."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from pgflight.bulk.insert_plan import ArrayInsert, plan_of
from pgflight.bulk.table_proof import PROOF
from tests.unit.compiled_for_many import compiled_for_many

metadata = sa.MetaData()
table = sa.Table(
    "t",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("a", sa.Text),
    sa.Column("b", sa.Numeric(6, 2)),
    sa.Column("net", pg.INET),
    sa.Column("kind", sa.Enum("x", "y", native_enum=False)),
    sa.Column("list", pg.ARRAY(sa.Integer)),
)
keyed = sa.Table(
    "keyed",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("select", sa.Text),
    sa.Column(" VALUES (", sa.Integer),
    schema="own",
)
insert = table.insert()
text_bind: Any = sa.bindparam("x", type_=sa.Text)


def unproven(text: str) -> str:
    """Return a plan's text without the place of its proof."""
    return text.replace(f" WHERE {PROOF}", "").replace(f" AND {PROOF}", "")


def plan(
    statement: Any, columns: list[str], translation: Any = None
) -> tuple[ArrayInsert | str, Any]:
    compiled, text = compiled_for_many(statement, columns, translation)
    return plan_of(compiled, text, translation), compiled


WRITTEN: dict[str, tuple[Any, list[str], str]] = {
    "plain": (
        insert,
        ["a", "b"],
        "INSERT INTO t (a, b) SELECT unnest($1::VARCHAR[]), unnest($2::NUMERIC(6, 2)[])",
    ),
    "returning": (
        insert.returning(table.c.id),
        ["a"],
        "INSERT INTO t (a) SELECT unnest($1::VARCHAR[]) RETURNING t.id",
    ),
    "sorted": (
        insert.returning(table.c.id, sort_by_parameter_order=True),
        ["a", "b"],
        "INSERT INTO t (a, b) SELECT p0::VARCHAR, p1::NUMERIC(6, 2) FROM (SELECT"
        " unnest($1::VARCHAR[]), unnest($2::NUMERIC(6, 2)[]),"
        " generate_subscripts($1::VARCHAR[], 1)) AS imp_sen(p0, p1, sen_counter)"
        " ORDER BY sen_counter RETURNING t.id, t.id AS id__1",
    ),
    "no cast": (
        insert,
        ["net"],
        "INSERT INTO t (net) SELECT unnest($1::INET[])",
    ),
    "stored as text, sorted": (
        insert.returning(table.c.id, sort_by_parameter_order=True),
        ["kind"],
        "INSERT INTO t (kind) SELECT p0::VARCHAR FROM (SELECT unnest($1::VARCHAR[]),"
        " generate_subscripts($1::VARCHAR[], 1)) AS imp_sen(p0, sen_counter)"
        " ORDER BY sen_counter RETURNING t.id, t.id AS id__1",
    ),
    "expression": (
        insert.values(a=sa.func.lower(text_bind), id=sa.text("nextval('s')")),
        ["b"],
        "INSERT INTO t (id, a, b) SELECT nextval('s'), lower(imp_u.b1::VARCHAR), imp_u.b2"
        " FROM (SELECT unnest($1::VARCHAR[]), unnest($2::NUMERIC(6, 2)[])) AS imp_u(b1, b2)",
    ),
    "do nothing": (
        pg.insert(table).on_conflict_do_nothing(index_elements=["id"]),
        ["a"],
        "INSERT INTO t (a) SELECT unnest($1::VARCHAR[]) ON CONFLICT (id) DO NOTHING",
    ),
    "update and return": (
        pg.insert(table)
        .on_conflict_do_update(index_elements=["id"], set_={"a": sa.literal("met")})
        .returning(table.c.id),
        ["id"],
        "INSERT INTO t (id) SELECT unnest($2::INTEGER[]) ON CONFLICT (id) DO UPDATE"
        " SET a = $1::VARCHAR RETURNING t.id",
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written(name: str) -> None:
    statement, columns, expected = WRITTEN[name]
    found, compiled = plan(statement, columns)
    assert isinstance(found, ArrayInsert), found
    assert unproven(found.text) == expected
    assert found.width == len(compiled.positiontup)


def test_an_expression_of_a_sorted_insert_is_computed_beside_the_counter() -> None:
    statement = insert.values(a=sa.func.lower(text_bind)).returning(
        table.c.id, sort_by_parameter_order=True
    )
    found, _ = plan(statement, [])
    assert isinstance(found, ArrayInsert)
    assert unproven(found.text) == (
        "INSERT INTO t (a) SELECT p0::VARCHAR FROM (SELECT lower(imp_u.b1::VARCHAR), imp_u.n"
        " FROM (SELECT unnest($1::VARCHAR[]), generate_subscripts($1::VARCHAR[], 1))"
        " AS imp_u(b1, n)) AS imp_sen(p0, sen_counter)"
        " ORDER BY sen_counter RETURNING t.id, t.id AS id__1"
    )


def test_a_translated_schema_is_in_the_text() -> None:
    found, compiled = plan(keyed.insert(), ["id"], {"own": "other"})
    assert isinstance(found, ArrayInsert)
    assert unproven(found.text) == "INSERT INTO other.keyed (id) SELECT unnest($1::UUID[])"
    again, third = (
        compiled.preparer._render_schema_translates(compiled.string, {"own": name})
        for name in ("third", "fourth")
    )
    for text in (again, third):
        made = plan_of(compiled, text, {"own": text.split(" ")[2].split(".")[0]})
        assert isinstance(made, ArrayInsert)
        assert unproven(made.text) in (
            "INSERT INTO third.keyed (id) SELECT unnest($1::UUID[])",
            "INSERT INTO fourth.keyed (id) SELECT unnest($1::UUID[])",
        )


def test_a_plan_is_made_once_and_few_are_kept() -> None:
    found, compiled = plan(insert, ["a"])
    assert plan_of(compiled, compiled.string, None) is found
    for number in range(10):
        plan_of(compiled, f"{compiled.string} -- {number}", None)
        assert len(compiled._pgflight_array_inserts) <= 3


def sub(query: Any) -> Any:
    return sa.select(query).scalar_subquery()


LEFT: dict[str, tuple[Any, list[str], str]] = {
    "array": (insert, ["id", "list"], "type ARRAY"),
    "stored as text": (insert, ["kind"], "type Enum without a cast"),
    "untyped": (insert.values(a=sa.func.lower(sa.bindparam("x"))), [], "type NullType"),
    "no cast in an expression": (
        insert.values(a=sa.func.lower(sa.bindparam("x", type_=pg.INET))),
        [],
        "a parameter without a cast in an expression",
    ),
    "subquery": (insert.values(a=sub(sa.func.max(table.c.a))), ["b"], "SELECT in VALUES"),
    "default": (insert.values(a=sa.text("DEFAULT")), ["b"], "DEFAULT in VALUES"),
    "function of sets": (
        insert.values(b=sa.func.generate_series(1, 3)),
        ["a"],
        "function generate_series in VALUES",
    ),
    "aggregate": (insert.values(b=sa.func.count(text_bind)), [], "function count in VALUES"),
    "function of a program": (
        insert.values(a=sa.func.own.lower(text_bind)),
        [],
        "function own.lower in VALUES",
    ),
    "window": (
        insert.values(b=sa.func.mod(sa.literal(1), 2).over()),
        ["a"],
        "OVER in VALUES",
    ),
    "no parameters": (insert.values(a=sa.text("'x'")), [], "no parameters in VALUES"),
    "defaults only": (insert.returning(table.c.id), [], "no parameters in VALUES"),
    "nothing at all": (insert, [], "no parameters in VALUES"),
    "two tokens": (keyed.insert(), ["id", " VALUES ("], "no VALUES, or more than one"),
    "several rows": (insert.values([{"a": "x"}, {"a": "y"}]), [], "several rows in VALUES"),
    "from select": (
        insert.from_select(["a"], sa.select(text_bind)),
        [],
        "no VALUES, or more than one",
    ),
    "update": (
        pg.insert(table).on_conflict_do_update(index_elements=["id"], set_={"a": "x"}),
        ["id"],
        "ON CONFLICT DO UPDATE",
    ),
    "row by row": (
        pg.insert(keyed)
        .on_conflict_do_nothing()
        .returning(keyed.c.id, sort_by_parameter_order=True),
        ["id"],
        "rows that SQLAlchemy sends one by one",
    ),
    "backslash": (insert.values(a=sa.text(r"E'\'x'")), ["b"], "VALUES that cannot be taken apart"),
    "comment": (insert.values(a=sa.text("1 /* ( */")), ["b"], "VALUES that cannot be taken apart"),
    "open quote": (insert.values(a=sa.text("'")), ["b"], "VALUES that cannot be taken apart"),
    "dollar": (insert.values(a=sa.text("$q$)$q$")), ["b"], "VALUES that cannot be taken apart"),
    "a number in a text": (
        insert.returning(sa.literal_column("'$1'")),
        ["a"],
        "a parameter inside and outside of VALUES",
    ),
    "a number that is none": (insert.values(a=sa.text("$7")), ["b"], "no numbered parameters"),
    "a number in a value": (
        insert.values(a=sa.text("'$1\\:\\:INTEGER'")),
        ["b"],
        "VALUES that cannot be taken apart",
    ),
    "expanded": (
        insert.values(a=sa.case((sa.literal(1).in_([1, 2]), "x"), else_="y")),
        ["b"],
        "parameters that are rendered for each execution",
    ),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_as_it_is(name: str) -> None:
    statement, columns, reason = LEFT[name]
    found, _ = plan(statement, columns)
    assert found == reason


def test_arithmetic_after_a_parameter_is_not_lost() -> None:
    statement = insert.values(id=sa.bindparam("n", type_=sa.Integer) + sa.literal(100))
    found, _ = plan(statement, [])
    assert isinstance(found, ArrayInsert)
    assert unproven(found.text) == (
        "INSERT INTO t (id) SELECT (imp_u.b1::INTEGER + imp_u.b2::INTEGER)"
        " FROM (SELECT unnest($1::INTEGER[]), unnest($2::INTEGER[])) AS imp_u(b1, b2)"
    )
