"""The connection that listens: made as the engine makes its own, proven to be direct, subscribed.

Used by :mod:`pgflight.listening.keeping`.  Only asyncpg's documented API is used of it, so it is
the same at every driver level, and for an engine of SQLAlchemy's own dialect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine

from .. import driver
from ..compat.versions import greenlet_spawn
from ..dbapi.module import AsyncAdapt_asyncpg_dbapi, redirecting
from .addresses import address_arguments, redirected

_ANSWER_SECONDS = 10.0
"""In which an engine of another dialect than ours has to answer a check."""
_FAREWELL_SECONDS = 2.0
_POOLER = (
    "a connection pooler in transaction mode is between this engine and the server, and behind one "
    "LISTEN does not work: notifications would be lost without a word. Give the server's own "
    "address, listen(engine, ..., url='postgresql+asyncpg://...'): what it does not say is the "
    "engine's. If the pooler is in session mode, say pooler=session in the engine's URL"
)


class Address:
    """With what an engine makes a connection to listen on.

    Raises TypeError for what is no engine of asyncpg's, ArgumentError for a wrong ``url``.
    """

    def __init__(self, engine: object, url: Any) -> None:
        if isinstance(engine, AsyncEngine):
            engine = engine.sync_engine
        if not isinstance(engine, Engine):
            raise TypeError(
                f"listen() takes an AsyncEngine or an Engine, not {type(engine).__name__}: it "
                "makes a connection of its own"
            )
        if (engine.dialect.name, engine.dialect.driver) != ("postgresql", "asyncpg"):
            raise TypeError(
                "listen() takes an engine of postgresql+asyncpg, and this one is of "
                f"{engine.dialect.name}+{engine.dialect.driver}"
            )
        self.engine = engine
        self._redirect: Callable[[dict[str, Any]], dict[str, Any]] | None = None
        if url is not None:
            if not isinstance(engine.dialect.dbapi, AsyncAdapt_asyncpg_dbapi):
                raise ArgumentError(
                    "url is for an engine that pgflight serves; make an engine of that URL, and "
                    "give it to listen()"
                )
            self._redirect = partial(redirected, address=address_arguments(make_url(url)))

    async def connect(self) -> ListeningConnection:
        """Return a new connection; raise what ``engine.connect()`` raises."""
        engine = self.engine
        if getattr(engine.dialect, "server_version_info", None) is None:
            # by the engine's own pool, whose other first connections wait until it is done; that of
            # a synchronous engine is not to get a connection of this event loop
            runs = greenlet_spawn if engine.dialect.is_async else asyncio.to_thread
            await runs(_visit, engine)
        # a pool of one connection, with the creator and the events of the engine's
        own = Engine(engine.pool.recreate(), engine.dialect, engine.url, hide_parameters=True)
        with redirecting(self._redirect):
            return ListeningConnection(await greenlet_spawn(own.connect))


def _visit(engine: Engine) -> None:
    engine.connect().close()


class ListeningConnection:
    """One connection to the server that belongs to a listener alone."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        adapted: Any = connection.connection
        self._session: Any = getattr(adapted.dbapi_connection, "session", None)
        self._asyncpg: Any = adapted.driver_connection
        self.lost = asyncio.Event()
        """Set when the connection has ended."""
        if not hasattr(self._asyncpg, "add_termination_listener"):
            connection.invalidate()
            raise TypeError(
                f"listen() needs a connection of asyncpg's, and the engine's creator has made a "
                f"{type(self._asyncpg).__name__}"
            )
        self._asyncpg.add_termination_listener(self._ended)
        if self._asyncpg.is_closed():
            self.lost.set()

    def _ended(self, _connection: object) -> None:
        self.lost.set()

    async def subscribe(
        self, channels: tuple[str, ...], heard: Callable[[str, str, int], None]
    ) -> None:
        """Listen to ``channels``; ``heard`` is called with channel, payload and process number.

        Raises InvalidRequestError behind a pooler in transaction mode, asyncpg's errors.
        """

        def hear(_connection: object, pid: int, channel: str, payload: str) -> None:
            heard(channel, payload, pid)

        connection = self._asyncpg
        # LISTEN takes effect when its transaction commits. Outside of one, a notification that
        # arrives together with its answer comes before asyncpg has the callback, and is lost.
        transaction = connection.transaction()
        await transaction.start()
        if not self._is_session_pooled() and not await driver.is_direct(connection):
            raise InvalidRequestError(_POOLER)
        for channel in channels:
            await connection.add_listener(channel, hear)
        await transaction.commit()

    def _is_session_pooled(self) -> bool:
        """Tell whether the program says that a pooler keeps one server session for a client."""
        return self._session is not None and self._session.options.pooler == "session"

    async def check(self) -> None:
        """Make a round trip; raise asyncpg's errors, TimeoutError where the server is silent."""
        options = getattr(self._session, "options", None)
        seconds = options.reset_timeout if options is not None else _ANSWER_SECONDS
        await self._asyncpg.execute("SELECT 1", timeout=seconds or None)

    async def close(self) -> None:
        """Say farewell to the server if it is there; close the connection in any case."""
        if self.is_closed():
            await greenlet_spawn(self._drop)
            return
        try:
            await asyncio.wait_for(greenlet_spawn(self._leave), _FAREWELL_SECONDS)
        finally:
            self.terminate()

    def is_closed(self) -> bool:
        """Tell whether the connection is closed; what came before may not have been heard yet."""
        return bool(self._asyncpg.is_closed())

    def _drop(self) -> None:
        self._connection.invalidate()
        self._connection.close()

    def _leave(self) -> None:
        self._connection.detach()
        self._connection.close()

    def terminate(self) -> None:
        """Close the connection at once, if it is open."""
        if not self.is_closed():
            self._asyncpg.terminate()
