"""What faults cost a program: the built-in dialect, pgflight and psycopg, on real servers.

    python -m bench.reliability [--write docs/reliability.md] [--only "random cancels"]

Each fault is made, not simulated: another session's DDL, `pg_terminate_backend()`, cancelled tasks,
a proxy that forwards nothing, a primary that becomes read-only. Starts servers of its own. Takes
about ten minutes, most of it waiting for what never answers.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import random
import time
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bench import situations
from pgflight.cli.server.cluster import TempCluster, embedded_binaries, find_binaries
from tests.fixtures.proxy import Proxy
from tests.fixtures.server import Server, running_server

KINDS = {"built-in": "postgresql+asyncpg", "pgflight": "postgresql+pgflight"}
if importlib.util.find_spec("psycopg") is not None:
    KINDS["psycopg"] = "postgresql+psycopg_async"
FOR_EVER = 70.0
"""Seconds after which a wait is taken for one without an end."""

PID = sa.text("SELECT pg_backend_pid()")
ONE = sa.text("SELECT 1")
SLEEP = sa.text("SELECT pg_sleep(20)")


class Scene:
    """Where one dialect meets the faults."""

    def __init__(self, driver: str, server: Server, proxy: Proxy) -> None:
        self.driver, self.server, self.proxy = driver, server, proxy

    def engine(self, url: URL | None = None, **options: Any) -> AsyncEngine:
        """Make an engine of this dialect."""
        target = (url or self.server.url()).set(drivername=self.driver)
        return create_async_engine(target, **options)

    def through_the_proxy(self, **options: Any) -> AsyncEngine:
        """Make one that reaches the server through the proxy."""
        return self.engine(self.proxy.url(), **options)


async def statements_made_stale(scene: Scene) -> str:
    """Count the first statements that fail after another session's DDL."""
    engine, failed, rounds = scene.engine(pool_size=1), 0, 40
    admin = await scene.server.connect()
    await admin.execute("DROP TABLE IF EXISTS stale; CREATE TABLE stale (v integer)")
    await admin.execute("INSERT INTO stale VALUES (1)")
    for turn in range(rounds):
        for _ in range(6):  # psycopg prepares what has been executed five times
            async with engine.connect() as connection:
                await connection.execute(sa.text("SELECT v FROM stale"))
        await admin.execute(f"ALTER TABLE stale ALTER v TYPE {('text', 'integer')[turn % 2]} USING "
                            f"v::{('text', 'integer')[turn % 2]}")  # fmt: skip
        try:
            async with engine.connect() as connection:
                await connection.execute(sa.text("SELECT v FROM stale"))
        except DBAPIError:
            failed += 1
    await admin.close()
    await engine.dispose()
    return f"{failed} of {rounds}"


async def sessions_killed(scene: Scene) -> str:
    """Count the units that fail when the server ends their session as they begin."""
    engine, failed, rounds = scene.engine(pool_size=1), 0, 100
    admin = await scene.server.connect()
    async with engine.connect() as connection:
        pid = await connection.scalar(PID)
    for _ in range(rounds):
        try:
            async with engine.connect() as connection:
                await admin.fetchval(f"SELECT pg_terminate_backend({pid})")
                while await admin.fetchval(f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid}"):
                    await asyncio.sleep(0.001)
                pid = await connection.scalar(PID)
        except DBAPIError:
            failed += 1
            async with engine.connect() as connection:
                pid = await connection.scalar(PID)
    await admin.close()
    await engine.dispose()
    return f"{failed} of {rounds}"


