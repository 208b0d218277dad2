"""An end that waits for a cancellation which takes too long raises TimeoutError, at every order.

asyncpg closes a connection whose server has not cancelled a statement within `command_timeout`. A
ROLLBACK that waits for that has a timer of the same length, set a moment later. Which of the two
fired first was chance: the ROLLBACK raised TimeoutError, or that the connection is closed.
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from asyncpg import connect_utils
from sqlalchemy import text
from sqlalchemy.exc import InterfaceError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pgflight import driver
from tests.adversity.server_view import pool_of
from tests.fixtures.engines import Dialect
from tests.parity.test_disconnects import pid_of

pytestmark = [
    pytest.mark.skipif(
        not driver.is_private(), reason="level public cannot tell who has closed a connection"
    ),
    pytest.mark.skipif(
        tuple(map(int, asyncpg.__version__.split(".")[:2])) < (0, 32),
        reason="asyncpg before 0.32 keeps a connection whose cancellation has failed",
    ),
]

SOON, LATE = 0.05, 60.0
TURNS = 20


class Cancellations:
    """asyncpg's requests to cancel: they fail when `fail` is set, and are not answered before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fail = asyncio.Event()
        monkeypatch.setattr(connect_utils, "_cancel", self._request)

    async def _request(self, **_: Any) -> None:
        await self.fail.wait()
        raise asyncio.TimeoutError


async def give_up(
    connection: AsyncConnection, cancellations: Cancellations, how: str
) -> BaseException | None:
    """End a transaction by `how` while a cancellation fails; return what the end raises."""
    await connection.execute(text("SELECT 1"))
    raw: Any = (await connection.get_raw_connection()).driver_connection
    with pytest.raises(asyncio.TimeoutError):
        await raw.execute("SELECT pg_sleep(1)", timeout=SOON)
    ending: asyncio.Future[None] = asyncio.ensure_future(getattr(connection, how)())
    for _ in range(TURNS):
        await asyncio.sleep(0)
    assert not ending.done()
    cancellations.fail.set()
    await asyncio.wait({ending})
    assert raw.is_closed()
    return ending.exception()


def engine_of(dialect: Dialect, pipeline: str, command_timeout: float | None) -> AsyncEngine:
    return dialect.engine(
        pool_size=2,
        max_overflow=0,
        pool_timeout=LATE,
        pipeline=pipeline,
        connect_args={"command_timeout": command_timeout},
    )


@pytest.mark.parametrize("how", ["rollback", "commit", "close"])
@pytest.mark.parametrize("pipeline", ["auto", "begin", "off"])
def test_the_end_raises_timeout_error(
    pgflight_dialect: Dialect, monkeypatch: pytest.MonkeyPatch, pipeline: str, how: str
) -> None:
    async def work() -> None:
        engine = engine_of(pgflight_dialect, pipeline, LATE)
        cancellations = Cancellations(monkeypatch)
        async with engine.connect() as connection:
            other = await pid_of(engine)
            error = await give_up(connection, cancellations, how)
            assert isinstance(error, asyncio.TimeoutError)
            assert "command_timeout" in str(error)
        assert pool_of(engine).checkedout() == 0
        # the pool's other connection is none the worse for it
        async with engine.connect() as first, engine.connect() as second:
            pids = [await c.scalar(text("SELECT pg_backend_pid()")) for c in (first, second)]
        assert other in pids

    asyncio.run(work())


def test_without_a_command_timeout_nothing_was_late(
    pgflight_dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        engine = engine_of(pgflight_dialect, "auto", None)
        cancellations = Cancellations(monkeypatch)
        async with engine.connect() as connection:
            error = await give_up(connection, cancellations, "rollback")
            assert isinstance(error, InterfaceError)

    asyncio.run(work())
