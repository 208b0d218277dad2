"""What a program sees of its parameter sets, before, during and after they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import count
from types import MappingProxyType
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import TypeDecorator

from tests.fixtures.outcome import Both, Failure
from tests.parity.counts import told_by_both
from tests.parity.scratch import apart, scratch

CALLED: list[Any] = []
ticks = count()


class Noted(TypeDecorator[str]):
    """Text that says when it is bound, and refuses one value."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        CALLED.append(value)
        if value == "no":
            raise ValueError(f"refused after {CALLED}")
        return value


metadata = sa.MetaData()
noted = sa.Table(
    "noted_of_sets",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("one", Noted),
    sa.Column("two", Noted),
    sa.Column("n", sa.Integer),
)
given = sa.Table(
    "given_of_sets",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("one", Noted, default=lambda context: f"{context.get_current_parameters()['id']}"),
    sa.Column("n", sa.Integer, default=7, onupdate=lambda: next(ticks)),
)
ROWS = [{"one": f"a{n}", "two": f"b{n}", "n": n} for n in range(5)]
GIVEN = [{"id": 9 - n} for n in range(5)]


def _told(result: Any) -> list[Any]:
    """Return all that a result says of its parameters; some of it is refused."""
    told: list[Any] = [result.context.compiled_parameters]
    for name in (
        "inserted_primary_key",
        "inserted_primary_key_rows",
        "last_inserted_params",
        "last_updated_params",
        "prefetch_cols",
        "postfetch_cols",
    ):
        try:
            value = getattr(result, name)
            value = value() if callable(value) else value
            told.append([str(v) for v in value] if name.endswith("_cols") else value)
        except sa.exc.InvalidRequestError as error:
            told.append(str(error))
    return told


