"""How long a storm waits for a unit of work: in answers of the server, not in time.

A machine that stands still for some seconds, or a server that does, must not be taken for a hang.
"""

from __future__ import annotations

import asyncio
from asyncio import FIRST_COMPLETED
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from tests.fixtures.server import Server

_SECONDS_BETWEEN = 0.05


class Patience:
    """Asks the server something all the time; `answers` counts what it said."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.answers = 0
        self._connection = connection
        self._asking = asyncio.ensure_future(self._ask())

    @classmethod
    @asynccontextmanager
    async def of(cls, server: Server) -> AsyncIterator[Patience]:
        """Go on asking `server` for the length of a block."""
        connection = await server.connect()
        patience = cls(connection)
        try:
            yield patience
        finally:
            await patience.end()
            connection.terminate()

    async def end(self) -> None:
        """Ask no more."""
        self._asking.cancel()
        await asyncio.wait({self._asking})

    async def _ask(self) -> None:
        while True:
            await self._connection.fetchval("SELECT 1")
            self.answers += 1
            await asyncio.sleep(_SECONDS_BETWEEN)

    async def wait(
        self, tasks: Iterable[asyncio.Future[Any]], seconds: float
    ) -> set[asyncio.Future[Any]]:
        """Wait until one of `tasks` is done; return those that are, or none.

        Gives up once the server has answered as often as it would in `seconds` if answers took no
        time.
        """
        last = self.answers + seconds / _SECONDS_BETWEEN
        done: set[asyncio.Future[Any]] = set()
        while not done and self.answers < last:
            if self._asking.done():
                self._asking.result()
            done, _ = await asyncio.wait(
                set(tasks), timeout=_SECONDS_BETWEEN, return_when=FIRST_COMPLETED
            )
        return done
