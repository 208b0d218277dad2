"""INSERTs of many rows through arrays: what they store and return is the built-in dialect's."""

from __future__ import annotations

import datetime as dt
import uuid
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase

import pgflight
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both, Failure
from tests.fixtures.tasks import run
from tests.parity.scratch import apart, scratch


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "item_of_arrays"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.Text)
    n = sa.Column(sa.Integer, nullable=False, unique=True)
    at = sa.Column(sa.DateTime(timezone=True))
    state = sa.Column(sa.Text, server_default="new")


class Keyed(Base):
    __tablename__ = "keyed_of_arrays"
    id = sa.Column(sa.Uuid, primary_key=True, default=lambda: next(globals()["keys"]))
    n = sa.Column(sa.Integer)


def _keys() -> Any:
    number = 0
    while True:
        number += 1
        yield uuid.UUID(int=number)


keys: Any = _keys()
metadata = Base.metadata
item: Any = Item.__table__
numbered = sa.Table(
    "numbered_of_arrays",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("n", sa.Integer),
    sa.Column("twice", sa.Integer, sa.Computed("n * 2", persisted=True)),
)
sequenced = sa.Table(
    "sequenced_of_arrays",
    metadata,
    sa.Column("id", sa.Integer, sa.Sequence("ids_of_arrays"), primary_key=True),
    sa.Column("n", sa.Integer),
)
MOMENT = dt.datetime(2024, 2, 29, 12, tzinfo=dt.timezone.utc)


def rows(number: int, start: int = 0) -> list[dict[str, Any]]:
    made = range(start, start + number)
    return [{"name": f"name {n}" if n % 3 else None, "n": n, "at": MOMENT} for n in made]


async def stored(connection: AsyncConnection, table: Any = item) -> Any:
    return (await connection.execute(sa.select(table).order_by(table.c.id))).all()


INSERTS: dict[str, Any] = {
    "plain": item.insert(),
    "returned": item.insert().returning(item.c.id, item.c.n, item.c.state),
    "sorted": item.insert().returning(item.c.id, item.c.n, sort_by_parameter_order=True),
    "nothing": pg.insert(item).on_conflict_do_nothing(),
    "nothing returned": pg.insert(item)
    .on_conflict_do_nothing(index_elements=["n"], index_where=item.c.n > sa.literal(-5))
    .returning(item.c.n),
    "updated": pg.insert(item).on_conflict_do_update(
        index_elements=["n"], set_={"name": pg.insert(item).excluded.name}
    ),
    "updated returned": pg.insert(item)
    .on_conflict_do_update(index_elements=["n"], set_={"state": sa.literal("met")})
    .returning(item.c.n, item.c.state),
    "expression": item.insert().values(name=sa.func.upper(sa.bindparam("x", type_=sa.Text))),
    "expression sorted": item.insert()
    .values(name=sa.func.upper(sa.bindparam("x", type_=sa.Text)), at=sa.func.now())
    .returning(item.c.n, item.c.name, sort_by_parameter_order=True),
    "constant": item.insert().values(state="fixed"),
    "constant sql": item.insert().values(state=sa.literal_column("'it''s, (fixed)'")),
    "beside cte": item.insert().add_cte(sa.select(sa.literal(5).label("x")).cte("five")),
    "subquery": item.insert().values(
        name=sa.select(sa.func.count().cast(sa.Text)).select_from(item).scalar_subquery()
    ),
    "default": item.insert().values(state=sa.text("DEFAULT")),
    "inline": item.insert().inline(),
    "random": item.insert().values(name=sa.func.md5(sa.func.cast(sa.literal(5), sa.Text))),
}


@pytest.mark.parametrize("name", INSERTS)
@pytest.mark.parametrize("number", [10, 11, 19, 20, 25])
def test_every_shape(both: Both, name: str, number: int) -> None:
    insert = INSERTS[name]
    given = [{**row, "x": f"x{row['n']}"} if "expression" in name else row for row in rows(number)]
    if "expression" in name:
        given = [{k: v for k, v in row.items() if k not in ("name", "at")} for row in given]
    if name in ("subquery", "random"):
        given = [{"n": row["n"]} for row in given]

    async def send(connection: AsyncConnection, given: Any) -> Any:
        result: Any = await connection.execute(insert, given)
        returned = result.all() if result.returns_rows else None
        return [returned, result.context.compiled_parameters]

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            sent = [
                await apart(connection, partial(send, connection, each))
                for each in (given, [dict(row, n=row["n"] + 1000) for row in given], given)
            ]
            return [each if not isinstance(each, Failure) else each.pgcode for each in sent], [
                tuple(row)[:3] + tuple(row)[4:] for row in await stored(connection)
            ]

    both(work)


def test_rows_are_told_to_the_last(pgflight_dialect: Dialect) -> None:
    """The built-in dialect knows no number."""

    async def work() -> None:
        engine = pgflight_dialect.engine()
        nothing = pg.insert(item).on_conflict_do_nothing()
        async with scratch(engine, metadata) as connection:
            assert (await connection.execute(item.insert(), rows(2500))).rowcount == 2500
            assert (await connection.execute(nothing, rows(2600, 100))).rowcount == 200

    run(work())


