"""json and jsonb: the standard library's semantics, other (de)serializers, bytes both ways."""

from __future__ import annotations

import asyncio
import decimal
import functools
import json
from collections.abc import Callable
from typing import Any

import msgspec
import orjson
import pytest
from sqlalchemy import ARRAY, JSON, Column, Integer, MetaData, Table, cast, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB

from pgflight.session.codecs import takes_bytes
from tests.fixtures.engines import Dialect

DOCUMENTS: list[Any] = [
    {},
    [],
    "text",
    0,
    -1.5,
    True,
    None,
    {"a": [1, 2, {"b": None}], "ключ": "значение", "emoji": "😀", "quote": '"\\/\b\f\n\r\t'},
    [10**30, 1e308, -0.0, 123456789.123456789],
    {"nested": {"deep": [[[[["x"]]]]]}},
    ["\u2028", "\x7f", "a" * 5000],
]


async def round_trip(dialect: Dialect, column_type: Any, values: list[Any], **options: Any) -> Any:
    t = Table("json_trip", MetaData(), Column("id", Integer, primary_key=True),
              Column("v", column_type))  # fmt: skip
    async with dialect.engine(**options).connect() as connection:
        await connection.run_sync(t.metadata.drop_all)
        await connection.run_sync(t.metadata.create_all)
        rows = [{"id": n, "v": value} for n, value in enumerate(values)]
        await connection.execute(t.insert(), rows)
        return list(await connection.scalars(select(t.c.v).order_by(t.c.id)))


@pytest.mark.parametrize("column_type", [JSON, JSONB])
def test_documents_come_back_as_the_builtin_dialect_brings_them(
    builtin: Dialect, pgflight_dialect: Dialect, column_type: Any
) -> None:
    async def work() -> tuple[Any, Any]:
        return (
            await round_trip(builtin, column_type, DOCUMENTS),
            await round_trip(pgflight_dialect, column_type, DOCUMENTS),
        )

    theirs, ours = asyncio.run(work())
    assert repr(ours) == repr(theirs)
    assert ours[:7] == DOCUMENTS[:7]


def strict(data: Any) -> Any:
    """Decode, and tell what was handed in."""
    return {"decoded": json.loads(data), "from": type(data).__name__}


@pytest.mark.parametrize("column_type", [JSON, JSONB])
def test_a_deserializer_of_the_programs_own_gets_text(dialect: Dialect, column_type: Any) -> None:
    async def work() -> None:
        values = await round_trip(dialect, column_type, [{"a": 1}], json_deserializer=strict)
        assert values == [{"decoded": {"a": 1}, "from": "str"}]

    asyncio.run(work())


class Recorder:
    """Stands in for a decoder of a package that takes bytes; notes what it was handed."""

    def __init__(self, decode: Callable[[Any], Any]) -> None:
        self.decode = decode
        self.handed: set[type] = set()
        self.__module__ = "orjson"

    def __call__(self, data: Any) -> Any:
        self.handed.add(type(data))
        return self.decode(data)


@pytest.mark.parametrize("column_type", [JSON, JSONB])
def test_a_decoder_known_to_take_bytes_gets_bytes(
    pgflight_dialect: Dialect, column_type: Any
) -> None:
    async def work() -> None:
        recorder = Recorder(orjson.loads)
        values = await round_trip(
            pgflight_dialect, column_type, [{"a": "é"}], json_deserializer=recorder
        )
        assert values == [{"a": "é"}]
        assert recorder.handed == {bytes}

    asyncio.run(work())


@pytest.mark.parametrize(
    ("deserializer", "expected"),
    [
        (orjson.loads, True),
        (msgspec.json.decode, True),
        (msgspec.json.Decoder().decode, True),
        (functools.partial(msgspec.json.decode, strict=False), True),
        (json.loads, False),
        (functools.partial(json.loads, parse_float=decimal.Decimal), False),
        (strict, False),
        (lambda text: text, False),
    ],
)
def test_which_deserializers_take_bytes(deserializer: Any, expected: bool) -> None:
    assert takes_bytes(deserializer) is expected


@pytest.mark.parametrize("column_type", [JSON, JSONB])
@pytest.mark.parametrize("package", ["orjson", "msgspec"])
def test_a_serializer_that_returns_bytes(
    pgflight_dialect: Dialect, column_type: Any, package: str
) -> None:
    """The built-in dialect fails on it: ``str.encode`` of bytes."""
    serializer, deserializer = {
        "orjson": (orjson.dumps, orjson.loads),
        "msgspec": (msgspec.json.encode, msgspec.json.decode),
    }[package]
    documents = [{"a": [1, "é"]}, [], {"deep": {"er": None}}]
    options: dict[str, Any] = {"json_serializer": serializer, "json_deserializer": deserializer}

    async def work() -> None:
        values = await round_trip(pgflight_dialect, column_type, documents, **options)
        assert values == documents
        async with pgflight_dialect.engine(**options).connect() as connection:
            query = select(cast(literal({"a": 1}, column_type), column_type))
            compiled = query.compile(
                connection.engine.sync_engine, compile_kwargs={"literal_binds": True}
            )
            assert '{"a":1}' in str(compiled)
            assert (await connection.exec_driver_sql(str(compiled))).scalar() == {"a": 1}

    asyncio.run(work())


def test_a_serializer_with_parameters(dialect: Dialect) -> None:
    async def work() -> None:
        serializer = functools.partial(json.dumps, default=str, sort_keys=True)
        values = await round_trip(
            dialect, JSON, [{"b": decimal.Decimal("1.5"), "a": 1}], json_serializer=serializer
        )
        assert values == [{"a": 1, "b": "1.5"}]

    asyncio.run(work())


def test_json_inside_arrays_and_null(dialect: Dialect) -> None:
    async def work() -> None:
        async with dialect.engine().connect() as connection:
            query = text("SELECT array['{\"a\": 1}'::jsonb, NULL], NULL::json, 'null'::jsonb")
            assert (await connection.execute(query)).one() == ([{"a": 1}, None], None, None)
            kept = select(cast(literal([{"a": 1}, {"b": 2}], ARRAY(JSONB)), ARRAY(JSONB)))
            assert await connection.scalar(kept) == [{"a": 1}, {"b": 2}]

    asyncio.run(work())


def test_what_json_loads_refuses_is_refused_alike(
    builtin: Dialect, pgflight_dialect: Dialect
) -> None:
    query = text("SELECT ('[' || repeat('1', 5000) || ']')::json")

    async def refused(dialect: Dialect) -> BaseException:
        async with dialect.engine().connect() as connection:
            with pytest.raises(Exception) as caught:
                await connection.scalar(query)
            return caught.value

    async def work() -> tuple[BaseException, BaseException]:
        return await refused(builtin), await refused(pgflight_dialect)

    theirs, ours = asyncio.run(work())
    assert type(ours) is type(theirs)
    assert str(ours).replace("pgflight.dbapi.errors", "") == str(theirs).replace(
        "sqlalchemy.dialects.postgresql.asyncpg", ""
    )
