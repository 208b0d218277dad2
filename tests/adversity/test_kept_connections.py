"""A cancelled statement, and one that takes too long, do not cost the connection.

SQLAlchemy invalidates its record of it; the pool's next connection is the same server session,
drained and reset beside the program.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

import pgflight
from pgflight import driver
from tests.adversity.server_view import View, pool_of
from tests.adversity.test_cancel_storm import CONNECT_CANCELLED, OLD_ASYNCPG
from tests.fixtures.engines import Dialect
from tests.fixtures.scale import scaled
from tests.parity.scratch import committed, own

PID = sa.text("SELECT pg_backend_pid()")
SLEEP = sa.text("SELECT pg_sleep(30)")
metadata = sa.MetaData()
pairs = sa.Table(
    own("pairs_of_kept"), metadata, sa.Column("unit", sa.Integer), sa.Column("n", sa.Integer)
)

drains = pytest.mark.skipif(
    not driver.can_pipeline(), reason="level public cannot tell when a cancellation has ended"
)
if OLD_ASYNCPG:
    pytest.skip(
        "asyncpg before 0.32 waits for a cancellation without a bound", allow_module_level=True
    )


async def pid_of(connection: AsyncConnection) -> int:
    return int(await connection.scalar(PID) or 0)


async def interrupted(engine: AsyncEngine, before: Callable[[AsyncConnection], Any]) -> int:
    """Cancel a statement; return the process number of its session."""
    pids: list[int] = []

    async def unit() -> None:
        async with engine.connect() as connection:
            pids.append(await pid_of(connection))
            await before(connection)
            await connection.execute(SLEEP)

    task = asyncio.ensure_future(unit())
    while not pids:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return pids[0]


async def nothing(connection: AsyncConnection) -> None:
    pass


@drains
def test_the_same_session_serves_on(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        pids = set()
        for _ in range(10):
            pids.add(await interrupted(engine, nothing))
            assert pool_of(engine).checkedout() == 0
        async with engine.connect() as connection:
            pids.add(await pid_of(connection))
            assert len(pids) == 1
            assert pgflight.stats(engine).connections_kept == 10

    asyncio.run(work())


@drains
@pytest.mark.parametrize("way", ["command_timeout", "asyncio.timeout"])
def test_a_statement_that_takes_too_long(pgflight_dialect: Dialect, way: str) -> None:
    async def work() -> None:
        arguments = {"command_timeout": 0.5} if way == "command_timeout" else {}
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0, connect_args=arguments)
        pids = set()
        for _ in range(5):
            async with engine.connect() as connection:
                pids.add(await pid_of(connection))
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(connection.execute(SLEEP), 0.5 if not arguments else 60)
        assert len(pids) == 1

    asyncio.run(work())


async def set_up(connection: AsyncConnection) -> None:
    """Leave in the session what a transaction's end does not undo."""
    for text in (
        "SET work_mem = '7MB'",
        "CREATE TEMPORARY TABLE left_behind (n integer)",
        "SELECT pg_advisory_lock(4711)",
        "PREPARE by_text AS SELECT 1",
        "LISTEN somebody",
    ):
        await connection.execute(sa.text(text))
    await connection.commit()


@drains
def test_it_is_as_good_as_new(pgflight_dialect: Dialect) -> None:
    """As a new connection of the pool's: with the pool's events, without what was set before."""

    async def work() -> None:
        engine = pgflight_dialect.engine(
            pool_size=1,
            max_overflow=0,
            connect_args={"server_settings": {"application_name": own("kept")}},
        )
        connects: list[Any] = []
        event.listen(engine.sync_engine, "connect", lambda *_: connects.append(_))
        pid = await interrupted(engine, set_up)
        async with View.of(pgflight_dialect.server) as view, engine.connect() as connection:
            assert await pid_of(connection) == pid
            assert len(connects) == 2
            shown = sa.text(
                "SELECT current_setting('work_mem'), current_setting('application_name'),"
                " to_regclass('pg_temp.left_behind'),"
                " (SELECT count(*) FROM pg_prepared_statements WHERE from_sql),"
                " (SELECT count(*) FROM pg_listening_channels())"
            )
            fresh = await view.connection.fetchval("SELECT current_setting('work_mem')")
            found = (await connection.execute(shown)).one()
            assert tuple(found) == (fresh, own("kept"), None, 0, 0)
            assert await view.connection.fetchval("SELECT pg_try_advisory_lock(4711)")
            json = await connection.scalar(sa.text("SELECT CAST('{\"a\": 1}' AS jsonb)"))
            assert json == {"a": 1}

    asyncio.run(work())


