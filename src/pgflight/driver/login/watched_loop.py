"""The event loop that asyncpg is given for one login, to see and to bound what it does.

asyncpg takes a loop as an argument, asks it for connections and futures, and knows no other bound
than one for all hosts together.  The login's loop passes everything on to the real one; on the way
it notes which host is being tried and how far that has come, gives up a host after its own time so
that asyncpg goes on to the next one, and puts watchers in front of asyncpg's protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ..capability import OWNERS
from ..contracts import Connection
from ..futures import retrieve
from .plaintext import LoginWatch, NegotiationWatch

_PROTOCOL: Any = OWNERS["Protocol"] or ()

PASSWORD = "the function that returns the password has not returned"
CONNECTING = "nobody answers the attempt to connect"
TLS = "the server has not answered the request for TLS"
HANDSHAKE = "the TLS handshake has not been completed"
AUTHENTICATION = "authentication has not been completed"
QUESTION = "the first question, whether it can be written to, has not been answered"

_BASES: Any = tuple(dict.fromkeys((TimeoutError, asyncio.TimeoutError)))  # two in Python 3.10


class HostSilent(*_BASES):  # type: ignore[misc]
    """A host has not let asyncpg log in within its time; an OSError, so that it tries the next."""


def _discard(task: asyncio.Task[Any]) -> None:
    """Close what a task has opened after nobody waited for it any more."""
    if not task.cancelled() and task.exception() is None:
        result = task.result()
        asyncio_transport = result[0] if isinstance(result, tuple) else result
        if asyncio_transport is not None:
            asyncio_transport.abort()


def shown_address(address: object) -> str:
    """Return a host for people; of one with an @, which cuts a password in two, only the rest."""
    if not isinstance(address, tuple):
        return str(address)
    host, port = str(address[0]), address[1]
    if "@" in host:
        rest = host.rpartition("@")[2]
        host = f"...@{rest} (an @ in a password is written %40)"
    return f"{host}, port {port}"


class LoginLoop:
    """A loop for one call of ``asyncpg.connect()``; everything that is not here is the real one's.

    ``seconds`` bound each host, None if asyncpg's own bound is the only one.  With ``guards`` the
    password is not sent as it is over a TCP connection without TLS.  ``asks`` is whether asyncpg
    asks the server what it is once it has logged in.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, seconds: float | None, guards: bool, asks: bool
    ) -> None:
        self.loop = loop
        self.guards = guards
        self.address: Any = None
        """The host that is being tried: (name, port), or the path of a socket; None before."""
        self.phase = PASSWORD
        """What has not happened yet, as a clause to be told."""
        self.silent: HostSilent | None = None
        """Says of the hosts that have been given up how far they came."""
        self._silent_address: Any = None
        self.refused: Exception | None = None
        """The request for a password that was not granted."""
        self._seconds = seconds
        self._sees_futures = asks or seconds is not None
        self._next_is_kept = False
        self._expired = False
        self._is_open = True
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[Any] | None = None
        self._futures: list[asyncio.Future[Any]] = []
        self._transport: Any = None
        # asyncpg goes on using these for as long as the connection lives
        self.call_later = loop.call_later
        self.call_soon = loop.call_soon
        self.create_task = loop.create_task

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loop, name)

    @property
    def create_future(self) -> Callable[[], asyncio.Future[Any]]:
        """What returns a future of the real loop; while asyncpg logs in, it waits for one of these.

        asyncpg's protocol keeps it for as long as it lives, and calls it for each statement: it is
        given the real loop's, unless there is something to see in that.
        """
        if self._next_is_kept:
            self._next_is_kept = False
            return self.loop.create_future
        return self._future

    def _future(self) -> asyncio.Future[Any]:
        future = self.loop.create_future()
        if self._is_open:
            if self.phase is AUTHENTICATION:
                self.phase = QUESTION
            self._futures = [each for each in self._futures if not each.done()]
            self._futures.append(future)
        return future

    async def create_connection(
        self, protocol_factory: Callable[[], Any], *address: Any, **options: Any
    ) -> tuple[Any, Any]:
        """Connect to a host; what asyncpg makes of it is watched."""
        self._enter(address)
        encrypted = bool(options.get("ssl"))
        return await self._open(
            lambda watched: self.loop.create_connection(watched, *address, **options),
            lambda: self._watched(self._made(protocol_factory), encrypted=encrypted),
        )

    async def create_unix_connection(
        self, protocol_factory: Callable[[], Any], path: str, **options: Any
    ) -> tuple[Any, Any]:
        """Connect to a unix socket, on which nobody listens in between."""
        self._enter(path)
        return await self._open(
            lambda watched: self.loop.create_unix_connection(watched, path, **options),
            lambda: self._watched(self._made(protocol_factory), encrypted=True),
        )

    async def start_tls(self, *args: Any, **options: Any) -> Any:
        """Encrypt a connection."""
        self.phase = HANDSHAKE
        self._transport = made = await self._bounded(self.loop.start_tls(*args, **options))
        self.phase = AUTHENTICATION
        self._next_is_kept = not self._sees_futures
        return made

    async def _open(
        self, connect: Callable[[Callable[[], Any]], Awaitable[Any]], make: Callable[[], Any]
    ) -> tuple[Any, Any]:
        made: list[tuple[Any, Any]] = []

        def watched() -> Any:
            made.append(make())
            return made[-1][0]

        self._transport, _ = await self._bounded(connect(watched))
        if self.phase is CONNECTING:
            self.phase = AUTHENTICATION  # asks for TLS otherwise, and has noted that
        return self._transport, made[-1][1]

    def _made(self, protocol_factory: Callable[[], Any]) -> Any:
        """Return asyncpg's protocol, or the one that asks for TLS first."""
        made = protocol_factory()
        if self._sees_futures or not isinstance(made, _PROTOCOL):
            return made
        self._next_is_kept = True
        return protocol_factory()

    def _watched(self, asyncio_protocol: Any, *, encrypted: bool) -> tuple[Any, Any]:
        """Return what is to stand in front of a protocol of asyncpg's, and that protocol."""
        if not isinstance(asyncio_protocol, _PROTOCOL):
            return NegotiationWatch(self, asyncio_protocol), asyncio_protocol
        if encrypted or not self.guards:
            return asyncio_protocol, asyncio_protocol
        return LoginWatch(self, asyncio_protocol), asyncio_protocol

    def asks_for_tls(self) -> None:
        """Note that asyncpg has connected, and asks whether the server speaks TLS."""
        self.phase = TLS

    def is_plain(self) -> None:
        """Note that the server does not speak TLS, and asyncpg logs in without."""
        self.phase = AUTHENTICATION
        self._next_is_kept = not self._sees_futures

    def refuse(self, error: Exception) -> None:
        """End the login with an error."""
        self.refused = error
        self._fail(error)

    def _enter(self, address: Any) -> None:
        if address != self.address:
            self.address = address
            self._expired = False
            if self._timer is not None:
                self._timer.cancel()
            if self._seconds is not None:
                self._timer = self.loop.call_later(self._seconds, self._expire)
        elif self._expired:  # asyncpg tries the host with TLS, and without
            raise self._silence()
        if self._transport is not None and self._transport.is_closing():
            self._transport.abort()  # of an attempt that failed, see finish()
        self._transport = None
        self.phase = CONNECTING

    def _expire(self) -> None:
        self._expired = True
        if self._task is not None:
            self._task.cancel()
        else:
            self._fail(self._silence())

    def _fail(self, error: Exception) -> None:
        waiting = [each for each in self._futures if not each.done()]
        if waiting:
            waiting[-1].set_exception(error)
        if self._transport is not None:
            self._transport.abort()

    def _silence(self) -> HostSilent:
        if self.silent is None or self._silent_address != self.address:
            self.silent = HostSilent(self.told(self._seconds or 0))
            self._silent_address = self.address
        return self.silent

    def told(self, seconds: float) -> str:
        """Return what to tell if the host that is being tried is given up after some seconds.

        It names those that were given up before.
        """
        before = "" if self.silent is None else f"{self.silent}"
        if before and self._silent_address == self.address:
            return before
        to = "" if self.address is None else f" to {self.where()}"
        told = f"no connection{to} within {seconds:g} seconds: {self.phase}"
        return f"{before}; {told}" if before else told

    def where(self) -> str:
        """Return the host that is being tried, for people."""
        return shown_address(self.address)

    async def _bounded(self, work: Any) -> Any:
        """Await ``work``, which opens a transport, for as long as the host may take."""
        if self._seconds is None:
            return await work
        self._task = task = self.loop.create_task(work)
        try:
            await asyncio.wait({task})
        except BaseException:
            task.cancel()
            task.add_done_callback(_discard)
            raise
        finally:
            self._task = None
        if self._expired:
            _discard(task)
            raise self._silence()
        return task.result()

    def finish(self, connection: Connection | None) -> None:
        """Let go of the login; ``connection`` is what asyncpg has made, which keeps its loop."""
        self._is_open = False
        for future in self._futures:
            # of a login that was cancelled asyncpg forgets one, and the loop complains of its error
            future.add_done_callback(retrieve)
        self._futures = []
        if connection is None and self._transport is not None:
            # asyncpg has closed it, which by TLS means to wait for the other side, half a minute
            self._transport.abort()
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for name in ("create_connection", "create_unix_connection", "start_tls"):
            setattr(self, name, getattr(self.loop, name))
        if connection is not None and getattr(connection, "_loop", None) is self:
            connection._loop = self.loop  # asyncio.current_task() is asked with it
