"""The one room that touches asyncpg beyond its public API, gated by capability.

Level ``public`` uses asyncpg's documented API only.  Level ``private`` also uses the names of
:data:`PRIVATE_NAMES`; each is looked for when this module is imported, and where one is missing
the public path serves.  ``FASTPG_DRIVER=public|private|auto`` (default ``auto``) chooses.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import asyncpg
from asyncpg import exceptions as driver_errors

from . import _impl

LEVELS = ("auto", "private", "public")

PRIVATE_NAMES: tuple[tuple[str, str], ...] = (
    ("Connection", "_protocol"),
    ("Connection", "_transport"),
    ("Connection", "_drop_local_statement_cache"),
    ("PreparedStatement", "_state"),
    ("PreparedStatement", "_check_conn_validity"),
    ("Protocol", "bind_execute"),
    ("Protocol", "get_settings"),
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


def _executor_public(statement: Any) -> Callable[[Sequence[Any]], Awaitable[Any]]:
    return partial(_fetch_public, statement)


def _executor_private(statement: Any) -> Callable[[Sequence[Any]], Awaitable[Any]]:
    connection = statement._connection
    bind_execute = connection._protocol.bind_execute
    state = statement._state

    def execute(args: Sequence[Any]) -> Awaitable[Any]:
        if state.closed or connection.is_closed():
            statement._check_conn_validity("fetch")  # raises the error that fits
        return bind_execute(state, args, "", 0, True, None)  # type: ignore[no-any-return]

    return execute


executor: Callable[[Any], Callable[[Sequence[Any]], Awaitable[Any]]] = (
    _executor_private if _capabilities.level == "private" else _executor_public
)
"""Return the function that executes a prepared statement, without a coroutine of its own.

Awaiting what it returns gives a sequence that begins with the records and the command tag (text or
bytes); what it raises has to be shown to :func:`settle`.
"""


async def settle(statement: Any, error: Exception) -> None:
    """Do what asyncpg's own ``fetch()`` does about an error of :data:`executor`'s function."""
    if _capabilities.level == "private" and isinstance(
        error, driver_errors.OutdatedSchemaCacheError
    ):
        await statement._connection.reload_schema_state()
        statement._state.mark_closed()


def receive_in_bulk(connection: Any) -> None:
    """Have the garbage collector held while a connection decodes many rows at once.

    Nothing happens at level ``public``, nor when the connection's transport does not talk to
    asyncpg's protocol directly.
    """
    if _capabilities.level == "private" and isinstance(connection, asyncpg.Connection):
        transport, protocol = connection._transport, connection._protocol
        if transport is not None and transport.get_protocol() is protocol:
            transport.set_protocol(_impl.receiving.Receiver(protocol))


_OIDS = {
    "date": 1082,
    "time": 1083,
    "timestamp": 1114,
    "timestamptz": 1184,
    "interval": 1186,
    "timetz": 1266,
    "numeric": 1700,
}
SetCodec = Callable[[Any, str, Callable[[Any], bytes], Callable[[bytes], Any]], Awaitable[None]]


async def _set_codec_public(connection: Any, name: str, encoder: Any, decoder: Any) -> None:
    await connection.set_type_codec(
        name, schema="pg_catalog", format="binary", encoder=encoder, decoder=decoder
    )


async def _set_codec_private(connection: Any, name: str, encoder: Any, decoder: Any) -> None:
    settings = connection._protocol.get_settings()
    settings.add_python_codec(
        _OIDS[name], name, "pg_catalog", [], "scalar", encoder, decoder, "binary"
    )
    connection._drop_local_statement_cache()


def _codec_setter(version: str, level: str) -> SetCodec | None:
    # asyncpg 0.30 asks the server about the type, three round trips each time.
    if tuple(map(int, version.split(".")[:2])) >= (0, 31):
        return _set_codec_public
    return _set_codec_private if level == "private" else None


set_codec: SetCodec | None = _codec_setter(asyncpg.__version__, _capabilities.level)
"""Set the binary codec of one of the types of dates, times and numeric, without a round trip.

``(connection, type name, encoder, decoder)``; None where this asyncpg cannot without one.
"""


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
