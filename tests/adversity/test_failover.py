"""A primary that becomes read-only: the pool leaves it, and does not come back to it.

Real servers: two clusters, of which one is made read-only in the ways in which that happens.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from pgflight.cli.server.cluster import TempCluster, embedded_binaries, find_binaries
from tests.fixtures.engines import Dialect

PORT = sa.text("SELECT current_setting('port')")
SETTINGS = {"fsync": "off", "autovacuum": "off", "hot_standby": "on", "wal_level": "replica"}
WITHIN_SECONDS = 5.0


class Pair:
    """The old primary and the new one."""

    def __init__(self, old: TempCluster, new: TempCluster) -> None:
        self.old, self.new = old, new

    def url(self, **query: Any) -> URL:
        hosts = {
            "host": f"{self.old.host},{self.new.host}",
            "port": f"{self.old.port},{self.new.port}",
        }
        url = make_url(self.old.url()).set(host=None, port=None)
        return url.update_query_dict({**hosts, **query})

    async def make_read_only(self, dialect: Dialect, way: str) -> None:
        if way == "setting":
            engine = dialect.engine(self.old.url(), isolation_level="AUTOCOMMIT")
            async with engine.connect() as connection:
                await connection.exec_driver_sql(
                    "ALTER SYSTEM SET default_transaction_read_only = on"
                )
                await connection.exec_driver_sql("SELECT pg_reload_conf()")
            await engine.dispose()
        else:
            (self.old.directory / "data" / "standby.signal").touch()
            await asyncio.to_thread(self.old.restart)


@pytest.fixture
def pair() -> Iterator[Pair]:
    embedded = os.environ.get("PGFLIGHT_TEST_SERVER") == "embedded"
    binaries = (None if embedded else find_binaries()) or embedded_binaries()
    assert binaries is not None
    with TempCluster(binaries, settings=SETTINGS) as old:
        with TempCluster(binaries, settings=SETTINGS) as new:
            yield Pair(old, new)


async def write(engine: AsyncEngine) -> str:
    async with engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS ledger (n integer)")
        await connection.exec_driver_sql("INSERT INTO ledger VALUES (1)")
        return str(await connection.scalar(PORT))


async def read(engine: AsyncEngine) -> str:
    async with engine.connect() as connection:
        return str(await connection.scalar(PORT))


@pytest.mark.parametrize("way", ["setting", "standby"])
def test_writes_find_the_new_primary(pgflight_dialect: Dialect, pair: Pair, way: str) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(pair.url(), pool_size=3, max_overflow=0)
        assert {await write(engine) for _ in range(3)} == {str(pair.old.port)}
        began = time.monotonic()
        await pair.make_read_only(pgflight_dialect, way)
        refused = 0
        while True:
            try:
                if await write(engine) == str(pair.new.port):
                    break  # else the old one has not read its new settings yet
            except DBAPIError:
                refused += 1
            await asyncio.sleep(0.05)
        assert refused <= 10
        assert time.monotonic() - began < WITHIN_SECONDS * 4  # of a busy machine's
        ports = {await write(engine) for _ in range(6)}
        assert ports == {str(pair.new.port)}  # and none of them comes back

    asyncio.run(work())


def test_one_address_that_comes_to_mean_another(pgflight_dialect: Dialect, pair: Pair) -> None:
    """As a name or a virtual address does; here a proxy that is led to the new primary."""

    async def work() -> None:
        target = pair.old.port

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there = await asyncio.open_connection("127.0.0.1", target)
            await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer))

        async def pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            try:
                while data := await source.read(65536):
                    sink.write(data)
            except ConnectionError:
                pass
            finally:
                sink.close()

        listener = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        url = make_url(pair.old.url()).set(host="127.0.0.1", port=port)
        engine = pgflight_dialect.engine(url, pool_size=2, max_overflow=0)
        assert await write(engine) == str(pair.old.port)
        await pair.make_read_only(pgflight_dialect, "setting")
        await asyncio.sleep(0.2)

        def lead_on() -> None:
            nonlocal target
            target = pair.new.port

        asyncio.get_running_loop().call_later(1.0, lead_on)
        for _ in range(20):
            try:
                assert await write(engine) == str(pair.new.port)
                break
            except DBAPIError:
                await asyncio.sleep(0.05)
        else:
            pytest.fail("no unit has found the new primary")
        await engine.dispose()
        listener.close()

    asyncio.run(work())


def test_it_is_noticed_before_a_write_is_refused(pgflight_dialect: Dialect, pair: Pair) -> None:
    """The server says that a setting has changed with whatever it answers next."""
    if pair.old.version < (14, 0):
        pytest.skip("servers before PostgreSQL 14 do not report it")

    async def work() -> None:
        engine = pgflight_dialect.engine(pair.url(), pool_size=1, max_overflow=0)
        assert await write(engine) == str(pair.old.port)
        await pair.make_read_only(pgflight_dialect, "setting")
        async with pgflight_dialect.engine(pair.old.url()).connect() as connection:
            shown = sa.text("SHOW default_transaction_read_only")
            while await connection.scalar(shown) != "on":
                await asyncio.sleep(0.05)
        async with engine.connect() as connection:
            assert await connection.scalar(PORT) == str(pair.old.port)
        assert await write(engine) == str(pair.new.port)

    asyncio.run(work())


def test_an_engine_for_reading_goes_on_reading(pgflight_dialect: Dialect, pair: Pair) -> None:
    """Also one that has tried to write: there is no other server for it to find."""

    async def work() -> None:
        await pair.make_read_only(pgflight_dialect, "standby")
        alone = pgflight_dialect.engine(pair.old.url(), pool_size=1, max_overflow=0)
        for _ in range(2):
            with pytest.raises(DBAPIError, match=r"read-only|recovery"):
                await write(alone)
            assert await asyncio.wait_for(read(alone), 4) == str(pair.old.port)
        chosen = pgflight_dialect.engine(pair.url(target_session_attrs="standby"), pool_size=1)
        async with chosen.connect() as connection:
            with pytest.raises(DBAPIError) as caught:
                await connection.exec_driver_sql("CREATE TABLE refused (n integer)")
            assert not caught.value.connection_invalidated
            await connection.rollback()
            assert await connection.scalar(PORT) == str(pair.old.port)

    asyncio.run(work())


def test_a_server_that_stays_read_only_can_be_read(pgflight_dialect: Dialect, pair: Pair) -> None:
    """As in maintenance: after a few seconds of looking for another, it is better than none."""

    async def work() -> None:
        engine = pgflight_dialect.engine(pair.old.url(), pool_size=1, max_overflow=0)
        assert await write(engine)
        await pair.make_read_only(pgflight_dialect, "setting")
        await asyncio.sleep(0.5)
        assert await asyncio.wait_for(read(engine), 60) == str(pair.old.port)

    asyncio.run(work())
