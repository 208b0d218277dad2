"""A schema for each tenant: the same text means other tables, with columns of other types.

The server refuses a statement that was prepared for other columns, also in the middle of a unit of
work, where nothing can be executed again.  So nothing is kept that the search path may change.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

import pgflight
from pgflight import driver
from pgflight.sqltext.commands import may_move_search_path
from tests.fixtures.engines import Dialect
from tests.parity.scratch import own

LEFT, RIGHT = TENANTS = own("left_tenant"), own("right_tenant")
COLUMNS = {
    LEFT: "id integer, v integer, m mood",
    RIGHT: "id bigint, v text, m mood, further date DEFAULT '2026-11-28'",
}
ITEMS = sa.table("items", sa.column("id", sa.Integer), sa.column("v"), sa.column("m"))
TYPED = sa.Table("items", sa.MetaData(), sa.Column("m", pg.ENUM("glad", "sad", name="mood")))
Enter = Callable[[AsyncConnection, str], Awaitable[None]]

described = pytest.mark.skipif(
    not driver.can_pipeline(), reason="level public cannot describe a statement in its flight"
)


@asynccontextmanager
async def tenants(engine: AsyncEngine) -> AsyncIterator[None]:
    """Make a schema and a role for each tenant."""

    async def run(texts: list[str]) -> None:
        async with engine.begin() as connection:
            for text in texts:
                await connection.exec_driver_sql(text)

    gone = [f"DROP SCHEMA IF EXISTS {each} CASCADE" for each in TENANTS]
    gone += [f"DROP ROLE IF EXISTS {each}" for each in TENANTS]
    made = []
    for each in TENANTS:
        value = 1 if each == LEFT else "'one'"
        made += [
            f"CREATE SCHEMA {each}",
            f"CREATE ROLE {each}",
            f"SET LOCAL search_path = {each}",
            "CREATE TYPE mood AS ENUM ('glad', 'sad')",
            f"CREATE TABLE items ({COLUMNS[each]})",
            f"INSERT INTO items VALUES (1, {value}, 'glad'), (2, NULL, 'sad')",
            f"GRANT USAGE ON SCHEMA {each} TO {each}",
            f"GRANT ALL ON items TO {each}",
        ]
    await run(gone + made)
    try:
        yield
    finally:
        await run(gone)


async def set_local(connection: AsyncConnection, tenant: str) -> None:
    await connection.execute(sa.text(f"SET LOCAL search_path TO {tenant}"))


async def set_session(connection: AsyncConnection, tenant: str) -> None:
    await connection.execute(sa.text(f"SET search_path = {tenant}, public"))


async def set_schema(connection: AsyncConnection, tenant: str) -> None:
    await connection.execute(sa.text(f"SET SCHEMA '{tenant}'"))


async def set_config(connection: AsyncConnection, tenant: str) -> None:
    text = sa.text("SELECT set_config('search_path', :tenant, true)")
    await connection.execute(text, {"tenant": tenant})


async def set_role(connection: AsyncConnection, tenant: str) -> None:
    await connection.execute(sa.text(f"SET LOCAL ROLE {tenant}"))


ENTERS = (set_local, set_session, set_schema, set_config, set_role)


async def use(connection: AsyncConnection, tenant: str) -> None:
    """Read and write, and look at every value."""
    one = 1 if tenant == LEFT else "one"
    id_is_one = ITEMS.c.id == 1
    assert (await connection.scalars(sa.select(ITEMS.c.v).where(id_is_one))).all() == [one]
    row = (await connection.execute(sa.text("SELECT * FROM items WHERE id = 1"))).one()
    assert (row.id, row.v, row.m, len(row)) == (1, one, "glad", 3 if tenant == LEFT else 4)
    text = sa.text("INSERT INTO items (id) VALUES (:id) RETURNING id, v, m")
    assert (await connection.execute(text, {"id": 7})).all() == [(7, None, None)]
    await connection.execute(TYPED.insert(), {"m": "sad"})
    sad = sa.select(sa.func.count()).select_from(TYPED).where(TYPED.c.m == "sad")
    assert await connection.scalar(sad) == 2
    async with connection.stream(sa.text("SELECT v FROM items WHERE id = 1")) as result:
        assert [each async for each in result.scalars()] == [one]


@described
@pytest.mark.parametrize("enter", ENTERS)
def test_tenants_take_turns(pgflight_dialect: Dialect, enter: Enter) -> None:
    """Also within one unit of work, behind other statements, where an error would end it."""

    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        chance = random.Random(2611)
        async with tenants(pgflight_dialect.engine()):
            for number in range(20):
                async with engine.connect() as connection:
                    for tenant in chance.sample(TENANTS, chance.randint(1, 2)):
                        await enter(connection, tenant)
                        await use(connection, tenant)
                        await connection.execute(
                            sa.text("DELETE FROM items WHERE id = 7 OR id IS NULL")
                        )
                    await (connection.commit if number % 3 else connection.rollback)()
            await engine.dispose()

    asyncio.run(work())


@described
def test_a_rollback_undoes_it(pgflight_dialect: Dialect) -> None:
    """What was prepared behind SET, in a transaction that is rolled back, is not used after it."""

    async def work() -> None:
        engine = pgflight_dialect.engine(
            pool_size=1,
            max_overflow=0,
            connect_args={"server_settings": {"search_path": RIGHT}},
        )
        async with tenants(pgflight_dialect.engine()), engine.connect() as connection:
            await use(connection, RIGHT)
            await connection.rollback()
            for _ in range(3):
                await set_session(connection, LEFT)
                await use(connection, LEFT)
                await connection.rollback()
                await use(connection, RIGHT)
                savepoint = await connection.begin_nested()
                await set_local(connection, LEFT)
                text = sa.text("SELECT v FROM items WHERE id = 1")
                assert await connection.scalar(text) == 1
                await savepoint.rollback()
                assert await connection.scalar(text) == "one"
                await connection.rollback()
            await connection.close()
            await engine.dispose()

    asyncio.run(work())


def test_a_path_that_is_set_once_costs_nothing(pgflight_dialect: Dialect) -> None:
    """As SQLAlchemy's documentation sets it: statements keep their names, and are prepared once."""

    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)

        @event.listens_for(engine.sync_engine, "connect", insert=True)
        def set_path(dbapi_connection: Any, record: object) -> None:
            before, dbapi_connection.autocommit = dbapi_connection.autocommit, True
            cursor = dbapi_connection.cursor()
            cursor.execute(f"SET SESSION search_path = '{LEFT}'")
            cursor.close()
            dbapi_connection.autocommit = before

        async with tenants(pgflight_dialect.engine()):
            async with engine.connect() as connection:
                await use(connection, LEFT)
            before = pgflight.stats(engine)
            for _ in range(3):
                async with engine.connect() as connection:
                    await use(connection, LEFT)
            after = pgflight.stats(engine)
            assert after.statements_prepared == before.statements_prepared
            raw = await engine.raw_connection()
            adapted: Any = raw.dbapi_connection
            assert not adapted.session.statements.search_path.moves
            raw.close()
            await engine.dispose()

    asyncio.run(work())


