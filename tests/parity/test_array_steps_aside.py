"""INSERTs of many rows that do not go through arrays, that fail, or that hooks and logs see."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import TypeDecorator

import pgflight
from pgflight.bulk import array_changes
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both, attempt, refused
from tests.fixtures.tasks import run
from tests.parity.bulk_cases import executions_of
from tests.parity.scratch import apart, scratch


class Refusing(TypeDecorator[int]):
    """Refuses some numbers."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Any) -> int | None:
        if value == 13:
            raise LookupError("13")
        return value


metadata = sa.MetaData()
parent = sa.Table("parent_of_arrays", metadata, sa.Column("id", sa.Integer, primary_key=True))
full = sa.Table(
    "full_of_arrays",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("n", sa.Integer, sa.CheckConstraint("n <> 7")),
    sa.Column("short", sa.String(5), unique=True),
    sa.Column("data", sa.LargeBinary),
    sa.Column("span", pg.INT4RANGE),
    sa.Column("sorted", sa.String(collation="C")),
    sa.Column("list", pg.ARRAY(sa.Integer)),
    sa.Column("odd", Refusing),
    sa.Column("up", sa.ForeignKey("parent_of_arrays.id")),
    sa.Column("must", sa.Integer, nullable=False, server_default="1"),
)
wide = sa.Table(
    "wide_of_arrays",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    *(sa.Column(f"c{n}", sa.Integer) for n in range(array_changes.MOST_COLUMNS + 1)),
)
insert = full.insert()
returning = full.insert().returning(full.c.n)


def numbers(number: int, **changes: Any) -> list[dict[str, Any]]:
    return [{"n": n + 100, **changes} for n in range(number)]


WIDE = [{column.name: n for column in wide.c} for n in range(25)]
DIFFERENT = [{**row, "b": n} for n, row in enumerate(numbers(25))]
OTHER = sa.select(sa.bindparam("b", type_=sa.Integer).label("x")).cte("other")

CASES: dict[str, tuple[Any, list[dict[str, Any]], str]] = {
    "few": (insert, numbers(19), "fewer than 20 rows"),
    "few returned": (returning, numbers(10), "fewer than 11 rows"),
    "off": (insert.execution_options(array_insert=False), numbers(25), "array_insert is off"),
    "off returned": (
        returning.execution_options(array_insert=False),
        numbers(25),
        "array_insert is off",
    ),
    "array": (insert, numbers(25, list=[1, 2]), "type ARRAY"),
    "array returned": (returning, numbers(25, list=[1, 2]), "type ARRAY"),
    "collated": (insert, numbers(25, sorted="a"), "a type with a collation in its cast"),
    "collated returned": (
        returning,
        numbers(25, sorted="a"),
        "a type with a collation in its cast",
    ),
    "subquery": (
        insert.values(must=sa.select(sa.func.count(full.c.id)).scalar_subquery()),
        numbers(25),
        "SELECT in VALUES",
    ),
    "default": (insert.values(must=sa.text("DEFAULT")), numbers(25), "DEFAULT in VALUES"),
    "defaults only": (insert, [{}] * 25, "no parameters in VALUES"),
    "untyped": (
        insert.values(must=sa.func.length(sa.bindparam("x"))),
        [{**row, "x": "abc"} for row in numbers(25)],
        "type NullType",
    ),
    "update": (
        pg.insert(full).on_conflict_do_update(index_elements=["id"], set_={"n": 5}),
        [{**row, "id": n % 20} for n, row in enumerate(numbers(25))],
        "ON CONFLICT DO UPDATE",
    ),
    "bound update returned": (
        pg.insert(full)
        .on_conflict_do_update(
            index_elements=["id"], set_={"n": sa.bindparam("b", type_=sa.Integer)}
        )
        .returning(full.c.n),
        [{**row, "id": n} for n, row in enumerate(DIFFERENT)],
        "rows that SQLAlchemy sends one by one",
    ),
    "row by row": (
        pg.insert(full).on_conflict_do_nothing().returning(full.c.n, sort_by_parameter_order=True),
        [{"id": n, "n": n + 100} for n in range(25)],
        "rows that SQLAlchemy sends one by one",
    ),
    "different parameters outside": (
        insert.add_cte(OTHER),
        DIFFERENT,
        "parameters outside of VALUES that differ",
    ),
    "wide": (wide.insert(), WIDE, "more than 40 columns"),
    "large rows": (insert, numbers(25, data=b"x" * 11_000), "rows of more than 10 KB"),
    "pages of rows that are not small": (
        insert,
        numbers(4_000, data=b"x" * 1_100),
        "more than a page of rows of more than 1 KB",
    ),
    "lists for ranges": (
        insert,
        [{"span": span} for span in [(1, 5), [2, 6], None] * 10],
        "a list among the values",
    ),
    "several rows": (
        insert.values([{"n": sa.bindparam("a")}, {"n": sa.bindparam("b", type_=sa.Integer)}]),
        [{"a": n + 100, "b": n + 200} for n in range(25)],
        "several rows in VALUES",
    ),
    "from select": (
        insert.from_select(["n"], sa.select(sa.bindparam("x", type_=sa.Integer))),
        [{"x": n + 100} for n in range(25)],
        "no VALUES, or more than one",
    ),
}
if not hasattr(sa.sql.compiler._InsertManyValues, "has_upsert_bound_parameters"):
    del CASES["bound update returned"]  # SQLAlchemy 2.0.40 takes the first row's value for all


