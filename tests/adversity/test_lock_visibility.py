"""Locks are gone when close(), rollback() or commit() has returned, for whoever asks at once.

An end whose answer nobody waits for must only ever be the end of a transaction that took no lock.
2,000 tries on ours, in all ways of locking, over a Unix socket, TCP and a proxy that delays.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy
from tests.parity.scratch import committed, own

pytestmark = pytest.mark.slow

LATENCY = 0.0005
KEY = 7_310_004
TABLE, LOCKER = own("locked_rows"), own("take_the_lock")


class Base(DeclarativeBase):
    pass


class Locked(Base):
    __tablename__ = TABLE
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    value: Mapped[int]


locked = Base.metadata.tables[TABLE]
FUNCTION = (
    f"CREATE OR REPLACE FUNCTION {LOCKER}(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN"
    f" PERFORM 1 FROM {TABLE} WHERE id = n FOR UPDATE; RETURN n; END $$"
)
ONE = sa.select(locked).where(locked.c.id == 1)

# --- ways to lock row 1 or the advisory key ---

STATEMENTS: dict[str, Any] = {
    "with_for_update": ONE.with_for_update(),
    "for_no_key_update": ONE.with_for_update(key_share=True),
    "text_for_update": sa.text(f"SELECT value FROM {TABLE} WHERE id = 1 FOR UPDATE"),
    "text_lower_case": sa.text(
        f"select value\nfrom {TABLE}\nwhere id = 1 /* no lock? */ for\tupdate"
    ),
    "for_update_in_a_subquery": sa.text(
        f"SELECT * FROM (SELECT id FROM {TABLE} WHERE id = 1 FOR UPDATE) AS s"
    ),
    "cte_for_update": sa.text(
        f"WITH c AS (SELECT id FROM {TABLE} WHERE id = 1 FOR UPDATE) SELECT id FROM c"
    ),
    "unknown_function": sa.select(sa.func.__getattr__(LOCKER)(1)),
    "text_unknown_function": sa.text(f'SELECT "{LOCKER}"(1)'),
    "function_in_from": sa.text(f"SELECT * FROM {LOCKER}(1) AS n"),
    "update": sa.update(locked).where(locked.c.id == 1).values(value=5),
    "update_returning_in_a_cte": sa.text(
        f"WITH u AS (UPDATE {TABLE} SET value = 6 WHERE id = 1 RETURNING id) SELECT id FROM u"
    ),
    "lock_table": sa.text(f"LOCK TABLE {TABLE} IN EXCLUSIVE MODE"),
    "advisory": sa.select(sa.func.pg_advisory_xact_lock(KEY)),
    "text_advisory": sa.text(f"SELECT pg_advisory_xact_lock({KEY})"),
    "advisory_in_where": sa.text(f"SELECT 1 WHERE pg_try_advisory_xact_lock({KEY})"),
    "advisory_with_schema": sa.text(f"SELECT pg_catalog.pg_advisory_xact_lock({KEY})"),
}

# --- ways to end the transaction that holds it ---

End = Callable[[AsyncEngine, Any], Awaitable[None]]


async def closed(engine: AsyncEngine, statement: Any) -> None:
    """Leave it to close()."""
    async with engine.connect() as connection:
        await connection.execute(statement)


async def rolled_back(engine: AsyncEngine, statement: Any) -> None:
    """Read plainly, lock, read plainly, roll back; the connection is given back as well."""
    async with engine.connect() as connection:
        await _read(connection)
        await connection.execute(statement)
        await _read(connection)
        await connection.rollback()


async def committed_end(engine: AsyncEngine, statement: Any) -> None:
    """Lock first, read, commit."""
    async with engine.begin() as connection:
        await connection.execute(statement)
        await _read(connection)


async def failed(engine: AsyncEngine, statement: Any) -> None:
    """Lock in a transaction that ends with an error."""
    with pytest.raises(sa.exc.DBAPIError, match="division by zero"):
        async with engine.begin() as connection:
            await connection.execute(statement)
            await connection.execute(sa.text("SELECT 1 / 0"))


async def session_closed(engine: AsyncEngine, statement: Any) -> None:
    """Leave it to a session's close(), behind a get()."""
    async with AsyncSession(engine) as session:
        await session.get(Locked, 2)
        await session.execute(statement)


async def streamed(engine: AsyncEngine, statement: Any) -> None:
    """Lock in front of a server-side cursor, and leave that unread."""
    async with engine.connect() as connection:
        await connection.execute(statement)
        result = await connection.stream(sa.text("SELECT * FROM generate_series(1, 200)"))
        await result.fetchmany(3)


async def in_a_savepoint(engine: AsyncEngine, statement: Any) -> None:
    """Lock behind a savepoint."""
    async with engine.connect() as connection:
        async with connection.begin_nested():
            await connection.execute(statement)


async def _read(connection: AsyncConnection) -> None:
    assert await connection.scalar(sa.select(locked.c.id).where(locked.c.id == 2)) == 2


ENDS: tuple[End, ...] = (
    *(closed, rolled_back, committed_end, failed, session_closed, streamed, in_a_savepoint),
)

