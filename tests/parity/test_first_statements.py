"""With NullPool the first statement of a connection is known from another one: what may differ."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

import pgflight
from pgflight import driver
from tests.adversity.server_view import View
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both, attempt
from tests.fixtures.pgbouncer import Pgbouncer
from tests.fixtures.waits import Waits
from tests.parity.scratch import committed, own

private = pytest.mark.skipif(
    not driver.can_pipeline(), reason="PGFLIGHT_DRIVER=public prepares each statement"
)
metadata = sa.MetaData()
things = sa.Table(
    own("things_met_first"),
    metadata,
    sa.Column("id", sa.Integer),
    sa.Column("v", sa.Integer),
    sa.Column("doc", JSONB),
)
PLAIN = f"SELECT v FROM {things.name} WHERE id = CAST(:id AS INTEGER)"
BY_VALUE = f"SELECT id FROM {things.name} WHERE v = :v"
AUTOCOMMIT = {"isolation_level": "AUTOCOMMIT"}
LEVELS = pytest.mark.parametrize("level", [{}, AUTOCOMMIT], ids=["transaction", "AUTOCOMMIT"])


async def one(engine: AsyncEngine, statement: Any, **values: Any) -> Any:
    """Execute a statement as the first one of a connection; return the first column's values."""
    async with engine.connect() as connection:
        if isinstance(statement, str):
            statement = sa.text(statement)
        return [(type(v).__name__, v) for v in await connection.scalars(statement, values)]


def alone(both: Both, work: Callable[[AsyncEngine, Any], Awaitable[Any]], **options: Any) -> Any:
    """Return what `work` returns on both dialects, with NullPool and another connection."""

    async def main(engine: AsyncEngine) -> Any:
        async with committed(both.builtin.engine(), metadata):
            async with View.of(both.server) as view:
                await view.connection.execute(
                    f"INSERT INTO {things.name} VALUES (1, 42, '[1]'), (2, 43, '[2]')"
                )
                return await work(engine, view.connection)

    return both(main, poolclass=NullPool, **options)


@private
@pytest.mark.parametrize(
    "statement", [PLAIN, sa.select(things.c.v).where(things.c.id == 1)], ids=["text", "select"]
)
@LEVELS
def test_it_waits_once_less(
    pgflight_dialect: Dialect, waits: Waits, statement: Any, level: dict[str, Any]
) -> None:
    async def work() -> list[int]:
        async with committed(pgflight_dialect.engine(), metadata):
            engine = pgflight_dialect.engine(via=waits.proxy, poolclass=NullPool, **level)
            values = {"id": 1} if statement is PLAIN else {}
            await one(engine, "SELECT 1")  # what an engine's first connection asks
            return [await waits.of(lambda: one(engine, statement, **values)) for _ in range(4)]

    first, *others = asyncio.run(work())
    assert set(others) == {first - (not level)}  # in AUTOCOMMIT nothing could be undone


@LEVELS
def test_another_process_alters_the_columns(both: Both, level: dict[str, Any]) -> None:
    async def work(engine: AsyncEngine, other: asyncpg.Connection) -> list[Any]:
        found = []
        for kind in ("integer", "bigint", "text", "double precision", "numeric", "integer"):
            await other.execute(
                f"ALTER TABLE {things.name} ALTER v TYPE {kind} USING v::text::{kind}"
            )
            found += [await one(engine, PLAIN, id=1) for _ in range(3)]
        return found

    kinds = [kind for found in alone(both, work, **level) for kind, _ in found]
    assert kinds[::3] == ["int", "int", "str", "float", "Decimal", "int"]


@LEVELS
def test_another_process_alters_the_parameter(both: Both, level: dict[str, Any]) -> None:
    """Whether asyncpg can encode the value for the old type, or the server read it, or neither."""

    async def work(engine: AsyncEngine, other: asyncpg.Connection) -> list[Any]:
        found: list[Any] = []
        for kind, value in (
            *(("integer", 42), ("text", "42"), ("bigint", 42), ("bigint", 2**40)),
            *(("double precision", 42.0), ("real", 42), ("smallint", 42), ("integer", 42)),
        ):
            await other.execute(
                f"ALTER TABLE {things.name} ALTER v TYPE {kind} USING v::text::{kind}"
            )
            found += [await attempt(one(engine, BY_VALUE, v=value)) for _ in range(3)]
        return found

    assert [("int", 1)] in alone(both, work, **level)