async def tasks_cancelled(scene: Scene) -> str:
    """Tell what share of the cancels that struck a unit with a connection cost its session."""
    engine = scene.engine(pool_size=10, max_overflow=0)
    chance, pids, struck = random.Random(3), set[int](), 0

    async def unit(begun: list[int]) -> None:
        async with engine.begin() as connection:
            pids.add(await connection.scalar(PID) or 0)
            begun.append(1)
            await connection.execute(sa.text("SELECT pg_sleep(0.01)"))
            await connection.execute(sa.text("SELECT n FROM generate_series(1, 3000) AS n"))

    async def worker(numbers: Any) -> None:
        nonlocal struck
        for _ in numbers:
            begun: list[int] = []
            task = asyncio.ensure_future(unit(begun))
            await asyncio.sleep(chance.random() * 0.3)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                struck += len(begun)

    numbers = iter(range(2000))
    await asyncio.gather(*(worker(numbers) for _ in range(50)))
    await engine.dispose()
    return f"{max(len(pids) - 10, 0) / max(struck, 1):.0%} of {struck}"


async def statements_timed_out(scene: Scene) -> str:
    """Count the sessions that are lost to `command_timeout`, or to a bound of the program's."""
    by_driver = "asyncpg" in scene.driver or "pgflight" in scene.driver
    arguments = {"command_timeout": 0.2} if by_driver else {}
    engine, pids, rounds = scene.engine(pool_size=1, connect_args=arguments), set[int](), 20
    for _ in range(rounds):
        try:
            async with engine.connect() as connection:
                pids.add(await connection.scalar(PID) or 0)
                await asyncio.wait_for(connection.execute(SLEEP), 60 if by_driver else 0.2)
        except asyncio.TimeoutError:
            pass
    await engine.dispose()
    return f"{len(pids) - 1} of {rounds}"


async def _seconds(work: Awaitable[Any]) -> str:
    began = time.monotonic()
    try:
        await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(work)), FOR_EVER)
    except asyncio.TimeoutError:
        if time.monotonic() - began >= FOR_EVER:
            return "no end"
    except Exception:
        pass
    return f"{time.monotonic() - began:.1f} s"


async def silent_at_login(scene: Scene) -> str:
    """Tell how long connecting to a server that does not answer takes, with no option set."""
    engine = scene.through_the_proxy()
    scene.proxy.black_hole()
    return await _seconds(engine.connect().start())


async def silent_under_a_bound(scene: Scene) -> str:
    """Tell when `asyncio.timeout(1)` around a statement ends."""
    engine = scene.through_the_proxy(pool_size=1)
    connection = await engine.connect()
    await connection.execute(ONE)
    scene.proxy.black_hole()
    return await _seconds(asyncio.wait_for(connection.execute(ONE), 1))


async def silent_at_the_end(scene: Scene) -> str:
    """Tell how long ROLLBACK takes when a connection comes back after a write."""
    engine = scene.through_the_proxy(pool_size=1)
    connection = await engine.connect()
    await connection.execute(sa.text("SELECT set_config('a.b', 'c', true)"))
    scene.proxy.black_hole()
    return await _seconds(connection.close())


async def silent_at_disposal(scene: Scene) -> str:
    """Tell how long `dispose()` of five idle connections takes."""
    engine = scene.through_the_proxy()
    connections = [await engine.connect() for _ in range(5)]
    for connection in connections:
        await connection.close()
    scene.proxy.black_hole()
    return await _seconds(engine.dispose())


async def demoted(scene: Scene) -> str:
    """Count the units that a demoted primary refuses, of 50 over five seconds."""
    with _cluster() as old, _cluster() as new:
        url = make_url(old.url()).set(host=None, port=None).update_query_dict(
            {"host": f"{old.host},{new.host}", "port": f"{old.port},{new.port}"}
        )  # fmt: skip
        engine, refused = scene.engine(url, pool_size=3), 0

        async def write() -> None:
            async with engine.begin() as connection:
                await connection.execute(sa.text("CREATE TABLE IF NOT EXISTS ledger (n integer)"))

        await write()
        (old.directory / "data" / "standby.signal").touch()
        await asyncio.to_thread(old.restart)
        for _ in range(50):
            try:
                await write()
            except DBAPIError:
                refused += 1
            await asyncio.sleep(0.1)
        await engine.dispose()
        return f"{refused} of 50"


