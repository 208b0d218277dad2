"""The connection that listens: made as the engine makes its own, proven to be direct, subscribed.

Used by :mod:`pgflight.listening.keeping`.  Only asyncpg's documented API is used of it, so it is
the same at every driver level, and for an engine of SQLAlchemy's own dialect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, InvalidRequestError

from .. import driver
from ..compat.connections import engine_behind
from ..compat.versions import greenlet_spawn
from ..dbapi.module import AsyncAdapt_asyncpg_dbapi, redirecting
from .addresses import address_arguments, redirected

T = TypeVar("T")

_ANSWER_SECONDS = 10.0
"""In which the server has to answer where the engine's options do not say."""
_FAREWELL_SECONDS = 2.0
_AFTERWARDS_SECONDS = 1.0
"""How long a farewell that has been cut short is waited for."""
_POOLER = (
    "a connection pooler in transaction mode is between this engine and the server, and behind one "
    "LISTEN does not work: notifications would be lost without a word. Give the server's own "
    "address, listen(engine, ..., url='postgresql+asyncpg://...'): what it does not say is the "
    "engine's. If the pooler is in session mode, say pooler=session in the engine's URL"
)


class PoolerRefused(InvalidRequestError):
    """There is a pooler between, behind which nothing would be heard.

    A class of its own, as SQLAlchemy's pool raises an InvalidRequestError where a server is away.
    """


class ForeignConnection(TypeError):
    """The engine's creator has made a connection that is not asyncpg's."""


def _answer_seconds(session: Any) -> float:
    """Return the seconds in which the server has to answer, never none."""
    options = getattr(session, "options", None)
    return (options.reset_timeout if options is not None else 0) or _ANSWER_SECONDS


class _Bound:
    """Closes a connection whose server takes too long to answer, and says so.

    By a timer, and not by :func:`pgflight.driver.within`: for a statement that is given up, asyncpg
    makes another connection, by which it asks the server to cancel it.
    """

    def __init__(self) -> None:
        self._late = False
        self._seconds = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._terminate: Callable[[], object] | None = None

    def begin(self, seconds: float, terminate: Callable[[], object]) -> None:
        """Let the time run from now on."""

        def give_up() -> None:
            self._late = True
            terminate()  # whoever waits for an answer is told

        self._seconds, self._terminate = seconds, terminate
        self._timer = asyncio.get_running_loop().call_later(seconds, give_up)

    def logged_in(self, connection: Any, _record: object) -> None:
        """Begin for a connection that has just been made; the pool's event `connect`."""
        driven = getattr(connection, "driver_connection", None)
        if driven is not None and hasattr(driven, "terminate"):
            self.begin(_answer_seconds(getattr(connection, "session", None)), driven.terminate)

    async def kept_by(self, answer: Awaitable[T]) -> T:
        """Return the answer; raise ConnectionAbortedError if it was too late.

        Without an answer the connection is closed.
        """
        try:
            return await answer
        except BaseException as error:
            if self._terminate is not None:
                self._terminate()  # one that is being set up the pool would leave open
            if not (self._late and isinstance(error, Exception)):
                raise
            # no TimeoutError, which a program takes for that of its own wait for an item
            raise ConnectionAbortedError(
                "the server took the listener's login and did not answer LISTEN within "
                f"{self._seconds:g} seconds: look whether it, or a proxy in front of it, is stuck. "
                "If it only needs longer, give an engine of pgflight's a larger reset_timeout"
            ) from error
        finally:
            if self._timer is not None:
                self._timer.cancel()


class Address:
    """With what an engine makes a connection to listen on.

    Raises TypeError for what is no engine of asyncpg's, ArgumentError for a wrong ``url``.
    """

    def __init__(self, given: object, url: Any) -> None:
        engine = engine_behind(given, "listen()", ": it makes a connection of its own")
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
        # a pool of one connection, with the creator and the events of the engine's, of which some
        # ask the server: older asyncpg looks up the types that codecs are set for
        pool, bound = engine.pool.recreate(), _Bound()
        event.listen(pool, "connect", bound.logged_in, insert=True)
        own = Engine(pool, engine.dialect, engine.url, hide_parameters=True)
        with redirecting(self._redirect):
            return ListeningConnection(await bound.kept_by(greenlet_spawn(own.connect)))


def _visit(engine: Engine) -> None:
    engine.connect().close()


class ListeningConnection:
    """One connection to the server that belongs to a listener alone."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        adapted: Any = connection.connection
        self._session: Any = getattr(adapted.dbapi_connection, "session", None)
        self._asyncpg: Any = adapted.driver_connection
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the connection has ended."""
        if not hasattr(self._asyncpg, "add_termination_listener"):
            connection.invalidate()
            raise ForeignConnection(
                f"listen() needs a connection of asyncpg's, and the engine's creator has made a "
                f"{type(self._asyncpg).__name__}"
            )
        self._asyncpg.add_termination_listener(self._ended)
        if self._asyncpg.is_closed():
            self._ended(None)

    def _ended(self, _connection: object) -> None:
        if not self.lost.done():
            self.lost.set_result(None)

    async def subscribe(
        self, channels: tuple[str, ...], heard: Callable[[str, str, int], None]
    ) -> None:
        """Listen to ``channels``; ``heard`` is called with channel, payload and process number.

        Raises PoolerRefused behind a pooler in transaction mode, asyncpg's errors,
        ConnectionAbortedError where the server is silent.
        """

        def hear(_connection: object, pid: int, channel: str, payload: str) -> None:
            heard(channel, payload, pid)

        connection = self._asyncpg
        # what the program's events executed has begun a transaction, in which LISTEN would wait
        await self._answered(greenlet_spawn(self._commit))
        # LISTEN takes effect when its transaction commits. Outside of one, a notification that
        # arrives together with its answer comes before asyncpg has the callback, and is lost.
        transaction = connection.transaction()
        await self._answered(transaction.start())
        if not self._is_session_pooled():
            if not await self._answered(driver.is_direct(connection)):
                raise PoolerRefused(_POOLER)
        for channel in channels:
            await self._answered(connection.add_listener(channel, hear))
        await self._answered(transaction.commit())

    def _commit(self) -> None:
        self._connection.connection.commit()

    async def _answered(self, answer: Awaitable[T]) -> T:
        """Return one answer of the server; close the connection if it takes too long.

        A bound for each, as many channels on a slow network take a while.
        """
        bound = _Bound()
        bound.begin(self._answer_seconds(), self.terminate)
        return await bound.kept_by(answer)

    def _answer_seconds(self) -> float:
        return _answer_seconds(self._session)

    def _is_session_pooled(self) -> bool:
        """Tell whether the program says that a pooler keeps one server session for a client."""
        return self._session is not None and self._session.options.pooler == "session"

    async def check(self) -> None:
        """Make a round trip; raise asyncpg's errors, TimeoutError where the server is silent."""
        await self._asyncpg.execute("SELECT 1", timeout=self._answer_seconds())

    async def close(self) -> None:
        """Say farewell to the server if it is there; close the connection in any case."""
        if self.is_closed():
            await greenlet_spawn(self._drop)
            return
        leaving = asyncio.ensure_future(greenlet_spawn(self._leave))
        leaving.add_done_callback(driver.retrieve)
        try:
            # wait_for() may swallow a cancellation before Python 3.12; this does not
            await asyncio.wait({leaving}, timeout=_FAREWELL_SECONDS)
        finally:
            try:
                if leaving.cancel():
                    await asyncio.wait({leaving}, timeout=_AFTERWARDS_SECONDS)
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
