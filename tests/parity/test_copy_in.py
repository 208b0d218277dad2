"""`pgflight.copy_in`: what stands in a table afterwards is what an INSERT would have put there."""

from __future__ import annotations

import asyncio
import enum
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import TypeDecorator

import pgflight
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both
from tests.fixtures.server import Server
from tests.parity.scratch import apart, committed, own, scratch
from tests.parity.test_sync import sync_engine

ROWS_OF_SEVERAL_PAGES = 2500


class Mood(enum.Enum):
    GOOD = 1
    BAD = 2


class Doubled(TypeDecorator[int]):
    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Any) -> int | None:
        return None if value is None else value * 2


def _of_context(context: Any) -> str:
    assert context.dialect.name == context.engine.name == "postgresql"
    return f"{context.current_column.name} of {context.get_current_parameters()['n']}"


metadata = sa.MetaData()
counting = iter(range(10**9))
things = sa.Table(
    own("copied_things"),
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("n", sa.Integer),
    sa.Column("a name", sa.String(5), key="label"),
    sa.Column("mood", sa.Enum(Mood, name=own("copied_mood")), default=Mood.BAD),
    sa.Column("doc", pg.JSONB),
    sa.Column("twice", Doubled, default=21),
    sa.Column("made", sa.Integer, default=lambda: next(counting)),
    sa.Column("told", sa.Text, default=_of_context),
    sa.Column("price", sa.Numeric(8, 2), server_default="7"),
    sa.Column("sum", sa.Integer, sa.Computed("n + 1", persisted=True)),
)
bits = sa.Table(own("copied_bits"), metadata, sa.Column("four", pg.BIT(4)))
required = sa.Table(
    own("copied_required"),
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("n", sa.Integer, sa.CheckConstraint("n < 100"), nullable=False),
    sa.Column("of", sa.ForeignKey(things.c.id)),
)


class Base(DeclarativeBase):
    metadata = metadata


class Animal(Base):
    __tablename__ = own("copied_animals")
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    called: Mapped[str] = mapped_column("name")
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {  # noqa: RUF012
        "polymorphic_on": "kind",
        "polymorphic_identity": "animal",
        "version_id_col": version,
    }


class Dog(Animal):
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012


@pytest.fixture
def ours(pgflight_dialect: Dialect) -> Dialect:
    return pgflight_dialect


def work(dialect: Dialect, body: Any, **options: Any) -> Any:
    """Run `body` on a connection of a transaction that is rolled back."""

    async def run() -> Any:
        async with scratch(dialect.engine(**options), metadata) as connection:
            return await body(connection)

    return asyncio.run(run())


async def rows_of(connection: AsyncConnection, table: sa.Table) -> list[Any]:
    return [tuple(row) for row in await connection.execute(sa.select(table))]


async def count(connection: AsyncConnection, table: sa.Table) -> Any:
    return await connection.scalar(sa.select(sa.func.count()).select_from(table))


ROWS: list[dict[str, Any]] = [
    {"n": 1, "label": "one", "doc": {"a": [1]}, "mood": Mood.GOOD},
    {"n": 2, "label": None, "doc": None, "mood": None},
    {"n": None, "label": "it's", "doc": "text", "mood": Mood.BAD},
]


@pytest.mark.parametrize("keys", [("n",), ("n", "label"), ("n", "label", "doc", "mood")])
def test_mappings_defaults_and_what_the_server_fills_in(both: Both, keys: tuple[str, ...]) -> None:
    rows = [{key: row[key] for key in keys} for row in ROWS]

    async def body(engine: AsyncEngine) -> Any:
        global counting
        counting = iter(range(10**9))
        async with scratch(engine, metadata) as connection:
            if connection.dialect.__class__.__module__ == "pgflight.dialect":
                assert await pgflight.copy_in(connection, things, rows) == len(rows)
            else:
                await connection.execute(things.insert(), rows)
            return await rows_of(connection, things)

    assert len(both(body)) == len(rows)