@drains
def test_whoever_still_has_it_is_refused(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        kept: list[Any] = []

        async def keep(connection: AsyncConnection) -> None:
            kept.append((await connection.get_raw_connection()).dbapi_connection)

        pid = await interrupted(engine, keep)
        async with engine.connect() as connection:
            assert await pid_of(connection) == pid

            def use(_: Any) -> None:
                kept[0].cursor().execute("SELECT 1")

            with pytest.raises(Exception, match="was invalidated"):
                await connection.run_sync(use)
            # nor is it told from another thread, such as a garbage collection's, where no loop runs
            await asyncio.to_thread(kept[0].drop)
            await asyncio.to_thread(kept[0].close)
            assert await pid_of(connection) == pid

    asyncio.run(work())


async def exposed(connection: AsyncConnection) -> None:
    raw: Any = (await connection.get_raw_connection()).driver_connection
    await raw.set_type_codec("int4", schema="pg_catalog", encoder=str, decoder=lambda _: "mine")


@drains
def test_what_the_program_had_its_hands_on_is_closed(pgflight_dialect: Dialect) -> None:
    """Its codecs and listeners would be there for whoever gets the connection next."""

    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        pid = await interrupted(engine, exposed)
        async with View.of(pgflight_dialect.server) as view, engine.connect() as connection:
            assert await connection.scalar(sa.text("SELECT 42")) == 42
            assert await pid_of(connection) != pid
            while await view.state(pid) is not None:
                await asyncio.sleep(0.01)

    asyncio.run(work())


@pytest.mark.parametrize("end", ["dispose", "time", "null pool"])
def test_what_nobody_takes_is_closed(
    pgflight_dialect: Dialect, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    async def work() -> None:
        options: dict[str, Any] = {"pool_size": 1, "max_overflow": 0}
        if end == "null pool":
            options = {"poolclass": sa.NullPool}
        engine = pgflight_dialect.engine(**options)
        monkeypatch.setattr("pgflight.dbapi.recovery.kept_connections.KEEP_SECONDS", 0.3)
        pid = await interrupted(engine, nothing)
        if end == "dispose":
            await engine.dispose()
        async with View.of(pgflight_dialect.server) as view:
            while await view.state(pid) is not None:
                await asyncio.sleep(0.01)

    asyncio.run(work())


@pytest.mark.parametrize("way", ["leftover", "timeout", "kept"])
def test_a_loop_that_ends_leaves_nothing(pgflight_dialect: Dialect, way: str) -> None:
    """No task that is pending, no connection that is open, no error that nobody has asked for."""
    url = pgflight_dialect.url().render_as_string(hide_password=False)
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-m", "tests.adversity.interrupted_program", url, way],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.stdout, done.stderr) == ("ended\n", "")


@drains
def test_a_storm_costs_hardly_any(pgflight_dialect: Dialect) -> None:
    """50 tasks on a pool of 10; every unit stores two rows or none."""
    units = scaled(1000, least=300)
    application = own("storm_of_kept")

    unhandled: list[str] = []

    def record(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # asyncpg leaves it where connecting is cancelled
        if str(context.get("exception")) != CONNECT_CANCELLED:
            unhandled.append(str(context))

    async def work() -> None:
        asyncio.get_running_loop().set_exception_handler(record)
        engine = pgflight_dialect.engine(
            pool_size=10,
            max_overflow=0,
            connect_args={"server_settings": {"application_name": application}},
        )
        chance = random.Random(7)
        seen: Counter[str] = Counter()
        pids: set[int] = set()
        most = 0

        async def unit(number: int) -> None:
            async with engine.begin() as connection:
                pids.add(await pid_of(connection))
                seen["begun"] += 1
                await connection.execute(pairs.insert(), {"unit": number, "n": 1})
                await connection.execute(sa.text("SELECT pg_sleep(0.01)"))
                rows = sa.text("SELECT n FROM generate_series(1, 3000) AS n")
                assert len((await connection.execute(rows)).all()) == 3000
                await connection.execute(pairs.insert(), {"unit": number, "n": 2})
            seen["done"] += 1

        async def worker(numbers: Any) -> None:
            nonlocal most
            for number in numbers:
                task = asyncio.ensure_future(unit(number))
                await asyncio.sleep(chance.random() * 0.06)
                begun = not task.done()
                task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    seen["cancelled"] += begun
                except DBAPIError as error:  # a request to cancel that came late
                    raise AssertionError("nobody cancelled this one") from error

        async with committed(pgflight_dialect.engine(), metadata):
            numbers = iter(range(units))
            await asyncio.gather(*(worker(numbers) for _ in range(50)))
            async with View.of(pgflight_dialect.server) as view:
                assert pool_of(engine).checkedout() == 0
                assert await view.at_rest(application) == []
                found = await view.connection.fetch(
                    f"SELECT count(*) AS rows FROM {pairs.name} GROUP BY unit"
                )
                assert {row["rows"] for row in found} <= {2}
        assert seen["cancelled"] > units / 5
        lost = len(pids) - 10
        assert lost <= seen["cancelled"] * 0.05, (lost, seen)
        print(lost, dict(seen), pgflight.stats(engine).connections_kept)

    asyncio.run(work())
    assert unhandled == []
