"""Several hosts, of which the first do not answer: each has its own time, and the error says which.

The hosts are real: a listening socket whose queue is full, and servers that stop half way.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import sqlalchemy as sa

from tests.adversity.false_server import SCRAM, WELCOME, FalseServer, false_server
from tests.adversity.server_view import pool_of
from tests.fixtures.engines import Dialect
from tests.fixtures.tasks import run

MOST = 20.0
PHASES = {
    "connect": "nobody answers the attempt to connect",
    "TLS": "has not answered the request for TLS",
    "handshake": "the TLS handshake has not been completed",
    "authentication": "authentication has not been completed",
    "after SCRAM": "authentication has not been completed",
}


class FullQueue:
    """A host that does not answer SYN: its queue of connections is full."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        self._listener = socket.create_server((self.host, 0), backlog=0)
        self.port: int = self._listener.getsockname()[1]
        self._waiting = []
        for _ in range(2):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex((self.host, self.port))
            self._waiting.append(client)
        time.sleep(0.05)

    def close(self) -> None:
        for each in (*self._waiting, self._listener):
            each.close()


def silent(phase: str) -> Any:
    if phase == "connect":
        return FullQueue()
    if phase == "TLS":
        return FalseServer(tls=b"")
    if phase == "handshake":
        return FalseServer(tls=b"S")
    return FalseServer([SCRAM] if phase == "after SCRAM" else [])


@pytest.fixture(params=PHASES)
def phase(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def hosts(phase: str) -> Iterator[Any]:
    """Two hosts that stop at the same point."""
    with ExitStack() as stack:
        made = []
        for _ in range(2):
            made.append(silent(phase))
            stack.callback(made[-1].close)
        yield made


def url_of(dialect: Dialect, hosts: list[Any], **query: str) -> sa.URL:
    names = ",".join(each.host for each in hosts)
    ports = ",".join(str(each.port) for each in hosts)
    return dialect.url(query={"host": names, "port": ports, **query})._replace(host=None, port=None)


@pytest.mark.parametrize("bound", ["connect_timeout", "timeout"])
def test_the_next_host_is_tried(
    pgflight_dialect: Dialect, hosts: list[Any], phase: str, bound: str
) -> None:
    each = 0.6 if bound == "connect_timeout" else 1.8

    async def work() -> None:
        before = asyncio.all_tasks()
        url = url_of(pgflight_dialect, [*hosts, pgflight_dialect.server], **{bound: str(each)})
        engine = pgflight_dialect.engine(url)
        async with engine.connect() as connection:
            assert await connection.scalar(sa.select(1)) == 1
            raw: Any = (await connection.get_raw_connection()).driver_connection
            assert raw._loop is asyncio.get_running_loop()
        await engine.dispose()
        assert asyncio.all_tasks() == before

    run(work())


def test_all_are_named(pgflight_dialect: Dialect, hosts: list[Any], phase: str) -> None:
    async def work() -> BaseException:
        engine = pgflight_dialect.engine(url_of(pgflight_dialect, hosts, connect_timeout="0.4"))
        with pytest.raises(asyncio.TimeoutError) as caught:
            await asyncio.wait_for(engine.connect(), MOST)
        assert pool_of(engine).checkedout() == 0
        return caught.value

    text = str(run(work()))
    for each in hosts:
        told = f"no connection to {each.host}, port {each.port} within 0.4 seconds: "
        assert told in text
    assert text.count(PHASES[phase]) == 2 and "connect_timeout" in text


def test_one_alone(pgflight_dialect: Dialect, hosts: list[Any], phase: str) -> None:
    async def work() -> str:
        engine = pgflight_dialect.engine(url_of(pgflight_dialect, hosts[:1], connect_timeout="0.4"))
        with pytest.raises(asyncio.TimeoutError) as caught:
            await asyncio.wait_for(engine.connect(), MOST)
        return str(caught.value)

    text = run(work())
    assert f"{hosts[0].host}, port {hosts[0].port} within 0.4 seconds: " in text
    assert PHASES[phase] in text


def test_cancelling_ends_it(pgflight_dialect: Dialect, hosts: list[Any]) -> None:
    async def work() -> None:
        before = asyncio.all_tasks()
        engine = pgflight_dialect.engine(url_of(pgflight_dialect, hosts, connect_timeout="30"))
        connecting = asyncio.ensure_future(engine.connect().start())
        await asyncio.sleep(0.2)
        connecting.cancel()
        done, _ = await asyncio.wait({connecting}, timeout=MOST)
        assert done and connecting.cancelled()
        assert pool_of(engine).checkedout() == 0
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before

    run(work())


def test_a_server_that_does_not_answer_the_first_question(pgflight_dialect: Dialect) -> None:
    """Whether it can be written to, which asyncpg asks after the login."""

    async def work() -> str:
        engine = pgflight_dialect.engine(
            url_of(
                pgflight_dialect,
                [server, server_2],
                connect_timeout="0.4",
                target_session_attrs="primary",
            )
        )
        with pytest.raises(asyncio.TimeoutError) as caught:
            await asyncio.wait_for(engine.connect(), MOST)
        return str(caught.value)

    with false_server([WELCOME]) as server, false_server([WELCOME]) as server_2:
        assert run(work()).count("the first question, whether it can be written to") == 2


@pytest.mark.parametrize("kind", ["function", "coroutine function"])
def test_a_function_that_does_not_return_a_password(pgflight_dialect: Dialect, kind: str) -> None:
    async def never() -> str:
        await asyncio.sleep(60)
        return ""

    def later() -> Any:
        return never()

    async def work() -> str:
        engine = pgflight_dialect.engine(
            connect_args={
                "password": never if kind == "coroutine function" else later,
                "timeout": 0.3,
            }
        )
        with pytest.raises(asyncio.TimeoutError) as caught:
            await asyncio.wait_for(engine.connect(), MOST)
        return str(caught.value)

    assert "the function that returns the password has not returned" in run(work())