def test_sequences_go_by_columns(ours: Dialect) -> None:
    async def body(connection: AsyncConnection) -> Any:
        rows = [(1, "x"), [2, "y"]]
        for columns in (["n", "label"], [things.c.n, things.c.label]):
            await pgflight.copy_in(connection, things, rows, columns)
        got = await connection.execute(sa.select(things.c.n, things.c.label))
        await pgflight.copy_in(connection, required, got.all()[:0])
        return [tuple(row) for row in await rows_of(connection, things)]

    assert [row[1:3] for row in work(ours, body)] == [(1, "x"), (2, "y")] * 2


def test_rows_of_a_result_and_all_columns_in_order(ours: Dialect) -> None:
    async def body(connection: AsyncConnection) -> Any:
        await pgflight.copy_in(connection, required, [(1, 2, None), (3, 4, None)])
        got = (await connection.execute(sa.select(required))).all()
        await connection.execute(required.delete())
        await pgflight.copy_in(connection, required, got)
        mappings = (await connection.execute(sa.select(required))).mappings().all()
        await connection.execute(required.delete())
        await pgflight.copy_in(connection, required, mappings)
        return await rows_of(connection, required)

    assert work(ours, body) == [(1, 2, None), (3, 4, None)]


async def _from_database(numbers: range) -> AsyncIterator[dict[str, int]]:
    for n in numbers:
        await asyncio.sleep(0)
        yield {"n": n}


def _generated(numbers: range) -> Iterator[dict[str, int]]:
    yield from ({"n": n} for n in numbers)


@pytest.mark.parametrize("source", [_generated, _from_database])
@pytest.mark.parametrize("number", [0, 1, 99, 100, 101, ROWS_OF_SEVERAL_PAGES])
def test_any_iterable_in_pages(ours: Dialect, source: Any, number: int) -> None:
    async def body(connection: AsyncConnection) -> Any:
        seen: list[tuple[int, Any]] = []

        async def progress(rows: int, sent: int | None) -> None:
            seen.append((rows, sent))

        copied = await pgflight.copy_in(
            connection, things, source(range(number)), progress=progress
        )
        numbers = await connection.scalars(sa.select(things.c.n).order_by(things.c.id))
        return copied, numbers.all(), seen

    copied, numbers, seen = work(ours, body)
    assert copied == number
    assert numbers == list(range(number))
    assert [rows for rows, _ in seen] == sorted(rows for rows, _ in seen)
    if number:
        assert seen[-1][0] == number


def test_memory_stays_bounded(ours: Dialect) -> None:
    """40 MB pass through; one page and asyncpg's buffer of 512 KB are there at a time."""

    async def body(connection: AsyncConnection) -> Any:
        text = sa.Table("copied_text", sa.MetaData(), sa.Column("t", sa.Text))
        await connection.run_sync(text.create)
        await pgflight.copy_in(connection, text, [("x",)])
        tracemalloc.start()
        try:
            rows = ((f"{n:09}" * 1000,) for n in range(4500))
            await pgflight.copy_in(connection, text, rows)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert work(ours, body) < 8_000_000


def test_the_loop_has_its_turns(ours: Dialect) -> None:
    async def body(connection: AsyncConnection) -> int:
        turns = 0

        async def tick() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        ticking = asyncio.ensure_future(tick())
        await pgflight.copy_in(connection, things, _generated(range(30_000)))
        ticking.cancel()
        return turns

    assert work(ours, body) > 3


