"""The socket under a connection: its options, unread input, a ping, and whether it is idle."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import asyncpg

from .capability import capabilities, is_private
from .contracts import Connection, ProtocolOfAsyncpg, StatementState


def check_socket_options(options: Mapping[str, int]) -> None:
    """Raise ValueError when :func:`apply_socket_options` cannot serve ``options`` here."""
    if options and not is_private():
        raise ValueError(
            f"{', '.join(sorted(options))} cannot be set: the driver level is public "
            f"({capabilities().reason}); remove the option or unset PGFLIGHT_DRIVER"
        )


def apply_socket_options(connection: Connection, options: Mapping[str, int]) -> None:
    """Set keep-alive and user-timeout options on a connection's TCP socket.

    ``options`` are libpq's names: ``keepalives`` (0 or 1), ``keepalives_idle``,
    ``keepalives_interval`` (seconds), ``keepalives_count``, ``tcp_user_timeout``
    (milliseconds).  They mean nothing on a unix socket, where libpq ignores them, too.
    """
    transport = connection._transport
    sock = None if transport is None else transport.get_extra_info("socket")
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


def _nothing() -> bool:
    return False


def pending_input(connection: Connection) -> Callable[[], object]:
    """Return a function that tells, without waiting, whether bytes or the end have arrived.

    To be asked only while the connection is open.  At level ``public``, or where the transport
    has no socket to be asked, the function always says no.
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
    poll.register(number, select.POLLIN)  # the end and errors are always reported
    return partial(poll.poll, 0)


async def ping(connection: Connection) -> None:
    """Wait until the server has answered everything that was sent; raise when it is gone.

    Closes the unnamed portal, which nothing of ours needs, and syncs: one write and one wait,
    no query, no transaction.  Works in an aborted transaction, too.  asyncpg's ``command_timeout``
    holds.  Level ``private`` only.  Raises asyncpg's errors, of a closed connection InterfaceError.
    """
    if connection.is_closed():
        # asyncpg 0.30 would miss its protocol
        raise asyncpg.InterfaceError("connection is closed")
    await connection._protocol.close_portal("", None)


def drop(connection: Connection) -> None:
    """Close a connection without a farewell and without waiting."""
    known = is_private() and isinstance(connection, asyncpg.Connection)
    transport = connection._transport if known else None
    connection.terminate()
    if transport is not None:
        transport.abort()  # asyncpg before 0.32 leaves it open when close() has been called


class _Arguments:
    """Arguments that cannot be counted: whoever counts them has found the connection idle."""

    class Counted(Exception):
        pass

    def __len__(self) -> int:
        raise self.Counted

    def __getitem__(self, index: int) -> Any:
        raise self.Counted


def is_idle(protocol: ProtocolOfAsyncpg, state: StatementState) -> bool:
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
