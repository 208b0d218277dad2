"""IN lists beside columns whose real type is not the Table's: the rows, or the error, are the same.

The server converts the elements of IN, but looks for another operator for `= ANY`.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import TypeDecorator

from tests.fixtures.outcome import Both, Failure
from tests.fixtures.scale import scaled
from tests.parity.scratch import apart, scratch

SHAPES = [(1, 0, 0), (9, 0, 0), (10, 0, 1), (10, 1, 0), (128, 0, 0)]
"""Length, whether it is NOT IN, and whether an element is NULL.

All lengths from 2 to 9 are compared alike, and so are those from 10 to 127, and from 128 on.
"""
UTC = dt.timezone.utc
NAME = "n" * 63

REAL: dict[str, Sequence[str]] = {
    "smallint": ("1", "2", "0"),
    "integer": ("1", "16777216", "16777217"),
    "bigint": ("1", "16777217", "1099511627777"),
    "numeric": ("0.1", "1", "16777217"),
    "numeric(12, 2)": ("0.1", "1", "1.26"),
    "real": ("0.1", "1", "16777216"),
    "double precision": ("0.1", "1", "16777217"),
    "real_of_in": ("0.1", "1", "16777216"),
    "numeric_of_in": ("0.1", "1", "16777217"),
    "money": ("0.1", "1", "2"),
    "oid": ("1", "2", "16777217"),
    "xid": ("1", "2", "16777217"),
    "boolean": ("true", "false", "true"),
    "text": ("a", "a  ", NAME),
    "varchar(80)": ("a", "a  ", NAME),
    "char(5)": ("a", "a b", ""),
    "char(70)": ("a", NAME, ""),
    "name": ("a", "a  ", NAME),
    '"char"': ("a", "b", ""),
    "text_of_in": ("a", "a  ", NAME),
    "char_of_in": ("a", "a b", ""),
    "citext": ("A", "a  ", NAME),
    "color_of_in": ("red", "green", "red"),
    "date": ("2024-01-01", "2024-07-01", "infinity"),
    "timestamp": ("2024-01-01", "2024-07-01 12:00", "infinity"),
    "timestamptz": ("2024-01-01", "2024-07-01 12:00", "infinity"),
    "time": ("00:00", "12:00", "24:00"),
    "timetz": ("00:00", "12:00+00", "12:00+05"),
    "interval": ("1 day", "24 hours", "1 month"),
    "bytea": ("a", "b", ""),
    "uuid": (str(uuid.UUID(int=1)), str(uuid.UUID(int=2)), str(uuid.UUID(int=3))),
    "json": ("1", "2", "3"),
    "jsonb": ("1", '"a"', "3"),
    "inet": ("10.0.0.1", "10.0.0.0/8", "::1"),
    "cidr": ("10.0.0.1", "10.0.0.0/8", "::1"),
    "bit(3)": ("101", "111", "000"),
    "varbit": ("101", "1", ""),
    "int4range": ("[1,2]", "empty", "[1,)"),
    "numrange": ("[1,2]", "empty", "[1,)"),
    "daterange": ("[2024-01-01,2024-02-01)", "empty", "(,)"),
    "regclass": ("pg_class", "pg_type", "pg_proc"),
    "integer[]": ("{1}", "{}", "{1,2}"),
    "pg_lsn": ("0/1", "16/B374D848", "0/0"),
    "bpchar": ("a", "a  ", ""),
    "timestamp(0)": ("2024-01-01", "2024-07-01 12:00", "infinity"),
    "time(0)": ("00:00", "12:00", "24:00"),
    "integer_of_in": ("1", "16777216", "16777217"),
    "double_of_in": ("0.1", "NaN", "16777217"),
    "name_of_in": ("a", "a  ", NAME),
    "enum_of_in": ("red", "green", "red"),
    "stamp_of_in": ("2024-01-01", "2024-07-01 12:00", "infinity"),
    "uuid_of_in": (str(uuid.UUID(int=1)), str(uuid.UUID(int=2)), str(uuid.UUID(int=3))),
    "jsonb_of_in": ("1", '"a"', "3"),
}
"""Type of the column on the server -> what it holds."""

NOON = dt.datetime(2024, 7, 1, 12)
DECLARED: list[tuple[Any, Sequence[Any]]] = [
    (sa.SmallInteger(), [1, 2]),
    (sa.Integer(), [1, 2]),
    (sa.Integer(), [16777216, -16777216]),
    (sa.Integer(), [1, 16777217]),
    (sa.BigInteger(), [1, 2]),
    (sa.BigInteger(), [16777217, 1099511627777, 1099511627776]),
    (sa.Numeric(), [Decimal("0.1"), Decimal(1)]),
    (sa.Numeric(), [Decimal(1), Decimal(2)]),
    (sa.Numeric(), [Decimal(16777217)]),
    (sa.Numeric(10, 2), [Decimal("0.1"), Decimal("1.255")]),
    (sa.Float(), [0.1, 1.0, 16777217.0]),
    (sa.REAL(), [0.1, 1.0]),
    (sa.Boolean(), [True]),
    (sa.String(), ["a", "b"]),
    (sa.String(3), ["a ", "a  ", "1", "red"]),
    (sa.String(), [NAME, "n" * 64, "n" * 70]),
    (sa.Text(), ["a    ", "", "A"]),
    (pg.TEXT(), ["a    ", NAME + "x"]),
    (pg.TEXT(), ["a", "A"]),
    (sa.CHAR(5), ["a", "a  "]),
    (sa.CHAR(), ["a"]),
    (sa.Unicode(), ["a", "é" * 40]),
    (sa.Enum("red", "green", name="color_of_in", create_type=False), ["red"]),
    (sa.Enum("red", "green", name="x", native_enum=False), ["red"]),
    (sa.Date(), [dt.date(2024, 1, 1), dt.date(2024, 7, 1), dt.date.max]),
    (sa.DateTime(), [dt.datetime(2024, 1, 1), NOON, dt.datetime.max]),
    (sa.DateTime(timezone=True), [dt.datetime(2024, 1, 1, tzinfo=UTC), NOON.replace(tzinfo=UTC)]),
    (sa.Time(), [dt.time(0), dt.time(12)]),
    (sa.Time(timezone=True), [dt.time(12, tzinfo=UTC)]),
    (sa.Interval(), [dt.timedelta(days=1), dt.timedelta(days=30)]),
    (sa.LargeBinary(), [b"a", b""]),
    (sa.Uuid(), [uuid.UUID(int=1)]),
    (sa.Uuid(native_uuid=False), [uuid.UUID(int=1)]),
    (pg.JSONB(), [1, "a"]),
    (sa.JSON(), [1]),
    (pg.OID(), [1, 16777217]),
    (pg.REGCLASS(), ["pg_class"]),
    (pg.INT4RANGE(), [pg.Range(1, 3)]),
    (pg.NUMRANGE(), [pg.Range(Decimal(1), None)]),
    (pg.DATERANGE(), [pg.Range(empty=True)]),
    (pg.INET(), ["10.0.0.1"]),
    (pg.CITEXT(), ["A"]),
    (pg.BIT(3), [pg.BitString("101") if hasattr(pg, "BitString") else "101"]),
]
"""Type of the column in the Table, and values."""

MISFITS: list[tuple[Any, Sequence[Any]]] = [
    (sa.Integer(), [1, 2**31]),
    (sa.Integer(), [1, 1.5]),
    (sa.Integer(), [Decimal("1.5")]),
    (sa.Integer(), [True]),
    (sa.Integer(), ["1"]),
    (sa.BigInteger(), [2**63 - 1, -(2**63)]),
    (sa.BigInteger(), [2**63]),
    (sa.SmallInteger(), [2**15]),
    (sa.Numeric(), [Decimal("NaN")]),
    (sa.Numeric(), [0.1]),
    (sa.Float(), [Decimal("0.1")]),
    (sa.Float(), [1e-50, 1e300, -0.0]),
    (sa.Float(), [float("nan"), float("inf")]),
    (sa.REAL(), [1e-40, float("nan")]),
    (sa.REAL(), [1e-50]),
    (sa.REAL(), [1e39]),
    (sa.String(), ["red", "blue"]),
    (sa.String(), ["2024-01-01"]),
    (sa.String(), ["a", "\0"]),
    (sa.Enum("red", "x", name="color_of_in", create_type=False), ["red", "x"]),
    (sa.Date(), ["2024-01-01"]),
    (sa.Date(), [dt.datetime(2024, 1, 1)]),
    (sa.DateTime(), [dt.datetime(2024, 1, 1, tzinfo=UTC)]),
    (sa.DateTime(timezone=True), [dt.datetime(2024, 1, 1)]),
    (pg.TIMESTAMP(precision=0), [NOON.replace(microsecond=400000)]),
    (pg.TIME(precision=0), [dt.time(12, microsecond=400000)]),
    (pg.INTERVAL(fields="DAY"), [dt.timedelta(days=1, hours=4)]),
    (sa.Uuid(as_uuid=False), [str(uuid.UUID(int=1))]),
    (pg.OID(), [2**32]),
]
"""The same, of values at the limits of the type, or of another one; beside a few columns."""

BEFORE = (
    "CREATE TYPE color_of_in AS ENUM ('red', 'green')",
    "CREATE DOMAIN real_of_in AS real",
    "CREATE DOMAIN numeric_of_in AS numeric",
    "CREATE DOMAIN text_of_in AS text",
    "CREATE DOMAIN char_of_in AS char(5)",
    "CREATE DOMAIN integer_of_in AS integer",
    "CREATE DOMAIN double_of_in AS double precision",
    "CREATE DOMAIN name_of_in AS name",
    "CREATE DOMAIN enum_of_in AS color_of_in",
    "CREATE DOMAIN stamp_of_in AS timestamptz",
    "CREATE DOMAIN uuid_of_in AS uuid",
    "CREATE DOMAIN jsonb_of_in AS jsonb",
    "CREATE TEMP TABLE real_types (id int, "
    + ", ".join(f"c{number} {kind}" for number, kind in enumerate(REAL))
    + ")",
    *(
        f"INSERT INTO real_types VALUES ({row}, "
        + ", ".join(f"$${values[row]}$$" for values in REAL.values())
        + ")"
        for row in range(3)
    ),
    "INSERT INTO real_types VALUES (3)",
    # so that indexes are used where they can be
    "SET LOCAL enable_seqscan = off",
)


def before(both: Both) -> tuple[str, ...]:
    """Return what makes the types and the table; a domain where the server has no citext."""
    if "citext" in both.server.extensions:
        return ("CREATE EXTENSION IF NOT EXISTS citext", *BEFORE)
    return ("CREATE DOMAIN citext AS text", *BEFORE)


ROWS = sa.table("real_types", sa.column("id", sa.Integer))


def listed(values: Sequence[Any], size: int, kind: Any, null: int) -> Any:
    chosen: list[Any] = [values[number % len(values)] for number in range(size)]
    if null:
        chosen[-1] = None
    return sa.bindparam(None, chosen, type_=kind, expanding=True)


def asked(left: Any, kind: Any, values: Sequence[Any], shapes: Any = SHAPES) -> Any:
    """Return a statement that shows, of each row, whether it is in lists of all shapes."""
    found = [
        (left.not_in if negated else left.in_)(listed(values, size, kind, null))
        for size, negated, null in shapes
    ]
    return sa.select(ROWS.c.id, *(each.label(f"f{n}") for n, each in enumerate(found)))


def told(outcome: Any) -> Any:
    """Return a failure without its texts, which show the statement's own."""
    if isinstance(outcome, Failure):
        return replace(outcome, text="", statement=None, params=None)
    return outcome


