"""The inspector finds the same in a rich schema, and a reflected table works the same."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine.reflection import Inspector, ObjectKind, ObjectScope
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.fixtures.outcome import Both, Failure
from tests.parity.scratch import own, scratch

SCHEMA = own("rich")
DDL = (
    f'CREATE SCHEMA "{SCHEMA}"',
    f'SET LOCAL search_path TO "{SCHEMA}", public',
    "CREATE TYPE colour AS ENUM ('red', 'it''s blue')",
    """CREATE DOMAIN positive AS numeric(8, 2)
        DEFAULT 1 NOT NULL CONSTRAINT over_zero CHECK (VALUE > 0)""",
    "CREATE SEQUENCE own_sequence START 5 INCREMENT 2",
    """CREATE TABLE parents (
        id bigint GENERATED ALWAYS AS IDENTITY (START 7 CACHE 3) PRIMARY KEY,
        code varchar(10) NOT NULL DEFAULT 'x' UNIQUE,
        number int DEFAULT nextval('own_sequence'),
        twice numeric GENERATED ALWAYS AS (number * 2) STORED,
        hue colour DEFAULT 'red', hues colour[], amount positive,
        CONSTRAINT small CHECK (number < 1000))""",
    """CREATE TABLE "Odd Children" (
        "a b" int, "c%d" int REFERENCES parents ON DELETE CASCADE ON UPDATE SET NULL,
        "e.f" varchar(10), made timestamptz(3) DEFAULT now(), at time(0) with time zone,
        span interval day to second(2), doc jsonb, docs json[], bits bit(4), more bit varying(5),
        key uuid DEFAULT gen_random_uuid(), address inet, net cidr, ranged int4range,
        many int4multirange, words tsvector, price money, raw bytea, flag boolean NOT NULL,
        matrix int[][], fixed char(3), real_one real, double_one double precision,
        PRIMARY KEY ("a b", "e.f"),
        FOREIGN KEY ("e.f") REFERENCES parents (code) DEFERRABLE INITIALLY DEFERRED)""",
    'CREATE INDEX by_words ON "Odd Children" USING gin (words)',
    'CREATE UNIQUE INDEX partly ON "Odd Children" (lower("e.f") DESC NULLS LAST) WHERE flag',
    'CREATE INDEX covering ON "Odd Children" ("c%d") INCLUDE ("e.f") WITH (fillfactor = 50)',
    """ALTER TABLE parents ADD CONSTRAINT no_overlap
        EXCLUDE USING gist (int4range(number, number) WITH &&)""",
    "COMMENT ON TABLE parents IS 'it''s a table'",
    "COMMENT ON COLUMN parents.code IS 'the é code'",
    "CREATE VIEW seen AS SELECT id, code FROM parents WHERE number > 1",
    "CREATE MATERIALIZED VIEW stored AS SELECT count(*) AS n FROM parents",
    "CREATE TABLE parts (n int, t text) PARTITION BY RANGE (n)",
    "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (10)",
    "CREATE TABLE heirs (extra int) INHERITS (parents)",
    "CREATE TEMPORARY TABLE passing (id int)",
)
TABLES = ("parents", "Odd Children", "seen", "stored", "parts", "heirs", "no such table")
FOR_TABLES = (
    "get_columns",
    "get_pk_constraint",
    "get_foreign_keys",
    "get_indexes",
    "get_unique_constraints",
    "get_check_constraints",
    "get_table_comment",
    "get_table_options",
    "has_table",
    "get_table_oid",
    "get_view_definition",
)
FOR_SCHEMAS = (
    "get_table_names",
    "get_view_names",
    "get_materialized_view_names",
    "get_sequence_names",
    "get_enums",
    "get_domains",
    "get_foreign_table_names",
)
FOR_ALL = (
    "columns",
    "pk_constraint",
    "foreign_keys",
    "indexes",
    "unique_constraints",
    "table_comment",
)


def _shown(found: Any) -> Any:
    """Return what the inspector found, in an order, and types, which have no equality, as text.

    The order of tables is that of the server's catalogue, which promises none.
    """
    if isinstance(found, dict):
        by_table = all(isinstance(key, tuple) for key in found)
        keys = sorted(found) if by_table else list(found)
        return {key: _shown(found[key]) for key in keys}
    if isinstance(found, (list, tuple)):
        return [_shown(item) for item in found]
    return repr(found) if isinstance(found, (sa.types.TypeEngine, sa.sql.ClauseElement)) else found


def _asked(inspector: Inspector, method: str, *arguments: Any, **options: Any) -> Any:
    try:
        found = getattr(inspector, method)(*arguments, **options)
    except (sa.exc.SQLAlchemyError, NotImplementedError) as error:
        return Failure.of(error)
    # An object identifier is another one each time.
    if method == "get_table_oid":
        return isinstance(found, int)
    return sorted(found) if method.endswith("_names") else _shown(found)


def _tables(connection: sa.Connection) -> Any:
    inspector = sa.inspect(connection)
    names = [(table, method) for table in TABLES for method in FOR_TABLES]
    return {key: _asked(inspector, key[1], key[0], schema=SCHEMA) for key in names}


def _schemas(connection: sa.Connection) -> Any:
    inspector = sa.inspect(connection)
    found = {name: _asked(inspector, name, schema=SCHEMA) for name in FOR_SCHEMAS}
    found["has"] = [SCHEMA in inspector.get_schema_names(), inspector.has_schema(SCHEMA)]
    found["default"] = inspector.default_schema_name
    found["temporary"] = "passing" in inspector.get_temp_table_names()
    found["sequence"] = inspector.has_sequence("own_sequence", schema=SCHEMA)
    return found


def _all_at_once(connection: sa.Connection) -> Any:
    inspector = sa.inspect(connection)
    options = {"schema": SCHEMA, "kind": ObjectKind.ANY, "scope": ObjectScope.ANY}
    found = {name: _asked(inspector, f"get_multi_{name}", **options) for name in FOR_ALL}
    some = _asked(inspector, "get_multi_columns", schema=SCHEMA, filter_names=["parents", "heirs"])
    order = [str(item) for item in inspector.get_sorted_table_and_fkc_names(schema=SCHEMA)]
    return [found, some, order]


def _reflected(connection: sa.Connection) -> Any:
    metadata = sa.MetaData(schema=SCHEMA)
    metadata.reflect(connection, views=True)
    parents = metadata.tables[f"{SCHEMA}.parents"]
    row = {"code": "é", "number": 3, "hue": "it's blue", "hues": ["red"], "amount": 2}
    inserted = connection.execute(parents.insert().returning(*parents.c), row).all()
    create = [
        str(sa.schema.CreateTable(table).compile(connection)) for table in metadata.sorted_tables
    ]
    return [sorted(metadata.tables), inserted, create]


def _existing(connection: sa.Connection) -> Any:
    metadata = sa.MetaData(schema=SCHEMA)
    sa.Table("parents", metadata, sa.Column("new", sa.Integer))
    sa.Table("fresh", metadata, sa.Column("id", sa.Integer, primary_key=True))
    metadata.create_all(connection)
    found = sa.inspect(connection).has_table("fresh", schema=SCHEMA)
    metadata.tables[f"{SCHEMA}.fresh"].drop(connection)
    return [found, sa.inspect(connection).has_table("fresh", schema=SCHEMA)]


READERS = (_tables, _schemas, _all_at_once, _reflected, _existing)


# SQLAlchemy says which indexes and types it skips; both dialects must say the same.
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__.strip("_"))
def test_inspector(both: Both, reader: Any, recwarn: pytest.WarningsRecorder) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, None, *(sql.replace(":", r"\:") for sql in DDL)) as connection:
            found = await connection.run_sync(reader)
        warned = [str(recwarn.pop().message) for _ in range(len(recwarn))]
        return [found, warned]

    found = both(work)[0]
    if reader is _tables:
        missing = {t for t in TABLES if isinstance(found[t, "get_columns"], Failure)}
        assert missing == {"no such table"}
        assert len(found["parents", "get_columns"]) == 7
