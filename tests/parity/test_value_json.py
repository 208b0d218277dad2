"""JSON and JSONB: NULL in its three kinds, operators, paths, serializers of the program's own."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import TypeEngine

from tests.fixtures.outcome import Both, Failure
from tests.parity.scratch import apart, scratch

DOCUMENT: dict[str, Any] = {
    "n": 1,
    "big": 2**80,
    "x": 1.5,
    "s": 'é \u2028 " \\ / \b',
    "none": None,
    "yes": True,
    "list": [1, [2, {"deep": "x"}], None],
    "": {"a b": "%s :x"},
    "1": "key that looks like a position",
}
TYPES = {"json": pg.JSON, "jsonb": pg.JSONB, "generic": sa.JSON}
types = pytest.mark.parametrize("type_", TYPES.values(), ids=TYPES.keys())


def _table(type_: TypeEngine[Any]) -> sa.Table:
    key: sa.Column[int] = sa.Column("id", sa.Integer, primary_key=True)
    return sa.Table("json_of_parity", sa.MetaData(), key, sa.Column("value", type_))


@types
@pytest.mark.parametrize("none_as_null", [True, False])
def test_three_kinds_of_null(both: Both, type_: Any, none_as_null: bool) -> None:
    table = _table(type_(none_as_null=none_as_null))
    nulls = (None, sa.JSON.NULL, sa.null(), {"a": None}, [None], "null")

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, table.metadata) as connection:
            for value in nulls:
                await connection.execute(table.insert().values(value=value))
            await connection.execute(table.insert(), [{"value": None}, {"value": {"b": None}}])
            query = sa.select(
                table.c.value, table.c.value.is_(None), sa.cast(table.c.value, sa.Text)
            )
            return (await connection.execute(query.order_by(table.c.id))).all()

    rows = both(work)
    assert [row[1] for row in rows[:3]] == [none_as_null, False, True]


@types
def test_index_and_path_operators(both: Both, type_: Any) -> None:
    table = _table(type_())
    value: Any = table.c.value
    expressions: dict[str, Any] = {
        "key": value["n"],
        "missing": value["nothing"],
        "null": value["none"],
        "empty key": value[""],
        "numeric key": value["1"],
        "position": value["list"][0],
        "negative": value["list"][-1],
        "path": value[("list", 1, 1, "deep")],
        "long path": value[("list", "1", "0")],
        "integer": value["n"].as_integer(),
        "float": value["x"].as_float(),
        "numeric": value["x"].as_numeric(10, 2),
        "string": value["s"].as_string(),
        "boolean": value["yes"].as_boolean(),
        "as json": value["list"].as_json(),
        "path string": value[("list", 1, 1, "deep")].as_string(),
        "comparison": value["n"].as_integer() == 1,
        "in": value["s"].as_string().in_(["a", DOCUMENT["s"]]),
        "cast": sa.cast(value["big"].as_string(), sa.Numeric),
    }
    if type_ is pg.JSONB:
        expressions |= {
            "has_key": value.has_key("n"),
            "has_all": value.has_all(["n", "x"]),
            "has_any": value.has_any(["zzz", "x"]),
            "contains": value.contains({"n": 1}),
            "contained_by": value["list"].contained_by([1, [2, {"deep": "x"}], None]),
            "delete_path": value.delete_path(["list", "1"])["list"],
            "path_exists": value.path_exists("$.list[*] ? (@ == 1)"),
            "path_match": value.path_match("$.n == 1"),
            "concat": value.concat({"n": 2})["n"],
            "jsonpath": sa.func.jsonb_path_query_array(
                value, sa.cast("$.list[*]", pg.JSONPATH), type_=pg.JSONB
            ),
            "set": sa.func.jsonb_set(
                value, sa.cast(["n"], pg.ARRAY(sa.Text)), sa.literal(7, pg.JSONB), type_=pg.JSONB
            )["n"],
        }
    if hasattr(pg.JSONB.Comparator, "astext"):
        pg_value: Any = sa.type_coerce(value, pg.JSONB if type_ is pg.JSONB else pg.JSON)
        expressions["astext"] = pg_value["s"].astext
        expressions["path text"] = pg_value[("list", 1)].astext

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, table.metadata) as connection:
            await connection.execute(table.insert(), {"value": DOCUMENT})

            async def select(expression: Any) -> Any:
                return (await connection.execute(sa.select(expression))).all()

            return {
                name: await apart(connection, partial(select, expression))
                for name, expression in expressions.items()
            }

    found = both(work)
    assert not [name for name in ("key", "path", "string") if isinstance(found[name], Failure)]


@types
@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
def test_serializers_of_the_program(both: Both, type_: Any, many: bool) -> None:
    table = _table(type_())

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, table.metadata) as connection:
            rows: list[dict[str, Any]] = [{"value": DOCUMENT}, {"value": [1.5]}]
            parameters: Any = rows if many else rows[0]
            await connection.execute(table.insert(), parameters)
            returned = await connection.execute(table.insert().returning(table.c.value), parameters)
            query = sa.select(table.c.value, table.c.value[0]).order_by(table.c.id)
            stored = (await connection.execute(query)).all()
            text = await connection.execute(sa.text("SELECT value FROM json_of_parity"))
            return [returned.all(), stored, text.all()]

    def serializer(value: Any) -> str:
        return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False)

    def deserializer(text: str) -> Any:
        return {"got": type(text).__name__, "value": json.loads(text, parse_float=Decimal)}

    both(work, json_serializer=serializer, json_deserializer=deserializer)


@types
@pytest.mark.parametrize("part", ["json_serializer", "json_deserializer"])
def test_an_error_in_a_serializer(both: Both, type_: Any, part: str) -> None:
    table = _table(type_())

    def fail(value: Any) -> Any:
        raise LookupError(f"cannot take {value!r}")

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, table.metadata) as connection:

            async def send(parameters: Any) -> Any:
                await connection.execute(table.insert(), parameters)
                return (await connection.execute(sa.select(table))).all()

            rows = [{"value": [1]}, {"value": [2]}]
            return [await apart(connection, partial(send, each)) for each in (rows[0], rows)]

    assert all(isinstance(outcome, Failure) for outcome in both(work, **{part: fail}))


@types
def test_only_ours_renders_literals(both: Both, type_: Any) -> None:
    values = [DOCUMENT, [], "it's", 1]

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine) as connection:

            async def select(value: Any) -> Any:
                literal: Any = sa.cast(sa.literal(value, type_()), type_())
                options = {"literal_binds": True}
                sql = str(sa.select(literal).compile(engine, compile_kwargs=options))
                return await connection.scalar(sa.text(sql.replace(":", r"\:")))

            return [await apart(connection, partial(select, value)) for value in values]

    refused = both.run(both.builtin, work)
    assert [item.kind for item in refused if isinstance(item, Failure)] == ["CompileError"] * 4
    assert both.run(both.ours, work) == values
