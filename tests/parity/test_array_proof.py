"""The proof that a table is plain is the server's, at that moment: whatever was known before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

import pgflight
from pgflight.bulk.array_changes import BulkDialect
from pgflight.bulk.table_proof import SNAPSHOT
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both
from tests.fixtures.tasks import run
from tests.parity.scratch import own, scratch
from tests.parity.situations import AFTER, BEFORE, TABLE, TRIGGERED

SCHEMA = own("proof")
target = sa.Table(
    "target",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("n", sa.Integer),
    sa.Column("seen", sa.Integer),
)
TRIGGER = "CREATE TRIGGER t BEFORE INSERT ON target FOR EACH ROW EXECUTE FUNCTION before_it()"


def rows(start: int, number: int = 25) -> list[dict[str, Any]]:
    return [{"id": start + n, "n": n % 5} for n in range(number)]


def is_ours(engine: AsyncEngine) -> bool:
    return isinstance(engine.dialect, BulkDialect)


@asynccontextmanager
async def other_process(both: Both | Dialect, *ddl: str) -> AsyncIterator[AsyncConnection]:
    """Make `target` in a schema of its own; yield a connection that pgflight knows nothing of."""
    builtin = both.builtin if isinstance(both, Both) else both
    engine = create_async_engine(
        builtin.server.url("postgresql+asyncpg"),
        isolation_level="AUTOCOMMIT",
        connect_args={"server_settings": {"search_path": SCHEMA}},
    )
    async with engine.connect() as connection:
        for statement in (
            f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE",
            f"CREATE SCHEMA {SCHEMA}",
            TABLE,
            BEFORE,
            AFTER,
            *ddl,
        ):
            await connection.exec_driver_sql(statement)
        yield connection
        await connection.exec_driver_sql(f"DROP SCHEMA {SCHEMA} CASCADE")
    await engine.dispose()


SEARCH: Any = {"connect_args": {"server_settings": {"search_path": SCHEMA}}}
APPEARING = {
    "trigger": TRIGGER,
    "rule": "CREATE RULE r AS ON INSERT TO target DO ALSO UPDATE target SET seen = 1",
    "check": "ALTER TABLE target ADD CHECK (smaller(id))",
    "default": "ALTER TABLE target ALTER seen SET DEFAULT counted()",
    "index": "CREATE INDEX ON target (looks(id)) WHERE looks(id) > 0",
    "key": "ALTER TABLE target ADD FOREIGN KEY (n) REFERENCES target NOT VALID",
    "row security": "ALTER TABLE target ENABLE ROW LEVEL SECURITY",
    "domain": "ALTER TABLE target ALTER seen TYPE limited",
    "partition": "ALTER TABLE parent ATTACH PARTITION target DEFAULT",
    "replaced trigger": (
        "CREATE OR REPLACE TRIGGER t BEFORE INSERT ON target"
        " FOR EACH ROW EXECUTE FUNCTION before_it()"
    ),
}
MADE_BEFORE = {
    "row security": ["CREATE POLICY p ON target FOR INSERT WITH CHECK (smaller(id))"],
    "domain": ["CREATE DOMAIN limited AS int CHECK (smaller(VALUE))"],
    "partition": ["CREATE TABLE parent (LIKE target) PARTITION BY RANGE (id)"],
    "replaced trigger": [TRIGGER.replace("BEFORE INSERT", "BEFORE DELETE")],
}
FUNCTIONS = (
    "CREATE FUNCTION counted() RETURNS int STABLE LANGUAGE sql AS"
    " $$ SELECT count(*)::int FROM target $$",
    "CREATE FUNCTION smaller(int) RETURNS bool IMMUTABLE LANGUAGE sql AS"
    " $$ SELECT $1 < 1000 + count(*) FROM target $$",
    "CREATE TABLE watched ()",
    # PostgreSQL 17 and newer build an index with a search path of their own
    f"CREATE FUNCTION looks(int) RETURNS int IMMUTABLE LANGUAGE sql SET search_path = {SCHEMA} AS"
    " $$ SELECT count(*)::int FROM watched $$",
    "INSERT INTO target VALUES (0), (1), (2), (3), (4)",
)


@pytest.mark.parametrize("what", APPEARING)
@pytest.mark.parametrize("level", ["READ COMMITTED", "AUTOCOMMIT"])
def test_what_another_process_makes_counts_at_once(both: Both, what: str, level: str) -> None:
    async def work(engine: AsyncEngine) -> Any:
        made = *FUNCTIONS, *MADE_BEFORE.get(what, ())
        async with other_process(both, *made) as other, engine.connect() as connection:
            if "OR REPLACE" in APPEARING[what] and both.ours.server.version < (14, 0):
                pytest.skip("CREATE OR REPLACE TRIGGER is PostgreSQL 14's")
            for round_ in range(3):
                if round_ == 1:
                    await other.exec_driver_sql(APPEARING[what])
                await connection.execute(target.insert().values(n=sa.bindparam("n")), [
                    {"id": row["id"], "n": row["n"]} for row in rows(100 + 100 * round_)
                ])  # fmt: skip
                await connection.commit()
            if is_ours(engine):
                counted = pgflight.stats(engine)
                assert counted.array_inserts == 1
                assert list(counted.array_fallbacks.values()) == [2]
            return (await connection.execute(sa.text("SELECT * FROM target ORDER BY 1"))).all()

    both(work, isolation_level=level, **SEARCH)


def test_a_refusal_is_remembered_until_ddl(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(**SEARCH)
        async with other_process(pgflight_dialect, TRIGGER), engine.connect() as connection:
            await connection.execute(target.insert(), rows(0))
            trips = pgflight.stats(engine).round_trips
            await connection.execute(target.insert(), rows(100))
            assert pgflight.stats(engine).round_trips == trips + 1
            assert pgflight.stats(engine).array_fallbacks == {TRIGGERED: 2}
            await connection.execute(sa.text("DROP TRIGGER t ON target"))
            await connection.execute(target.insert(), rows(200))
            assert pgflight.stats(engine).array_inserts == 1
            await connection.rollback()

    run(work())


@pytest.mark.parametrize("how", ["engine", "text"])
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_snapshot_older_than_the_trigger(both: Both, level: str, how: str) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with other_process(both) as other, engine.connect() as connection:
            await connection.execute(target.insert(), rows(0))
            await connection.commit()
            if how == "text":
                await connection.execute(sa.text(f"SET TRANSACTION ISOLATION LEVEL {level}"))
            await connection.execute(sa.text("SELECT count(*) FROM target"))
            await other.exec_driver_sql(TRIGGER)
            await connection.execute(target.insert(), rows(100))
            await connection.commit()
            if is_ours(engine):
                inserted, fallbacks = (1, 1) if how == "text" else (0, 2)
                counted = pgflight.stats(engine)
                assert counted.array_inserts == inserted
                assert counted.array_fallbacks == {SNAPSHOT: fallbacks}
            return (await connection.execute(sa.select(target).order_by(target.c.id))).all()

    both(work, **({"isolation_level": level} if how == "engine" else {}), **SEARCH)


@pytest.mark.parametrize(
    "shadow", ["SET search_path = elsewhere", TABLE.replace("E T", "E TEMP T")]
)
def test_another_table_of_the_name(both: Both, shadow: str) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine) as connection:
            for statement in (
                "CREATE SCHEMA elsewhere",
                f"CREATE SCHEMA {SCHEMA}",
                f"SET search_path = {SCHEMA}",
                TABLE,
                TABLE.replace("target", "elsewhere.target"),
                BEFORE,
                TRIGGER.replace("ON target", "ON elsewhere.target"),
            ):
                await connection.exec_driver_sql(statement)
            await connection.execute(target.insert(), rows(0))
            await connection.exec_driver_sql(shadow)
            if "TEMP" in shadow:
                await connection.exec_driver_sql(TRIGGER)
            await connection.execute(target.insert(), rows(100))
            found = []
            for name in (f"{SCHEMA}.target", "elsewhere.target", "target"):
                read = sa.text(f"SELECT * FROM {name} ORDER BY 1")
                found.append((await connection.execute(read)).all())
            return found

    both(work)


def test_rows_that_are_all_in_conflict(both: Both) -> None:
    """No row is inserted, which is no refusal: the sequence is not used up twice."""

    async def work(engine: AsyncEngine) -> Any:
        table = sa.Table("conflicting", sa.MetaData(), sa.Column("n", sa.Integer))
        statement = pg.insert(table).on_conflict_do_nothing()
        async with scratch(engine) as connection:
            await connection.exec_driver_sql(
                "CREATE TABLE conflicting (id serial PRIMARY KEY, n int UNIQUE)"
            )
            for _ in range(2):
                given = [{"n": n} for n in range(25)]
                await connection.execute(statement, given)
            if is_ours(engine):
                assert pgflight.stats(engine).array_inserts == 2
            read = "SELECT nextval('conflicting_id_seq'), count(*) FROM conflicting"
            return (await connection.execute(sa.text(read))).all()

    both(work)


def test_a_function_of_the_database_in_values(both: Both) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine) as connection:
            for statement in (
                f"CREATE SCHEMA {SCHEMA}",
                f"SET search_path = {SCHEMA}, pg_catalog",
                TABLE,
                "CREATE FUNCTION abs(int) RETURNS int STABLE LANGUAGE sql AS"
                " $$ SELECT count(*)::int FROM target $$",
            ):
                await connection.exec_driver_sql(statement)
            changed = target.insert().values(seen=sa.func.abs(sa.bindparam("m", type_=sa.Integer)))
            await connection.execute(changed, [{**row, "m": 1} for row in rows(0)])
            return (await connection.execute(sa.select(target).order_by(target.c.id))).all()

    both(work)


def test_a_column_whose_type_is_not_the_tables(both: Both) -> None:
    """An array of INET would make "10.0.0.1/32" of a text."""

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine) as connection:
            await connection.exec_driver_sql('CREATE TABLE hosts (id int, "Of It" text, mac text)')
            table = sa.Table(
                "hosts",
                sa.MetaData(),
                sa.Column("id", sa.Integer),
                sa.Column("Of It", pg.INET),
                sa.Column("mac", pg.MACADDR),
            )
            given = [
                {"id": n, "Of It": f"10.0.0.{n}", "mac": "08-00-2b-01-02-03"} for n in range(25)
            ]
            await connection.execute(table.insert(), given)
            await connection.execute(table.insert().returning(table.c.id), given)
            return (await connection.execute(sa.text("SELECT * FROM hosts ORDER BY id"))).all()

    both(work)


@pytest.mark.parametrize("number", [1200, 2500])
@pytest.mark.parametrize("ordered", [False, True])
def test_pages_that_return_rows_are_sqlalchemys(both: Both, number: int, ordered: bool) -> None:
    """A page is a statement, which triggers see: not cut where the values are large."""

    async def work(engine: AsyncEngine) -> Any:
        columns = [sa.Column(f"c{n}", sa.Integer) for n in range(50)]
        wide = sa.Table(
            "wide_pages",
            sa.MetaData(),
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("name", sa.Text),
            *columns,
        )
        async with scratch(engine) as connection:
            await connection.run_sync(wide.create)
            for statement in (
                "CREATE TABLE log (what int)",
                "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " INSERT INTO log VALUES ((SELECT count(*) FROM wide_pages)); RETURN NULL; END $$",
                "CREATE TRIGGER t AFTER INSERT ON wide_pages EXECUTE FUNCTION noted()",
            ):
                await connection.exec_driver_sql(statement)
            given = [{"name": "x" * 2000, **{f"c{n}": n for n in range(50)}}] * number
            returned = wide.insert().returning(wide.c.id, sort_by_parameter_order=ordered)
            await connection.execute(returned, given)
            return (await connection.execute(sa.text("SELECT what FROM log ORDER BY 1"))).all()

    both(work)