STATEMENTS: dict[str, tuple[Any, Any]] = {
    "select": (sa.select(sa.literal(1) + sa.bindparam("n", type_=sa.Integer)), {"n": 2}),
    "insert": (noted.insert(), ROWS[0]),
    "insert many": (noted.insert(), ROWS),
    "insert returning": (noted.insert().returning(noted.c.id), ROWS),
    "insert given": (given.insert(), GIVEN[0]),
    "insert given many": (given.insert(), GIVEN),
    "insert sorted": (given.insert().returning(given.c.id, sort_by_parameter_order=True), GIVEN),
    "insert values": (noted.insert().values(ROWS), None),
    "insert default": (noted.insert(), {}),
    "update": (given.update().where(given.c.id > sa.bindparam("low")), {"low": 3}),
    "update many": (
        given.update().where(given.c.id == sa.bindparam("low")),
        [{"low": 3}, {"low": 4}],
    ),
    "upsert": (
        pg.insert(given)
        .values(id=sa.bindparam("key"))
        .on_conflict_do_update(index_elements=["id"], set_={"n": sa.bindparam("new")})
        .returning(given.c.id, given.c.n),
        [{"key": n, "new": n * 2} for n in (1, 2, 1)],
    ),
    "called": (sa.select(sa.bindparam("x", callable_=lambda: 5, type_=sa.Integer)), None),
    "literal": (
        sa.select(sa.bindparam("x", 5, type_=sa.Integer, literal_execute=True)),
        {"x": 6},
    ),
    "unique": (
        sa.select(sa.bindparam("x", 1, sa.Integer, unique=True) + sa.literal(3)),
        None,
    ),
    "null": (sa.select(sa.bindparam("x", None, sa.Integer)), {"x": None}),
    "text": (
        sa.text("UPDATE given_of_sets SET n = :n WHERE id = :id AND n <> :n").bindparams(
            sa.bindparam("n", type_=sa.Integer), sa.bindparam("id", type_=sa.Integer)
        ),
        [{"id": n, "n": 2} for n in range(3)],
    ),
    "refused": (noted.insert(), [*ROWS[:3], {"one": "x", "two": "no", "n": 1}, *ROWS[3:]]),
    "refused one": (noted.insert(), {"one": "x", "two": "no", "n": 1}),
    "missing third": (noted.insert(), [*ROWS[:2], {"one": "x"}, {"one": "no"}]),
    "missing of select": (sa.select(sa.bindparam("x", type_=sa.Integer)), None),
    "missing of select named": (sa.select(sa.bindparam("x", type_=sa.Integer)), {"y": 1}),
    "other mappings": (noted.insert(), [MappingProxyType(row) for row in ROWS]),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_what_is_told_afterwards(both: Both, name: str) -> None:
    """The third time, the plan of the cached statement serves single executions, too."""
    statement, parameters = STATEMENTS[name]

    async def send(connection: AsyncConnection) -> Any:
        result: Any = await connection.execute(statement, parameters)
        rows = result.all() if result.returns_rows else None
        return [rows, told_by_both(result), _told(result)]

    async def work(engine: AsyncEngine) -> Any:
        global ticks
        async with scratch(engine, metadata) as connection:
            found = []
            for _ in range(3):
                CALLED.clear()
                ticks = count()
                found.append([await apart(connection, partial(send, connection)), list(CALLED)])
            return found

    assert len(both(work)) == 3


@pytest.mark.parametrize("many", [False, True])
def test_the_program_may_use_its_dictionaries_again(both: Both, many: bool) -> None:
    """What was sent is told, not what the dictionaries hold by now."""

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            found = []
            for n in range(3):
                rows = [{"one": f"x{n}", "two": "y", "n": k} for k in range(3 if many else 1)]
                result: Any = await connection.execute(noted.insert(), rows if many else rows[0])
                for row in rows:
                    row["one"] = "changed"
                    row.pop("n")
                found.append(result.context.compiled_parameters)
            return found

    assert both(work)[1][0] == {"one": "x1", "two": "y", "n": 0}


async def _sent(connection: AsyncConnection, statement: Any, parameters: Any) -> Any:
    result: Any = await connection.execute(statement, parameters)
    rows = result.all() if result.returns_rows else None
    return [rows, result.context.compiled_parameters]


@pytest.mark.parametrize("name", ["select", "insert", "insert many", "insert returning"])
@pytest.mark.parametrize("how", ["clear", "assign", "parameters", "retval"])
def test_an_event_hook_changes_what_it_is_shown(both: Both, name: str, how: str) -> None:
    statement, parameters = STATEMENTS[name]

    async def work(engine: AsyncEngine) -> Any:
        seen: list[Any] = []

        def before(
            conn: Any, cursor: Any, sql: str, sent: Any, context: Any, many: bool
        ) -> tuple[str, Any]:
            seen.append([sql, sent, many])
            if how == "clear":
                for row in context.compiled_parameters:
                    row.clear()
            elif how == "assign":
                context.compiled_parameters = [{"assigned": 1}] * 5
            elif how == "parameters":
                seen.append(list(context.parameters))
                context.parameters.clear()
            elif isinstance(sent, list):
                sent = sent[::-1]
            return f"{sql} -- seen", sent

        event.listen(engine.sync_engine, "before_cursor_execute", before, retval=True)
        async with scratch(engine, metadata) as connection:
            for _ in range(3):
                seen.append(
                    await apart(connection, partial(_sent, connection, statement, parameters))
                )
            stored = (await connection.execute(noted.select())).all()
        return [seen, stored]

    both(work)


def _batches(engine: AsyncEngine) -> list[Any]:
    """Note every batch of "insertmanyvalues" as SQLAlchemy's connection takes it."""
    dialect: Any = engine.dialect
    deliver = dialect._deliver_insertmanyvalues_batches
    seen: list[Any] = []

    def noting(*arguments: Any) -> Any:
        for batch in deliver(*arguments):
            seen.append([type(batch).__name__, batch._asdict()])
            yield batch

    dialect._deliver_insertmanyvalues_batches = noting
    return seen


INSERTS: dict[str, Any] = {
    "returning": noted.insert().returning(noted.c.id, noted.c.n),
    "sorted": noted.insert().returning(noted.c.n, sort_by_parameter_order=True),
    "around": pg.insert(noted)
    .values(id=sa.bindparam("other") + 100)
    .on_conflict_do_update(index_elements=["id"], set_={"one": sa.literal("met")})
    .returning(noted.c.one + sa.literal("!"), noted.c.n),
    "expression": noted.insert()
    .values(one=sa.func.lower(sa.bindparam("one")), n=sa.bindparam("n") * sa.literal(2))
    .returning(noted.c.one, noted.c.n),
    "beside cte": noted.insert()
    .add_cte(sa.select(sa.literal(5).label("x")).cte("five"))
    .returning(noted.c.n, sa.literal(8)),
    "upsert bound": pg.insert(noted)
    .on_conflict_do_update(
        index_elements=["id"], set_={"n": sa.bindparam("other", type_=sa.Integer)}
    )
    .returning(noted.c.n, sort_by_parameter_order=True),
}


async def _paged(
    connection: AsyncConnection, insert: Any, rows: Any, page: int, arrays: bool = False
) -> Any:
    options = {"insertmanyvalues_page_size": page, "array_insert": arrays}
    result: Any = await connection.execute(insert, rows, execution_options=options)
    return [result.all(), result.context.compiled_parameters]


@pytest.mark.parametrize("name", INSERTS)
@pytest.mark.parametrize("page", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("arrays", [False, True], ids=["batches", "arrays"])
def test_batches(both: Both, name: str, page: int, arrays: bool) -> None:
    """Every field of every batch, the text above all; the second time it is not written anew.

    Of those that go through arrays, what comes back and what was kept of the parameters.
    """

    async def work(engine: AsyncEngine) -> Any:
        seen = _batches(engine)
        found = []
        async with scratch(engine, metadata) as connection:
            for size in (2, 7, 7, 14, 15, 3, 4, 5, 6, 7, 2, 30):
                rows = [{"one": f"A{n}", "n": n, "other": n} for n in range(size)]

                send = partial(_paged, connection, INSERTS[name], rows, page, arrays)
                failed = isinstance(outcome := await apart(connection, send), Failure)
                # an error with RETURNING shows what was sent
                found.append([outcome.kind, outcome.pgcode] if failed and arrays else outcome)
        return [found, [] if arrays else seen]

    found, seen = both(work)
    assert arrays or len(seen) >= len(found)


@pytest.mark.parametrize("limit", [0, 4, 9, 30])
def test_batches_under_a_limit_of_parameters(both: Both, limit: int) -> None:
    async def work(engine: AsyncEngine) -> Any:
        dialect: Any = engine.dialect
        dialect.insertmanyvalues_max_parameters = limit
        seen = _batches(engine)
        async with scratch(engine, metadata) as connection:
            for size in (2, 3, 11, 25, 2):
                rows = (ROWS * 5)[:size]
                await _paged(connection, noted.insert().returning(noted.c.id), rows, 1000)
        return seen

    assert sum(len(batch["batch"]) for _, batch in both(work)) == 43


def test_batches_in_other_schemas(both: Both) -> None:
    maps: tuple[Mapping[str | None, str], ...] = ({None: "test_schema"}, {None: "test_schema_2"})

    async def work(engine: AsyncEngine) -> Any:
        seen = _batches(engine)
        for translate in (*maps, *maps, maps[0]):
            mapped = engine.execution_options(schema_translate_map=translate)
            async with mapped.connect() as connection:
                await connection.run_sync(metadata.create_all, checkfirst=False)
                for insert in (INSERTS["returning"], INSERTS["sorted"]):
                    rows = (await connection.execute(insert, ROWS)).all()
                    assert len(rows) == len(ROWS)
                await connection.rollback()
        return seen

    texts = [batch["replaced_statement"] for _, batch in both(work)]
    assert sum("test_schema_2." in text for text in texts) == 4
    assert sum("test_schema." in text for text in texts) == 6


def test_sentinels_that_the_program_gives(both: Both) -> None:
    """Rows come back in the order of their parameters, matched by the primary key's values."""

    async def work(engine: AsyncEngine) -> Any:
        seen = _batches(engine)
        found = []
        insert = given.insert().returning(given.c.id, given.c.n, sort_by_parameter_order=True)
        async with scratch(engine, metadata) as connection:
            for keys in ([5, 3, 9, 1], [14, 13, 12, 11, 10], [20, 20]):
                rows = [{"id": key, "n": key * 2} for key in keys]

                found.append(await apart(connection, partial(_paged, connection, insert, rows, 3)))
        return [found, seen]

    (first, _, last), _ = both(work)
    assert [row.id for row in first[0]] == [5, 3, 9, 1]
    assert isinstance(last, Failure)


def test_cached_statements_take_their_values_from_the_new_one(both: Both) -> None:
    def build(n: int, name: str) -> list[Any]:
        return [
            sa.select(noted.c.id, sa.literal(n), sa.literal(name)).where(noted.c.n > n - 1),
            noted.update().where(noted.c.n == n).values(one=name, two=sa.literal(name) + "!"),
            noted.insert().values(one=name, n=n),
            noted.delete().where(noted.c.one == name, noted.c.n < n),
        ]

    async def work(engine: AsyncEngine) -> Any:
        found = []
        async with scratch(engine, metadata) as connection:
            await connection.execute(noted.insert(), ROWS)
            for n in range(4):
                for statement in build(n, f"name {n}"):
                    result: Any = await connection.execute(statement)
                    rows = result.all() if result.returns_rows else result.rowcount
                    found.append([rows, result.context.compiled_parameters])
            many = noted.update().where(noted.c.n == sa.bindparam("x"))
            for n in range(3):
                statement = many.values(one=f"many {n}")
                await connection.execute(statement, [{"x": 1}, {"x": 2}, {"x": n}])
                found.append(list((await connection.execute(noted.select())).all()))
        return found

    both(work)


def test_contexts_that_have_no_sets(both: Both) -> None:
    async def work(engine: AsyncEngine) -> Any:
        seen: list[Any] = []

        def before(conn: Any, cursor: Any, sql: str, sent: Any, context: Any, many: bool) -> None:
            seen.append(getattr(context, "compiled_parameters", "none"))

        event.listen(engine.sync_engine, "before_cursor_execute", before)
        async with scratch(engine, metadata) as connection:
            await connection.exec_driver_sql("SELECT 1")
            await connection.execute(sa.text("SELECT 1"))
            await connection.scalar(sa.func.now().select().with_only_columns(sa.literal(1)))
        return seen[-3:]

    assert both(work)[:2] == ["none", [{}]]
