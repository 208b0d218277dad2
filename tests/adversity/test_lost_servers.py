"""A server session that is gone when a unit of work begins: the unit goes on with a new one.

Where something may have been lost with the first, an error says so that counts as a disconnect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pgflight
from tests.adversity.server_view import View, pool_of
from tests.adversity.test_cancel_storm import OLD_ASYNCPG
from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy
from tests.parity.scratch import committed, own
from tests.parity.test_disconnects import PID, kill, raises_like


class Base(DeclarativeBase):
    """The program's tables."""


class Kept(Base):
    """A row that a unit of work stores."""

    __tablename__ = own("kept_of_lost_servers")
    id: Mapped[int] = mapped_column(primary_key=True)
    note: Mapped[str]


kept = sa.Table(own("rows_of_lost_servers"), Base.metadata, sa.Column("n", sa.Integer))
Use = Callable[[AsyncConnection], Awaitable[Any]]


async def select(connection: AsyncConnection) -> None:
    assert await connection.scalar(sa.select(sa.func.count()).select_from(kept)) == 0


async def insert(connection: AsyncConnection) -> None:
    await connection.execute(kept.insert(), {"n": 1})


async def insert_many(connection: AsyncConnection) -> None:
    await connection.execute(kept.insert(), [{"n": n} for n in range(50)])


async def insert_each(connection: AsyncConnection) -> None:
    statement = sa.text(f"INSERT INTO {kept.name} VALUES (:n)")
    await connection.execute(statement, [{"n": n} for n in range(50)])


async def stream(connection: AsyncConnection) -> None:
    rows = await connection.stream(sa.text("SELECT n FROM generate_series(1, 200) AS n"))
    assert [row.n async for row in rows] == list(range(1, 201))


async def savepoint(connection: AsyncConnection) -> None:
    async with connection.begin_nested():
        await connection.execute(kept.insert(), {"n": 1})


async def add(connection: AsyncConnection) -> None:
    async with AsyncSession(connection) as session:
        session.add(Kept(note="x"))
        await session.flush()


STORED: dict[Use, int] = {insert: 1, insert_many: 50, insert_each: 50, savepoint: 1}
USES: list[Use] = [select, insert, insert_many, insert_each, stream, savepoint, add]


async def pid_of(connection: AsyncConnection) -> int:
    return int(await connection.scalar(PID) or 0)


@pytest.mark.parametrize("way", ["terminated", "reset"])
@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_a_unit_goes_on(pgflight_dialect: Dialect, proxy: Proxy, use: Use, way: str) -> None:
    """It was checked out alive, and is lost by the time that the first statement is sent."""

    async def work() -> None:
        engine = pgflight_dialect.engine(proxy.url(), pool_size=1, max_overflow=0)
        plain = pgflight_dialect.engine()
        async with committed(plain, Base.metadata):
            async with engine.connect() as connection:
                pid = await pid_of(connection)
            for _ in range(3):
                async with engine.connect() as connection:
                    if way == "terminated":
                        await kill(pgflight_dialect, pid)
                    else:
                        proxy.reset()
                    async with connection.begin():
                        await use(connection)
                        after = await pid_of(connection)
                    assert after != pid
                    pid = after
                assert pool_of(engine).checkedout() == 0
                async with plain.begin() as connection:
                    stored = await connection.execute(kept.delete())
                    assert stored.rowcount == STORED.get(use, 0)
            assert pgflight.stats(engine).healed == {"connection that the server had closed": 3}

    asyncio.run(work())


def test_what_was_set_up_is_set_up_again(pgflight_dialect: Dialect) -> None:
    """Listeners of the pool's events; the isolation level of this use; what is undone after it."""

    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        seen: list[str] = []

        @event.listens_for(engine.sync_engine, "connect")
        def connect(dbapi_connection: Any, record: Any) -> None:
            seen.append("connect")
            cursor = dbapi_connection.cursor()
            cursor.execute("SET application_name = 'set up'")
            dbapi_connection.commit()

        @event.listens_for(engine.sync_engine, "checkout")
        def checkout(dbapi_connection: Any, record: Any, proxy: Any) -> None:
            seen.append("checkout")

        settings = sa.text(
            "SELECT current_setting('application_name'),"
            " current_setting('transaction_isolation'), pg_backend_pid()"
        )
        async with engine.connect() as connection:
            pid = await pid_of(connection)
        seen.clear()
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="SERIALIZABLE")
            await kill(pgflight_dialect, pid)
            *found, new = (await connection.execute(settings)).one()
            assert found == ["set up", "serializable"] and new != pid
        assert seen == ["checkout", "connect", "checkout"]
        async with engine.connect() as connection:
            *found, same = (await connection.execute(settings)).one()
            assert found == ["set up", "read committed"] and same == new

    asyncio.run(work())


