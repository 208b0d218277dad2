"""What the server says about our sessions, seen from a connection beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from tests.fixtures.server import Server

SETTLE_SECONDS = 30.0  # for a machine that stands still now and then
_POLL_SECONDS = 0.005

_UNSYNCED = ("active", "ClientRead")
_ONE = "SELECT state, wait_event FROM pg_stat_activity WHERE pid = $1"
_ALL = (
    "SELECT pid, state, backend_xid::text, query, wait_event FROM pg_stat_activity"
    " WHERE application_name = $1"
)
_LOCKS = (
    "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE application_name = $1 AND locktype IN ('transactionid', 'tuple', 'advisory')"
)


class View:
    """Questions about sessions by process id or by application name, each in autocommit."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    @classmethod
    @asynccontextmanager
    async def of(cls, server: Server) -> AsyncIterator[View]:
        """Open a view of `server` for the length of a block."""
        connection = await server.connect()
        try:
            yield cls(connection)
        finally:
            await connection.close()

    async def state(self, pid: int) -> str | None:
        """Return the state of a backend; None when it is gone."""
        return (await self._one(pid))[0]

    async def waits_for_client(self, pid: int) -> bool:
        """Tell whether a backend says that it is active, and waits for its client."""
        return await self._one(pid) == _UNSYNCED

    async def _one(self, pid: int) -> tuple[str | None, str | None]:
        state, wait_event = await self.connection.fetchrow(_ONE, pid) or (None, None)
        return state, wait_event

    async def settled(self, pid: int, seconds: float = SETTLE_SECONDS) -> str | None:
        """Return the state of a backend, once it is no longer "active".

        An end whose answer nobody waits for may still be on its way. After `seconds` the state is
        returned as it is.
        """
        end = asyncio.get_running_loop().time() + seconds
        while (state := await self.state(pid)) == "active":
            if asyncio.get_running_loop().time() > end:
                break
            await asyncio.sleep(_POLL_SECONDS)
        return state

    async def sessions(self, application: str) -> list[asyncpg.Record]:
        """Return pid, state, backend_xid and query of the sessions of an application."""
        return list(await self.connection.fetch(_ALL, application))

    async def at_rest(self, application: str, seconds: float = SETTLE_SECONDS) -> list[Any]:
        """Return the sessions that are not idle after `seconds` at most; [] as soon as all are.

        A session that waits for its client is idle, too, when it says that it is active: asyncpg
        asks for no more than a description when it prepares, and may be cancelled right after.
        """
        end = asyncio.get_running_loop().time() + seconds
        while True:
            busy = [
                tuple(s)
                for s in await self.sessions(application)
                if s["state"] != "idle" and (s["state"], s["wait_event"]) != _UNSYNCED
            ]
            if not busy or asyncio.get_running_loop().time() > end:
                return busy
            await asyncio.sleep(_POLL_SECONDS)

    async def gone(self, application: str, seconds: float = SETTLE_SECONDS) -> list[Any]:
        """Return the sessions that are left after `seconds` at most; [] as soon as none is."""
        end = asyncio.get_running_loop().time() + seconds
        while True:
            left = [tuple(s) for s in await self.sessions(application)]
            if not left or asyncio.get_running_loop().time() > end:
                return left
            await asyncio.sleep(_POLL_SECONDS)

    async def locks(self, application: str) -> int:
        """Return how many transaction, row and advisory locks the application holds."""
        count: int = await self.connection.fetchval(_LOCKS, application)
        return count


def pool_of(engine: AsyncEngine) -> QueuePool:
    """Return the engine's pool, which must be one that counts."""
    pool = engine.sync_engine.pool
    assert isinstance(pool, QueuePool)
    return pool


async def check_flag(adapted: Any, view: View, seconds: float = SETTLE_SECONDS) -> None:
    """Compare what a connection believes of its transaction with what the server says.

    An end whose answer nobody waits for may still be on its way: they have `seconds` to agree.
    A session that was asked for a description, and waits for more, is given a Sync to say where it
    stands: that is how asyncpg leaves it when a program's own use of it is cancelled.
    """
    driver = adapted._connection  # asking by its public name marks it as in foreign hands
    end = asyncio.get_running_loop().time() + seconds
    while True:
        if await view.waits_for_client(driver.get_server_pid()):
            await driver.execute("SELECT 1", timeout=seconds)
        state = await view.settled(driver.get_server_pid())
        believed = (adapted._transaction is not None, driver.is_in_transaction())
        if believed == (state != "idle", state != "idle"):
            return
        assert asyncio.get_running_loop().time() < end, (believed, state)
        await asyncio.sleep(_POLL_SECONDS)


def _has_given_up(adapted: Any) -> bool:
    session = getattr(adapted, "session", None)  # the built-in dialect's has none
    return session is not None and bool(session.turn.abandoned)


class Connections:
    """Every connection that an engine has opened."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._opened: list[Any] = []
        event.listen(engine.sync_engine, "connect", lambda adapted, _: self._opened.append(adapted))

    def alive(self) -> list[Any]:
        """Return the adapted connections that are not closed, nor have given theirs to others."""
        return [
            each
            for each in self._opened
            if not each._connection.is_closed() and not _has_given_up(each)
        ]

    def terminate(self) -> None:
        """Close them all behind the engine's back."""
        for adapted in self.alive():
            adapted._connection.terminate()
