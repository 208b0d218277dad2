"""Hostile values, shapes and sizes: a value, or an error of the statement; the connection goes on.

Where the built-in dialect takes a value, ours stores the same. Where it refuses it, so does ours:
with a DataError where that one has no class, and nothing else where it is SQLAlchemy's own error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.exc import ArgumentError, DBAPIError, StatementError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

import pgflight
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both
from tests.parity.hostile_values import SCALARS, TYPES, VALUES, nested
from tests.parity.scratch import scratch

PID = sa.text("SELECT pg_backend_pid()")
metadata = sa.MetaData()
table = sa.Table(
    "hostile_values",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("v", sa.Integer),
    sa.Column("t", sa.Text),
    sa.Column("b", sa.LargeBinary),
    sa.Column("n", sa.Numeric),
    sa.Column("j", pg.JSONB),
    sa.Column("a", pg.ARRAY(sa.Integer)),
    prefixes=["TEMPORARY"],
)
COLUMNS = "vtbnja"
TYPES_OF_LISTS: dict[str, tuple[Any, Any]] = {
    "int": (sa.Integer, 1),
    "bigint": (sa.BigInteger, 1),
    "text": (sa.Text, "a"),
    "varchar": (sa.String, "a"),
    "numeric": (sa.Numeric, 1),
    "float": (sa.Float, 1.0),
}
USUAL = (DBAPIError, StatementError, ArgumentError)
Work = Callable[[AsyncConnection], Awaitable[Any]]


def shown(error: Exception) -> str:
    """Return the error's class, with the original's where it is SQLAlchemy's of a statement."""
    if isinstance(error, DBAPIError):
        return "refused"
    if isinstance(error, StatementError):
        return f"StatementError of {type(error.orig).__name__}"
    return type(error).__name__


async def outcome(engine: AsyncEngine, work: Work) -> Any:
    """Return what `work` returns, or its error's class; fail unless the connection goes on."""
    found: Any
    async with scratch(engine, metadata) as connection:
        pid = await connection.scalar(PID)
        try:
            found = await work(connection)
        except Exception as error:
            assert not getattr(error, "connection_invalidated", False)
            if isinstance(error, DBAPIError) and type(error) is DBAPIError:
                assert not error.orig.__class__.__module__.startswith("pgflight"), error
            found = shown(error)
    async with engine.connect() as connection:
        assert await connection.scalar(sa.text("SELECT 1")) == 1
        assert await connection.scalar(PID) == pid
    return found


# Where ours refuses: asyncpg raises what repr() of the value raises, and stores what is huge as 0.
BETTER = {"LookupError", "ValueError", "RecursionError"}


def compare(both: Both, works: dict[str, Work]) -> None:
    """Run each on both dialects and compare."""

    async def body(engine: AsyncEngine) -> list[Any]:
        return [await outcome(engine, work) for work in works.values()]

    options: dict[str, Any] = {"pool_size": 1, "max_overflow": 0}
    theirs = both.run(both.builtin, body, **options)
    ours = both.run(both.ours, body, **options)
    for name, expected, found in zip(works, theirs, ours, strict=True):
        if found == expected:
            continue
        refused = found in ("refused", "DataError")
        assert refused and (expected in BETTER or "huge" in name), (name, expected, found)


def chosen(*choices: Any) -> Callable[[Any], Any]:
    """Give a test some 60 combinations, the same in each run."""
    health = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]

    def decorate(test: Any) -> Any:
        lists = st.lists(st.tuples(*map(st.sampled_from, choices)), min_size=30, max_size=30)
        once = settings(
            max_examples=3,
            derandomize=True,
            suppress_health_check=health,
            phases=[Phase.generate],  # each combination is reported by itself
        )
        return once(given(lists)(test))

    return decorate


async def _text_of(connection: AsyncConnection, value: Any, type_: str) -> Any:
    query = sa.text(f"SELECT CAST(:v AS {type_})::text")
    return await connection.scalar(query, {"v": value})


@chosen(sorted(VALUES), TYPES)
def test_as_a_parameter(both: Both, cases: list[tuple[str, str]]) -> None:
    def work(name: str, type_: str) -> Work:
        return lambda c: _text_of(c, VALUES[name], type_)

    compare(both, {f"{name} as {type_}": work(name, type_) for name, type_ in cases})


@chosen(sorted(SCALARS), sorted(TYPES_OF_LISTS), [2, 12, 40])
def test_in_a_list(both: Both, cases: list[tuple[str, str, int]]) -> None:
    def work(name: str, kind: str, size: int) -> Work:
        type_, usual = TYPES_OF_LISTS[kind]
        left = sa.literal(usual, type_)
        return lambda c: c.scalar(sa.select(left.in_([usual] * (size - 1) + [SCALARS[name]])))

    compare(both, {f"{case}": work(*case) for case in cases})


@chosen(sorted(VALUES), COLUMNS, [1, 5, 60], [False, True])
def test_stored(both: Both, cases: list[tuple[str, str, int, bool]]) -> None:
    def work(name: str, column: str, rows: int, returning: bool) -> Work:
        async def insert(c: AsyncConnection) -> Any:
            statement: Any = table.insert().returning(table.c.id) if returning else table.insert()
            usual = [{"id": number, column: None} for number in range(1, rows)]
            await c.execute(statement, [*usual, {"id": 0, column: VALUES[name]}])
            query = sa.select(sa.cast(table.c[column], sa.Text)).where(table.c.id == 0)
            return await c.scalar(query)

        return insert

    compare(both, {f"{case}": work(*case) for case in cases})


