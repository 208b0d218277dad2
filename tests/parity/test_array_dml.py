"""UPDATE, DELETE and upserts of many rows: same tables and errors, exact counts with arrays."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import replace
from decimal import Decimal
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


class Loose(TypeDecorator[Any]):
    """A number that may be bound as anything."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        if value == -13:
            raise LookupError("-13")
        return value


metadata = sa.MetaData()
parent = sa.Table("parent_of_dml", metadata, sa.Column("id", sa.Integer, primary_key=True))
item = sa.Table(
    "item_of_dml",
    metadata,
    sa.Column("id", Loose, primary_key=True, autoincrement=False),
    sa.Column("n", sa.Integer, sa.CheckConstraint("n <> -7")),
    sa.Column("short", sa.String(5)),
    sa.Column("code", sa.String(5), unique=True),
    sa.Column("uid", sa.Uuid),
    sa.Column("day", sa.Date),
    sa.Column("doc", pg.JSONB),
    sa.Column("list", pg.ARRAY(sa.Integer)),
    sa.Column("data", sa.LargeBinary),
    sa.Column("up", sa.ForeignKey("parent_of_dml.id")),
    sa.Column("must", sa.Integer, nullable=False, server_default="1"),
    sa.Column("state", sa.Text, onupdate="touched"),
    sa.Column("odd", Loose),
)
free = sa.Table(
    "free_of_dml",
    metadata,
    sa.Column("key", sa.Integer),
    sa.Column("part", sa.Integer),
    sa.Column("n", sa.Integer),
)
ON: Any = {"execution_options": {"array_dml": True}}
bind: Any = sa.bindparam
update = item.update().where(item.c.id == bind("pk"))
delete = item.delete().where(item.c.id == bind("pk"))
insert = pg.insert(item)
upsert = insert.on_conflict_do_update(
    index_elements=["id"], set_={"n": item.c.n + insert.excluded.n, "short": insert.excluded.short}
)
DAY = dt.date(2024, 1, 1)


def uid(n: int) -> uuid.UUID:
    return uuid.UUID(int=n)


async def fill(connection: AsyncConnection, number: int = 60) -> None:
    rows = [
        {"id": n, "n": n + 100, "uid": uid(n), "day": DAY + dt.timedelta(n)} for n in range(number)
    ]
    await connection.execute(item.insert(), rows)
    some = [{"key": n % 7, "part": n % 3, "n": n} for n in range(number)]
    await connection.execute(free.insert(), some)


async def contents(connection: AsyncConnection) -> Any:
    await connection.execute(sa.text("SELECT 1"))
    return [
        (await connection.execute(sa.select(item).order_by(item.c.id))).all(),
        (await connection.execute(sa.select(free).order_by(*free.c))).all(),
    ]


def is_ours(engine: AsyncEngine) -> bool:
    return isinstance(engine.dialect, array_changes.BulkDialect)


def numbers(number: int, **more: Any) -> list[dict[str, Any]]:
    """Return parameters by the key `pk`; from the middle of the table on, and beyond its end."""
    return [{"pk": n + 30, "n": n, "short": f"s{n}", **more} for n in range(number)]


def keys(number: int) -> list[dict[str, Any]]:
    return [{"pk": n + 30} for n in range(number)]


def rows(number: int) -> list[dict[str, Any]]:
    return [{"id": n + 30, "n": n + 1, "short": f"s{n}"} for n in range(number)]