def by_cursor(connection: sa.Connection) -> None:
    connection.connection.cursor().execute("SET work_mem = '5MB'")


@pytest.mark.parametrize("before", ["statement", "earlier unit", "driver", "failed", "cursor"])
def test_a_session_that_was_used_is_not_replaced(dialect: Dialect, before: str) -> None:
    """The program may have set something in it that another one would lack."""

    async def work() -> None:
        engine = dialect.engine(pool_size=1, max_overflow=0)
        async with engine.connect() as connection:
            pid = await pid_of(connection)
        async with engine.connect() as connection:
            if before == "driver":
                raw: Any = (await connection.get_raw_connection()).driver_connection
                await raw.execute("SET work_mem = '5MB'")
            elif before == "cursor":  # before SQLAlchemy begins anything
                await connection.run_sync(by_cursor)
            elif before == "failed":
                with pytest.raises(DBAPIError):
                    await connection.execute(sa.text("SELECT 1 / 0"))
            else:
                await connection.execute(sa.text("SET work_mem = '5MB'"))
                if before == "earlier unit":
                    await connection.commit()
            await kill(dialect, pid)
            with raises_like(dialect) as caught:
                await connection.execute(sa.text("SELECT 1"))
            if isinstance(caught.value, DBAPIError):
                assert caught.value.connection_invalidated
            else:
                await connection.invalidate()
            if dialect.ours:
                assert isinstance(caught.value, (OperationalError, sa.exc.InterfaceError))
            await connection.rollback()
            assert await pid_of(connection) != pid

    asyncio.run(work())


@pytest.mark.parametrize("level", ["READ COMMITTED", "AUTOCOMMIT"])
def test_terminated_while_it_runs(pgflight_dialect: Dialect, level: str) -> None:
    """A server that is told to end rolls back what it has not committed, and says so.

    Asyncpg before 0.32 does not pass on what it says.
    """

    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0, isolation_level=level)
        plain = pgflight_dialect.engine()
        slow = sa.text(
            f"WITH slept AS (SELECT pg_sleep(1)) INSERT INTO {kept.name} SELECT 42 FROM slept"
            " RETURNING n"
        )
        async with committed(plain, Base.metadata), View.of(pgflight_dialect.server) as view:
            async with engine.connect() as connection:
                pid = await pid_of(connection)
            async with engine.connect() as connection:
                running = asyncio.ensure_future(connection.scalar(slow))
                while await view.state(pid) != "active":
                    await asyncio.sleep(0.005)
                await kill(pgflight_dialect, pid)
                if level == "AUTOCOMMIT" and OLD_ASYNCPG:
                    with pytest.raises(OperationalError, match="may have been executed"):
                        await running
                else:
                    assert await running == 42
                    await connection.commit()
            async with plain.connect() as connection:
                count = sa.select(sa.func.count()).select_from(kept)
                stored = 0 if level == "AUTOCOMMIT" and OLD_ASYNCPG else 1
                assert await connection.scalar(count) == stored

    asyncio.run(work())


