"""The row count of an executemany: none with the built-in dialect, with ours that of its rows."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pgflight
from pgflight import driver
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both, attempt
from tests.fixtures.tasks import run
from tests.parity.scratch import own, scratch

metadata = sa.MetaData()
counted = sa.Table(
    "counted",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("n", sa.Integer, unique=True),
    sa.Column("s", sa.String),
    prefixes=["TEMPORARY"],
)
FILLED = [{"id": i, "n": i, "s": "old"} for i in range(100)]


def fresh(number: int, start: int = 1000, s: str = "new") -> list[dict[str, Any]]:
    return [{"id": i, "n": i, "s": s} for i in range(start, start + number)]


by_key = counted.c.id == sa.bindparam("key")
insert = counted.insert().execution_options(array_insert=False)
update = counted.update().where(by_key).values(s=sa.bindparam("to"))
delete = counted.delete().where(by_key)
nothing = pg.insert(counted).on_conflict_do_nothing().execution_options(array_insert=False)
upsert = pg.insert(counted).execution_options(array_insert=False)
upsert = upsert.on_conflict_do_update(index_elements=["id"], set_={"s": upsert.excluded.s})
below = counted.update().where(counted.c.id < sa.bindparam("key")).values(s="below")


def keys(*found: int, **more: Any) -> list[dict[str, Any]]:
    return [{"key": key, **more} for key in found]


STATEMENTS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "insert two": (insert, fresh(2)),
    "insert": (insert, fresh(1000)),
    "insert through arrays": (counted.insert(), fresh(1000)),
    "insert into none": (nothing, FILLED),
    "insert into some": (nothing, [*FILLED, *fresh(3), *FILLED, *fresh(4)]),
    "insert or update": (upsert, [*FILLED[:5], *fresh(7)]),
    "update": (update, keys(*range(100), to="x")),
    "update what is not there": (update, keys(*range(1000, 1010), to="x")),
    "update every second": (update, keys(*range(0, 2000, 2), to="x")),
    "update several": (below, keys(0, 1, 5, 10, 55, 100)),
    "update with large values": (update, keys(*range(50, 150), to="x" * 20_000)),
    "delete": (delete, keys(*range(50, 120))),
    "delete twice": (delete, keys(7, 7, 8, 7)),
    "text": (sa.text("UPDATE counted SET n = n + 1000 WHERE id = :key"), keys(1, 2, 300)),
    "select": (sa.text("SELECT * FROM counted WHERE id < CAST(:key AS int)"), keys(3, 5)),
    "no rows": (sa.text("SET LOCAL application_name = 'x'"), [{}, {}]),
}  # fmt: skip


async def truth(connection: AsyncConnection, statement: Any, sets: Any) -> int:
    """Return the sum of the counts of one execution after the other, which is then undone."""
    async with connection.begin_nested() as savepoint:
        counts = [(await connection.execute(statement, each)).rowcount for each in sets]
        await savepoint.rollback()
    return -1 if min(counts) < 0 else sum(counts)


async def told(connection: AsyncConnection, statement: Any, sets: Any) -> Any:
    async with connection.begin_nested() as savepoint:
        result = await connection.execute(statement, sets)
        count = result.rowcount
        await savepoint.rollback()
    preserving = {"preserve_rowcount": True}
    again = await connection.execute(statement, sets, execution_options=preserving)
    assert again.rowcount == count
    return count


@pytest.mark.parametrize("name", STATEMENTS)
def test_it_is_the_sum_of_single_executions(both: Both, name: str) -> None:
    statement, sets = STATEMENTS[name]

    async def body(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            await connection.execute(counted.insert(), FILLED)
            one_by_one = await truth(connection, statement, sets)
            return [one_by_one, await told(connection, statement, sets)]

    true, none = both.run(both.builtin, body)
    assert none == -1
    known = driver.is_private() or name == "insert through arrays"
    assert both.run(both.ours, body) == [true, true if known else -1]


private = pytest.mark.skipif(not driver.is_private(), reason="the tags pass unseen")


@private
def test_merge_is_counted(pgflight_dialect: Dialect) -> None:
    """Which single executions are not, in either dialect."""
    if pgflight_dialect.server.version < (15, 0):
        pytest.skip("the server knows no MERGE")
    merge = sa.text(
        "MERGE INTO counted t USING (SELECT CAST(:key AS int) AS k) s ON t.id = s.k"
        " WHEN MATCHED THEN UPDATE SET s = 'merged'"
        " WHEN NOT MATCHED AND s.k < 200 THEN INSERT (id, n) VALUES (s.k, s.k)"
    )

    async def work() -> None:
        async with scratch(pgflight_dialect.engine(), metadata) as connection:
            await connection.execute(counted.insert(), FILLED)
            assert await told(connection, merge, keys(1, 150, 250, 2)) == 3

    run(work())


@private
@pytest.mark.parametrize("pipeline", ["auto", "begin", "off"])
def test_what_comes_before_does_not_count(pgflight_dialect: Dialect, pipeline: str) -> None:
    """BEGIN in front, an end that nobody waited for, savepoints, types that asyncpg asks for."""

    async def work() -> None:
        engine = pgflight_dialect.engine(pipeline=pipeline, pool_size=1, max_overflow=0)
        made = "CREATE TEMPORARY TABLE kept (id int PRIMARY KEY, s text)"
        insert = sa.text("INSERT INTO kept VALUES (:key, 'x') ON CONFLICT DO NOTHING")
        async with engine.connect() as connection:
            await connection.execute(sa.text(made))
            await connection.commit()
            for turn in range(3):  # first to be prepared, then not
                await connection.execute(sa.select(1))
                await connection.rollback()
                count = (await connection.execute(insert, keys(*range(turn, 10)))).rowcount
                assert count == (0 if turn else 10)
                async with connection.begin_nested():
                    sets = keys(*range(100 * turn, 100 * turn + 30))
                    assert (await connection.execute(insert, sets)).rowcount == 30 - 10 * (not turn)
                await connection.commit()
            mood = own("mood_of_counts")
            await connection.execute(sa.text(f"CREATE TYPE {mood} AS ENUM ('good', 'bad')"))
            added = f"ALTER TABLE kept ADD COLUMN mood {mood}, ADD COLUMN p pg_catalog.pg_am"
            await connection.execute(sa.text(added))
            typed = f"UPDATE kept SET mood = $1 WHERE id < $2 AND $3::{mood}[] IS NOT NULL"
            moods: list[Any] = [("good", 4, ["bad"]), ("bad", 2, None)]
            assert (await connection.exec_driver_sql(typed, moods)).rowcount == 4
            await connection.rollback()

    run(work())


@private
def test_in_autocommit(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.run_sync(metadata.create_all, checkfirst=False)
            for statement, sets, count in (
                (insert, fresh(7), 7),
                (nothing, fresh(9), 2),
                (delete, keys(*range(1000, 1005)), 5),
            ):
                assert (await connection.execute(statement, sets)).rowcount == count
            await connection.run_sync(metadata.drop_all)

    run(work())


@private
@pytest.mark.skipif(sys.platform == "win32", reason="uvloop needs POSIX")
def test_on_uvloop(pgflight_dialect: Dialect) -> None:
    import uvloop

    async def work() -> None:
        engine = pgflight_dialect.engine()
        async with scratch(engine, metadata) as connection:
            assert (await connection.execute(insert, fresh(3000))).rowcount == 3000
            assert (await connection.execute(update, keys(1000, 5, to="y"))).rowcount == 1
        await engine.dispose()

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(asyncio.wait_for(work(), 60))
    finally:
        loop.close()


@private
def test_behind_a_notification(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        heard: asyncio.Queue[str] = asyncio.Queue()
        channel = own("counts")
        async with scratch(pgflight_dialect.engine(), metadata) as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            await raw.add_listener(channel, lambda *args: heard.put_nowait(args[-1]))
            await connection.commit()
            url = pgflight_dialect.server.url("postgresql").render_as_string(False)
            other = await asyncpg.connect(url)
            await other.execute(f"NOTIFY {channel}, 'x'")
            assert await heard.get() == "x"
            assert (await connection.execute(insert, fresh(9))).rowcount == 9
            await other.close()
            await connection.rollback()
            await connection.run_sync(metadata.drop_all)
            await connection.commit()
            await raw.reset()

    run(work())


class Odd(int):
    """A number that asyncpg takes for a list when it is an element of one."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Any:
        return iter((1,))