TAKEN: dict[str, tuple[Any, list[dict[str, Any]], int]] = {
    "update": (update, numbers(50), 30),
    "expression": (
        update.values(n=item.c.n + bind("more"), short=sa.func.left(bind("s", type_=sa.Text), 5)),
        [{"pk": n, "more": n * 2, "s": f"a long {n}"} for n in range(40)],
        40,
    ),
    "nulls": (update, [{"pk": n, "n": None, "doc": None if n % 2 else [n]} for n in range(40)], 40),
    "a null among the keys": (update, [*numbers(40), {"pk": None, "n": 5, "short": ""}], 30),
    "by uuid and date": (
        item.update().where(item.c.uid == bind("u"), item.c.day == bind("d")),
        [{"u": uid(n), "d": DAY + dt.timedelta(n + n % 2), "n": n + 8} for n in range(40)],
        20,
    ),
    "rows of one key": (
        free.update().where(free.c.key == bind("k"), free.c.part == bind("p")),
        [{"k": n % 10, "p": n // 10, "n": n} for n in range(40)],
        60,
    ),
    "delete": (delete, keys(50), 30),
    "delete twice": (delete, keys(20) * 2, 20),
    "delete nulls": (delete, [*keys(20), {"pk": None}, {"pk": None}], 20),
    "delete by two": (
        free.delete().where(free.c.key == bind("k"), free.c.part == bind("p")),
        [{"k": n % 10, "p": n // 10} for n in range(20)] * 2,
        40,
    ),
    "upsert": (upsert, rows(50), 50),
    "upsert with constants": (
        insert.on_conflict_do_update(
            constraint=item.primary_key,
            set_={
                "n": 5,
                "must": sa.func.coalesce(insert.excluded.n, item.c.n),
                "id": insert.excluded.id,
            },
            where=item.c.n > 140,
        ),
        rows(50),
        20 + 19,
    ),
}


async def _sent(connection: AsyncConnection, statement: Any, given: Any, page: int = 1000) -> Any:
    options = {"insertmanyvalues_page_size": page}
    result: Any = await connection.execute(statement, given, execution_options=options)
    return result.rowcount, result.context.compiled_parameters


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize("watched", [False, True], ids=["quiet", "events"])
@pytest.mark.parametrize("page", [7, 1000])
def test_arrays_do_the_same(both: Both, name: str, watched: bool, page: int) -> None:
    statement, given, changed = TAKEN[name]

    async def work(engine: AsyncEngine) -> Any:
        seen = executions_of(engine) if watched else []
        async with scratch(engine, metadata) as connection:
            await fill(connection)
            seen.clear()
            before_it = pgflight.stats(engine) if is_ours(engine) else None
            count, parameters = await _sent(connection, statement, given, page)
            if before_it is not None:
                assert count == changed
                after = pgflight.stats(engine)
                assert (after.array_dml, after.array_fallbacks) == (1, before_it.array_fallbacks)
                assert after.array_inserts == before_it.array_inserts
            else:
                assert count == -1
            return [parameters, list(seen), await contents(connection)]

    both(work, **ON)


OTHERS = sa.select(bind("b", type_=sa.Integer).label("x")).cte("other")
LEFT: dict[str, tuple[Any, list[dict[str, Any]], str]] = {
    "few updates": (update, numbers(29), "fewer than 30 rows"),
    "few deletes": (delete, keys(19), "fewer than 20 rows"),
    "few upserts": (upsert, rows(19), "fewer than 20 rows"),
    "a key twice": (
        update.values(n=item.c.n + bind("more")),
        [{"pk": n % 30, "more": n} for n in range(40)],
        "a key that comes twice",
    ),
    "a null twice": (update, [*numbers(40), *numbers(2, pk=None)], "a key that comes twice"),
    "a true key": (
        update,
        [*numbers(40), {"pk": True, "n": 5, "short": ""}],
        "a key value of another class",
    ),
    "uuids as texts": (
        item.update().where(item.c.uid == bind("u")),
        [{"u": (str, str.upper)[n % 2](str(uid(n // 2 + 11))), "n": n} for n in range(40)],
        "a key value of another class",
    ),
    "days as moments": (
        item.update().where(item.c.day == bind("d")),
        [{"d": dt.datetime(2024, 1, 9, n % 24, n), "n": n + 10} for n in range(40)],
        "a key value of another class",
    ),
    "a key in set": (
        item.update().where(item.c.n == bind("was")),
        [{"was": n + 101, "n": n + 102} for n in range(40)],
        "a key column in SET",
    ),
    "unique values that move on": (
        update,
        [{"pk": n, "code": f"c{n}"} for n in range(40)],
        "a column of a unique constraint in SET",
    ),
    "an upsert twice": (upsert, rows(20) * 2, "a key that comes twice"),
    "an upsert of its parameters": (
        insert.on_conflict_do_update(index_elements=["id"], set_={"n": bind("b")}),
        [{**row, "b": n} for n, row in enumerate(rows(40))],
        "parameters outside of VALUES that differ",
    ),
    "upsert with numbers of another scale": (
        insert.on_conflict_do_update(
            index_elements=["id"], set_={"short": sa.cast(bind("b", type_=sa.Numeric), sa.Text)}
        ),
        [{"id": n, "b": Decimal("1.0" if n % 2 else "1.00")} for n in range(40)],
        "parameters outside of VALUES that differ",
    ),
    "an upsert that moves its key": (
        insert.on_conflict_do_update(index_elements=["id"], set_={"id": insert.excluded.id + 1000}),
        rows(40),
        "a key column in SET",
    ),
    "an upsert that counts": (
        insert.on_conflict_do_update(
            index_elements=["id"],
            set_={"n": sa.select(sa.func.count()).select_from(item).scalar_subquery()},
        ),
        rows(40),
        "ScalarSelect in SET",
    ),
    "an upsert of texts": (
        insert.on_conflict_do_update(index_elements=["code"], set_={"n": 5}),
        [{"id": n + 100, "code": f"c{n % 30}"} for n in range(40)],
        "a key of type String",
    ),
    "a query": (
        update.values(n=sa.select(sa.func.max(item.c.n) + 1).scalar_subquery()),
        keys(40),
        "ScalarSelect in SET",
    ),
    "a list": (update, [{"pk": n, "list": [n]} for n in range(40)], "type ARRAY"),
    "large rows": (
        update,
        [{"pk": n, "data": b"x" * 11_000} for n in range(40)],
        "rows of more than 10 KB",
    ),
    "no where": (
        free.update().values(n=free.c.n + bind("x")),
        [{"x": n} for n in range(40)],
        "WHERE with more than columns that equal parameters",
    ),
    "a range": (
        item.delete().where(item.c.n.between(bind("a"), bind("b"))),
        [{"a": n + 100, "b": n + 101} for n in range(40)],
        "WHERE with more than columns that equal parameters",
    ),
    "a cte": (
        update.add_cte(OTHERS),
        [{**row, "b": 5} for row in numbers(40)],
        "a statement of more than SET and WHERE",
    ),
}


@pytest.mark.parametrize("name", LEFT)
def test_the_usual_way_is_taken_and_its_reason_counted(both: Both, name: str) -> None:
    statement, given, reason = LEFT[name]

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            await fill(connection)
            for _ in range(2):
                _, sent = await _sent(connection, statement, given)
            if is_ours(engine):
                counted = pgflight.stats(engine)
                assert (counted.array_dml, counted.array_fallbacks) == (0, {reason: 2})
            return [sent, await contents(connection)]

    both(work, **ON)


def test_values_that_move_past_each_other(both: Both) -> None:
    """Row by row in the order given: no unique value is there twice at any time."""

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            await connection.execute(item.insert(), [{"id": n, "code": f"{n}"} for n in range(40)])
            moved = [{"pk": n, "code": f"{n + 1}"} for n in reversed(range(40))]
            await connection.execute(update, moved)

            async def again() -> Any:
                return (await _sent(connection, update, moved[::-1][1:]))[1]

            return [await apart(connection, again), await contents(connection)]

    both(work, **ON)


BAD: dict[str, dict[str, Any]] = {
    "not null": {"must": None},
    "too long": {"short": "sixsix"},
    "foreign key": {"up": -1},
    "check": {"n": -7},
    "overflow": {"n": 2**40},
    "overflow of a key": {"pk": 2**40},
    "a text for a number": {"n": "five"},
    "a text for a key": {"pk": "five"},
    "a list for a number": {"n": [1, 2]},
    "a list for a key": {"pk": [1, 2]},
    "an object": {"n": object},
    "nul": {"short": "a\0b"},
    "a processor": {"odd": -13},
    "a processor of the key": {"pk": -13},
    "a missing key": {},
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize(("at", "hidden"), [(0, False), (34, True), (1500, False)])
@pytest.mark.parametrize("kind", ["update", "upsert", "delete"])
def test_errors_are_the_same(both: Both, kind: str, name: str, at: int, hidden: bool) -> None:
    """Class, SQLSTATE, text, statement and parameters; and whether the transaction goes on."""
    statement = {"update": update, "upsert": upsert, "delete": delete}[kind]
    plain = {"n": 1, "short": None, "must": 1, "up": None, "odd": 1} if kind != "delete" else {}
    given = [{"pk": n + 20, **plain} for n in range(at + 36)]
    given[at].update(BAD[name])
    if name == "a missing key":
        del given[at or 1]["pk" if kind == "delete" else "must"]
    if kind == "upsert":
        for row in given:
            row["id"] = row.pop("pk", None)

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            await fill(connection, 1600)
            failure = await attempt(_sent(connection, statement, given))
            goes_on = await attempt(connection.scalar(sa.select(sa.literal(5))))
            if not hasattr(failure, "params"):  # a value that a DELETE has no column for
                return [failure[1], goes_on]
            if isinstance(failure.params, tuple):  # a list of a kind of its own
                shown, sets = failure.params
                assert shown == "pgflight.bulk.column_rows.ColumnRows"
                failure = replace(failure, params=sets)
            return [failure, getattr(goes_on, "pgcode", goes_on)]

    both(work, hide_parameters=hidden, **ON)


def test_autocommit_is_atomic(both: Both) -> None:
    """All rows or none, as with executemany(): more than a page does not go through arrays."""

    async def work(engine: AsyncEngine) -> Any:
        found = []
        auto = engine.execution_options(isolation_level="AUTOCOMMIT")
        table = sa.Table(
            "autocommitted_dml",
            sa.MetaData(),
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("n", sa.Integer),
            prefixes=["TEMPORARY"],
        )
        change = table.update().where(table.c.id == bind("pk"))
        async with auto.connect() as connection:
            await connection.run_sync(table.create)
            await connection.execute(table.insert(), [{"id": n, "n": 0} for n in range(3000)])
            for number, wrong in ((50, 49), (50, None), (2500, 2400), (2500, None)):
                given = [{"pk": n, "n": "no" if n == wrong else n + number} for n in range(number)]
                send = _sent(connection, change, given)
                found.append(await refused(send) if wrong is not None else (await send)[1])
                found.append(await connection.scalar(sa.select(sa.func.sum(table.c.n))))
            await connection.execute(sa.text("DROP TABLE autocommitted_dml"))
        if is_ours(engine):
            counted = pgflight.stats(engine)
            assert counted.array_dml == 1
            assert counted.array_fallbacks == {
                "more than a page in AUTOCOMMIT": 2,
                "a value that asyncpg refuses": 1,
            }
        return found

    both(work, **ON)


@pytest.mark.parametrize(
    ("options", "used"),
    [
        ({}, False),
        ({"array_dml": True}, True),
        ({"array_dml": True, "array_insert": False}, None),
        ({"connect_args": {"array_dml": "true"}}, True),
        ({"array_dml": False, "connect_args": {"array_dml": True}}, False),
        ({"execution_options": {"array_dml": True}}, True),
        ({"array_dml": True, "execution_options": {"array_dml": False}}, False),
    ],
    ids=str,
)
def test_the_switch(pgflight_dialect: Dialect, options: dict[str, Any], used: bool | None) -> None:
    """Upserts are INSERTs as well: `array_insert=False` is for them, too."""

    async def work() -> None:
        engine = pgflight_dialect.engine(**options)
        async with scratch(engine, metadata) as connection:
            await connection.execute(upsert, rows(30))
            await connection.execute(update, numbers(30))
            await connection.execute(delete, keys(30))
        counted = pgflight.stats(engine)
        why = {True: {}, False: {"ON CONFLICT DO UPDATE": 1}, None: {"array_insert is off": 1}}
        assert counted.array_dml == {True: 3, False: 0, None: 2}[used]
        assert counted.array_fallbacks == why[used]

    run(work())


def test_the_switch_of_a_statement_and_of_the_url(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        url = pgflight_dialect.url().update_query_dict({"array_dml": "on"})
        engine = pgflight_dialect.engine(url)
        async with scratch(engine, metadata) as connection:
            await connection.execute(update, numbers(30))
            await connection.execute(update.execution_options(array_dml=False), numbers(30))
        assert pgflight.stats(engine).array_dml == 1
        for wrong in ("maybe", 7):
            with pytest.raises(sa.exc.ArgumentError, match="array_dml"):
                pgflight_dialect.engine(array_dml=wrong)

    run(work())


def test_one_prepared_statement_serves_any_number_of_rows(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(array_dml=True)
        async with scratch(engine, metadata) as connection:
            await fill(connection)
            for number in range(30, 45):
                await connection.execute(update, numbers(number))
                await connection.execute(delete, keys(number))
            count = sa.text(
                "SELECT count(*) FROM pg_prepared_statements WHERE statement ~ '^(UPDATE|DELETE)'"
            )
            assert await connection.scalar(count) == 2

    run(work())


def test_a_translated_schema(both: Both) -> None:
    async def work(engine: AsyncEngine) -> Any:
        own = sa.MetaData(schema="made_up")
        table = sa.Table(
            "translated_dml",
            own,
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("mood", sa.Enum("good", "bad", name="mood_of_dml", schema="made_up")),
        )
        change = table.update().where(table.c.id == bind("pk"))
        changed = [{"pk": n, "mood": ("good", "bad", None)[n % 3]} for n in range(40)]
        found = []
        async with engine.connect() as connection:
            for schema in ("test_schema", "test_schema_2"):
                translated = await connection.execution_options(
                    schema_translate_map={"made_up": schema}
                )
                await translated.run_sync(own.create_all, checkfirst=False)
                await translated.execute(table.insert(), [{"id": n} for n in range(40)])
                await translated.execute(change, changed)
                found.append((await translated.execute(table.select().order_by(table.c.id))).all())
            await connection.rollback()
        if is_ours(engine):
            assert pgflight.stats(engine).array_dml == 2
        return found

    both(work, **ON)


def test_a_hook_that_rewrites(both: Both) -> None:
    async def work(engine: AsyncEngine) -> Any:
        def rewrite(conn: Any, cur: Any, text: str, given: Any, context: Any, many: bool) -> Any:
            return (
                (f"{text} /* traced */", given) if many and "INSERT" not in text else (text, given)
            )

        event.listen(engine.sync_engine, "before_cursor_execute", rewrite, retval=True)
        async with scratch(engine, metadata) as connection:
            await fill(connection)
            await connection.execute(update, numbers(40))
            await connection.execute(delete, keys(20))
            if is_ours(engine):
                assert pgflight.stats(engine).array_fallbacks == {array_changes._REWRITTEN: 2}
            return await contents(connection)

    both(work, **ON)