@pytest.mark.parametrize("page", [7, 1000, 5000])
def test_order_over_several_pages(both: Both, page: int) -> None:
    async def work(engine: AsyncEngine) -> Any:
        found: list[Any] = []
        async with scratch(engine, metadata) as connection:
            await connection.execution_options(insertmanyvalues_page_size=page)
            for table in (item, numbered, sequenced):
                for number, ordered in ((2500, True), (50, False), (2, True), (999, True)):
                    insert = table.insert().returning(table, sort_by_parameter_order=ordered)
                    given = rows(number, 10_000 * len(found))
                    if table is not item:
                        given = [{"n": row["n"]} for row in given]
                    returned = (await connection.execute(insert, given)).all()
                    found.append(returned)
                    if ordered:
                        assert [row.n for row in returned] == [row["n"] for row in given]
                await connection.execute(table.insert(), [{"n": n} for n in range(-50, 0)])
                found.append(await stored(connection, table))
        return found

    both(work)


def test_the_orm(both: Both) -> None:
    async def work(engine: AsyncEngine) -> Any:
        global keys
        keys = _keys()
        found: list[Any] = []
        async with scratch(engine, metadata) as connection:
            async with AsyncSession(
                bind=connection, join_transaction_mode="create_savepoint"
            ) as session:
                items: list[Any] = [Item(name=f"i{n}", n=n) for n in range(120)]
                session.add_all([*items, *(Keyed(n=n) for n in range(60))])
                await session.flush()
                found.append([each.id for each in items])
                await session.execute(sa.insert(Item), rows(150, 200))
                returned = await session.scalars(
                    sa.insert(Item).returning(Item, sort_by_parameter_order=True), rows(30, 500)
                )
                found.append([(each.id, each.n, each.state) for each in returned])
                await session.run_sync(
                    lambda sync: sync.bulk_save_objects([Item(n=n) for n in range(700, 760)])
                )
                await session.run_sync(
                    lambda sync: sync.bulk_insert_mappings(
                        sa.inspect(Item), rows(40, 800), return_defaults=True
                    )
                )
                for each in items[:30]:
                    each.name = "changed"
                await session.commit()
            found += [await stored(connection), await stored(connection, Keyed.__table__)]
        return found

    both(work)


SCHEMA = (
    "CREATE TABLE target (id serial PRIMARY KEY, n int CHECK (n < 1000), up int REFERENCES target)",
    "CREATE TABLE log (id serial, what text)",
    "CREATE VIEW seen AS SELECT id, n FROM target WHERE n < 500 WITH CHECK OPTION",
    "CREATE VIEW made AS SELECT id, n + 1 AS n FROM target",
    "CREATE FUNCTION insert_made() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN INSERT INTO target (n) VALUES (NEW.n - 1); RETURN NEW; END'",
    "CREATE TRIGGER instead INSTEAD OF INSERT ON made FOR EACH ROW EXECUTE FUNCTION insert_made()",
    "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN INSERT INTO log (what) SELECT NEW.n || '' of '' || count(*) FROM target;"
    " IF NEW.n = 13 THEN RETURN NULL; END IF; NEW.n := NEW.n + 1; RETURN NEW; END'",
    "CREATE TRIGGER noting BEFORE INSERT ON target FOR EACH ROW EXECUTE FUNCTION note()",
    "CREATE TABLE parted (id int, n int) PARTITION BY RANGE (n)",
    "CREATE TABLE part_low PARTITION OF parted FOR VALUES FROM (0) TO (30)",
    "CREATE TABLE part_high PARTITION OF parted FOR VALUES FROM (30) TO (60)",
)
target, seen, made, parted = (
    sa.table(name, sa.column("id", sa.Integer), sa.column("n", sa.Integer))
    for name in ("target", "seen", "made", "parted")
)
log = sa.table("log", sa.column("id"), sa.column("what"))


@pytest.mark.parametrize("name", ["target", "seen", "made", "parted"])
@pytest.mark.parametrize("returned", [False, True], ids=["plain", "returning"])
def test_triggers_views_and_partitions(both: Both, name: str, returned: bool) -> None:
    table = {"target": target, "seen": seen, "made": made, "parted": parted}[name]
    insert = table.insert().returning(table.c.n) if returned else table.insert()

    async def send(connection: AsyncConnection, given: Any) -> Any:
        result = await connection.execute(insert, given)
        return result.all() if result.returns_rows else None

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, None, *SCHEMA) as connection:
            found = []
            for first, last in ((0, 50), (40, 70), (480, 530), (990, 1010)):
                given = [{"n": n} for n in range(first, last)]
                outcome = await apart(connection, partial(send, connection, given))
                failed = isinstance(outcome, Failure)
                text = outcome.text.partition("\n")[0] if failed else ""
                found.append([outcome.pgcode, text] if failed else outcome)
            contents = [(await connection.execute(sa.select(each))).all() for each in (target, log)]
            return [found, contents, (await connection.execute(sa.select(parted))).all()]

    both(work)


def test_one_text_serves_every_number_of_rows(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine()
        asked = sa.text(
            "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'INSERT%'"
        )
        async with scratch(engine, metadata) as connection:
            before = pgflight.stats(engine)
            for turn, number in enumerate((11, 500, 37, 1000, 20, 21, 999)):
                for more, insert in enumerate((INSERTS["plain"], INSERTS["sorted"])):
                    given = rows(number, 10_000 * turn + 5000 * more)
                    await connection.execute(insert, given)
            assert await connection.scalar(asked) == 3  # 11 rows without RETURNING: executemany
            numbers = pgflight.stats(engine)
            assert numbers.array_inserts - before.array_inserts == 13
            assert numbers.array_fallbacks == {"fewer than 20 rows": 1}

    run(work())


def test_sizes_beyond_the_limit_of_parameters(both: Both) -> None:
    """40,000 rows of one page would be 120,000 parameters."""

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            await connection.execution_options(insertmanyvalues_page_size=10_000)
            returned = (await connection.execute(INSERTS["sorted"], rows(40_000))).all()
            return [row.n for row in returned] == list(range(40_000))

    assert both(work)