@LEVELS
def test_errors(both: Both, level: dict[str, Any]) -> None:
    """Those of the statement, and arguments of the wrong type."""

    async def work(engine: AsyncEngine, other: asyncpg.Connection) -> list[Any]:
        divides = "SELECT 1 / CAST(:id AS INTEGER)"
        found: list[Any] = []
        for value in (1, 0, 1, "x", None, 2**40, 1):
            found += [await attempt(one(engine, divides, id=value)) for _ in range(2)]
        await other.execute(f"ALTER TABLE {things.name} RENAME TO {things.name}_x")
        found += [await attempt(one(engine, PLAIN, id=1)) for _ in range(2)]
        await other.execute(f"ALTER TABLE {things.name}_x RENAME TO {things.name}")
        found += [await attempt(one(engine, PLAIN, id=1)) for _ in range(2)]
        return found

    alone(both, work, **level)


def test_codecs_of_each_connection(both: Both) -> None:
    """Set by a listener, others for each."""

    async def work(engine: AsyncEngine, other: asyncpg.Connection) -> list[Any]:
        number = 0

        @event.listens_for(engine.sync_engine, "connect")
        def connect(dbapi_connection: Any, record: Any) -> None:
            nonlocal number
            number += 1
            mine = number

            async def set_codecs(connection: asyncpg.Connection) -> None:
                await connection.set_type_codec(
                    "int4",
                    schema="pg_catalog",
                    encoder=str,
                    decoder=lambda text: f"{text} of {mine % 3}",
                )

            if mine != 3:
                dbapi_connection.run_async(set_codecs)

        reads = f"SELECT doc FROM {things.name} WHERE id = CAST(:id AS INTEGER)"
        found = [await one(engine, PLAIN, id=n % 2 + 1) for n in range(6)]
        return found + [await one(engine, reads, id=n % 2 + 1) for n in range(4)]

    alone(both, work)


def test_other_tables_by_another_search_path(both: Both) -> None:
    async def work(engine: AsyncEngine, other: asyncpg.Connection) -> list[Any]:
        schemas = [own(f"first_{name}") for name in ("a", "b", "c")]
        for number, (schema, kind) in enumerate(zip(schemas, ("integer", "integer", "text"))):
            await other.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}")
            await other.execute(f"CREATE TABLE {schema}.tenants (v {kind})")
            await other.execute(f"INSERT INTO {schema}.tenants VALUES ({number})")
        turns = iter([0, 1, 2, 1, 0, 0, 2, 2, 1, 0, 1, 2] * 2)

        @event.listens_for(engine.sync_engine, "connect")
        def connect(dbapi_connection: Any, record: Any) -> None:
            cursor = dbapi_connection.cursor()
            cursor.execute(f"SET search_path = {schemas[next(turns)]}")
            cursor.close()
            dbapi_connection.commit()

        try:
            return [await one(engine, "SELECT v FROM tenants") for _ in range(12)]
        finally:
            for schema in schemas:
                await other.execute(f"DROP SCHEMA {schema} CASCADE")

    alone(both, work)


@pytest.mark.parametrize("turns", range(10))
def test_it_is_cancelled(pgflight_dialect: Dialect, turns: int) -> None:
    async def work() -> Any:
        async with committed(pgflight_dialect.engine(), metadata):
            engine = pgflight_dialect.engine(poolclass=NullPool)
            for _ in range(2):
                await one(engine, PLAIN, id=1)
            async with engine.connect() as connection:
                task = asyncio.ensure_future(connection.scalar(sa.text(PLAIN), {"id": 1}))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait({task})
                await connection.invalidate()
            return await one(engine, "SELECT CAST(:n AS INTEGER)", n=3)

    assert asyncio.run(work()) == [("int", 3)]


