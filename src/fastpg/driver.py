"""The one room that touches asyncpg beyond its public API, gated by capability.

Level ``public`` uses asyncpg's documented API only.  Level ``private`` also uses the names of
:data:`PRIVATE_NAMES`; each is looked for when this module is imported, and where one is missing
the public path serves.  ``FASTPG_DRIVER=public|private|auto`` (default ``auto``) chooses.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import asyncpg
from asyncpg import exceptions as driver_errors

LEVELS = ("auto", "private", "public")

PRIVATE_NAMES: tuple[tuple[str, str], ...] = (
    ("Connection", "_protocol"),
    ("Connection", "_stmts_to_close"),
    ("Connection", "_transport"),
    ("PreparedStatement", "_state"),
    ("PreparedStatement", "_check_conn_validity"),
    ("PreparedStatementState", "name"),
    ("Protocol", "_is_cancelling"),
    ("Protocol", "bind_execute"),
)
"""(class, attribute) pairs of asyncpg that level ``private`` needs."""


class Capabilities(NamedTuple):
    """What this process may use of asyncpg, and why."""

    level: str
    """``public`` or ``private``."""
    reason: str
    missing: tuple[str, ...]
    """Private names that this asyncpg lacks, as ``Class.attribute``."""


def _missing_names() -> tuple[str, ...]:
    classes: dict[str, Any] = {"Connection": asyncpg.connection.Connection}
    for name, module in (("PreparedStatement", "prepared_stmt"), ("Protocol", "protocol")):
        classes[name] = getattr(getattr(asyncpg, module, None), name, None)
    inner = getattr(getattr(asyncpg, "protocol", None), "protocol", None)
    classes["PreparedStatementState"] = getattr(inner, "PreparedStatementState", None)
    return tuple(
        f"{owner}.{attribute}"
        for owner, attribute in PRIVATE_NAMES
        if not hasattr(classes[owner], attribute)
    )


def _choose(wanted: str, missing: tuple[str, ...]) -> Capabilities:
    if wanted not in LEVELS:
        raise ValueError(
            f"FASTPG_DRIVER is {wanted!r}; set it to one of auto, private or public, or unset it"
        )
    if wanted == "public":
        return Capabilities("public", "FASTPG_DRIVER=public asks for it", missing)
    if not missing:
        asked = "FASTPG_DRIVER=private asks for it" if wanted == "private" else "all names found"
        return Capabilities("private", f"{asked} in asyncpg {asyncpg.__version__}", ())
    lacks = f"asyncpg {asyncpg.__version__} lacks {', '.join(missing)}"
    if wanted == "private":
        raise ImportError(f"FASTPG_DRIVER=private cannot be served: {lacks}; set it to auto")
    return Capabilities("public", lacks, missing)


_capabilities = _choose(os.environ.get("FASTPG_DRIVER") or "auto", _missing_names())


def capabilities() -> Capabilities:
    """Return the level chosen when this module was imported, with its reason."""
    return _capabilities


async def _fetch_public(statement: Any, args: Sequence[Any]) -> tuple[list[Any], str | None]:
    records = await statement.fetch(*args)
    return records, statement.get_statusmsg()


async def _fetch_private(statement: Any, args: Sequence[Any]) -> tuple[list[Any], str | None]:
    statement._check_conn_validity("fetch")
    connection = statement._connection
    state = statement._state
    try:
        records, status, _ = await connection._protocol.bind_execute(state, args, "", 0, True, None)
    except driver_errors.OutdatedSchemaCacheError:
        # what PreparedStatement.fetch() does: the rows cannot be decoded any more, so neither
        # the types nor this statement may be used again
        await connection.reload_schema_state()
        state.mark_closed()
        raise
    return records, None if status is None else status.decode()


fetch: Callable[[Any, Sequence[Any]], Awaitable[tuple[list[Any], str | None]]] = (
    _fetch_private if _capabilities.level == "private" else _fetch_public
)
"""Execute a prepared statement; return its records and its command tag."""


def take_dropped(connection: Any, into: set[Any]) -> None:
    """Move the statements that asyncpg is going to close, one round trip each, to ``into``.

    asyncpg puts a statement there once nothing refers to it any more, no cursor either.  The
    public level leaves them where they are.
    """
    if _capabilities.level == "private":
        waiting = connection._stmts_to_close
        while waiting:  # a collection of garbage may add to it at any moment
            into.add(waiting.pop())


class Closing:
    """Close dropped statements in the flight of what asyncpg sends within the block.

    ``states`` is what :func:`take_dropped` filled, and is emptied when their Close messages have
    left.  They travel in front of the block's first message, never by themselves: unlike Sync
    or Flush they make the server answer nothing at once, and asyncpg, which by then waits for the
    answer to its own message, passes over CloseComplete whatever it waits for.  Close cannot
    fail, and is served in an aborted transaction as well.  The block has to begin with an
    asyncpg operation that sends at once, or not at all.
    """

    __slots__ = ("_connection", "_states", "_transport")

    def __init__(self, connection: Any, states: set[Any]) -> None:
        self._connection = connection
        self._states = states
        self._transport: Any = None

    def __enter__(self) -> None:
        transport, protocol = self._connection._transport, self._connection._protocol
        if transport is None or transport.is_closing() or protocol._is_cancelling():
            return
        messages = b"".join(map(_close_message, self._states))
        try:
            transport.write = self._in_front(transport.write, messages)
        except AttributeError:  # a transport without a __dict__, as uvloop's
            if _is_idle(protocol, next(iter(self._states))):
                transport.write(messages)
                self._states.clear()
        else:
            self._transport = transport

    def _in_front(self, write: Callable[[Any], None], messages: bytes) -> Callable[[Any], None]:
        def write_both(data: Any) -> None:
            self._disarm()
            self._states.clear()
            write(messages + bytes(data))

        return write_both

    def _disarm(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            del transport.write

    def __exit__(self, *exc_info: object) -> None:
        self._disarm()


def _close_message(state: Any) -> bytes:
    name: str = state.name
    body = b"S" + name.encode() + b"\0"
    return b"C" + (len(body) + 4).to_bytes(4, "big") + body


class _Arguments:
    """Arguments that cannot be counted: whoever counts them has found the connection idle."""

    class Counted(Exception):
        pass

    def __len__(self) -> int:
        raise self.Counted

    def __getitem__(self, index: int) -> Any:
        raise self.Counted


def _is_idle(protocol: Any, state: Any) -> bool:
    """Tell whether the next operation would send at once: nothing runs, nothing is cancelled.

    The protocol keeps that to itself, so an operation is begun that cannot get as far as
    sending: the state is checked first, then the arguments are counted.
    """
    operation = protocol.bind_execute(state, _Arguments(), "", 0, True, None)
    try:
        operation.send(None)
    except _Arguments.Counted:
        return True
    except Exception:
        return False
    operation.close()  # it waits for a cancellation
    return False


def check_socket_options(options: Mapping[str, int]) -> None:
    """Raise ValueError when :func:`apply_socket_options` cannot serve ``options`` here."""
    if options and _capabilities.level != "private":
        raise ValueError(
            f"{', '.join(sorted(options))} cannot be set: the driver level is public "
            f"({_capabilities.reason}); remove the option or unset FASTPG_DRIVER"
        )


def apply_socket_options(connection: Any, options: Mapping[str, int]) -> None:
    """Set keep-alive and user-timeout options on a connection's TCP socket.

    ``options`` are libpq's names: ``keepalives`` (0 or 1), ``keepalives_idle``,
    ``keepalives_interval`` (seconds), ``keepalives_count``, ``tcp_user_timeout``
    (milliseconds).  They mean nothing on a unix socket, where libpq ignores them, too.
    """
    sock = connection._transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    for level, option, value in _socket_calls(options):
        sock.setsockopt(level, option, value)


def _socket_calls(options: Mapping[str, int]) -> list[tuple[int, int, int]]:
    if not options.get("keepalives", 1):
        calls = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)]
    else:
        calls = []
        if any(name.startswith("keepalives") for name in options):
            calls.append((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1))
        for name, constants in (
            # macOS calls the idle time TCP_KEEPALIVE
            ("keepalives_idle", ("TCP_KEEPIDLE", "TCP_KEEPALIVE")),
            ("keepalives_interval", ("TCP_KEEPINTVL",)),
            ("keepalives_count", ("TCP_KEEPCNT",)),
        ):
            calls += _tcp_call(options, name, constants)
    calls += _tcp_call(options, "tcp_user_timeout", ("TCP_USER_TIMEOUT",))
    return calls


def _tcp_call(
    options: Mapping[str, int], name: str, constants: tuple[str, ...]
) -> list[tuple[int, int, int]]:
    value = options.get(name, 0)
    if not value:  # 0 means the system's default, as in libpq
        return []
    for constant in constants:
        if hasattr(socket, constant):
            return [(socket.IPPROTO_TCP, getattr(socket, constant), value)]
    return []  # libpq ignores what the platform does not offer
