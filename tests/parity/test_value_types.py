"""What the server sends without SQLAlchemy knowing the type, inet options, and wrong values."""

from __future__ import annotations

import datetime as dt
import ipaddress
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import TypeEngine

from tests.fixtures.outcome import Both, Failure
from tests.parity.counts import told_by_both
from tests.parity.scratch import apart, scratch

EXPRESSIONS = (
    "'infinity'::timestamp, '-infinity'::timestamp",
    "'infinity'::timestamptz, '-infinity'::timestamptz",
    "'infinity'::date, '-infinity'::date",
    "'0044-03-15 BC'::date",
    "'0044-03-15 BC'::timestamp",
    "'20000-01-01'::timestamp",
    "'20000-01-01'::date",
    "'24:00:00'::time",
    "'1 year 2 mons 3 days 04:05:06.7'::interval, '-1 mon'::interval",
    "'NaN'::numeric, 'NaN'::float8, 'Infinity'::float4, '-0'::float8",
    "1e400::numeric, 1.10::numeric, 12345678901234567890::numeric",
    "'$12,345.67'::money",
    "1::int2, 1::int4, 1::int8, 1::oid, 1::bool, '1'::xid",
    "'a'::\"char\", 'n'::name, 'x'::varchar(3), 'y'::char(3), 'z'::text",
    "ROW(1, 'a', NULL), ROW(), ROW(ROW(1))",
    "ARRAY[ROW(1, 'a'), ROW(2, NULL)]",
    "ARRAY[[1, 2], [3, NULL]], '{}'::int[], '[5:6]={1,2}'::int[]",
    "'{{{a,b}},{{c,NULL}}}'::text[]",
    '\'{"a b", NULL, "NULL", ""}\'::text[]',
    "'{1.5, NaN}'::numeric[], '{2.5, Infinity}'::float8[], '{t,f,NULL}'::bool[]",
    "ARRAY['{\"a\": 1}', 'null', NULL]::jsonb[], ARRAY['[1]']::json[]",
    "'\\x00ff'::bytea, ''::bytea, ARRAY['\\x01'::bytea]",
    "B'0101', B''::varbit, B'101010101'::varbit(20)",
    "'(1.5,2)'::point, '((0,0),(1,1))'::box, '<(0,0),5>'::circle, '[(0,0),(1,1)]'::lseg",
    "'((0,0),(1,1),(2,0))'::polygon, '[(0,0),(1,1)]'::path, '{1,2,3}'::line",
    "'10.0.0.1'::inet, '10.0.0.0/8'::cidr, '::1'::inet, '10.0.0.1/8'::inet",
    "'08:00:2b:01:02:03'::macaddr, '08:00:2b:01:02:03:04:05'::macaddr8",
    "'6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid",
    "'fat & rat'::tsquery, 'a:1 b:2'::tsvector, 'english'::regconfig, 'pg_class'::regclass",
    "'int4'::regtype, 'now'::regproc, '$.a[*] ? (@ > 1)'::jsonpath, '0/16B3740'::pg_lsn",
    "'[1,5)'::int4range, 'empty'::int4range, '(,)'::numrange, '{[1,2),[5,)}'::int4multirange",
    "ARRAY['[1,5)'::int4range, 'empty']",
    '\'{"a": [1, 2.50, null, true, "\\u00e9"], "a": 2}\'::json',
    "'{\"b\": 123456789012345678901234567890, \"a\": 1e5}'::jsonb, 'null'::jsonb, '\"x\"'::json",
    "'<a>1</a>'::xml",
    "pg_sleep(0), NULL, 'unknown'",
    "'{1,2}'::int2vector, '1 2'::oidvector, '(0,1)'::tid",
    "to_jsonb(ROW(1, 'a')), row_to_json(ROW(1, 'a'))",
    "1/0",
    "'x'::int",
    "ctid FROM no_such_table",
    "U&'\\0001'::text, chr(128512)",
    # asyncpg cannot read this one; SQLAlchemy 2.0.40 lets its exception through as it is.
    *(["ROW(ARRAY[1, 2])"] if hasattr(AsyncAdapt_asyncpg_dbapi, "InternalClientError") else []),
)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_the_server_sends_untyped(both: Both, expression: str) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine) as connection:

            async def textual() -> Any:
                query = "SELECT " + expression.replace(":", r"\:")
                return (await connection.execute(sa.text(query))).all()

            async def driver() -> Any:
                return (await connection.exec_driver_sql(f"SELECT {expression}")).all()

            return [await apart(connection, route) for route in (textual, driver)]

    both(work)


def test_composite_types_and_domains(both: Both) -> None:
    async def work(engine: AsyncEngine) -> Any:
        types = (
            "CREATE TYPE pair_of_parity AS (n int, words text[], inner_range int4range)",
            "CREATE DOMAIN even_of_parity AS int CHECK (VALUE % 2 = 0)",
            "CREATE DOMAIN notes_of_parity AS jsonb",
        )
        queries = (
            "SELECT ROW(1, '{a,NULL}', '[1,3)')::pair_of_parity",
            "SELECT ARRAY[ROW(1, NULL, NULL)::pair_of_parity, NULL]",
            "SELECT 4::even_of_parity, ARRAY[2, 4]::even_of_parity[]",
            "SELECT 3::even_of_parity",
            "SELECT '{\"a\": 1}'::notes_of_parity",
        )
        async with scratch(engine, None, *types) as connection:
            found = []
            for query in queries:

                async def select(query: str = query) -> Any:
                    return (await connection.execute(sa.text(query.replace("::", r"\:\:")))).all()

                found.append(await apart(connection, select))
            return found

    assert isinstance(both(work)[3], Failure)