@pytest.mark.parametrize("at", [0, 5, 25, 44])
def test_where_arrays_step_aside_half_way(pgflight_dialect: Dialect, at: int) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine()
        array = counted.insert().execution_options(insertmanyvalues_page_size=10)
        async with scratch(engine, metadata) as connection:
            given = fresh(45)
            given[at]["n"] = Odd(given[at]["n"])
            result = await connection.execute(array, given)
            assert result.rowcount == (45 if driver.is_private() else -1)
            stored = (await connection.execute(sa.select(counted.c.n))).scalars().all()
            assert stored == [row["n"] for row in given]
        assert pgflight.stats(engine).array_inserts == 0

    run(work())


@pytest.mark.parametrize("wrong", ["twice", "no number"])
@pytest.mark.parametrize("at", [0, 1, 500])
def test_none_after_an_error(both: Both, wrong: str, at: int) -> None:
    """And the next statement has its own."""

    def fails(sync: sa.Connection) -> Any:
        raw: Any = sync.connection
        cursor = raw.cursor()
        sets: list[Any] = [(i, i, "x") for i in range(2000)]
        sets[at] = ("x", 1, "x") if wrong == "no number" else (1500, 5, "x")
        text = "INSERT INTO counted VALUES ($1, $2, $3)"
        cursor.execute("INSERT INTO counted VALUES (-1, -1, 'x')")
        assert cursor.rowcount == 1
        with pytest.raises(raw.dbapi_connection.dbapi.Error):
            cursor.executemany(text, sets)
        return cursor.rowcount if ours(sync) else -1

    def ours(sync: sa.Connection) -> bool:
        return type(sync.dialect).__module__.startswith("pgflight")

    async def body(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:

            async def send() -> Any:
                return await connection.run_sync(fails)

            found = [await send()]
            await connection.rollback()
            await connection.run_sync(metadata.create_all, checkfirst=False)
            result = await connection.execute(insert, fresh(12))
            if driver.is_private():
                assert result.rowcount == (12 if await connection.run_sync(ours) else -1)
            raw: Any = await connection.get_raw_connection()
            stands = raw.driver_connection._transport.get_protocol()
            assert getattr(stands, "overhear", None) is None
            return found

    both(body)


class Base(DeclarativeBase):
    """The tables of these tests."""


class Plain(Base):
    """A row."""

    __tablename__ = "plain_of_counts"
    __table_args__ = {"prefixes": ["TEMPORARY"]}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Versioned(Base):
    """A row that must not be stale."""

    __tablename__ = "versioned_of_counts"
    __table_args__ = {"prefixes": ["TEMPORARY"]}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize("mapped", [Plain, Versioned])
@pytest.mark.parametrize("change", ["update", "delete", "by key", "insert"])
def test_the_orm_believes_what_it_believed(
    both: Both, mapped: type[Any], change: str, number: int
) -> None:
    """Rows that are gone: SQLAlchemy does not ask how many, as the dialect's flag says not to."""

    async def use(session: AsyncSession) -> Any:
        things = [mapped(id=i, name="x") for i in range(number)]
        session.add_all(things)
        await session.flush()
        await session.execute(sa.text(f"DELETE FROM {mapped.__tablename__} WHERE id = 0"))
        if change == "by key":
            sets = [{"id": i, "name": "y", "version": 1} for i in range(number)]
            if mapped is Plain:
                for row in sets:
                    del row["version"]
            await session.execute(sa.update(mapped), sets)
        elif change == "insert":
            more = [{"id": 100 + i, "name": "y", "version": 1} for i in range(number)]
            if mapped is Plain:
                more = [{key: row[key] for key in ("id", "name")} for row in more]
            returned = await session.execute(sa.insert(mapped).returning(mapped.id), more)
            return [returned.scalars().all()]
        else:
            for thing in things:
                if change == "update":
                    thing.name = "changed"
                else:
                    await session.delete(thing)
            with session.no_autoflush:
                await session.flush()
        return (await session.execute(sa.select(mapped.id, mapped.name))).all()

    async def body(engine: AsyncEngine) -> Any:
        async with scratch(engine, Base.metadata) as connection:
            async with AsyncSession(
                bind=connection, join_transaction_mode="create_savepoint"
            ) as session:
                return await attempt(use(session))

    both(body)