async def rows_of(connection: AsyncConnection, statement: Any) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in (await connection.execute(statement)).all())


FAMILIES: list[tuple[tuple[type[Any], ...], set[str]]] = [
    (
        (sa.Integer, sa.Numeric, pg.OID),
        {
            "smallint", "integer", "bigint", "numeric", "numeric(12, 2)", "real",
            "double precision", "real_of_in", "numeric_of_in", "money", "oid", "xid", "text",
            "integer_of_in", "double_of_in",
        },
    ),
    (
        (sa.String,),
        {
            "text", "varchar(80)", "char(5)", "char(70)", "name", '"char"', "text_of_in",
            "char_of_in", "citext", "color_of_in", "regclass", "integer", "uuid", "inet",
            "bpchar", "name_of_in", "enum_of_in", "pg_lsn", "date",
        },
    ),
    (
        (sa.Date, sa.DateTime, sa.Time, sa.Interval),
        {
            "date", "timestamp", "timestamptz", "time", "timetz", "interval", "text",
            "timestamp(0)", "time(0)", "stamp_of_in",
        },
    ),
]  # fmt: skip
"""Types in a Table, and types on the server that could be compared with them."""
ALL = False
"""Whether to try every type with every other: minutes."""
EVERY = 3 - scaled(2, least=1)
"""In a run that is scaled down, every second pair is tried."""


