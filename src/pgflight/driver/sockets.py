"""The socket under a connection: its options, unread input, a ping, and whether it is idle."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

import asyncpg

from .capability import capabilities, is_private
from .contracts import Connection, ProtocolOfAsyncpg, StatementState

FINDS_DEAD_PEERS = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 50000,
}
"""Socket options with which a peer that is gone without a word is noticed within a minute."""


def check_socket_options(options: Mapping[str, int]) -> None:
    """Raise ValueError if :func:`apply_socket_options` cannot set ``options`` here."""
    if options and not is_private():
        raise ValueError(
            f"{', '.join(sorted(options))} cannot be set: the driver level is public "
            f"({capabilities().reason}); remove the option or unset PGFLIGHT_DRIVER"
        )


def apply_socket_options(connection: Connection, options: Mapping[str, int]) -> None:
    """Set keep-alive and user-timeout options on a connection's TCP socket.

    ``options`` have libpq's names: ``keepalives`` (0 or 1), ``keepalives_idle``,
    ``keepalives_interval`` (seconds), ``keepalives_count``, ``tcp_user_timeout``
    (milliseconds).  They are ignored on a unix socket, as in libpq.
    """
    transport = connection._transport
    sock = None if transport is None else transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    for level, option, value in _socket_calls(tuple(options.items())):
        sock.setsockopt(level, option, value)


@lru_cache(maxsize=32)
def _socket_calls(given: tuple[tuple[str, int], ...]) -> list[tuple[int, int, int]]:
    options = dict(given)
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
    return []  # like libpq, ignore what the platform does not offer


def _nothing() -> bool:
    return False


def pending_input(connection: Connection) -> Callable[[], object]:
    """Return a function that tells, without waiting, whether bytes or an end of file have arrived.

    Call the function only while the connection is open.  At level ``public``, or if the transport
    has no socket, it always returns false.
    """
    if not is_private() or not isinstance(connection, asyncpg.Connection):
        return _nothing
    transport = connection._transport
    sock = None if transport is None else transport.get_extra_info("socket")
    number = -1 if sock is None else sock.fileno()
    if number < 0:
        return _nothing
    if not hasattr(select, "poll"):  # Windows
        return lambda: bool(select.select([number], [], [], 0)[0])
    poll = select.poll()
    poll.register(number, select.POLLIN)  # end of file and errors are always reported
    return partial(poll.poll, 0)


async def ping(connection: Connection) -> None:
    """Wait until the server has answered everything that was sent; raise if it is gone.

    Closes the unnamed portal, which we do not use, and syncs: one write and one wait, no query,
    no transaction.  Works in an aborted transaction, too.  asyncpg's ``command_timeout`` applies.
    Level ``private`` only.  Raises asyncpg's errors; InterfaceError if the connection is closed.
    """
    if connection.is_closed():
        # else AttributeError with asyncpg 0.30, which has no protocol then
        raise asyncpg.InterfaceError("connection is closed")
    await connection._protocol.close_portal("", None)


def drop(connection: Connection) -> None:
    """Close a connection without a Terminate message and without waiting."""
    known = is_private() and isinstance(connection, asyncpg.Connection)
    transport = connection._transport if known else None
    connection.terminate()
    if transport is not None:
        transport.abort()  # asyncpg before 0.32 leaves it open after close() has been called


_CLOSE = asyncpg.Connection.close
_CLOSE_IS_BOUNDED = tuple(map(int, asyncpg.__version__.split(".")[:2])) >= (0, 32)


def closes_in_time(connection: Connection) -> bool:
    """Tell whether the connection's ``close(timeout=...)`` never takes longer than it is given.

    asyncpg before 0.32 first waits, without a bound, for a cancellation to be answered.
    """
    return _CLOSE_IS_BOUNDED and getattr(type(connection), "close", None) is _CLOSE


_left_to_parents: list[Connection] = []
"""Connections of the process that this one was forked from: not even collected, which would take
their sockets out of the parent's event loop, since an epoll object is shared by both processes."""


def abandon(
    connection: Connection, loop: asyncio.AbstractEventLoop | None, *, forked: bool
) -> None:
    """Let go of a connection that belongs to another event loop, or to another process.

    One of another loop is closed in that loop's thread, or at once if the loop is closed.  Nothing
    is done to a parent's socket, which both processes share.
    """
    if forked:
        _left_to_parents.append(connection)
        return
    if loop is not None and not loop.is_closed():
        try:
            loop.call_soon_threadsafe(drop, connection)
            return
        except RuntimeError:
            pass  # closed meanwhile
    _close_without_loop(connection)


def _close_without_loop(connection: Connection) -> None:
    """Close a connection whose loop is closed, and with it all that would be told of the end."""
    known = is_private() and isinstance(connection, asyncpg.Connection)
    asyncio_transport: Any = connection._transport if known else None
    with suppress(Exception):
        connection.terminate()  # sends Terminate, and then cannot stop the loop from reading
    while asyncio_transport is not None:
        sock = getattr(asyncio_transport, "_sock", None)
        if sock is not None:
            sock.close()
            asyncio_transport._sock = None  # or its collection would warn
            return
        # TLS is a transport on top of another one
        asyncio_protocol = getattr(asyncio_transport, "_ssl_protocol", None)
        asyncio_transport = getattr(asyncio_protocol, "_transport", None)


class _Arguments:
    """Arguments that refuse to be counted: counting them proves that the connection is idle."""

    class Counted(Exception):
        pass

    def __len__(self) -> int:
        raise self.Counted

    def __getitem__(self, index: int) -> Any:
        raise self.Counted


def is_idle(protocol: ProtocolOfAsyncpg, state: StatementState) -> bool:
    """Tell whether the next operation would send at once: nothing runs or is being cancelled.

    The protocol does not expose that, so begin an operation that cannot get as far as sending:
    asyncpg checks its state first, then counts the arguments.
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
