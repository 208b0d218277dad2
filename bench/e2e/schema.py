"""The tables and rows that every peer works on, the same in every run.

The parent makes them in a schema of their own (`make`); the workers describe them to SQLAlchemy
(`Tables`). A document is 43 bytes of jsonb text, as hot-path studies of the dialect have used.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Identity,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

SMALL_ROWS = 1_000
BIG_ROWS = 100_000
SIMPLE = ("id", "name", "num", "f")
COLUMNS = (*SIMPLE, "ts", "uid", "doc")

_TYPES = (
    "id integer, name text, num bigint, f double precision, ts timestamptz, uid uuid, doc jsonb"
)
_RECORD = (
    "id serial PRIMARY KEY, num integer UNIQUE, name text, f double precision, ts timestamp,"
    " ok boolean, code varchar(40), uid uuid"
)
_FILL = """
INSERT INTO {schema}.{table}
SELECT n, 'user ' || n, n * 7919::bigint % 100003, n / 8.0,
       timestamptz '2024-01-01 00:00:00+00' + n * interval '61.25 seconds',
       md5(n::text)::uuid,
       jsonb_build_object('id', n % 900 + 100, 'ok', true, 'name', 'user ' || n % 900 + 100)
FROM generate_series(1, {rows}) AS n
"""


def make(schema: str) -> list[str]:
    """Return the statements that make and fill the tables."""
    statements = [f"CREATE SCHEMA {schema}"]
    for table, rows in (("small", SMALL_ROWS), ("big", BIG_ROWS)):
        statements += [
            f"CREATE TABLE {schema}.{table} ({_TYPES}, PRIMARY KEY (id))",
            _FILL.format(schema=schema, table=table, rows=rows),
            f"VACUUM ANALYZE {schema}.{table}",
        ]
    # What units of work write to, and only they.
    return [
        *statements,
        f"CREATE TABLE {schema}.notes"
        " (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, num bigint)",
        f"CREATE TABLE {schema}.counters (id integer PRIMARY KEY, num bigint NOT NULL)",
        f"INSERT INTO {schema}.counters SELECT n, 0 FROM generate_series(1, 10) AS n",
        f"ANALYZE {schema}.counters",
        f"CREATE UNLOGGED TABLE {schema}.records ({_RECORD.replace(' UNIQUE', '')})",
    ]


def drop(schema: str) -> str:
    """Return the statement that removes everything again."""
    return f"DROP SCHEMA IF EXISTS {schema} CASCADE"


def target() -> str:
    """Return the statement that makes the table that rows are inserted into."""
    return f"CREATE TEMPORARY TABLE target ({_TYPES}) ON COMMIT DROP"


def records(*, unique: bool = False) -> str:
    """Return the statement that makes the table of bulk writes; `unique` are its numbers."""
    columns = _RECORD if unique else _RECORD.replace(" UNIQUE", "")
    return f"CREATE TEMPORARY TABLE records ({columns}) ON COMMIT DROP"


class Tables:
    """The tables in SQLAlchemy's terms.

    `target` and `records` are temporary, the others stand in `schema`, `kept` as its `records`.
    """

    def __init__(self, schema: str) -> None:
        metadata = MetaData()
        self.small = Table("small", metadata, *_columns(), schema=schema)
        self.big = Table("big", metadata, *_columns(), schema=schema)
        self.target = Table("target", metadata, *_columns())
        self.notes = Table(
            "notes",
            metadata,
            Column("id", BigInteger, Identity(always=True), primary_key=True),
            Column("name", Text),
            Column("num", BigInteger),
            schema=schema,
        )
        self.counters = Table(
            "counters",
            metadata,
            Column("id", Integer, primary_key=True),
            Column("num", BigInteger, nullable=False),
            schema=schema,
        )
        self.records = Table("records", metadata, *_record_columns())
        self.kept = Table("records", metadata, *_record_columns(), schema=schema)


def _columns() -> list[Column[Any]]:
    return [
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("name", Text),
        Column("num", BigInteger),
        Column("f", Double),
        Column("ts", DateTime(timezone=True)),
        Column("uid", Uuid),
        Column("doc", JSONB),
    ]


def _record_columns() -> list[Column[Any]]:
    return [
        Column("id", Integer, primary_key=True),
        Column("num", Integer),
        Column("name", Text),
        Column("f", Double),
        Column("ts", DateTime),
        Column("ok", Boolean),
        Column("code", String(40)),
        Column("uid", Uuid),
    ]


def new_records(count: int) -> list[dict[str, Any]]:
    """Return the dictionaries that the bulk writes send; the server makes the keys."""
    start = datetime(2024, 1, 1)
    return [
        {
            "num": n,
            "name": f"user {n}",
            "f": n / 8,
            "ts": start + timedelta(seconds=61.25 * n),
            "ok": n % 3 == 0,
            "code": f"code {n % 97}",
            "uid": UUID(int=n * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128),
        }
        for n in range(1, count + 1)
    ]


def new_rows(count: int = SMALL_ROWS) -> list[dict[str, Any]]:
    """Return the dictionaries that the inserting workloads send."""
    start = datetime(2024, 1, 1, tzinfo=timezone.utc)
    return [
        {
            "id": n,
            "name": f"user {n}",
            "num": n * 7919 % 100003,
            "f": n / 8,
            "ts": start + timedelta(seconds=61.25 * n),
            "uid": UUID(int=n * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128),
            "doc": {"id": n % 900 + 100, "ok": True, "name": f"user {n % 900 + 100}"},
        }
        for n in range(1, count + 1)
    ]