WRONG: dict[str, tuple[Any, Any, str, str | None, int, str | None]] = {
    "too long": (
        things,
        [{"n": 1, "label": "short"}, {"n": 1, "label": "longer"}],
        "DataError",
        "22001",
        2,
        "a name",
    ),
    "no number": (things, [{"n": 1}] * 150 + [{"n": "x"}], "DataError", "22000", 151, "n"),
    "too large": (things, [{"n": 2**40}], "DataError", "22000", 1, "n"),
    "null": (required, [(1, 1, None), (2, None, None)], "IntegrityError", "23502", 2, "n"),
    "twice": (required, [(1, 1, None), (1, 1, None)], "IntegrityError", "23505", 2, None),
    "check": (required, [(1, 1, None), (2, 101, None)], "IntegrityError", "23514", 2, None),
    "mood": (
        things,
        [{"n": 1, "mood": None}, {"n": 1, "mood": "no mood"}],
        "DataError",
        "22P02",
        2,
        "mood",
    ),
    "document": (
        things,
        [{"n": 1, "doc": 1}, {"n": 1, "doc": object}],
        "StatementError",
        None,
        2,
        "doc",
    ),
    "later key": (things, [{"n": 1, "doc": 2}, {"n": 1}], "StatementError", None, 2, "doc"),
    "length": (required, [(1, 1, None), (2,)], "StatementError", None, 2, None),
    "surrogate": (
        things,
        [{"n": 1, "label": "a"}, {"n": 1, "label": "\ud800"}],
        "DataError",
        "22000",
        2,
        "a name",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_error_names_row_and_column_and_nothing_is_stored(ours: Dialect, case: str) -> None:
    table, rows, kind, code, row, column = WRONG[case]

    async def body(connection: AsyncConnection) -> Any:
        failure = await apart(connection, lambda: pgflight.copy_in(connection, table, rows))
        assert await count(connection, table) == 0
        with pytest.raises(sa.exc.SQLAlchemyError) as raised:
            await pgflight.copy_in(connection, table, rows)
        return failure, raised.value

    failure, error = work(ours, body)
    assert failure.kind == kind
    assert failure.pgcode == code
    assert f"(row {row}" in str(error)
    if column is not None:
        assert f"column {column!r}" in str(error) or error.orig.column_name == column
    if isinstance(error, sa.exc.DBAPIError):
        assert type(error.orig).__module__ == "pgflight.dbapi.errors"
        orig: Any = error.orig
        assert orig.row == row


def test_a_wrong_value_beside_one_without_a_binary_form(ours: Dialect) -> None:
    async def body(connection: AsyncConnection) -> Any:
        table = sa.Table(
            "copied_money", sa.MetaData(), sa.Column("fee", pg.MONEY), sa.Column("n", sa.Integer)
        )
        await connection.run_sync(table.create)
        outcomes = []
        for wrong in ("x", 2**31, "\ud800"):
            rows = [("$1.00", 1), ("$2.00", wrong)]
            outcomes.append(
                await apart(connection, partial(pgflight.copy_in, connection, table, rows))
            )
        text = [("$1.00", 1), ("a\tb", 2)]
        outcomes.append(await apart(connection, lambda: pgflight.copy_in(connection, table, text)))
        return outcomes

    one, two, three, four = work(ours, body)
    assert "invalid input for query argument $2: 'x'" in one.text
    assert "(row 2, column 'n')" in one.text
    assert two.pgcode == "22003" and "(row 2, column 'n')" in two.text
    assert "(row 2, column 'n')" in three.text
    assert four.pgcode == "22P02" and "(row 2, column 'fee')" in four.text


def test_a_foreign_key_is_checked_at_the_end(ours: Dialect) -> None:
    async def body(connection: AsyncConnection) -> Any:
        return await apart(
            connection, lambda: pgflight.copy_in(connection, required, [(1, 1, None), (2, 2, 99)])
        )

    assert work(ours, body).pgcode == "23503"


class Broken(Exception):
    """The program's own."""


@pytest.mark.parametrize("after", [0, 1, 150, ROWS_OF_SEVERAL_PAGES])
@pytest.mark.parametrize("fee", [False, True])
def test_an_error_of_the_rows_is_the_programs(ours: Dialect, after: int, fee: bool) -> None:
    def rows() -> Iterator[Any]:
        for n in range(after):
            yield (n, "$1.00") if fee else (n,)
        raise Broken("\0" + "x" * 20_000)  # more than CopyFail may say

    async def body(connection: AsyncConnection) -> Any:
        table = sa.Table("copied_broken", sa.MetaData(), sa.Column("n", sa.Integer))
        if fee:
            table.append_column(sa.Column("fee", pg.MONEY))
        await connection.run_sync(table.create)
        with pytest.raises(Broken):
            async with connection.begin_nested():
                await pgflight.copy_in(connection, table, rows())
        return await count(connection, table)

    assert work(ours, body) == 0


def test_a_server_that_has_refused_is_sent_no_more(ours: Dialect) -> None:
    read = 0

    def endless() -> Iterator[tuple[int, int, None]]:
        nonlocal read
        while True:
            read += 1
            yield 1, 1, None

    async def body(connection: AsyncConnection) -> Any:
        return await apart(connection, lambda: pgflight.copy_in(connection, required, endless()))

    if pgflight_driver_is_public():
        pytest.skip("asyncpg's own copy_records_to_table() asks at the end only")
    assert work(ours, body).pgcode == "23505"
    assert read < 1_000_000


def pgflight_driver_is_public() -> bool:
    from pgflight import driver

    return driver.capabilities().level == "public"


def test_the_connection_cannot_make_its_own_rows(ours: Dialect) -> None:
    async def body(connection: AsyncConnection) -> Any:
        async def rows() -> AsyncIterator[dict[str, int]]:
            yield {"n": 1}
            await connection.execute(sa.text("SELECT 1"))

        return await apart(connection, lambda: pgflight.copy_in(connection, things, rows()))

    failure = work(ours, body)
    assert failure.kind == "InterfaceError"
    assert "busy with a COPY" in failure.text


REFUSED: dict[str, tuple[Any, Any, Any, type[Exception], str]] = {
    "unknown key": (things, [{"nothing": 1}], None, sa.exc.CompileError, "Unconsumed column"),
    "unknown column": (things, [(1,)], ["nothing"], sa.exc.CompileError, "Unconsumed column"),
    "twice": (things, [(1, 2)], ["n", "n"], sa.exc.ArgumentError, "named twice"),
    "no table": ("things", [(1,)], None, sa.exc.ArgumentError, "a Table"),
    "text": (things, ["abc"], ["n"], sa.exc.ArgumentError, "mapping or a sequence"),
    "object": (Animal, [Dog(called="x")], None, sa.exc.ArgumentError, "persistent"),
    "number": (things, [1], ["n"], sa.exc.ArgumentError, "mapping or a sequence"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_copied_is_refused_before_anything_is_sent(ours: Dialect, case: str) -> None:
    table, rows, columns, kind, text = REFUSED[case]

    async def body(connection: AsyncConnection) -> Any:
        with pytest.raises(kind, match=text):
            await pgflight.copy_in(connection, table, rows, columns)
        return await connection.scalar(sa.text("SELECT 42"))

    assert work(ours, body) == 42


class Loud(sa.types.UserDefinedType[str]):
    cache_ok = True

    def get_col_spec(self, **kw: Any) -> str:
        return "TEXT"

    def bind_expression(self, bindvalue: Any) -> Any:
        return sa.func.upper(bindvalue)


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (lambda: sa.Column("x", Loud), "SQL expression"),
        (lambda: sa.Column("y", sa.Integer, default=sa.func.random()), "the default of"),
        (lambda: sa.Column("y", sa.Integer, sa.Sequence("copied_seq")), "a sequence"),
    ],
)
def test_what_only_the_server_can_compute_is_refused(ours: Dialect, column: Any, text: str) -> None:
    table = sa.Table("copied_no", sa.MetaData(), sa.Column("x", sa.Text), extend_existing=True)
    table.append_column(column(), replace_existing=True)

    async def body(connection: AsyncConnection) -> None:
        with pytest.raises(sa.exc.ArgumentError, match=text):
            await pgflight.copy_in(connection, table, [{"x": "a"}])

    work(ours, body)


def test_a_type_that_would_change_the_value_is_refused(ours: Dialect) -> None:
    async def body(connection: AsyncConnection) -> None:
        await connection.execute(sa.text("CREATE TEMPORARY TABLE copied_zone (t timestamptz)"))
        table = sa.Table("copied_zone", sa.MetaData(), sa.Column("t", sa.DateTime))
        with pytest.raises(sa.exc.ArgumentError, match="timestamp in the Table and timestamptz"):
            await pgflight.copy_in(connection, table, [(None,)])

    work(ours, body)


def test_bits_fit_as_an_insert_makes_them_fit(both: Both) -> None:
    from tests.parity.value_cases import BITS

    rows = [{"four": BITS(text)} for text in ("1", "0101", "111111")]

    async def body(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            if connection.dialect.__class__.__module__ == "pgflight.dialect":
                await pgflight.copy_in(connection, bits, rows)
            else:
                await connection.execute(bits.insert(), rows)
            return await rows_of(connection, bits)

    both(body)


def test_what_passes_for_a_boolean(both: Both) -> None:
    rows = [{"b": value} for value in (True, False, None, 1, 0)]

    async def body(engine: AsyncEngine) -> Any:
        table = sa.Table("copied_bool", sa.MetaData(), sa.Column("b", sa.Boolean))
        async with scratch(engine, table.metadata) as connection:
            if connection.dialect.__class__.__module__ == "pgflight.dialect":
                await pgflight.copy_in(connection, table, rows[:3])
                await pgflight.copy_in(connection, table, rows[3:])
                wrong = partial(pgflight.copy_in, connection, table, [(2,)])
                refused = await apart(connection, wrong)
                assert "(row 1, column 'b')" in refused.text
            else:
                await connection.execute(table.insert(), rows)
            return await rows_of(connection, table)

    both(body)


def test_ddl_of_somebody_else_between_two_copies(ours: Dialect) -> None:
    """Four bytes of an integer make a float as well: the types are asked for each time."""
    table = sa.Table(own("copied_changing"), sa.MetaData(), sa.Column("n", sa.Float))

    async def run() -> Any:
        engine = ours.engine()
        async with committed(engine, table.metadata):
            async with engine.connect() as connection:
                await pgflight.copy_in(connection, table, [(1,)])
                await connection.commit()
                async with ours.engine().begin() as other:
                    await other.execute(
                        sa.text(f"ALTER TABLE {table.name} ALTER n TYPE numeric").execution_options(
                            autocommit=True
                        )
                    )
                with pytest.raises(sa.exc.ArgumentError, match="numeric on the server"):
                    await pgflight.copy_in(connection, table, [(2,)])
                await connection.rollback()
                async with ours.engine().begin() as other:
                    await other.execute(sa.text(f"ALTER TABLE {table.name} ALTER n TYPE real"))
                await pgflight.copy_in(connection, table, [(2,)])
                return await rows_of(connection, table)

    assert asyncio.run(run()) == [(1.0,), (2.0,)]


def test_it_belongs_to_the_transaction(ours: Dialect) -> None:
    async def run() -> Any:
        engine = ours.engine()
        seen = []
        async with committed(engine, metadata):
            async with engine.connect() as connection:
                await pgflight.copy_in(connection, required, [(1, 1, None)])
                assert connection.in_transaction()
                await connection.rollback()
                seen.append(await count(connection, required))
                await pgflight.copy_in(connection, required, [(2, 2, None)])
                await connection.commit()
                with pytest.raises(sa.exc.IntegrityError):
                    await pgflight.copy_in(connection, required, [(3, 3, None), (2, 2, None)])
                with pytest.raises(sa.exc.DBAPIError, match="aborted"):
                    await connection.execute(sa.text("SELECT 1"))
                await connection.rollback()
                seen.append(await rows_of(connection, required))
        return seen

    assert asyncio.run(run()) == [0, [(2, 2, None)]]


def test_it_is_atomic_in_autocommit(ours: Dialect) -> None:
    async def run() -> Any:
        engine = ours.engine()
        async with committed(engine, metadata):
            auto = engine.execution_options(isolation_level="AUTOCOMMIT")
            async with auto.connect() as connection:
                await pgflight.copy_in(connection, required, [(1, 1, None)])
                with pytest.raises(sa.exc.IntegrityError):
                    await pgflight.copy_in(connection, required, [(2, 2, None), (1, 1, None)])
                with pytest.raises(Broken):
                    await pgflight.copy_in(connection, required, _breaking())
                assert await connection.scalar(sa.text("SELECT 42")) == 42
            async with engine.connect() as connection:
                return await rows_of(connection, required)

    assert asyncio.run(run()) == [(1, 1, None)]


def _breaking() -> Iterator[Any]:
    yield 5, 5, None
    raise Broken


@pytest.mark.parametrize("pipeline", ["auto", "begin", "off"])
def test_begin_is_awaited_before_a_copy(ours: Dialect, pipeline: str) -> None:
    """BEGIN in front of COPY would hang where it fails, as here: read only, then deferred ends."""

    async def run() -> Any:
        engine = ours.engine(pipeline=pipeline)
        async with committed(engine, metadata):
            async with engine.connect() as connection:
                await connection.execute(sa.text("SELECT 1"))
                await connection.rollback()  # not awaited where the pipeline is on
                await pgflight.copy_in(connection, required, [(1, 1, None)])
                await connection.commit()
                return pgflight.stats(engine).units_of_work, await rows_of(connection, required)

    assert asyncio.run(run())[1] == [(1, 1, None)]


def test_events_see_a_copy(ours: Dialect) -> None:
    async def run() -> Any:
        engine = ours.engine()
        seen: list[str] = []
        event.listen(
            engine.sync_engine,
            "before_cursor_execute",
            lambda conn, cursor, statement, *rest: seen.append(statement),
        )
        async with scratch(engine, metadata) as connection:
            seen.clear()
            await pgflight.copy_in(connection, things, [{"label": "x", "n": 1}], ["n", "label"])
        return seen

    (statement,) = asyncio.run(run())
    assert statement.startswith(f'COPY {things.name} (n, "a name", mood, ')


def test_schema_translation(ours: Dialect) -> None:
    async def body(connection: AsyncConnection) -> Any:
        await connection.execute(sa.text('CREATE SCHEMA "copied Schema"'))
        table = sa.Table("t", sa.MetaData(), sa.Column("n", sa.Integer), schema="other")
        translated = await connection.execution_options(
            schema_translate_map={"other": "copied Schema"}
        )
        await translated.run_sync(table.create)
        await pgflight.copy_in(translated, table, [(1,), (2,)])
        return (await connection.execute(sa.text('SELECT n FROM "copied Schema".t'))).all()

    assert work(ours, body) == [(1,), (2,)]


def test_mapped_classes_and_sessions(both: Both) -> None:
    rows = [{"called": "Rex"}, {"called": "Bello"}]

    async def body(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            async with AsyncSession(connection) as session:
                if connection.dialect.__class__.__module__ == "pgflight.dialect":
                    await pgflight.copy_in(session, Dog, rows)
                else:
                    await session.execute(sa.insert(Dog), rows)
                dogs = (await session.scalars(sa.select(Dog).order_by(Dog.id))).all()
                return [(dog.kind, dog.called, dog.version) for dog in dogs]

    assert both(body) == [("dog", "Rex", 1), ("dog", "Bello", 1)]


def test_a_session_flushes_first(ours: Dialect) -> None:
    async def body(connection: AsyncConnection) -> Any:
        await pgflight.copy_in(connection, things, [{"n": 1, "id": 1}])
        async with AsyncSession(connection) as session:
            session.add(Animal(id=7, called="cat"))
            await pgflight.copy_in(session, Animal, [{"id": 8, "called": "cow"}])
            return (await session.scalars(sa.select(Animal.id).order_by(Animal.id))).all()

    assert work(ours, body) == [7, 8]


def test_synchronously(server: Server) -> None:
    with sync_engine(server) as engine:
        metadata.drop_all(engine)
        metadata.create_all(engine)
        try:
            with engine.begin() as connection:
                rows = ((n, 1, None) for n in range(ROWS_OF_SEVERAL_PAGES))
                assert pgflight.copy_in(connection, required, rows) == ROWS_OF_SEVERAL_PAGES
            with Session(engine) as session:
                assert pgflight.copy_in(session, Animal, [{"called": "Rex"}]) == 1
                with pytest.raises(sa.exc.IntegrityError):
                    pgflight.copy_in(session, required, [(1, 1, None)])
        finally:
            metadata.drop_all(engine)


def test_in_run_sync(ours: Dialect) -> None:
    async def body(connection: AsyncConnection) -> Any:
        return await connection.run_sync(lambda c: pgflight.copy_in(c, required, [(1, 1, None)]))

    assert work(ours, body) == 1


def test_who_is_not_served_is_told(builtin: Dialect) -> None:
    async def run() -> None:
        async with builtin.engine().connect() as connection:
            with pytest.raises(TypeError, match="pgflight serves"):
                await pgflight.copy_in(connection, things, [])

    asyncio.run(run())
    with pytest.raises(TypeError, match="AsyncConnection"):
        wrong: Any = "connection"
        pgflight.copy_in(wrong, things, [])
