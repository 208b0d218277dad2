"""Array types for bound values: what each type of SQLAlchemy's travels as, and what does not."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from pgflight.dialect import PGDialect_asyncpg
from pgflight.parameters.array_types import array_type, why_not


class Decorated(sa.TypeDecorator[str]):
    impl = sa.String(3)
    cache_ok = True


class DecoratedArray(sa.TypeDecorator[Any]):
    impl = pg.ARRAY(sa.Integer)
    cache_ok = True


class Lowered(sa.String):
    def bind_expression(self, bindvalue: Any) -> Any:
        return sa.func.lower(bindvalue)


class LoweredDecorator(sa.TypeDecorator[str]):
    impl = sa.String
    cache_ok = True

    def bind_expression(self, bindparam: Any) -> Any:
        return sa.func.lower(bindparam)


class OwnType(sa.types.UserDefinedType[Any]):
    cache_ok = True

    def get_col_spec(self, **kw: Any) -> str:
        return "own"


class OwnInteger(sa.Integer):
    pass


@pytest.fixture
def compiler() -> Any:
    return sa.select(sa.literal(1)).compile(dialect=PGDialect_asyncpg())


ACCEPTED = [
    (sa.Integer(), "INTEGER[]"),
    (OwnInteger(), "INTEGER[]"),
    (sa.BigInteger(), "BIGINT[]"),
    (sa.SmallInteger(), "SMALLINT[]"),
    (sa.String(), "VARCHAR[]"),
    (sa.String(5), "VARCHAR[]"),  # with its length, values would be cut off silently
    (sa.String(5, collation="C"), "VARCHAR[]"),  # SQLAlchemy leaves the collation to the column
    (sa.Text(), "VARCHAR[]"),
    (sa.CHAR(3), "VARCHAR[]"),
    (sa.Numeric(), "NUMERIC[]"),
    (sa.Numeric(6, 2), "NUMERIC(6, 2)[]"),
    (sa.Float(), "FLOAT[]"),
    (sa.Float(24), "FLOAT(24)[]"),
    (sa.Boolean(), "BOOLEAN[]"),
    (sa.Date(), "DATE[]"),
    (sa.Time(), "TIME WITHOUT TIME ZONE[]"),
    (sa.DateTime(), "TIMESTAMP WITHOUT TIME ZONE[]"),
    (sa.DateTime(True), "TIMESTAMP WITH TIME ZONE[]"),
    (sa.Interval(), "INTERVAL[]"),
    (pg.INTERVAL(fields="YEAR TO MONTH"), "INTERVAL YEAR TO MONTH[]"),
    (sa.LargeBinary(), "BYTEA[]"),
    (sa.PickleType(), "BYTEA[]"),
    (sa.Uuid(), "UUID[]"),
    (sa.Uuid(as_uuid=False), "UUID[]"),
    (sa.JSON(), "JSON[]"),
    (pg.JSONB(), "JSONB[]"),
    (sa.Enum("a", name="Letter", schema="S"), '"S"."Letter"[]'),
    (pg.ENUM("a", name="letter"), "letter[]"),
    (pg.INET(), "INET[]"),
    (pg.CIDR(), "CIDR[]"),
    (pg.CITEXT(), "TEXT[]"),
    (pg.MACADDR(), "MACADDR[]"),
    (pg.MACADDR8(), "MACADDR8[]"),
    (pg.MONEY(), "MONEY[]"),
    (pg.OID(), "OID[]"),
    (pg.REGCLASS(), "REGCLASS[]"),
    (pg.TSVECTOR(), "TSVECTOR[]"),
    (pg.INT4RANGE(), "INT4RANGE[]"),
    (pg.TSTZRANGE(), "TSTZRANGE[]"),
    (Decorated(), "VARCHAR[]"),
]

REFUSED = [
    (sa.ARRAY(sa.Integer), "type ARRAY"),
    (pg.ARRAY(sa.Integer), "type ARRAY"),
    (DecoratedArray(), "type ARRAY"),
    (sa.String().with_variant(pg.ARRAY(sa.String), "postgresql"), "type ARRAY"),
    (pg.INT4MULTIRANGE(), "type INT4MULTIRANGE"),
    (pg.DOMAIN("short", sa.String), "type DOMAIN"),
    (pg.HSTORE(), "type HSTORE"),
    (pg.BIT(3), "type BIT"),
    (pg.TSQUERY(), "type TSQUERY"),
    (pg.JSONPATH(), "type JSONPathType"),
    (pg.REGCONFIG(), "type REGCONFIG"),
    (sa.String(collation="C"), "a type with a collation in its cast"),
    (sa.types.NullType(), "type NullType"),
    (OwnType(), "type UserDefinedType"),
    (Lowered(), "a type with a bind expression"),
    (LoweredDecorator(), "a type with a bind expression"),
]


@pytest.mark.parametrize(("kind", "expected"), ACCEPTED, ids=lambda value: repr(value)[:40])
def test_a_type_travels_as_an_array_of_what_sqlalchemy_casts_to(
    kind: Any, expected: str, compiler: Any
) -> None:
    assert array_type(kind, compiler) == expected
    assert array_type(kind, compiler, stated=True) == expected


@pytest.mark.parametrize(("kind", "reason"), REFUSED, ids=lambda value: repr(value)[:40])
def test_a_type_is_refused_with_its_reason(kind: Any, reason: str, compiler: Any) -> None:
    for stated in (False, True):
        assert array_type(kind, compiler, stated=stated) is None
        assert why_not(kind, compiler, stated=stated).startswith(reason)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (sa.Enum("a", "b", native_enum=False), "VARCHAR[]"),
        (sa.Uuid(native_uuid=False), "CHAR(32)[]"),
    ],
    ids=["enum", "uuid"],
)
def test_a_type_kept_as_text_needs_a_statement_that_casts(
    kind: Any, expected: str, compiler: Any
) -> None:
    assert array_type(kind, compiler) is None
    assert why_not(kind, compiler).endswith("without a cast")
    assert array_type(kind, compiler, stated=True) == expected


def test_the_schema_of_a_translated_statement_is_a_token() -> None:
    kind = sa.Enum("a", name="letter", schema="one", metadata=sa.MetaData())
    statement = sa.select(sa.literal("a", kind))
    compiled: Any = statement.compile(
        dialect=PGDialect_asyncpg(), schema_translate_map={"one": "two"}
    )
    name = array_type(kind, compiled)
    assert name == "__[SCHEMA_one].letter[]"
    assert compiled.preparer._render_schema_translates(name, {"one": "two"}) == "two.letter[]"