@pytest.mark.parametrize("native", [True, False, None], ids=str)
def test_inet_types(both: Both, native: bool | None) -> None:
    table = sa.Table(
        "inet_of_parity",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("address", pg.INET),
        sa.Column("network", pg.CIDR),
        sa.Column("addresses", pg.ARRAY(pg.INET)),
    )
    rows: list[dict[str, Any]] = [
        {"address": "10.0.0.1", "network": "10.0.0.0/8", "addresses": ["10.0.0.1", None]},
        {"address": "2001:db8::1/64", "network": "::/0", "addresses": []},
        {
            "address": ipaddress.ip_interface("10.0.0.1/8"),
            "network": ipaddress.ip_network("10.0.0.0/8"),
            "addresses": None,
        },
        {"address": ipaddress.ip_address("::1"), "network": None, "addresses": None},
    ]

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, table.metadata) as connection:
            stored = []
            for row in rows:
                insert = table.insert().values(row).returning(table)

                async def send(statement: Any = insert) -> Any:
                    return (await connection.execute(statement)).all()

                stored.append(await apart(connection, send))
            untyped = await connection.execute(sa.text("SELECT * FROM inet_of_parity ORDER BY id"))
            where = table.c.address == "10.0.0.1"
            matched = await connection.execute(sa.select(table.c.id).where(where))
            return [stored, untyped.all(), matched.all()]

    options = {} if native is None else {"native_inet_types": native}
    both(work, **options)


WRONG: tuple[tuple[TypeEngine[Any], Any], ...] = (
    (sa.SmallInteger(), 2**15),
    (sa.Integer(), 2**31),
    (sa.Integer(), "1"),
    (sa.Integer(), 1.5),
    (sa.Integer(), Decimal("1")),
    (sa.BigInteger(), 2**63),
    (sa.BigInteger(), b"1"),
    (sa.Float(), "1.5"),
    (sa.Float(), 10**400),
    (sa.Numeric(4, 2), Decimal("100")),
    (sa.Numeric(), "one"),
    (sa.Text(), 1),
    (sa.String(3), "long text"),
    (sa.Text(), "nul \x00"),
    (sa.Text(), "lone \ud800"),
    (sa.CHAR(2), "abc"),
    (pg.BYTEA(), "text"),
    (sa.LargeBinary(), 5),
    (sa.Boolean(), "yes"),
    (sa.Date(), "2024-01-01"),
    (sa.Date(), 20240101),
    (sa.DateTime(), "2024-01-01"),
    (sa.DateTime(), dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)),
    (sa.DateTime(timezone=True), dt.date(2024, 1, 1)),
    (sa.Time(), dt.datetime(2024, 1, 1)),
    (pg.INTERVAL(), "1 day"),
    (pg.INTERVAL(), 3),
    (sa.Uuid(), "not a uuid"),
    (sa.Uuid(as_uuid=False), "not a uuid"),
    (sa.Uuid(), 7),
    (sa.JSON(), {1, 2}),
    (pg.JSONB(), float("nan")),
    (pg.JSONB(), "\x00"),
    (pg.JSONB(), object),
    (pg.ENUM("a", "b", name="ab_of_parity"), "c"),
    (pg.ENUM("a", "b", name="ab_of_parity"), 1),
    (pg.ARRAY(sa.Integer), 1),
    (pg.ARRAY(sa.Integer), ["a"]),
    (pg.ARRAY(sa.Integer), [[1], [2, 3]]),
    (pg.ARRAY(sa.Text), "text"),
    (pg.INT4RANGE(), 5),
    (pg.INT4RANGE(), pg.Range(5, 1)),
    (pg.INT4RANGE(), pg.Range("a", "b")),
    (pg.INT4RANGE(), "[1,2)"),
    (pg.INT4MULTIRANGE(), 5),
    (pg.INT4MULTIRANGE(), [5]),
    (pg.BIT(4), "01x1"),
    (pg.BIT(4), 5),
    (pg.INET(), "10.0.0"),
    (pg.MACADDR(), 5),
    (pg.OID(), -1),
    (pg.REGCLASS(), "no_such_table_of_parity"),
    (pg.TSVECTOR(), "'"),
)


@pytest.mark.parametrize(
    ("type_", "wrong"), [pytest.param(t, w, id=f"{t!r}-{w!r}"[:60]) for t, w in WRONG]
)
def test_a_wrong_value_is_refused_alike(both: Both, type_: TypeEngine[Any], wrong: Any) -> None:
    metadata = sa.MetaData()
    key: sa.Column[int] = sa.Column("id", sa.Integer, primary_key=True)
    table = sa.Table("wrong_of_parity", metadata, key, sa.Column("value", type_))
    one, many = {"value": wrong}, [{"value": None}, {"value": wrong}]
    insert = table.insert()
    statements: tuple[tuple[Any, Any], ...] = (
        (insert, one),
        (insert, many),
        (insert.returning(key), many),
        (sa.select(key).where(table.c.value == wrong), None),
        (sa.select(key).where(table.c.value.in_([wrong])), None),
    )

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:

            async def send(statement: Any, parameters: Any) -> Any:
                result = await connection.execute(statement, parameters)
                return result.all() if result.returns_rows else told_by_both(result)

            sent = [await apart(connection, partial(send, *each)) for each in statements]
            assert await connection.scalar(sa.select(1)) == 1
            return sent

    both(work)
