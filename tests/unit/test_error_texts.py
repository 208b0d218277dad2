"""What asyncpg tells by the words of its errors: each provoked from the asyncpg that is there.

One that words it otherwise makes nothing wrong, but something slower or less well explained: adapt
`pgflight.driver.error_texts`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from pgflight import driver
from pgflight.driver import error_texts
from tests.fixtures.server import Server

TERMINATED = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0"


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Any]:
    connection = await server.connect()
    try:
        yield connection
    finally:
        connection.terminate()


def error_of(server: Server, work: Callable[[Any], Awaitable[Any]]) -> Exception:
    """Return what a piece of work on a connection of asyncpg's raises."""

    async def run() -> Exception:
        async with connected(server) as connection:
            with pytest.raises(Exception) as raised:
                await work(connection)
            return raised.value

    return asyncio.run(run())


@pytest.mark.parametrize("value", ["x", 2**40, [1]])
def test_a_value_that_asyncpg_refuses(server: Server, value: Any) -> None:
    error = error_of(server, lambda connection: connection.fetch("SELECT $1::int", value))
    assert driver.refused_value(error)


@pytest.mark.parametrize("statement", ["SELECT 1 / 0", "SELECT 'x'::int", "SELECT nothing", "("])
def test_what_the_server_refuses_is_no_such_value(server: Server, statement: str) -> None:
    error = error_of(server, lambda connection: connection.fetch(statement))
    assert isinstance(error, asyncpg.PostgresError)
    assert not driver.refused_value(error)
    assert not driver.refused_value(None)


def test_the_number_of_an_element(server: Server) -> None:
    rows = [(1,), (2,), ("x",)]
    error = error_of(server, lambda connection: connection.executemany("SELECT $1::int", rows))
    assert driver.refused_value(error)
    text = str(error)
    assert "#2 " in text
    assert driver.count_elements_from(text, 100) == text.replace("#2 ", "#102 ")
    assert driver.count_elements_from("worded in another way: #2", 100).endswith("#2")


def test_a_connection_that_is_closed(server: Server) -> None:
    async def work(connection: Any) -> None:
        await connection.close()
        await connection.fetch("SELECT 1")

    error = error_of(server, work)
    assert isinstance(error, asyncpg.InterfaceError)
    assert driver.says_connection_is_closed(error)
    assert not driver.says_connection_is_closed(asyncpg.InterfaceError("another text"))


@pytest.mark.skipif(
    not driver.is_private(), reason="asyncpg's own copy_from_query() leaves a future unasked"
)
def test_a_protocol_that_does_not_begin(server: Server) -> None:
    async def sink(_piece: bytes) -> None:
        raise AssertionError("nothing was asked for")

    async def work(connection: Any) -> None:
        length = (len(TERMINATED) + 4).to_bytes(4, "big")
        connection._protocol.data_received(b"E" + length + TERMINATED)
        await driver.copy_out(connection, "SELECT 1", "csv", sink)

    error = error_of(server, work)
    assert isinstance(error, asyncpg.ConnectionDoesNotExistError)
    cause = error.__cause__
    assert isinstance(cause, asyncpg.InternalClientError)
    assert error_texts.says_protocol_is_busy(cause)


def test_a_type_that_has_no_binary_encoder(server: Server) -> None:
    """By its class alone: nothing else is refused of a COPY that has no rows."""

    async def work(connection: Any) -> None:
        await connection.execute("CREATE TEMPORARY TABLE rights (entry aclitem)")
        await connection.copy_records_to_table("rights", records=[])

    assert isinstance(error_of(server, work), asyncpg.InternalClientError)