async def _sent(connection: AsyncConnection, statement: Any, parameters: Any) -> Any:
    result: Any = await connection.execute(statement, parameters)
    return [result.all() if result.returns_rows else None, result.context.compiled_parameters]


async def _contents(connection: AsyncConnection) -> Any:
    return [
        (await connection.execute(sa.select(table).order_by(table.c.id))).all()
        for table in (full, wide)
    ]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("watched", [False, True], ids=["quiet", "events"])
def test_the_usual_way_is_taken_and_its_reason_counted(
    both: Both, name: str, watched: bool
) -> None:
    statement, parameters, reason = CASES[name]

    async def work(engine: AsyncEngine) -> Any:
        seen = executions_of(engine) if watched else []
        async with scratch(engine, metadata) as connection:
            sent = [
                await apart(connection, partial(_sent, connection, statement, parameters))
                for _ in range(2)
            ]
            contents = await _contents(connection)
        if not isinstance(engine.dialect, array_changes.BulkDialect):
            return [sent, seen, contents]
        numbers = pgflight.stats(engine)
        assert (numbers.array_inserts, numbers.array_fallbacks) == (0, {reason: 2})
        return [sent, seen, contents]

    both(work)


@pytest.mark.parametrize(
    ("options", "used"),
    [
        ({}, True),
        ({"array_insert": True}, True),
        ({"array_insert": False}, False),
        ({"connect_args": {"array_insert": "false"}}, False),
        ({"array_insert": True, "connect_args": {"array_insert": False}}, True),
        ({"execution_options": {"array_insert": False}}, False),
        ({"array_insert": False, "execution_options": {"array_insert": True}}, True),
    ],
    ids=str,
)
def test_the_switch(pgflight_dialect: Dialect, options: dict[str, Any], used: bool) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(**options)
        async with scratch(engine, metadata) as connection:
            await connection.execute(insert, numbers(25))
            await connection.execute(returning, numbers(25))
        assert pgflight.stats(engine).array_inserts == (2 if used else 0)

    run(work())