@private
def test_no_connection_is_kept(pgflight_dialect: Dialect) -> None:
    async def work() -> int:
        async with committed(pgflight_dialect.engine(), metadata):
            engine = pgflight_dialect.engine(poolclass=NullPool)
            statements = [f"SELECT v + {n} FROM {things.name}" for n in range(20)]
            for statement in statements * 2:
                await one(engine, statement)
            await asyncio.sleep(0.05)
            gc.collect()
            alive = [each for each in gc.get_objects() if type(each) is asyncpg.Connection]
            return sum(each.is_closed() for each in alive)

    assert asyncio.run(work()) == 0


def test_behind_a_pooler(pgflight_dialect: Dialect, pgbouncer: Pgbouncer) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(pgbouncer.url(), poolclass=NullPool)

        async def unit(number: int) -> None:
            doubled = "SELECT CAST(:n AS INTEGER) * 2"
            assert await one(engine, doubled, n=number) == [("int", number * 2)]

        for number in range(70):
            await unit(number)
        await asyncio.gather(*map(unit, range(50)))

    asyncio.run(work())


@private
def test_the_second_statement_is_prepared(pgflight_dialect: Dialect) -> None:
    """And a text that is executed often on one connection is parsed once."""

    async def work() -> list[str]:
        engine = pgflight_dialect.engine(poolclass=NullPool, isolation_level="AUTOCOMMIT")
        text = sa.text("SELECT CAST(:n AS INTEGER) + 5")
        for _ in range(3):
            async with engine.connect() as connection:
                for number in range(4):
                    assert await connection.scalar(text, {"n": number}) == number + 5
                names = await connection.scalars(
                    sa.text("SELECT statement FROM pg_prepared_statements")
                )
                found = [name for name in names if "+ 5" in name]
        return found

    assert len(asyncio.run(work())) == 1


def test_the_encoding_of_another_connection(both: Both) -> None:
    """It is changed there after the statement was described."""

    async def work(engine: AsyncEngine, other: asyncpg.Connection) -> list[Any]:
        reads = sa.text("SELECT CAST(:v AS text) || 'é'")
        found = []
        for encoding in ("UTF8", "LATIN1", "UTF8", "UTF8"):
            async with engine.connect() as connection:
                found.append(await connection.scalar(reads, {"v": "é"}))
                await connection.commit()
                await connection.execute(sa.text(f"SET client_encoding = '{encoding}'"))
                await connection.commit()
        return found

    assert alone(both, work) == ["éé"] * 4


def test_the_class_of_records_of_another_connection(both: Both) -> None:
    class Loud(asyncpg.Record):  # type: ignore[misc]
        def __getitem__(self, index: Any) -> Any:
            found = super().__getitem__(index)
            # asyncpg itself reads by name
            return f"<{found}>" if isinstance(index, int) else found

        def __iter__(self) -> Any:
            return iter([f"<{each}>" for each in super().__iter__()])

    url = both.server.url()
    classes = [Loud, asyncpg.Record] * 4

    async def creator() -> asyncpg.Connection:
        return await asyncpg.connect(
            host=url.host, port=url.port, user=url.username, password=url.password,
            database=url.database, record_class=classes.pop(0),
        )  # fmt: skip

    async def work(engine: AsyncEngine, other: asyncpg.Connection) -> list[Any]:
        classes[:] = [Loud, asyncpg.Record] * 4
        found = []
        for _ in range(6):
            async with engine.connect() as connection:
                result = await connection.execute(sa.text(PLAIN), {"id": 1})
                found.append([str(each) for row in result for each in row])
        return found

    alone(both, work, async_creator=creator)