def pairs() -> list[tuple[Any, Sequence[Any], int]]:
    """Return declared types, values and numbers of columns."""
    found: list[tuple[Any, Sequence[Any], int]] = []
    dialect: Any = pg.dialect
    for misfits, kind, values in (
        *((False, *each) for each in DECLARED),
        *((True, *each) for each in MISFITS),
    ):
        family = [names for kinds, names in FAMILIES if isinstance(kind, kinds)]
        names = family[0] if family else {str(kind.dialect_impl(dialect())).lower(), "text"}
        numbers = [number for number, real in enumerate(REAL) if ALL or real in names]
        few = numbers[:: len(numbers) // 3 or 1] if misfits and not ALL else numbers
        found += [(kind, values, number) for number in few]
    return found


@pytest.mark.parametrize("part", range(3))
def test_grid(both: Both, part: int) -> None:
    """Declared type x real type x values x length x IN and NOT IN x NULL."""

    async def body(engine: AsyncEngine) -> Any:
        found: dict[str, Any] = {}
        async with scratch(engine, None, *before(both)) as connection:
            for kind, values, number in pairs()[part :: 3 * EVERY]:
                left, name = sa.column(f"c{number}", kind), list(REAL)[number]
                statement = asked(left, kind, values)
                outcome = told(await apart(connection, partial(rows_of, connection, statement)))
                found[f"{kind!r} {values!r:.40} beside {name}"] = outcome
                # one list that fails hides what becomes of the others
                if isinstance(outcome, Failure):
                    statement = asked(left, kind, values, SHAPES[2:3])
                    outcome = told(await apart(connection, partial(rows_of, connection, statement)))
                    found[f"{kind!r} {values!r:.40} beside {name}, ten"] = outcome
        return found

    found = both(body)
    assert sum(not isinstance(outcome, Failure) for outcome in found.values()) > 40


class Shouted(TypeDecorator[str]):
    """Text that is bound in upper case."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else value.upper()


def c(real: str, kind: Any) -> Any:
    return sa.column(f"c{list(REAL).index(real)}", kind)


TENTH = [Decimal("0.1"), Decimal(1)]
BIG = [16777217, 1]
LONG = ["n" * 64, "a", "a  "]
LEFTS: dict[str, tuple[Any, Any, Sequence[Any]]] = {
    "sum": (c("real", sa.Integer) + 0, sa.Integer(), BIG),
    "negative": (-c("real", sa.Integer), sa.Integer(), [-16777217, -1]),
    "sum of numeric": (c("real", sa.Numeric) + 0, sa.Numeric(), TENTH),
    "coalesce": (sa.func.coalesce(c("real", sa.Numeric)), sa.Numeric(), TENTH),
    "case": (sa.case((sa.true(), c("real", sa.BigInteger))), sa.BigInteger(), BIG),
    "cast": (sa.cast(c("real", sa.Float), sa.Numeric), sa.Numeric(), TENTH),
    "cast to another": (sa.cast(c("numeric", sa.Numeric), sa.REAL), sa.Numeric(), TENTH),
    "cast to integer": (sa.cast(c("real", sa.Float), sa.Integer), sa.Integer(), BIG),
    "cast to char": (sa.cast(c("text", sa.Text), sa.CHAR(5)), sa.CHAR(5), ["a", "a  "]),
    "coerced": (sa.type_coerce(c("real", sa.Float), sa.Numeric), sa.Numeric(), TENTH),
    "literal": (sa.literal(0.1, sa.REAL), sa.Numeric(), TENTH),
    "literal integer": (sa.literal(1), sa.Integer(), BIG),
    "lower": (sa.func.lower(c("name", sa.String)), sa.String(), LONG),
    "collated": (sa.collate(c("text", sa.String), "C"), sa.String(), LONG),
    "collated name": (sa.collate(c("name", sa.String), "C"), sa.String(), LONG),
    "name": (sa.type_coerce(c("name", sa.Text), Shouted), Shouted(), ["n" * 64, "a"]),
    "decorated": (c("text", Shouted), Shouted(), ["n" * 64, "a"]),
    "json": (c("jsonb", pg.JSONB)["a"].as_string(), sa.String(), LONG),
    "json integer": (c("jsonb", pg.JSONB)["a"].as_integer(), sa.Integer(), BIG),
    "json numeric": (c("jsonb", pg.JSONB)["a"].as_numeric(5, 2), sa.Numeric(5, 2), TENTH),
    "json float": (c("jsonb", pg.JSONB)["a"].as_float(), sa.Float(), [0.1]),
    "scalar subquery": (
        sa.select(sa.func.max(c("real", sa.Numeric))).select_from(ROWS).scalar_subquery(),
        sa.Numeric(),
        TENTH,
    ),
    "element": (c("integer[]", pg.ARRAY(sa.Integer))[1], sa.Integer(), BIG),
    "system column": (sa.column("xmin", sa.Integer), sa.Integer(), BIG),
    "system oid": (sa.column("tableoid", sa.Integer), sa.Integer(), BIG),
    "aggregate": (sa.func.count() + 0, sa.BigInteger(), BIG),
}


def test_left_sides(both: Both) -> None:
    async def body(engine: AsyncEngine) -> Any:
        found: dict[str, Any] = {}
        async with scratch(engine, None, *before(both)) as connection:
            for name, (left, kind, values) in LEFTS.items():
                statement = asked(left, kind, values).select_from(ROWS)
                if name == "aggregate":
                    statement = statement.group_by(ROWS.c.id)
                for _ in range(2):  # the first execution and the next take different ways
                    outcome = await apart(connection, partial(rows_of, connection, statement))
                    found[name] = told(outcome)
        return found

    found = both(body)
    refused = {name for name, outcome in found.items() if isinstance(outcome, Failure)}
    assert refused <= {"literal", "literal integer", "name"}


def test_tuples(both: Both) -> None:
    """Lists of tuples stay lists."""

    async def body(engine: AsyncEngine) -> Any:
        async with scratch(engine, None, *before(both)) as connection:
            pair = sa.tuple_(c("real", sa.Numeric), c("text", sa.String))
            found = []
            for size in (1, 9, 10):
                values = [(Decimal("0.1"), "a")] * size
                for criterion in (pair.in_(values), pair.not_in(values)):
                    statement = sa.select(ROWS.c.id).where(criterion)
                    found.append(await rows_of(connection, statement))
            return found

    both(body)
