"""What else costs a program: bounds of single statements, tenants, new types, loops and forks.

Rows of `bench.reliability`, which calls them.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.exc import DBAPIError

from bench.loop_uses import NAMES

if TYPE_CHECKING:
    from bench.reliability import Scene

LONGEST_USE_SECONDS = 40.0
"""After which a use is taken for one that hangs."""

MOOD = pg.ENUM("glad", "sad", name="bench_mood", create_type=False)
PARAMETERS: dict[str, tuple[Any, Any]] = {
    "text": (sa.select(sa.bindparam("p", type_=sa.Text)), "one"),
    "int[]": (sa.select(sa.bindparam("p", type_=sa.ARRAY(sa.Integer))), [1, 2]),
    "enum": (sa.select(sa.bindparam("p", type_=MOOD)), "glad"),
    "range": (sa.select(sa.bindparam("p", type_=pg.INT4RANGE)), pg.Range(1, 5)),
    "composite": (sa.text("SELECT CAST(:p AS bench_pair)"), (1, "a")),
}


async def statements_bounded(scene: Scene) -> str:
    """Count the sessions that are lost to a bound of one statement."""
    ours = "pgflight" in scene.driver
    statement = sa.text("SELECT pg_sleep(20)")
    if ours:
        statement = statement.execution_options(timeout=0.2)
    engine, pids, rounds = scene.engine(pool_size=1), set[int](), 20
    for _ in range(rounds):
        try:
            async with engine.connect() as connection:
                pids.add(await connection.scalar(sa.text("SELECT pg_backend_pid()")) or 0)
                await asyncio.wait_for(connection.execute(statement), 60 if ours else 0.2)
        except (asyncio.TimeoutError, DBAPIError):
            pass
    await engine.dispose()
    return f"{len(pids) - 1} of {rounds}"


async def tenants_take_turns(scene: Scene) -> str:
    """Count the statements that fail in units that change the search path between them."""
    engine, failed, rounds = scene.engine(pool_size=1), 0, 40
    admin = await scene.server.connect()
    for schema, kind in (("left_side", "integer"), ("right_side", "text")):
        await admin.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}")
        await admin.execute(f"CREATE TABLE {schema}.items (v {kind})")
        await admin.execute(f"INSERT INTO {schema}.items VALUES ('1')")
    await admin.close()
    for _ in range(rounds):
        async with engine.connect() as connection:
            for schema, value in (("left_side", 1), ("right_side", "1")):
                await connection.execute(sa.text(f"SET LOCAL search_path = {schema}"))
                try:
                    found = await connection.scalar(sa.text("SELECT v FROM items"))
                    if found != value:
                        raise AssertionError(f"{found!r} of another tenant")
                except DBAPIError:
                    failed += 1
                    await connection.rollback()
    await engine.dispose()
    return f"{failed} of {2 * rounds}"


async def types_met_again(scene: Scene) -> str:
    """Count the waits of a new connection's first statement, by the type of its parameter."""
    admin = await scene.server.connect()
    await admin.execute("DROP TYPE IF EXISTS bench_mood, bench_pair")
    await admin.execute("CREATE TYPE bench_mood AS ENUM ('glad', 'sad')")
    await admin.execute("CREATE TYPE bench_pair AS (a integer, b text)")
    await admin.close()
    engine, counted = scene.through_the_proxy(pool_size=20), []
    async with engine.connect() as first:  # the engine has met the types
        for statement, value in PARAMETERS.values():
            await first.execute(statement, {"p": value})
        for statement, value in PARAMETERS.values():
            held = await engine.connect()  # has not been used before
            with scene.proxy.counting() as trips:
                await held.execute(statement, {"p": value})
            counted.append(str(trips.count))
            await held.invalidate()
            await held.close()
    await engine.dispose()
    return ", ".join(counted)


async def loops_and_forks(scene: Scene) -> str:
    """Count the uses of an engine in several loops, threads or processes that fail."""
    url = scene.server.text(scene.driver)
    failed = 0
    for name in NAMES:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "ignore", "-m", "bench.loop_uses", url, name),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            failed += await asyncio.wait_for(process.wait(), LONGEST_USE_SECONDS) != 0
        except asyncio.TimeoutError:
            failed += 1
            process.kill()
            await process.wait()
    return f"{failed} of {len(NAMES)}"
