"""IN and NOT IN on both dialects: the same rows, whatever the lists hold and however long."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects.postgresql.ranges import MultiRange
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import TypeDecorator

from tests.fixtures.outcome import Both, Failure
from tests.parity.scratch import apart, scratch

SIZES = (0, 1, 2, 9, 10, 11, 1000)


class Color(enum.Enum):
    """Stored as a native enum."""

    red = 1
    green = 2


class Shouted(TypeDecorator[str]):
    """Text that is stored in upper case."""

    impl = sa.String(30)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else value.upper()


metadata = sa.MetaData()
items = sa.Table(
    "items_of_in",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("n", sa.Integer),
    sa.Column("s", sa.String(4)),
    sa.Column("changed", sa.Integer, onupdate=7),
)


async def _filled(connection: AsyncConnection) -> None:
    rows = [{"id": i, "n": None if i % 5 == 0 else i % 7, "s": f"s{i}"} for i in range(30)]
    await connection.execute(items.insert(), rows)


def _told(outcome: Any) -> Any:
    """Return a failure without what an array changes: the statement, and which value it was."""
    if not isinstance(outcome, Failure):
        return outcome
    return replace(outcome, text="", statement=None, params=None)


async def _scalars(connection: AsyncConnection, statement: Any, given: Any) -> list[Any]:
    return list((await connection.scalars(statement, given)).all())


async def _ids(connection: AsyncConnection, *criteria: Any, **given: Any) -> list[int]:
    statement = sa.select(items.c.id).where(*criteria).order_by(items.c.id)
    return await _scalars(connection, statement, given)


@pytest.mark.parametrize("null", [False, True], ids=["no null", "null"])
@pytest.mark.parametrize("negated", [False, True], ids=["in", "not in"])
def test_lengths(both: Both, negated: bool, null: bool) -> None:
    listed: Any = sa.bindparam("x", expanding=True)
    criterion = items.c.n.not_in(listed) if negated else items.c.n.in_(listed)

    async def body(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            await _filled(connection)
            found = []
            for size in SIZES * 2:
                values: list[Any] = [2 + n % 3 for n in range(size)]
                if null and size:
                    values[-1] = None
                found.append(await _ids(connection, criterion, x=values))
            return found

    found = both(body)
    assert found[: len(SIZES)] == found[len(SIZES) :]
    assert any(found) and found[0] == (list(range(30)) if negated else [])


CRITERIA: dict[str, Any] = {
    "two lists": lambda a, b: items.c.id.in_(a) & items.c.n.not_in(b),
    "other order": lambda a, b: items.c.n.not_in(b) & (items.c.id > 3) & items.c.id.in_(a),
    "or": lambda a, b: sa.or_(items.c.id.in_(a), items.c.n.in_(b), items.c.s == "s3"),
    "negated": lambda a, b: ~(items.c.id.in_(a) | items.c.n.in_(b)),
    "is null": lambda a, b: items.c.n.in_(a).is_(None),
    "as a value": lambda a, b: items.c.id.in_(a) == items.c.n.in_(b),
    "case": lambda a, b: sa.case((items.c.id.in_(a), items.c.n), else_=3).in_(b),
    "expression": lambda a, b: (items.c.id + 1 - sa.func.coalesce(items.c.n, 0)).in_(a),
    "text": lambda a, b: items.c.s.in_([f"s{n}" for n in a]),
    "too long": lambda a, b: items.c.s.in_(["s1234567", *(f"s{n}" for n in b)]),
    "upper": lambda a, b: sa.func.upper(items.c.s, type_=Shouted).in_([f"s{n}" for n in a]),
    "subquery": lambda a, b: items.c.id.in_(sa.select(items.c.id).where(items.c.id.in_(a))),
    "with a subquery": lambda a, b: (
        items.c.id.in_(a) & items.c.id.in_(sa.select(items.c.id).where(items.c.n.in_(b)))
    ),
    "expressions inside": lambda a, b: items.c.id.in_([*a, sa.func.abs(-7), items.c.n]),
    "pairs": lambda a, b: sa.tuple_(items.c.id, items.c.n).in_([(n, n % 7) for n in a]),
    "pairs and a list": lambda a, b: (
        sa.tuple_(items.c.id, items.c.n).in_([(n, n % 7) for n in a]) & items.c.n.in_(b)
    ),
    "bigint": lambda a, b: sa.cast(items.c.id, sa.BigInteger).in_(a),
    "numeric": lambda a, b: sa.cast(items.c.id, sa.Numeric(10, 1)).in_(a),
    "custom operator": lambda a, b: (items.c.id.op("%")(6)).in_(b),
    "rounded": lambda a, b: sa.cast(items.c.id, sa.Numeric).in_(
        sa.bindparam(None, [n + 0.04 for n in a], type_=sa.Numeric(5, 1), expanding=True)
    ),
}


@pytest.mark.parametrize("name", CRITERIA)
def test_criteria(both: Both, name: str) -> None:
    async def body(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            await _filled(connection)
            found = []
            for first, second in ((0, 0), (3, 2), (10, 3), (4, 12), (25, 25), (3, 2), (25, 25)):
                criterion = CRITERIA[name](range(first), [n % 5 for n in range(second)])
                found.append(await apart(connection, partial(_ids, connection, criterion)))
            return found

    assert any(both(body))


def test_one_parameter_in_two_places(both: Both) -> None:
    listed = sa.bindparam("x", expanding=True, type_=sa.Integer)
    criterion = items.c.id.in_(listed) & items.c.n.in_(listed) & (items.c.id < sa.bindparam("y"))

    async def body(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            await _filled(connection)
            return [
                await _ids(connection, criterion, x=list(range(size)), y=20)
                for size in (3, 12, 3, 12)
            ]

    assert both(body)[1] == [1, 2, 3, 4, 6, 7, 8, 9, 11]


def test_names_that_collide(both: Both) -> None:
    """A parameter called as SQLAlchemy calls an element of the other one."""
    if tuple(map(int, sa.__version__.split(".")[:3])) < (2, 0, 45):
        pytest.skip("SQLAlchemy 2.0.40 mixes the two up")
    listed = sa.bindparam("x", expanding=True, type_=sa.Integer)
    criterion = items.c.id.in_(listed) & (items.c.id != sa.bindparam("x_1"))

    async def body(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            await _filled(connection)
            return [
                await _ids(connection, criterion, x=list(range(size)), x_1=1)
                for size in (3, 12, 3, 12)
            ]

    assert both(body)[0] == [0, 2]


TYPES: dict[str, tuple[Any, Sequence[Any]]] = {
    "smallint": (sa.SmallInteger(), [1, -2]),
    "integer": (sa.Integer(), [1, 2**31 - 1]),
    "bigint": (sa.BigInteger(), [1, 2**40]),
    "numeric": (sa.Numeric(10, 2), [decimal.Decimal("1.25"), decimal.Decimal("NaN")]),
    "float": (sa.Float(), [1.5, float("inf")]),
    "real": (sa.REAL(), [1.5, 0.1]),
    "boolean": (sa.Boolean(), [True, False]),
    "string": (sa.String(3), ["a", "a'b"]),
    "text": (sa.Text(), ["", 'a"\\{},NULL']),
    "collated": (sa.String(collation="C"), ["a", "B"]),
    "collated string": (sa.String(3, collation="C"), ["a", "B"]),
    "char": (sa.CHAR(3), ["a", "abc"]),
    "citext": (pg.CITEXT(), ["a", "B"]),
    "enum": (sa.Enum(Color, name="color_of_in"), [Color.red, Color.green]),
    "text enum": (sa.Enum(Color, native_enum=False), [Color.red, Color.green]),
    "date": (sa.Date(), [dt.date(2024, 2, 29), dt.date(1, 1, 1)]),
    "time": (sa.Time(), [dt.time(1, 2, 3, 4), dt.time(0)]),
    "timestamp": (sa.DateTime(), [dt.datetime(2024, 1, 1, 1, 1, 1, 1), dt.datetime(1, 1, 1)]),
    "timestamptz": (
        sa.DateTime(timezone=True),
        [dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)],
    ),
    "interval": (sa.Interval(), [dt.timedelta(days=1, microseconds=5), dt.timedelta(0)]),
    "uuid": (sa.Uuid(), [uuid.UUID(int=1), uuid.UUID(int=2)]),
    "text uuid": (sa.Uuid(native_uuid=False), [uuid.UUID(int=1), uuid.UUID(int=2)]),
    "uuid as text": (sa.Uuid(as_uuid=False), [str(uuid.UUID(int=1))]),
    "bytea": (sa.LargeBinary(), [b"", b"\x00\xff"]),
    "inet": (pg.INET(), ["10.0.0.1", "::1"]),
    "macaddr": (pg.MACADDR(), ["08:00:2b:01:02:03"]),
    "bit": (pg.BIT(3), []),
    "jsonb": (pg.JSONB(), [{"a": 1}, [1, 2], "x", 1]),
    "json": (sa.JSON(), [{"a": 1}]),
    "hstore": (pg.HSTORE(), []),
    "array": (pg.ARRAY(sa.Integer), [[1, 2], []]),
    "range": (pg.INT4RANGE(), [pg.Range(1, 5), pg.Range(empty=True)]),
    "range as list": (pg.INT4RANGE(), [pg.Range(1, 5), [2, 6], (3, 7)]),
    "multirange": (pg.INT4MULTIRANGE(), [MultiRange([pg.Range(1, 5)])]),
    "decorated": (Shouted(), ["a", "B"]),
    "oid": (pg.OID(), [1, 2]),
}


@pytest.mark.parametrize("name", TYPES)
def test_types(both: Both, name: str) -> None:
    kind, values = TYPES[name]
    table = sa.Table(
        "typed_of_in",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("v", kind),
    )
    before = {"citext": ["CREATE EXTENSION IF NOT EXISTS citext"]}.get(name, [])

    async def body(engine: AsyncEngine) -> Any:
        async with scratch(engine, table.metadata, *before) as connection:
            for number, value in enumerate([*values, None]):
                await connection.execute(table.insert(), {"id": number, "v": value})
            listed: Any = sa.bindparam("x", expanding=True)
            statement = sa.select(table.c.id).order_by(table.c.id)
            found: list[Any] = []
            for chosen in (values[:1], values, values[1:], [*values, None]):
                for number in (0, 1, 3, 12, 12):
                    for criterion in (table.c.v.in_(listed), table.c.v.not_in(listed)):
                        chosen_ids = statement.where(criterion)
                        given = {"x": list(chosen) * number}
                        ask = partial(_scalars, connection, chosen_ids, given)
                        found.append(_told(await apart(connection, ask)))
            return found

    if name in ("citext", "hstore") and name not in both.server.extensions:
        with pytest.raises(sa.exc.DBAPIError, match=name):
            both(body)
    else:
        both(body)


def test_writing_statements(both: Both) -> None:
    """UPDATE with a default that reads the parameters, DELETE, INSERT from SELECT, RETURNING."""

    async def body(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            await _filled(connection)
            told: list[Any] = []
            for size in (2, 12, 3, 15):
                chosen = [n * 2 for n in range(size)]
                update = items.update().where(items.c.id.in_(chosen)).values(n=size)
                told.append((await connection.execute(update)).rowcount)
                update = update.returning(items.c.id, items.c.changed)
                told.append(sorted((await connection.execute(update)).all()))
                copied = sa.select(items.c.id + 100 * size, items.c.s).where(items.c.id.in_(chosen))
                insert = items.insert().from_select(["id", "s"], copied)
                told.append((await connection.execute(insert)).rowcount)
                delete = items.delete().where(items.c.id.not_in(range(90 + size * 10)))
                told.append((await connection.execute(delete)).rowcount)
            told.append((await connection.execute(items.select().order_by(items.c.id))).all())
            return told

    both(body)


def test_several_parameter_sets(both: Both) -> None:
    """A list cannot serve many sets at once, in either."""
    update = items.update().where(items.c.id.in_(sa.bindparam("x", expanding=True))).values(n=1)

    async def body(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            await _filled(connection)
            told = []
            for sets in ([{"x": [1]}], [{"x": [1]}, {"x": [2]}], [{"x": [1]}]):
                outcome = await apart(connection, partial(connection.execute, update, sets))
                told.append(getattr(outcome, "rowcount", outcome))
            return told

    both(body)


ASKED: dict[str, Any] = {
    "cte": lambda a: sa.select(sa.select(items).where(items.c.id.in_(a)).cte("c").c.id),
    "cte twice": lambda a: (
        lambda c: sa.select(c.c.id).join(c.alias("d"), sa.true()).where(c.c.n.in_(a))
    )(sa.select(items).where(items.c.id.in_(a)).cte("c")),
    "recursive": lambda a: _recursive(a),
    "union": lambda a: sa.union_all(
        sa.select(items.c.id).where(items.c.id.in_(a)), sa.select(items.c.n).where(items.c.n.in_(a))
    ),
    "lambda": lambda a: (
        sa.lambda_stmt(lambda: sa.select(items.c.id)) + (lambda s: s.where(items.c.id.in_(a)))
    ),
    "column": lambda a: sa.select(items.c.id.in_(a), items.c.id),
    "order": lambda a: sa.select(items.c.id).order_by(items.c.id.in_(a).desc(), items.c.id),
    "group": lambda a: sa.select(items.c.id.in_(a).label("g"), sa.func.count()).group_by("g"),
    "filter": lambda a: sa.select(sa.func.count().filter(items.c.id.in_(a))),
    "join": lambda a: (
        lambda o: sa.select(items.c.id).join(o, (o.c.id == items.c.n) & o.c.id.in_(a))
    )(items.alias("o")),
    "text": lambda a: sa.text("SELECT id FROM items_of_in WHERE n IN :x").bindparams(
        sa.bindparam("x", list(a), expanding=True)
    ),
    "limit": lambda a: sa.select(items.c.id).where(items.c.id.in_(a)).limit(2).offset(1),
    "literal": lambda a: (
        sa.select(items.c.id)
        .where(items.c.id.in_(a))
        .limit(sa.bindparam("m", 4, literal_execute=True, type_=sa.Integer))
    ),
    "literal list": lambda a: sa.select(items.c.id).where(
        items.c.id.in_(sa.bindparam("m", list(a), literal_execute=True, expanding=True))
    ),
}


def _recursive(a: Any) -> Any:
    first = sa.select(items.c.id).where(items.c.id.in_(a)).cte("r", recursive=True)
    return sa.select(first.union(sa.select(first.c.id + 1).where((first.c.id + 1).in_(a))).c.id)


@pytest.mark.parametrize("name", ASKED)
def test_places_in_a_statement(both: Both, name: str) -> None:
    async def body(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            await _filled(connection)
            return [
                sorted(map(tuple, (await connection.execute(ASKED[name](range(size)))).all()))
                for size in (2, 12, 2, 12, 0, 1, 25, 25)
            ]

    both(body)


def test_translated_schemas(both: Both) -> None:
    kind = sa.Enum("a", "b", name="kind_of_in", schema="elsewhere")
    moved = sa.Table("moved_of_in", sa.MetaData(), sa.Column("k", kind), schema="elsewhere")

    async def body(engine: AsyncEngine) -> Any:
        found: list[Any] = []
        for schema in ("one_of_in", "two_of_in"):
            async with scratch(engine, None, f"CREATE SCHEMA {schema}") as connection:
                await connection.execution_options(schema_translate_map={"elsewhere": schema})
                await connection.run_sync(moved.metadata.create_all, checkfirst=False)
                await connection.execute(moved.insert(), [{"k": "a"}, {"k": "b"}])
                for size in (1, 12, 1, 12):
                    statement = moved.select().where(moved.c.k.in_(["a"] * size))
                    found += (await connection.execute(statement)).all()
        return found

    assert len(both(body)) == 8


@pytest.mark.parametrize("size", [3, 12])
def test_errors(both: Both, size: int) -> None:
    """Class and code are the same; a text may name the list instead of the element."""

    async def body(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            await _filled(connection)
            told: list[Any] = []
            for bad in ("x", 2**31, 1.5, [1], (1, 2), {"a": 1}, b"x", object):
                for values in ([1] * size + [bad], [bad] + [1] * size, [bad] * size):
                    listed = sa.bindparam("x", values, type_=sa.Integer, expanding=True)
                    ask = partial(_ids, connection, items.c.id.in_(listed))
                    told.append(_told(await apart(connection, ask)))
            for criterion in (
                items.c.s.in_(["a\x00"] * size),
                items.c.s.in_(sa.bindparam("x", [1] * size, type_=sa.String, expanding=True)),
                sa.cast(items.c.s, sa.JSON).in_([{}] * size),
                (1 / items.c.id).in_(range(size)),
            ):
                told.append(_told(await apart(connection, partial(_ids, connection, criterion))))
            told.append(len(await _ids(connection, items.c.id.in_(range(size)))))
            return told

    both(body)


def test_what_a_program_sees_of_its_parameters(both: Both) -> None:
    """Short lists look as ever; those that travel as an array keep their own name."""

    async def body(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            told: list[Any] = []
            for size in (0, 2, 9, 2, 0):
                statement = items.select().where(items.c.id.in_(range(size)), items.c.n == 3)
                context = (await connection.execute(statement)).context
                told += [context.statement, context.parameters, context.compiled_parameters]
                told.append({k: list(v) for k, v in context._expanded_parameters.items()})
            return told

    both(body)