def test_a_view_with_side_effects_changes_in_autocommit(both: Both) -> None:
    """Its SELECT is executed once, whoever changes it: there nothing could be rolled back."""
    names = {name: own(f"first_{name}") for name in ("log", "touch", "view")}

    async def work(engine: AsyncEngine, other: asyncpg.Connection) -> list[Any]:
        log, touch, view = names["log"], names["touch"], names["view"]
        drops = f"DROP VIEW IF EXISTS {view}; DROP FUNCTION IF EXISTS {touch}();"
        await other.execute(f"{drops} DROP TABLE IF EXISTS {log}; CREATE TABLE {log} (n integer)")
        await other.execute(
            f"CREATE FUNCTION {touch}() RETURNS integer LANGUAGE sql"
            f" AS 'INSERT INTO {log} VALUES (1) RETURNING n'"
        )
        counts = []
        try:
            for kind in ("integer", "text", "integer"):
                await other.execute(f"DROP VIEW IF EXISTS {view}")
                await other.execute(f"CREATE VIEW {view} AS SELECT {touch}()::{kind} AS n")
                for _ in range(2):
                    await one(engine, f"SELECT n FROM {view}")
                    counts.append(await other.fetchval(f"SELECT count(*) FROM {log}"))
        finally:
            await other.execute(f"{drops} DROP TABLE {log}")
        return counts

    assert alone(both, work, **AUTOCOMMIT) == [1, 2, 3, 4, 5, 6]


@private
def test_a_statement_with_a_type_of_the_programs_is_kept(pgflight_dialect: Dialect) -> None:
    async def work() -> int:
        engine = pgflight_dialect.engine(poolclass=NullPool)
        kind = own("first_mood")
        async with View.of(pgflight_dialect.server) as view:
            await view.connection.execute(
                f"DROP TYPE IF EXISTS {kind}; CREATE TYPE {kind} AS ENUM ('ok')"
            )
            try:
                for _ in range(3):
                    async with engine.connect() as connection:
                        for _ in range(10):
                            reads = sa.text(f"SELECT CAST('ok' AS {kind})")
                            assert await connection.scalar(reads) == "ok"
                return pgflight.stats(engine).cache_hits
            finally:
                await view.connection.execute(f"DROP TYPE {kind}")

    assert asyncio.run(work()) == 27


def test_statements_that_are_handed_out_keep_their_names(both: Both) -> None:
    """As SQLAlchemy's adapter prepares them: two at a time."""

    async def work(engine: AsyncEngine, other: asyncpg.Connection) -> list[Any]:
        async with engine.connect() as connection:
            adapted: Any = (await connection.get_raw_connection()).dbapi_connection
            first, _ = await adapted._prepare("SELECT 'first'", 0)
            second, _ = await adapted._prepare("SELECT 'second'", 0)
            return [(await each.fetchrow())[0] for each in (first, second, first)]

    assert alone(both, work) == ["first", "second", "first"]


def test_a_statement_that_a_listener_has_dropped(both: Both) -> None:
    """asyncpg closes it when it next prepares one."""

    async def work(engine: AsyncEngine, other: asyncpg.Connection) -> list[Any]:
        @event.listens_for(engine.sync_engine, "connect")
        def connect(dbapi_connection: Any, record: Any) -> None:
            async def prepare(connection: asyncpg.Connection) -> None:
                await (await connection.prepare("SELECT 1")).fetch()

            dbapi_connection.run_async(prepare)

        return [await one(engine, PLAIN, id=n % 2 + 1) for n in range(4)]

    alone(both, work)


@private
def test_a_text_that_means_something_else_each_time_is_given_up(
    pgflight_dialect: Dialect,
) -> None:
    async def work() -> list[int]:
        engine = pgflight_dialect.engine(poolclass=NullPool)
        trips = []
        async with committed(pgflight_dialect.engine(), metadata):
            async with View.of(pgflight_dialect.server) as view:
                await view.connection.execute(f"INSERT INTO {things.name} VALUES (1, 42)")
                await one(engine, "SELECT 1")  # what an engine's first connection asks
                for number in range(10):
                    kind = ("text", "integer")[number % 2]
                    await view.connection.execute(
                        f"ALTER TABLE {things.name} ALTER v TYPE {kind} USING v::{kind}"
                    )
                    before = pgflight.stats(engine).round_trips
                    assert await one(engine, PLAIN, id=1) == [
                        ("int", 42) if number % 2 else ("str", "42")
                    ]
                    trips.append(pgflight.stats(engine).round_trips - before)
        return trips

    first, *others = asyncio.run(work())
    # refused, rolled back and prepared three times; then prepared at once, like the first
    assert others[3:] == [first] * 6
    assert min(others[:3]) > first