@described
def test_waits(pgflight_dialect: Dialect) -> None:
    """Tenants with the same columns: one wait for each statement, however many tenants."""

    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        same = sa.text("SELECT id FROM (SELECT 1 AS id) AS one WHERE id = :id")
        for number in range(6):
            before = pgflight.stats(engine).round_trips
            async with engine.connect() as connection:
                await connection.execute(sa.text(f"SET LOCAL search_path = tenant_{number}"))
                await connection.execute(same, {"id": 1})
            waited = pgflight.stats(engine).round_trips - before
        # SET has a text of its own for each tenant, and is prepared
        assert waited == 4, waited

    asyncio.run(work())


@described
@pytest.mark.parametrize("first", [True, False])
def test_nothing_is_kept_if_asked_for(pgflight_dialect: Dialect, first: bool) -> None:
    """Also not the first statement of a connection, which has a name as it proves what that is."""

    async def work() -> None:
        engine = pgflight_dialect.engine(
            pool_size=1, max_overflow=0, connect_args={"heal": "savepoint"}
        )
        text = sa.text("SELECT v FROM items WHERE id = 1")
        moves = f"DO $$ BEGIN PERFORM set_config('search_path', '{RIGHT}', true); END $$"
        async with tenants(pgflight_dialect.engine()), engine.connect() as connection:
            if not first:
                await connection.execute(sa.text("SELECT 1"))
            await set_local(connection, LEFT)
            assert await connection.scalar(text) == 1
            await connection.execute(sa.text(moves))  # which nobody sees
            assert await connection.scalar(text) == "one"
            await set_local(connection, LEFT)
            assert await connection.scalar(text) == 1
            await connection.close()
            await engine.dispose()

    asyncio.run(work())


@pytest.mark.parametrize(
    "text",
    [
        "SET search_path = a", "set /* x */ role p1", "SET LOCAL ROLE p", "SET SESSION ROLE p",
        "SET -- x\n SESSION AUTHORIZATION p", "SET LOCAL SESSION AUTHORIZATION p", "RESET ROLE",
        "reset /**/ all", "DISCARD ALL", "SET SCHEMA 'a'", "SELECT set_config($1, $2, true)",
    ],
)  # fmt: skip
def test_what_may_move_it(text: str) -> None:
    assert may_move_search_path(text)
    assert not may_move_search_path("UPDATE t SET a = role, schema = 2")


def test_the_builtin_dialect_raises(builtin: Dialect) -> None:
    """The reason for all of this."""

    async def work() -> None:
        engine = builtin.engine(pool_size=1, max_overflow=0)
        text = sa.text("SELECT v FROM items WHERE id = 1")
        async with tenants(builtin.engine()), engine.connect() as connection:
            await set_local(connection, LEFT)
            assert await connection.scalar(text) == 1
            await set_local(connection, RIGHT)
            with pytest.raises(DBAPIError, match="cached statement plan is invalid"):
                await connection.scalar(text)
            await connection.close()
            await engine.dispose()

    asyncio.run(work())