def test_no_answer_in_autocommit_is_raised(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    """The server may have executed it, and the error says so; what changes nothing goes on."""

    async def work() -> None:
        engine = pgflight_dialect.engine(
            proxy.url(), pool_size=1, max_overflow=0, isolation_level="AUTOCOMMIT"
        )
        slow = sa.text(f"INSERT INTO {kept.name} SELECT 1 FROM pg_sleep(0.2)")
        async with committed(pgflight_dialect.engine(), Base.metadata):
            for statement in (slow, sa.text("SELECT 42 FROM generate_series(1, 3000000)")):
                async with engine.connect() as connection:
                    await connection.execute(sa.text("SELECT 1"))
                async with engine.connect() as connection:
                    running = asyncio.ensure_future(connection.scalar(statement))
                    await asyncio.sleep(0.05)
                    proxy.reset()
                    if statement is slow:
                        with pytest.raises(
                            OperationalError, match="may have been executed"
                        ) as caught:
                            await running
                        assert caught.value.connection_invalidated
                    else:
                        assert await running == 42

    asyncio.run(work())


def test_a_server_that_stays_away_is_raised(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(proxy.url(), pool_size=1, max_overflow=0)
        async with engine.connect() as connection:
            await pid_of(connection)
        async with engine.connect() as connection:
            proxy.refuse()
            proxy.reset()
            with pytest.raises(DBAPIError) as caught:
                await pid_of(connection)
            assert caught.value.connection_invalidated
        proxy.heal()
        async with engine.connect() as connection:
            assert await pid_of(connection)

    asyncio.run(work())


@pytest.mark.parametrize("level", ["READ COMMITTED", "AUTOCOMMIT"])
def test_what_commits_by_itself_is_executed_once(pgflight_dialect: Dialect, level: str) -> None:
    """A procedure that commits, and an error that only looks like the end of a session."""

    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0, isolation_level=level)
        plain = pgflight_dialect.engine(isolation_level="AUTOCOMMIT")
        name = own("procedure_of_lost_servers")
        async with committed(plain, Base.metadata), View.of(pgflight_dialect.server) as view:
            async with plain.connect() as connection:
                await connection.exec_driver_sql(
                    f"CREATE OR REPLACE PROCEDURE {name}(how text) LANGUAGE plpgsql AS $$ BEGIN"
                    f" INSERT INTO {kept.name} VALUES (1); IF how = 'commit' THEN COMMIT; END IF;"
                    " IF how = 'raise' THEN RAISE SQLSTATE '57P01'; END IF;"
                    " PERFORM pg_sleep(2); END $$"
                )
            async with engine.connect() as connection:
                pid = await pid_of(connection)
            async with engine.connect() as connection:
                with pytest.raises(DBAPIError) as caught:
                    await connection.exec_driver_sql(f"CALL {name}('raise')")
                assert not caught.value.connection_invalidated
                await connection.rollback()
                assert await pid_of(connection) == pid
            if level == "AUTOCOMMIT":
                async with engine.connect() as connection:
                    running = asyncio.ensure_future(
                        connection.exec_driver_sql(f"CALL {name}('commit')")
                    )
                    while await view.state(pid) != "active":
                        await asyncio.sleep(0.005)
                    await asyncio.sleep(0.2)
                    await kill(pgflight_dialect, pid)
                    with pytest.raises(OperationalError):
                        await running
                async with plain.connect() as connection:
                    count = sa.select(sa.func.count()).select_from(kept)
                    assert await connection.scalar(count) == 1
            async with plain.connect() as connection:
                await connection.exec_driver_sql(f"DROP PROCEDURE {name}")

    asyncio.run(work())


def test_parameter_sets_that_can_be_read_once(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        plain = pgflight_dialect.engine()
        statement = f"INSERT INTO {kept.name} VALUES ($1)"

        def insert_numbers(connection: sa.Connection) -> None:
            cursor: Any = connection.connection.cursor()
            cursor.executemany(statement, ((n,) for n in range(5)))

        async with committed(plain, Base.metadata):
            async with engine.connect() as connection:
                pid = await pid_of(connection)
            async with engine.begin() as connection:
                await kill(pgflight_dialect, pid)
                await connection.run_sync(insert_numbers)
            async with plain.connect() as connection:
                count = sa.select(sa.func.count()).select_from(kept)
                assert await connection.scalar(count) == 5

    asyncio.run(work())


def test_a_listener_that_refuses_the_new_connection(pgflight_dialect: Dialect) -> None:
    """Nobody gets a connection that is set up by half; the loss is raised."""

    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        checkouts: list[int] = []

        @event.listens_for(engine.sync_engine, "checkout")
        def checkout(dbapi_connection: Any, record: Any, proxy: Any) -> None:
            checkouts.append(1)
            if len(checkouts) == 3:
                raise RuntimeError("not this one")

        async with engine.connect() as connection:
            pid = await pid_of(connection)
        async with engine.connect() as connection:
            await kill(pgflight_dialect, pid)
            with pytest.raises(DBAPIError) as caught:
                await pid_of(connection)
            assert caught.value.connection_invalidated
            await connection.rollback()
            assert await pid_of(connection) != pid
            assert len(checkouts) == 4

    asyncio.run(work())
