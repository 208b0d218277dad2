"""How a server asks a client to prove who it is: seen during one login, for `doctor`.

No statement tells it before PostgreSQL 16 (`system_user`), and pg_hba_file_rules is for
superusers; the requests themselves tell it on every server, and behind a pooler what the pooler
asks for.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import asyncpg

from ..capability import OWNERS
from .plaintext import Watcher
from .watched_loop import LoginLoop

_PROTOCOL: Any = OWNERS["Protocol"] or ()
_HEADER = 5
_AUTHENTICATION, _ERROR = ord("R"), ord("E")
_GRANTED, _SASL = 0, 10
_KINDS = {
    2: "kerberos",
    3: "cleartext",
    5: "md5",
    7: "gssapi",
    9: "sspi",
}
NOTHING_ASKED = "none"
"""Trust, peer, ident and client certificates: the server asks for nothing in the protocol."""


def _method(body: bytes) -> str | None:
    """Return what a request for authentication asks for; None for a step of one that goes on."""
    kind = int.from_bytes(body[:4], "big")
    if kind == _SASL:
        return " or ".join(
            part.decode("ascii", "replace") for part in body[4:].split(b"\0") if part
        )
    return _KINDS.get(kind)


class _AuthenticationWatch(Watcher):
    """In front of asyncpg's protocol: reads along until the server has let the client in."""

    _part = b""
    _is_done = False

    def __init__(self, login: Any, asyncio_protocol: Any) -> None:
        super().__init__(login, asyncio_protocol)
        self._notes = login

    def data_received(self, data: bytes) -> None:
        if not self._is_done:
            self._read(data)
        self._inner.data_received(data)

    def _read(self, data: bytes) -> None:
        data = self._part + data
        at = 0
        while len(data) - at >= _HEADER:
            length = max(int.from_bytes(data[at + 1 : at + _HEADER], "big"), 4)
            if len(data) - at <= length:
                break
            body = data[at + _HEADER : at + 1 + length]
            if data[at] == _AUTHENTICATION and int.from_bytes(body[:4], "big") != _GRANTED:
                self._notes.method = self._notes.method or _method(body)
            elif data[at] in (_AUTHENTICATION, _ERROR):
                if data[at] == _AUTHENTICATION:
                    self._notes.method = self._notes.method or NOTHING_ASKED
                self._is_done = True
                break
            at += 1 + length
        self._part = b"" if self._is_done else data[at:]


class AuthenticationLoop(LoginLoop):
    """A loop for one call of `asyncpg.connect()` that notes which method the server asks for."""

    method: str | None = None
    """`cleartext`, `md5`, the names of SASL mechanisms, ..., or NOTHING_ASKED; None if unseen."""

    def _watched(self, asyncio_protocol: Any, *, encrypted: bool) -> tuple[Any, Any]:
        outer, inner = super()._watched(asyncio_protocol, encrypted=encrypted)
        if not isinstance(asyncio_protocol, _PROTOCOL):
            return outer, inner  # it asks for TLS first
        return _AuthenticationWatch(self, outer), inner

    def is_plain(self) -> None:
        """Follow asyncpg where it goes on without TLS."""
        super().is_plain()
        self.loop.call_soon(self._follow, None)

    async def start_tls(self, *args: Any, **options: Any) -> Any:
        """Encrypt a connection, and follow asyncpg, which installs its protocol at once."""
        made = await super().start_tls(*args, **options)
        self.loop.call_soon(self._follow, made)
        return made

    def tls(self) -> tuple[str, str] | None:
        """Return version and cipher of the TLS that the login has; None without."""
        found = self._transport and self._transport.get_extra_info("ssl_object")
        return (str(found.version()), str(found.cipher()[0])) if found else None

    def _follow(self, encrypted: Any) -> None:
        asyncio_transport = encrypted or self._transport
        if asyncio_transport is None or asyncio_transport.is_closing():
            return
        asyncio_protocol = asyncio_transport.get_protocol()
        if isinstance(asyncio_protocol, _PROTOCOL):
            asyncio_transport.set_protocol(_AuthenticationWatch(self, asyncio_protocol))


class Seen(NamedTuple):
    """What one login has shown."""

    method: str | None
    """As :attr:`AuthenticationLoop.method`."""
    tls: tuple[str, str] | None
    """Version and cipher of the connection's TLS, None without."""


async def see_login(arguments: dict[str, Any], *, seconds: int, guards: bool) -> Seen:
    """Log in once more with asyncpg's `arguments`; return what that shows.

    Raises what asyncpg.connect raises, and TimeoutError after `seconds`; with `guards` no password
    is sent in clear text without TLS.
    """
    loop = asyncio.get_running_loop()
    watched = AuthenticationLoop(loop, seconds=None, guards=guards, asks=False)
    connection: Any = None
    try:
        connection = await asyncpg.connect(**arguments, timeout=seconds, loop=watched)
        tls = watched.tls()
    finally:
        watched.finish(connection)
    await connection.close(timeout=seconds)
    return Seen(watched.method, tls)


__all__ = ["NOTHING_ASKED", "Seen", "see_login"]
