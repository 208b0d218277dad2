"""Plans for UPDATE, DELETE and upserts through arrays: what is written, what is left, and why."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.types import TypeDecorator

from pgflight.bulk import insert_plan, update_delete_plan
from pgflight.bulk.insert_plan import ArrayChange, ArrayInsert
from pgflight.bulk.table_proof import PROOF
from tests.unit.compiled_for_many import compiled_for_many


def unproven(text: str) -> str:
    """Return a plan's text without the place of its proof."""
    return text.replace(f" WHERE {PROOF}", "").replace(f" AND {PROOF}", "")


class Doubled(TypeDecorator[int]):
    """A number that the server doubles."""

    impl = sa.Integer
    cache_ok = True

    def bind_expression(self, bindparam: Any) -> Any:
        return bindparam * 2


class Shifted(TypeDecorator[int]):
    """A number that the client shifts."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Any) -> int | None:
        return None if value is None else value + 1


metadata = sa.MetaData()
table = sa.Table(
    "t",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("n", sa.Integer),
    sa.Column("name", sa.String(5)),
    sa.Column("day", sa.Date),
    sa.Column("key", sa.Uuid),
    sa.Column("list", pg.ARRAY(sa.Integer)),
    sa.Column("word", pg.CITEXT),
    sa.Column("doubled", Doubled),
    sa.Column("shifted", Shifted),
    sa.Column("twice", sa.Integer, sa.Computed("n * 2", persisted=True)),
    sa.Column("stored", sa.Uuid(native_uuid=False)),
)
touched = sa.Table(
    "touched",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("n", sa.Integer, unique=True),
    sa.Column("select", sa.Text),
    sa.Column("state", sa.Text, onupdate="seen"),
    sa.Column("at", sa.DateTime, onupdate=sa.func.now()),
    sa.Column("by", sa.Text, server_onupdate=sa.FetchedValue()),
    schema="own",
)
ruled = sa.Table(
    "ruled",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("a", sa.Integer),
    sa.Column("b", sa.Integer),
    sa.Column("c", sa.Text),
    sa.Column("d", sa.Integer),
    sa.Column("e", sa.Integer),
    sa.Column("free", sa.Integer),
    sa.UniqueConstraint("a", "b", name="a_and_b"),
    pg.ExcludeConstraint((sa.column("d"), "="), name="no_d_twice", where=sa.column("e") > 5),
)
sa.Index("lower_c", sa.func.lower(ruled.c.c), unique=True, postgresql_where=ruled.c.free > 0)
unclear = sa.Table(
    "unclear",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("a", sa.Integer),
    sa.Index("of_text", sa.text("a"), unique=True),
)
named_so = sa.Table("imp_u", metadata, sa.Column("id", sa.Integer), sa.Column("n", sa.Integer))
light: Any = sa.table("light", sa.column("id", sa.Integer), sa.column("n", sa.Integer))
bind: Any = sa.bindparam
aliased: Any = table.alias("a")
by_id = table.c.id == bind("pk")
update = table.update().where(by_id)
delete = table.delete().where(by_id)
insert = pg.insert(table)


def plan(
    statement: Any, columns: list[str], translation: Any = None
) -> tuple[ArrayInsert | str, Any]:
    compiled, text = compiled_for_many(statement, columns, translation)
    if compiled.isinsert:
        return insert_plan.plan_of(compiled, text, translation, upserts=True), compiled
    return update_delete_plan.plan_of(compiled, text, translation), compiled


WRITTEN: dict[str, tuple[Any, list[str], str, tuple[int, ...]]] = {
    "update": (
        update,
        ["pk", "n", "name"],
        "UPDATE t SET n=imp_u.b1, name=imp_u.b2 FROM (SELECT unnest($1::INTEGER[]) AS b1,"
        " unnest($2::VARCHAR[]) AS b2, unnest($3::INTEGER[]) AS b3) AS imp_u WHERE t.id = imp_u.b3",
        (2,),
    ),
    "two keys and an expression": (
        update.where(sa.and_(table.c.day == bind("of"), table.c.key == bind("k"))).values(
            n=sa.func.coalesce(table.c.n + bind("more"), bind("none", type_=sa.Integer))
        ),
        ["pk", "of", "k", "more", "none"],
        "UPDATE t SET n=coalesce(t.n + imp_u.b1, imp_u.b2) FROM (SELECT unnest($1::INTEGER[]) AS"
        " b1, unnest($2::INTEGER[]) AS b2, unnest($3::INTEGER[]) AS b3, unnest($4::DATE[]) AS b4,"
        " unnest($5::UUID[]) AS b5) AS imp_u"
        " WHERE t.id = imp_u.b3 AND t.day = imp_u.b4 AND t.key = imp_u.b5",
        (2, 3, 4),
    ),
    "constants": (
        update.values(n=7, name=None, day=sa.null()),
        ["pk"],
        "UPDATE t SET n=imp_u.b1, name=imp_u.b2, day=NULL FROM (SELECT unnest($1::INTEGER[]) AS"
        " b1, unnest($2::VARCHAR[]) AS b2, unnest($3::INTEGER[]) AS b3) AS imp_u"
        " WHERE t.id = imp_u.b3",
        (2,),
    ),
    "what an update touches": (
        touched.update().where(touched.c.id == bind("pk")),
        ["pk", "select"],
        'UPDATE own.touched SET "select"=imp_u.b1, state=imp_u.b2, at=now() FROM (SELECT'
        " unnest($1::VARCHAR[]) AS b1, unnest($2::VARCHAR[]) AS b2, unnest($3::INTEGER[]) AS b3)"
        " AS imp_u WHERE own.touched.id = imp_u.b3",
        (2,),
    ),
    "odd names of parameters": (
        table.update().where(table.c.id == bind("the 100% (key):x")).values(n=bind("a.b[c]")),
        ["the 100% (key):x", "a.b[c]"],
        "UPDATE t SET n=imp_u.b1 FROM (SELECT unnest($1::INTEGER[]) AS b1, unnest($2::INTEGER[])"
        " AS b2) AS imp_u WHERE t.id = imp_u.b2",
        (1,),
    ),
    "a key that the client makes": (
        table.update().where(table.c.shifted == bind("pk")),
        ["pk", "n"],
        "UPDATE t SET n=imp_u.b1 FROM (SELECT unnest($1::INTEGER[]) AS b1, unnest($2::INTEGER[])"
        " AS b2) AS imp_u WHERE t.shifted = imp_u.b2",
        (1,),
    ),
    "delete": (delete, ["pk"], "DELETE FROM t WHERE t.id = ANY ($1::INTEGER[])", ()),
    "delete by two": (
        delete.where(table.c.day == bind("of")),
        ["pk", "of"],
        "DELETE FROM t USING (SELECT unnest($1::INTEGER[]) AS b1, unnest($2::DATE[]) AS b2)"
        " AS imp_u WHERE t.id = imp_u.b1 AND t.day = imp_u.b2",
        (),
    ),
    "upsert": (
        insert.on_conflict_do_update(
            index_elements=["id"],
            set_={
                "id": insert.excluded.id,
                "n": table.c.n + insert.excluded.n,
                table.c.name: "met",
            },
            where=table.c.n.is_distinct_from(insert.excluded.n),
        ),
        ["n", "id"],
        "INSERT INTO t (id, n) SELECT unnest($1::INTEGER[]), unnest($2::INTEGER[])"
        " ON CONFLICT (id) DO UPDATE SET id = excluded.id, n = (t.n + excluded.n),"
        " name = $3::VARCHAR WHERE t.n IS DISTINCT FROM excluded.n",
        (0,),
    ),
    "upsert by name": (
        pg.insert(ruled)
        .values(a=bind("x"))
        .on_conflict_do_update(constraint="a_and_b", set_={"free": 5}),
        ["x", "b"],
        "INSERT INTO ruled (a, b) SELECT unnest($1::INTEGER[]), unnest($2::INTEGER[])"
        " ON CONFLICT ON CONSTRAINT a_and_b DO UPDATE SET free = $3::INTEGER",
        (0, 1),
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written(name: str) -> None:
    statement, columns, expected, keys = WRITTEN[name]
    found, compiled = plan(statement, columns)
    assert isinstance(found, ArrayChange), found
    assert unproven(found.text) == expected
    assert found.keys == keys
    assert found.width == len(compiled.positiontup)


def test_a_translated_schema_is_in_the_text() -> None:
    statement = touched.delete().where(touched.c.id == bind("pk"))
    found, compiled = plan(statement, ["pk"], {"own": "other"})
    assert isinstance(found, ArrayInsert)
    assert (
        unproven(found.text)
        == "DELETE FROM other.touched WHERE other.touched.id = ANY ($1::INTEGER[])"
    )
    third = compiled.preparer._render_schema_translates(compiled.string, {"own": "third"})
    made = update_delete_plan.plan_of(compiled, third, {"own": "third"})
    assert isinstance(made, ArrayInsert)
    assert (
        unproven(made.text)
        == "DELETE FROM third.touched WHERE third.touched.id = ANY ($1::INTEGER[])"
    )


def test_a_plan_is_made_once_and_few_are_kept() -> None:
    found, compiled = plan(update, ["pk", "n"])
    assert update_delete_plan.plan_of(compiled, compiled.string, None) is found
    for number in range(10):
        other = update_delete_plan.plan_of(compiled, f"{compiled.string} -- {number}", None)
        assert other == "a text that is not the statement's"
        assert len(compiled._pgflight_array_inserts) <= 3


def sub(query: Any) -> Any:
    return sa.select(query).scalar_subquery()


MORE_KEYS = "WHERE with more than columns that equal parameters"
MORE = "a statement of more than SET and WHERE"
UNIQUE = "a column of a unique constraint in SET"
UNBOUND = "a conflict target that is not bound"
OTHER_TARGET = "a conflict target other than columns"


def upsert(of: Any = insert, **options: Any) -> Any:
    options.setdefault("set_", {"name": of.excluded["name"]} if "name" in of.excluded else {"d": 5})
    if "constraint" not in options:
        options.setdefault("index_elements", ["id"])
    return of.on_conflict_do_update(**options)


LEFT: dict[str, tuple[Any, list[str], str]] = {
    "no where": (table.update(), ["n"], MORE_KEYS),
    "no where to delete": (table.delete(), [], "no numbered parameters"),
    "or": (
        table.update().where(sa.or_(by_id, table.c.n == bind("x"))),
        ["pk", "x", "name"],
        MORE_KEYS,
    ),
    "not equal": (table.delete().where(table.c.id != bind("pk")), ["pk"], MORE_KEYS),
    "not": (table.delete().where(sa.not_(by_id)), ["pk"], MORE_KEYS),
    "greater": (table.delete().where(table.c.id > bind("pk")), ["pk"], MORE_KEYS),
    "null": (delete.where(table.c.n.is_(None)), ["pk"], MORE_KEYS),
    "not distinct": (
        table.delete().where(table.c.id.is_not_distinct_from(bind("pk"))),
        ["pk"],
        MORE_KEYS,
    ),
    "an operator of its own": (
        table.delete().where(table.c.id.op("=")(bind("pk"))),
        ["pk"],
        MORE_KEYS,
    ),
    "an expression of a key": (
        table.delete().where(table.c.id + 1 == bind("pk")),
        ["pk"],
        MORE_KEYS,
    ),
    "an expression of a parameter": (
        table.delete().where(table.c.id == bind("pk", type_=sa.Integer) + 1),
        ["pk"],
        MORE_KEYS,
    ),
    "two columns": (delete.where(table.c.id == table.c.n), ["pk"], MORE_KEYS),
    "a text": (delete.where(sa.text("n = 5")), ["pk"], MORE_KEYS),
    "one parameter twice": (delete.where(table.c.n == bind("pk")), ["pk"], MORE_KEYS),
    "an in list": (
        delete.where(table.c.n.in_([1, 2])),
        ["pk"],
        "parameters that are rendered for each execution",
    ),
    "subquery in where": (
        delete.where(table.c.n == sub(sa.func.max(table.c.n))),
        ["pk"],
        MORE_KEYS,
    ),
    "another table": (delete.where(table.c.n == touched.c.n), ["pk"], MORE_KEYS),
    "another table's key": (
        update.where(touched.c.id == bind("other")),
        ["pk", "other", "n"],
        MORE_KEYS,
    ),
    "key in set": (update, ["pk", "id"], "a key column in SET"),
    "key in values": (update.values(id=table.c.id + 1), ["pk"], "a key column in SET"),
    "key on update": (
        touched.update().where(touched.c.at == bind("pk"), touched.c.id == bind("x")),
        ["pk", "x", "select"],
        "a key of type DateTime",
    ),
    "returning": (delete.returning(table.c.n), ["pk"], MORE),
    "prefix": (update.prefix_with("/* x */"), ["pk", "n"], MORE),
    "hint": (delete.with_hint("ONLY", dialect_name="postgresql"), ["pk"], MORE),
    "cte": (
        delete.add_cte(sa.select(sa.literal(1).label("x")).cte("more")),
        ["pk"],
        MORE,
    ),
    "ordered values": (
        update.ordered_values((table.c.name, bind("x")), (table.c.n, bind("y"))),
        ["pk", "x", "y"],
        MORE,
    ),
    "string key": (
        table.update().where(table.c.name == bind("pk")),
        ["pk", "n"],
        "a key of type String",
    ),
    "citext key": (
        table.update().where(table.c.word == bind("pk")),
        ["pk", "n"],
        "a key of type CITEXT",
    ),
    "list as key": (
        table.delete().where(table.c.list == bind("pk")),
        ["pk"],
        "a key of type ARRAY",
    ),
    "uuid as text": (
        table.delete().where(table.c.stored == bind("pk")),
        ["pk"],
        "a key of type Uuid",
    ),
    "another type than the key": (
        table.update().where(table.c.id == bind("pk", type_=sa.Date)),
        ["pk", "n"],
        "a key of type Integer",
    ),
    "bind expression of a key": (
        table.delete().where(table.c.doubled == bind("pk")),
        ["pk"],
        "a type with a bind expression",
    ),
    "bind expression": (update, ["pk", "doubled"], "a type with a bind expression"),
    "computed key": (
        table.update().where(table.c.twice == bind("pk")),
        ["pk", "n"],
        "a key column that the server computes",
    ),
    "list": (update, ["pk", "list"], "type ARRAY"),
    "subquery": (update.values(n=sub(sa.func.max(table.c.n))), ["pk"], "ScalarSelect in SET"),
    "text in set": (update.values(n=sa.text("n + 1"), name="x"), ["pk"], "TextClause in SET"),
    "literal column": (
        update.values(n=sa.literal_column("b1")),
        ["pk"],
        "ColumnClause in SET",
    ),
    "function of a program": (
        update.values(n=sa.func.own.lower(bind("x", type_=sa.Text))),
        ["pk", "x"],
        "function lower in SET",
    ),
    "nextval": (update.values(n=sa.func.nextval("s")), ["pk"], "function nextval in SET"),
    "sequence": (
        update.values(n=sa.Sequence("s").next_value()),
        ["pk"],
        "function next_value in SET",
    ),
    "operator in set": (
        update.values(n=table.c.n.op("<+>")(bind("x"))),
        ["pk", "x"],
        "BinaryExpression in SET",
    ),
    "unique": (touched.update().where(touched.c.id == bind("pk")), ["pk", "n"], UNIQUE),
    "a part of it": (ruled.update().where(ruled.c.id == bind("pk")), ["pk", "b"], UNIQUE),
    "unique expression": (ruled.update().where(ruled.c.id == bind("pk")), ["pk", "c"], UNIQUE),
    "where of it": (ruled.update().where(ruled.c.id == bind("pk")), ["pk", "free"], UNIQUE),
    "excluding": (ruled.update().where(ruled.c.id == bind("pk")), ["pk", "d"], UNIQUE),
    "primary key": (ruled.update().where(ruled.c.a == bind("x")), ["x", "id"], UNIQUE),
    "unique text": (unclear.update().where(unclear.c.id == bind("pk")), ["pk", "a"], UNIQUE),
    "a name that we use": (
        named_so.update().where(named_so.c.id == bind("pk")),
        ["pk", "n"],
        "a table that is none of the metadata's",
    ),
    "no table": (
        light.update().where(light.c.id == bind("pk")),
        ["pk", "n"],
        "a table that is none of the metadata's",
    ),
    "alias": (
        sa.update(aliased).where(aliased.c.id == bind("pk")),
        ["pk", "n"],
        "a table that is none of the metadata's",
    ),
    "target not bound": (upsert(), ["n"], UNBOUND),
    "target of an expression": (upsert(insert.values(id=table.c.id + 1)), ["n"], UNBOUND),
    "target constant": (upsert(insert.values(id=5)), ["n"], UNBOUND),
    "target of a function": (upsert(insert.values(id=sa.func.now())), ["n"], UNBOUND),
    "target in an expression": (
        upsert(insert.values(id=bind("x", type_=sa.Integer) + 1)),
        ["n", "x"],
        UNBOUND,
    ),
    "expression index": (
        upsert(index_elements=[sa.func.lower(table.c.name)]),
        ["id", "n"],
        OTHER_TARGET,
    ),
    "text index": (upsert(index_elements=[sa.text("id")]), ["id", "n"], OTHER_TARGET),
    "unknown constraint": (upsert(constraint="who"), ["id", "n"], OTHER_TARGET),
    "excluding constraint": (
        upsert(pg.insert(ruled), constraint="no_d_twice"),
        ["id", "d"],
        OTHER_TARGET,
    ),
    "string target": (
        upsert(index_elements=["name"], set_={"n": 5}),
        ["name"],
        "a key of type String",
    ),
    "target in set": (upsert(set_={"id": insert.excluded.id + 1}), ["id"], "a key column in SET"),
    "target of another in set": (
        upsert(set_={"id": insert.excluded.n}),
        ["id", "n"],
        "a key column in SET",
    ),
    "subquery in upsert": (
        upsert(set_={"n": sub(sa.func.count(table.c.id))}),
        ["id"],
        "ScalarSelect in SET",
    ),
    "subquery beside upsert": (
        upsert(where=table.c.n < sub(sa.func.max(table.c.n))),
        ["id"],
        "ScalarSelect in SET",
    ),
    "array in upsert": (upsert(), ["id", "list"], "type ARRAY"),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_as_it_is(name: str) -> None:
    statement, columns, reason = LEFT[name]
    found, _ = plan(statement, columns)
    assert found == reason


def test_without_the_option_an_upsert_has_no_plan() -> None:
    _, compiled = plan(upsert(), ["id", "name"])
    assert insert_plan.plan_of(compiled, compiled.string, None) == "ON CONFLICT DO UPDATE"
    assert isinstance(
        insert_plan.plan_of(compiled, compiled.string, None, upserts=True), ArrayChange
    )