def _cluster() -> TempCluster:
    settings = {"fsync": "off", "hot_standby": "on", "wal_level": "replica"}
    return TempCluster(find_binaries() or embedded_binaries(), settings=settings)


FAULTS: dict[str, Callable[[Scene], Awaitable[str]]] = {
    "another session's DDL: first statements of a unit that fail": statements_made_stale,
    "the server ends the session as a unit begins: units that fail": sessions_killed,
    "2,000 random cancels, 50 tasks, pool of 10: sessions lost to those that struck a unit":
        tasks_cancelled,
    "statements that take too long: sessions lost": statements_timed_out,
    "a bound of its own for a statement (`execution_options(timeout=0.2)`; elsewhere"
    " `asyncio.timeout(0.2)`): sessions lost": situations.statements_bounded,
    "`search_path` for each tenant, changed within a unit: statements that fail":
        situations.tenants_take_turns,
    f"waits of a new connection's first statement, the engine having met its parameter's type:"
    f" {', '.join(situations.PARAMETERS)}": situations.types_met_again,
    "an engine in several loops, threads or processes: uses that fail": situations.loops_and_forks,
    "a primary that becomes a standby, another one beside it: units refused": demoted,
    "a server that stops answering: connecting, no option set": silent_at_login,
    "the same: `asyncio.timeout(1)` around a statement": silent_under_a_bound,
    "the same: ROLLBACK as a connection comes back": silent_at_the_end,
    "the same: `dispose()` of five idle connections": silent_at_disposal,
}  # fmt: skip


def measure(server: Server, only: str) -> dict[str, list[str]]:
    """Return the outcomes of each fault whose name contains a text, one for each dialect."""
    found: dict[str, list[str]] = {}
    for fault, work in FAULTS.items():
        if only not in fault:
            continue
        for driver in KINDS.values():
            proxy = Proxy(server)
            proxy.start()

            async def run(scene: Scene, work: Callable[[Scene], Awaitable[str]] = work) -> str:
                asyncio.get_running_loop().set_exception_handler(lambda *_: None)
                try:
                    return await work(scene)
                finally:
                    scene.proxy.heal()
                    scene.proxy.reset()

            outcome = asyncio.run(run(Scene(driver, server, proxy)))
            proxy.stop()
            found.setdefault(fault, []).append(outcome)
            print(f"{outcome:>16}  {driver:26} {fault}", flush=True)
    return found


def main() -> None:
    """Measure, and write the table into a page if asked to."""
    parser = argparse.ArgumentParser(description="What faults cost a program.")
    parser.add_argument("--write", type=Path, help="a page with the markers of the table")
    parser.add_argument("--only", default="", help="a text in the names of the faults")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with running_server() as server:
        found = measure(server, options.only)
        version = ".".join(map(str, server.version))
    lines = [f"| fault | {' | '.join(KINDS)} |", "|---" * (len(KINDS) + 1) + "|"]
    lines += [f"| {fault} | {' | '.join(outcomes)} |" for fault, outcomes in found.items()]
    table = "\n".join([f"PostgreSQL {version}, SQLAlchemy {sa.__version__}.", "", *lines])
    if options.write:
        page = options.write.read_text("utf-8")
        head, _, rest = page.partition("<!-- table -->")
        before, _, tail = rest.partition("<!-- end of the table -->")
        if options.only:  # the other rows stay
            rows = dict(zip(found, lines[2:], strict=True))
            named = ((line, line[2:].partition(" | ")[0]) for line in before.strip().splitlines())
            table = "\n".join(rows.get(name, line) for line, name in named)
        options.write.write_text(
            f"{head}<!-- table -->\n\n{table}\n\n<!-- end of the table -->{tail}", "utf-8"
        )
    print(table)


if __name__ == "__main__":
    main()
