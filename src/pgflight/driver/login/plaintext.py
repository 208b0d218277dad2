"""What the server asks for on a connection without TLS: never the password as it is.

asyncpg answers whatever it is asked for.  Whoever stands in between can say that there is no TLS,
ask for the password, and have it; sslmode=prefer is the default.  So the answers are read before
asyncpg reads them, from the first one to the end of the login.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from asyncpg import exceptions as driver_errors

_AUTHENTICATION, _READY = ord("R"), ord("Z")
_CLEARTEXT = (3).to_bytes(4, "big")
_HEADER = 5
_NOT_SENT = (
    "the server at {where} asked for the password in clear text on a connection without TLS, and"
    " it was not sent: write sslmode=require or verify-full in the URL, or"
    " allow_cleartext_password=true if nobody can listen to the connection"
)
_MALFORMED = "the server at {where} does not speak PostgreSQL's protocol"


class Login(Protocol):
    """The login that is watched."""

    loop: asyncio.AbstractEventLoop
    guards: bool

    def where(self) -> str: ...
    def asks_for_tls(self) -> None: ...
    def is_plain(self) -> None: ...
    def refuse(self, error: Exception) -> None: ...


class Watcher(asyncio.Protocol):
    """Stands in front of a protocol, to which everything is passed on."""

    def __init__(self, login: Login, asyncio_protocol: Any) -> None:
        self._login = login
        self._inner = asyncio_protocol
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def eof_received(self) -> Any:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


class NegotiationWatch(Watcher):
    """In front of what asks the server for TLS: sees it refused, and asyncpg go on without."""

    def connection_made(self, transport: Any) -> None:
        self._login.asks_for_tls()
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._inner.data_received(data)
        except asyncio.InvalidStateError:
            return  # of asyncpg before 0.32, whose login was cancelled in this turn of the loop
        if data == b"N":
            self._login.is_plain()
            if self._login.guards:
                # behind asyncpg's next step, which installs the protocol that logs in, and ahead
                # of anything that may arrive: that is read in a later round of the loop
                self._login.loop.call_soon(self._follow)

    def _follow(self) -> None:
        asyncio_transport = self._transport
        if asyncio_transport.is_closing():
            return
        asyncio_protocol = asyncio_transport.get_protocol()
        if asyncio_protocol is self:
            self._login.refuse(ConnectionError("asyncpg logs in in a way that cannot be watched"))
            return
        watch = LoginWatch(self._login, asyncio_protocol)
        watch.follow(asyncio_transport)


class LoginWatch(Watcher):
    """In front of asyncpg's protocol until it has logged in: refuses to send a password as it is.

    Passes on whole messages only, so that a request that comes in pieces is seen in time.
    """

    _part = b""
    _has_refused = False

    def follow(self, asyncio_transport: Any) -> None:
        """Take the place of the protocol that has been told of the connection."""
        self._transport = asyncio_transport
        asyncio_transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        if self._has_refused:
            return
        data = self._part + data
        at, size = 0, len(data)
        while size - at >= _HEADER:
            kind = data[at]
            length = int.from_bytes(data[at + 1 : at + _HEADER], "big")
            if length < 4 or (kind == _AUTHENTICATION and length < 8):
                self._refuse(ConnectionError(_MALFORMED.format(where=self._login.where())))
                return
            end = at + 1 + length
            if end > size:
                break
            if kind == _AUTHENTICATION and data[at + _HEADER : at + 9] == _CLEARTEXT:
                text = _NOT_SENT.format(where=self._login.where())
                self._refuse(driver_errors.InvalidAuthorizationSpecificationError(text))
                return
            at = end
            if kind == _READY:
                self._leave(data)
                return
        self._part = data[at:]
        if at:
            self._inner.data_received(data[:at])

    def _leave(self, data: bytes) -> None:
        self._part = b""
        if self._transport.get_protocol() is self:
            self._transport.set_protocol(self._inner)
        self._inner.data_received(data)

    def _refuse(self, error: Exception) -> None:
        self._part = b""
        self._has_refused = True
        self._login.refuse(error)
        self._transport.abort()