# --- how to ask for the lock from outside ---

PROBES = itertools.cycle(
    [
        f"SELECT count(*) FROM (SELECT id FROM {TABLE} WHERE id = 1 FOR UPDATE SKIP LOCKED) AS s",
        f"SELECT 1 FROM {TABLE} WHERE id = 1 FOR UPDATE NOWAIT",
        f"SELECT 1 FROM {TABLE} WHERE id = 1 FOR NO KEY UPDATE NOWAIT",
    ]
)
TRY_ADVISORY = f"SELECT pg_try_advisory_xact_lock({KEY})::int"
# NOWAIT of a SELECT is about rows; the statement needs a block, which a function is
TRY_TABLE = f"DO $$ BEGIN LOCK TABLE {TABLE} IN ROW SHARE MODE NOWAIT; END $$"


async def is_free(probe: asyncpg.Connection, name: str) -> bool:
    """Ask for the lock that a statement took, without waiting for it."""
    query = TRY_ADVISORY if "advisory" in name else next(PROBES)
    try:
        if name == "lock_table":
            return bool(await probe.execute(TRY_TABLE) == "DO")
        return bool(await probe.fetchval(query))
    except asyncpg.LockNotAvailableError:
        return False


@asynccontextmanager
async def tables(dialect: Dialect) -> AsyncIterator[None]:
    engine = dialect.engine()
    async with committed(engine, Base.metadata):
        async with engine.begin() as connection:
            await connection.execute(locked.insert(), [{"id": n, "value": n} for n in (1, 2)])
            await connection.execute(sa.text(FUNCTION))
        try:
            yield
        finally:
            async with engine.begin() as connection:
                await connection.execute(sa.text(f"DROP FUNCTION {LOCKER}(int)"))


async def visible(dialect: Dialect, engine: AsyncEngine, tries: int) -> dict[str, int]:
    """Lock and unlock `tries` times; return by way and end how often the lock was still held."""
    held: dict[str, int] = {}
    probe = await dialect.server.connect()
    try:
        # every statement of the probe is prepared, so that it is as fast as it can be
        for _ in range(3):
            await is_free(probe, "row")
        ways = itertools.cycle(itertools.product(ENDS, STATEMENTS.items()))
        for end, (name, statement) in itertools.islice(ways, tries):
            await end(engine, statement)
            if not await is_free(probe, name):
                key = f"{name} {end.__name__}"
                held[key] = held.get(key, 0) + 1
    finally:
        await probe.close()
    return held


async def unix_socket(dialect: Dialect) -> str | None:
    """Return the directory of the server's Unix socket, where it is on this machine."""
    probe = await dialect.server.connect()
    try:
        directories = await probe.fetchval("SHOW unix_socket_directories")
    finally:
        await probe.close()
    for directory in filter(None, map(str.strip, directories.split(","))):
        if (Path(directory) / f".s.PGSQL.{dialect.server.port}").exists():
            return str(directory)
    return None


def probed(dialect: Dialect, proxy: Proxy, way: str, tries: int, **options: Any) -> None:
    """Assert that no lock was seen after its end."""

    async def work() -> dict[str, int]:
        directory = None
        if way == "unix":
            directory = await unix_socket(dialect)
            # a server on another machine has none for us: TCP then
            query = {} if directory is None else {"host": directory}
            engine = dialect.engine(dialect.url(query=query), **options)
        elif way == "proxy":
            proxy.settle, proxy.latency = 0, LATENCY
            engine = dialect.engine(via=proxy, **options)
        else:
            engine = dialect.engine(**options)
        async with tables(dialect):
            async with engine.connect() as connection:
                address = await connection.scalar(sa.text("SELECT inet_server_addr()"))
                assert (address is None) == (way == "unix" and directory is not None)
            return await visible(dialect, engine, tries)

    assert asyncio.run(work()) == {}


def test_the_probe_sees_a_lock_while_it_is_held(pgflight_dialect: Dialect) -> None:
    """Every statement takes a lock, and every question sees it."""

    async def work() -> list[str]:
        engine = pgflight_dialect.engine()
        probe = await pgflight_dialect.server.connect()
        free = []
        async with tables(pgflight_dialect):
            try:
                for name, statement in STATEMENTS.items():
                    async with engine.connect() as connection:
                        await connection.execute(statement)
                        for _ in range(3):
                            free += [name] if await is_free(probe, name) else []
            finally:
                await probe.close()
        return free

    assert asyncio.run(work()) == []


COMBINATIONS = len(ENDS) * len(STATEMENTS)


@pytest.mark.parametrize("way", ["unix", "tcp", "proxy"])
def test_no_lock_outlives_its_end(dialect: Dialect, proxy: Proxy, way: str) -> None:
    """Six times each of 112 combinations per way on ours, 2,016 in all; once on the built-in."""
    probed(dialect, proxy, way, COMBINATIONS * (6 if dialect.ours else 1))


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_nor_in_other_isolation_levels(dialect: Dialect, proxy: Proxy, level: str) -> None:
    probed(dialect, proxy, "tcp", COMBINATIONS, isolation_level=level)
