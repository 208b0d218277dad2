"""Closing a connection waits for nobody: the server is told, and ends when it reads that.

Nothing is lost by it: what is open is rolled back, what was committed stays, and the server has
nothing to complain of.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from pgflight import driver
from tests.adversity.server_view import View
from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy
from tests.parity.scratch import committed, own

metadata = sa.MetaData()
rows = sa.Table(own("rows_of_leaving"), metadata, sa.Column("n", sa.Integer))
NAME = own("leaving")
COMPLAINTS = ("unexpected EOF", "reset by peer", "Broken pipe", "could not send data")
private = pytest.mark.skipif(
    not driver.can_pipeline(), reason="level public closes as asyncpg does"
)


def engine_of(dialect: Dialect, **options: Any) -> AsyncEngine:
    named = {"server_settings": {"application_name": NAME}}
    return dialect.engine(connect_args=named, **options)


@pytest.mark.parametrize("pool", ["NullPool", "dispose", "invalidate", "overflow"])
def test_nothing_is_left_behind(pgflight_dialect: Dialect, pool: str) -> None:
    """No session, no transaction, and no complaint in the server's log."""

    async def work() -> None:
        options: dict[str, Any] = (
            {"poolclass": NullPool} if pool == "NullPool" else {"pool_size": 1}
        )
        engine = engine_of(pgflight_dialect, **options)
        cluster = pgflight_dialect.server.cluster
        before = len(cluster.log.read_text(errors="replace")) if cluster else 0

        async def unit(n: int) -> None:
            async with engine.connect() as connection:
                await connection.execute(sa.select(rows))  # its end is deferred
                await connection.rollback()
                await connection.execute(rows.insert(), {"n": n})
                if n % 2:
                    await connection.commit()
                if pool == "invalidate":
                    await connection.invalidate()

        async with committed(pgflight_dialect.engine(), metadata):
            for _ in range(5):
                await asyncio.gather(*map(unit, range(4)))
            await engine.dispose()
            async with View.of(pgflight_dialect.server) as view:
                assert await view.gone(NAME) == []
            async with pgflight_dialect.engine().connect() as connection:
                stored = (await connection.scalars(sa.select(rows.c.n).order_by(rows.c.n))).all()
                assert stored == [1] * 5 + [3] * 5
        if cluster:
            said = cluster.log.read_text(errors="replace")[before:]
            assert not [each for each in COMPLAINTS if each in said and pool != "invalidate"]

    asyncio.run(work())


@private
def test_a_deferred_end_is_waited_for(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    """But not for ever: the server may be silent."""

    async def work() -> None:
        engine = pgflight_dialect.engine(proxy.url(), poolclass=NullPool)
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
            proxy.black_hole()
            await asyncio.wait_for(connection.close(), 25)
        proxy.heal()

    asyncio.run(work())


@private
def test_a_silent_server_does_not_hold_up_dispose(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(proxy.url(), pool_size=5)
        connections = [await engine.connect() for _ in range(5)]
        for connection in connections:
            await connection.execute(sa.text("SELECT 1"))
        for connection in connections:
            await connection.close()
        await asyncio.sleep(0.2)  # the ends are answered
        proxy.black_hole()
        closed: list[Any] = []
        loop = asyncio.get_running_loop()
        before = driver.leave

        async def counted(connection: Any) -> None:
            closed.append(connection)
            await before(connection)

        driver.leave = counted
        try:
            started = loop.time()
            await asyncio.wait_for(engine.dispose(), 25)
        finally:
            driver.leave = before
        assert len(closed) == 5
        assert loop.time() - started < 25
        proxy.heal()

    asyncio.run(work())


PROGRAM = """
import asyncio, sys, warnings
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
import pgflight
pgflight.install()
if sys.argv[2] == "uvloop":
    import uvloop
    loop = uvloop.new_event_loop()
else:
    loop = asyncio.new_event_loop()
pool = {"poolclass": NullPool} if sys.argv[3] == "NullPool" else {}
engine = create_async_engine(sys.argv[1], **pool)
async def unit():
    async with engine.connect() as connection:
        await connection.execute(sa.text("SELECT 1"))
    await engine.dispose()
loop.run_until_complete(unit())
loop.close()
del engine, loop
import gc
gc.collect()
print("left")
"""


@pytest.mark.parametrize("pool", ["NullPool", "QueuePool"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_no_socket_is_left_open(pgflight_dialect: Dialect, loop: str, pool: str) -> None:
    """Even if the loop ends at once; a ResourceWarning would be an error."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM,
         pgflight_dialect.server.text(), loop, pool],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "left"), done.stderr
    assert "Warning" not in done.stderr, done.stderr