@chosen(sorted(VALUES), COLUMNS, [0, 1])
def test_copied(pgflight_dialect: Dialect, cases: list[tuple[str, str, int]]) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        for name, column, before in cases:
            rows = [{"id": number, column: None} for number in range(before)]
            rows.append({"id": before, column: VALUES[name]})
            found = await outcome(engine, partial(pgflight.copy_in, table=table, rows=rows))
            allowed = {before + 1, "refused", *(f"StatementError of {kind}" for kind in OWN)}
            assert found in allowed, (name, column, found)

    OWN = ("TypeError", "ValueError", "LookupError", "RecursionError")
    asyncio.run(work())


def _rows(kind: str, number: int) -> Any:
    """Return parameter sets in a container of another kind."""

    def broken() -> Iterator[Any]:
        yield {"id": 1}
        raise LookupError("of the program's own")

    usual = [{"id": n} for n in range(number)]
    made: dict[str, Callable[[], Any]] = {
        "generator": lambda: (row for row in usual),
        "broken generator": broken,
        "tuples": lambda: [(n,) for n in range(number)],
        "tuple of dictionaries": lambda: tuple(usual),
        "numbers": lambda: list(range(number)),
        "nothing": lambda: [None] * number,
        "texts": lambda: ["a"] * number,
        "set": lambda: set(range(number)),
        "one that lacks a name": lambda: [{"id": n, "v": 1} for n in range(number)] + [{"id": -1}],
        "one that is nothing": lambda: [*usual, None],
        "one that is twice": lambda: [*usual, {"id": 0}],
    }
    return made[kind]()


KINDS = (
    *("generator", "broken generator", "tuples", "tuple of dictionaries", "numbers", "nothing"),
    *("texts", "set", "one that lacks a name", "one that is nothing", "one that is twice"),
)


@pytest.mark.parametrize("number", [1, 5, 60])
def test_containers_of_parameter_sets(both: Both, number: int) -> None:
    def stored(kind: str) -> Work:
        async def work(c: AsyncConnection) -> Any:
            await c.execute(table.insert(), _rows(kind, number))
            return await c.scalar(sa.select(sa.func.count()).select_from(table))

        return work

    def sent(kind: str) -> Work:
        async def work(c: AsyncConnection) -> Any:
            return (await c.exec_driver_sql("SELECT $1::int", _rows(kind, number))).rowcount > 0

        return work

    compare(both, {kind: stored(kind) for kind in KINDS})
    plain = [kind for kind in KINDS if kind != "tuples"]
    compare(both, {f"driver: {kind}": sent(kind) for kind in plain})


@pytest.mark.parametrize("depth", [100, 900, 1_100, 20_000])
@pytest.mark.parametrize("of", [list, dict])
def test_documents_that_are_deep(both: Both, depth: int, of: type) -> None:
    """Both directions, as deep as Python goes and deeper: RecursionError as json's own."""
    document = nested(depth, of=of)
    start, end = ("[", "]") if of is list else ('{"a":', "}")
    text = f"repeat('{start}', {depth}) || '1' || repeat('{end}', {depth})"

    async def read(c: AsyncConnection, type_: str) -> bool:
        found = await c.scalar(sa.text(f"SELECT ({text})::{type_}".replace(":", "\\:")))
        for _ in range(depth):
            found = found[0] if of is list else found["a"]
        return bool(found == 1)

    def written(type_: Any) -> Work:
        literal = sa.cast(sa.literal(document, type_), sa.Text)
        return lambda c: c.scalar(sa.select(sa.func.length(literal)))

    works: dict[str, Work] = {
        "written json": written(pg.JSON),
        "written jsonb": written(pg.JSONB),
        "read json": lambda c: read(c, "json"),
        "read jsonb": lambda c: read(c, "jsonb"),
    }
    compare(both, works)


@pytest.mark.parametrize("number", [32_767, 32_768, 65_536])
def test_parameters_up_to_the_most_and_past_it(both: Both, number: int) -> None:
    places = ",".join(f"${place}::int" for place in range(1, number + 1))

    def work(c: AsyncConnection) -> Any:
        return c.exec_driver_sql(f"SELECT cardinality(ARRAY[{places}])", tuple(range(number)))

    async def count(c: AsyncConnection) -> Any:
        return (await work(c)).scalar()

    compare(both, {str(number): count})


@pytest.mark.parametrize("number", [1_664, 1_665])
def test_columns_up_to_the_most_and_past_it(both: Both, number: int) -> None:
    values = sa.select(*(sa.literal(n).label(f"c{n}") for n in range(number)))
    texts = sa.text("SELECT " + ",".join(f"'{n}' AS c{n}" for n in range(number)))

    def rows(statement: Any) -> Work:
        async def work(c: AsyncConnection) -> Any:
            return [tuple(row) for row in await c.execute(statement)]

        return work

    compare(both, {"values": rows(values), "texts": rows(texts)})


@pytest.mark.slow
def test_a_row_that_the_server_cannot_send(both: Both) -> None:
    """Of more than a gigabyte: 54000, and nothing of it has to be kept here."""

    async def work(c: AsyncConnection) -> Any:
        query = sa.text("SELECT a, a, a, a FROM (SELECT repeat('x', 300000000) AS a) AS q")
        return len((await c.execute(query)).one())

    async def body(engine: AsyncEngine) -> Any:
        async with engine.connect() as c:
            with pytest.raises(DBAPIError) as caught:
                await work(c)
            original: Any = caught.value.orig
            assert not caught.value.connection_invalidated
            return original.sqlstate, await outcome(engine, work)

    assert both(body) == ("54000", "refused")
