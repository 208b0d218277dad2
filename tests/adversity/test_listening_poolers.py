"""Listening beside a pooler: refused where notifications would be lost, with what to do instead."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, InvalidRequestError
from sqlalchemy.pool import NullPool

import pgflight
from pgflight import Notification
from tests.adversity.test_listening_lost import CHANNEL as CHANNEL
from tests.adversity.test_listening_lost import NAME, gap, payload, sends, terminate
from tests.fixtures.engines import Dialect
from tests.fixtures.pgbouncer import Pgbouncer
from tests.fixtures.server import Server

UNNAMED: dict[str, Any] = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}


class SessionPgbouncer(Pgbouncer):
    """One that keeps a server connection for each client."""

    def _configuration(self) -> str:
        return super()._configuration().replace("pool_mode = transaction", "pool_mode = session")


@pytest.fixture
def session_pgbouncer(server: Server) -> Iterator[Pgbouncer]:
    running = SessionPgbouncer(server)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def test_a_pooler_is_refused(dialect: Dialect, pgbouncer: Pgbouncer) -> None:
    """On the built-in dialect's engine, too: the server is asked in either case."""

    async def work() -> None:
        engine = dialect.engine(pgbouncer.url(), poolclass=NullPool, connect_args=UNNAMED)
        for _ in range(3):
            with pytest.raises(InvalidRequestError, match=r"LISTEN does not work.*url="):
                async with pgflight.listen(engine, CHANNEL):
                    pass
        # nothing of it is left in the pooler's server connections
        async with engine.connect() as connection:
            listening = sa.text("SELECT count(*) FROM pg_listening_channels()")
            assert await connection.scalar(listening) == 0

    asyncio.run(work())


@pytest.mark.parametrize("pooler", ["none", "transaction"])
def test_what_the_engine_says_of_it_is_not_believed(
    pgflight_dialect: Dialect, pgbouncer: Pgbouncer, pooler: str
) -> None:
    """`pooler=none` in front of one would lose notifications; a direct connection can listen."""

    async def work() -> None:
        engine = pgflight_dialect.engine(
            pgbouncer.url(), pooler=pooler, poolclass=NullPool, connect_args=UNNAMED
        )
        with pytest.raises(InvalidRequestError, match="LISTEN does not work"):
            async with pgflight.listen(engine, CHANNEL):
                pass
        direct = pgflight_dialect.engine(pooler=pooler)
        async with pgflight.listen(direct, CHANNEL) as listener:
            await sends(pgflight_dialect.server, "x")
            assert await payload(listener) == "x"

    asyncio.run(work())


def test_the_servers_own_address(pgflight_dialect: Dialect, pgbouncer: Pgbouncer) -> None:
    """What the URL does not say is the engine's, such as the password function and settings."""
    server, asked = pgflight_dialect.server, []

    def password() -> str:
        asked.append(1)
        return server.address.password or ""

    async def work() -> None:
        engine = pgflight_dialect.engine(
            pgbouncer.url().set(password=None),
            connect_args={"password": password, "server_settings": {"application_name": NAME}},
        )
        direct = f"postgresql://{server.address.username}@{server.host}:{server.port}"
        direct += f"/{server.address.database}?connect_timeout=30"
        async with pgflight.listen(engine, CHANNEL, url=direct) as listener:
            before = len(asked)
            async with engine.begin() as connection:
                await pgflight.notify(connection, CHANNEL, "through the pooler")
            assert await payload(listener) == "through the pooler"
            assert len(asked) == before  # the engine's own connection had been made before
            assert await terminate(server) >= 1
            await gap(listener)
            assert len(asked) > before
            await sends(server, "directly")
            assert await payload(listener) == "directly"
        # and the engine itself goes on through the pooler
        async with engine.connect() as connection:
            raw = await connection.get_raw_connection()
            made: Any = raw.driver_connection
            pid = await connection.scalar(sa.text("SELECT pg_backend_pid()"))
            assert made.get_server_pid() != pid

    asyncio.run(work())


def test_an_address_that_leads_to_a_pooler_is_refused(
    pgflight_dialect: Dialect, pgbouncer: Pgbouncer
) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine()
        with pytest.raises(InvalidRequestError, match="LISTEN does not work"):
            async with pgflight.listen(engine, CHANNEL, url=pgbouncer.url()):
                pass

    asyncio.run(work())


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql+asyncpg:///test", "host"),
        ("postgresql://localhost/test?sslmod=require", "sslmode"),
        ("localhost", "Could not parse"),
    ],
)
def test_a_url_that_is_wrong(pgflight_dialect: Dialect, url: str, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        pgflight.listen(pgflight_dialect.engine(), CHANNEL, url=url)


def test_an_engine_that_pgflight_does_not_serve(builtin: Dialect, pgbouncer: Pgbouncer) -> None:
    """It cannot be told another address; a second engine has it."""

    async def work() -> None:
        engine = builtin.engine(pgbouncer.url(), connect_args=UNNAMED)
        with pytest.raises(ArgumentError, match="make an engine of that URL"):
            pgflight.listen(engine, CHANNEL, url=builtin.url())
        async with pgflight.listen(builtin.engine(), CHANNEL) as listener:
            await sends(builtin.server, "x")
            assert await payload(listener) == "x"

    asyncio.run(work())


def test_a_pooler_in_session_mode(pgflight_dialect: Dialect, session_pgbouncer: Pgbouncer) -> None:
    """Nobody can tell it from another; where the engine says so, it is believed, and works."""

    async def work() -> None:
        engine = pgflight_dialect.engine(session_pgbouncer.url(), poolclass=NullPool)
        with pytest.raises(InvalidRequestError, match="pooler=session"):
            async with pgflight.listen(engine, CHANNEL):
                pass
        address = session_pgbouncer.url().update_query_dict({"pooler": "session"})
        engine = pgflight_dialect.engine(address, poolclass=NullPool)
        async with pgflight.listen(engine, CHANNEL) as listener:
            for number in range(20):
                await sends(pgflight_dialect.server, str(number))
                item = await asyncio.wait_for(anext(listener), 60)
                assert isinstance(item, Notification)
                assert item.payload == str(number)

    asyncio.run(work())