def test_the_switch_in_the_url(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        url = pgflight_dialect.url().update_query_dict({"array_insert": "off"})
        engine = pgflight_dialect.engine(url)
        async with scratch(engine, metadata) as connection:
            await connection.execute(insert, numbers(25))
        assert pgflight.stats(engine).array_fallbacks == {"array_insert is off": 1}
        for wrong in ("maybe", 7):
            with pytest.raises(sa.exc.ArgumentError, match="array_insert"):
                pgflight_dialect.engine(array_insert=wrong)

    run(work())


BAD: dict[str, dict[str, Any]] = {
    "not null": {"must": None},
    "too long": {"short": "sixsix"},
    "unique": {"short": "same"},
    "foreign key": {"up": -1},
    "check": {"n": 7},
    "overflow": {"n": 2**40},
    "not even 64 bits": {"n": 2**80},
    "a text for a number": {"n": "five"},
    "a number for a text": {"short": 5},
    "a list for a number": {"n": [1, 2]},
    "an object": {"n": object},
    "nul": {"short": "a\0b"},
    "surrogate": {"short": "\ud800"},
    "a processor": {"odd": 13},
    "a missing key": {},
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize(("at", "hidden"), [(0, False), (24, True), (1500, False)])
def test_errors_without_returning_are_the_same(
    both: Both, name: str, at: int, hidden: bool
) -> None:
    """Class, SQLSTATE, text, statement and parameters; and whether the transaction goes on."""
    given = [{"n": 1, "short": None, "must": 1, "up": None, "odd": 1} for _ in range(at + 26)]
    given[at].update(BAD[name])
    given[at + 1].update(BAD[name] if name == "unique" else {})
    if name == "a missing key":
        del given[at or 1]["must"]

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            failure = await refused(_sent(connection, insert, given))
            goes_on = await attempt(connection.scalar(sa.select(sa.literal(5))))
            if isinstance(failure.params, tuple):  # a list of a kind of its own
                kind, rows = failure.params
                assert kind == "pgflight.bulk.column_rows.ColumnRows"
                failure = replace(failure, params=rows)
            return [failure, getattr(goes_on, "pgcode", goes_on)]

    both(work, hide_parameters=hidden)


@pytest.mark.parametrize("name", [name for name in BAD if name != "a missing key"])
@pytest.mark.parametrize("at", [0, 24])
def test_errors_with_returning_are_of_the_same_class(both: Both, name: str, at: int) -> None:
    given = [{"n": 1, "short": None, "must": 1, "up": None, "odd": 1} for _ in range(at + 26)]
    given[at].update(BAD[name])
    given[at + 1].update(BAD[name] if name == "unique" else {})

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            failure = await refused(_sent(connection, returning, given))
            goes_on = await attempt(connection.scalar(sa.select(sa.literal(5))))
            kinds = sorted({"IntegrityError", "StatementError"} & failure.lineage)
            return [kinds, failure.pgcode, getattr(goes_on, "pgcode", goes_on)]

    both(work)


def test_autocommit_is_atomic(both: Both) -> None:
    """All rows or none, as with executemany(): more than a page does not go through arrays."""

    async def work(engine: AsyncEngine) -> Any:
        found = []
        auto = engine.execution_options(isolation_level="AUTOCOMMIT")
        temporary = "CREATE TEMPORARY TABLE autocommitted (n int)"
        table = sa.table("autocommitted", sa.column("n", sa.Integer))
        async with auto.connect() as connection:
            await connection.execute(sa.text(temporary))
            for number, wrong in ((50, 49), (50, None), (12_500, 12_400), (12_500, None)):
                given = [{"n": "no" if n == wrong else n} for n in range(number)]
                failed = wrong is not None
                send = _sent(connection, table.insert(), given)
                found.append(await refused(send) if failed else await send)
                found.append(await connection.scalar(sa.select(sa.func.count()).select_from(table)))
            await connection.execute(sa.text("DROP TABLE autocommitted"))
        if isinstance(engine.dialect, array_changes.BulkDialect):
            counted = pgflight.stats(engine)
            assert counted.array_inserts == 1
            assert counted.array_fallbacks == {
                "more than a page in AUTOCOMMIT": 2,
                "a value that asyncpg refuses": 1,
            }
        return found

    both(work)


def test_a_hook_that_rewrites(both: Both) -> None:
    """A comment, other rows, or all of it done by the hook itself."""

    async def work(engine: AsyncEngine) -> Any:
        change: list[Any] = []

        def rewrite(conn: Any, cur: Any, text: str, given: Any, context: Any, many: bool) -> Any:
            return change[0](text, given) if many and change else (text, given)

        event.listen(engine.sync_engine, "before_cursor_execute", rewrite, retval=True)
        async with scratch(engine, metadata) as connection:
            for each in (
                lambda text, given: (f"{text} /* traced */", given),
                lambda text, given: (text, given[:21]),
                lambda text, given: (text, [tuple(row) for row in given]),
            ):
                change[:] = [each]
                await connection.execute(insert, numbers(25))
            change.clear()
            contents = await _contents(connection)
        if isinstance(engine.dialect, array_changes.BulkDialect):
            assert pgflight.stats(engine).array_fallbacks == {array_changes._REWRITTEN: 3}
        return contents

    both(work)


@pytest.mark.parametrize("taken", [False, True])
def test_a_hook_that_sends_the_rows_itself(both: Both, taken: bool) -> None:
    async def work(engine: AsyncEngine) -> Any:
        seen: list[Any] = []

        def many(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
            seen.append([statement, type(parameters).__name__, list(parameters)])
            if taken:
                cursor.executemany(statement, parameters[:3])
            return taken

        event.listen(engine.sync_engine, "do_executemany", many)
        async with scratch(engine, metadata) as connection:
            await connection.execute(insert, numbers(25))
            return [seen, await _contents(connection)]

    both(work)


@pytest.mark.parametrize("hidden", [False, True], ids=["shown", "hidden"])
def test_the_log(both: Both, caplog: pytest.LogCaptureFixture, hidden: bool) -> None:
    async def work(engine: AsyncEngine) -> Any:
        with caplog.at_level(logging.INFO, logger="sqlalchemy.engine"):
            async with scratch(engine, metadata) as connection:
                caplog.clear()
                await connection.execute(insert, numbers(25))
        return [
            record.getMessage().replace("pgflight", "asyncpg")
            for record in caplog.records
            if record.name.startswith("sqlalchemy.engine")
            and "generated" not in record.getMessage()
        ]

    texts = both(work, hide_parameters=hidden)
    assert any(
        text.startswith("INSERT INTO full_of_arrays (n) VALUES ($1::INTEGER)") for text in texts
    )


def test_what_a_program_reads_of_the_parameters(both: Both) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            found: list[Any] = []
            for statement in (insert, returning):
                result: Any = await connection.execute(statement, numbers(25, span=None))
                context = result.context
                found.append([list(context.parameters), len(context.parameters)])
                found.append([context.parameters[3], context.compiled_parameters[24]])
                found.append([context.executemany, context.statement, context.execute_style.name])
                found.append([result.inserted_primary_key_rows] if statement is insert else None)
            return found

    both(work)


def test_an_error_shows_rows(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine()
        async with scratch(engine, metadata) as connection:
            with pytest.raises(sa.exc.IntegrityError) as caught:
                await connection.execute(insert, [*numbers(25), {"n": 7}])
            assert isinstance(caught.value.params, list)
            assert list(caught.value.params) == [(n + 100,) for n in range(25)] + [(7,)]
            assert "[parameters: [(100,), (101,)" in str(caught.value)

    run(work())


def test_a_server_that_is_too_old(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine()
        async with scratch(engine, metadata) as connection:
            engine.dialect.server_version_info = (9, 6)
            await connection.execute(insert, numbers(25))
        assert pgflight.stats(engine).array_fallbacks == {"a server before PostgreSQL 10": 1}

    run(work())


class Wrapped:
    """Somebody's cursor around ours."""

    def __init__(self, cursor: Any) -> None:
        self.cursor = cursor

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.cursor, name)


def test_a_cursor_that_somebody_has_wrapped(both: Both) -> None:
    async def work(engine: AsyncEngine) -> Any:
        dialect: Any = engine.dialect
        deliver, many = dialect._deliver_insertmanyvalues_batches, dialect.do_executemany

        def wrapping(connection: Any, cursor: Any, *more: Any) -> Any:
            return deliver(connection, Wrapped(cursor), *more)

        def one_by_one(cursor: Any, *more: Any) -> Any:
            return many(Wrapped(cursor), *more)

        dialect._deliver_insertmanyvalues_batches = wrapping
        dialect.do_executemany = one_by_one
        async with scratch(engine, metadata) as connection:
            found = [
                await _sent(connection, statement, numbers(number))
                for statement in (insert, returning)
                for number in (2, 25)
            ]
            return [found, await _contents(connection)]

    both(work)


def test_input_sizes_are_asked_for_each_value(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine()
        sizes: list[int] = []
        dialect: Any = engine.dialect
        async with scratch(engine, metadata) as connection:
            dialect.bind_typing = sa.engine.interfaces.BindTyping.SETINPUTSIZES
            dialect.do_set_input_sizes = lambda cursor, each, context: sizes.append(len(each))
            given = sa.Table("full_of_arrays", sa.MetaData(), sa.Column("n", sa.Integer))
            await connection.execute(given.insert().returning(given.c.n), numbers(25))
        assert pgflight.stats(engine).array_fallbacks == {"input sizes": 1}
        assert sizes == [25]

    run(work())


def test_large_values_go_in_several_pages(both: Both) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            given = [{"n": n + 100, "data": b"%04d" % n * 225} for n in range(10_000)]
            await connection.execute(insert, given)
            statement = full.insert().returning(full.c.n, sort_by_parameter_order=True)
            huge = [{"n": n + 100, "data": b"%d" % n * 50_000} for n in range(30)]
            returned = (await connection.execute(statement, huge)).all()
            contents = sa.select(full.c.n, sa.func.md5(full.c.data)).order_by(full.c.id)
            return [returned, (await connection.execute(contents)).all()]

    both(work)
