"""COPY: rows of Python values to the server in asyncpg's binary form, or ready-made text.

Level ``private`` describes the table anew for each COPY, in its transaction: asyncpg's own
``copy_records_to_table()`` would use its cached description, however old.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import asyncpg

from ..capability import can_copy, is_private
from ..contracts import Connection, Operation, Statement
from ..error_texts import says_protocol_is_busy
from ..execution import check_text
from ..watching import COPIES, Watch

_NO_TIMEOUT = 1e9
"""Seconds: without a value asyncpg would apply ``command_timeout``, which the caller handles."""
_SECONDS_TO_NOTICE = 0.1
_LOST = "the connection was lost during a COPY"
_TEXT, _BINARY = 0, 1


class CopyTarget(NamedTuple):
    """The table and the columns that a COPY fills."""

    statement: str
    """``COPY ... FROM STDIN``, without options."""
    schema: str | None
    table: str
    columns: tuple[str, ...]
    described: Statement
    """asyncpg's prepared statement that selects the columns."""
    watch: Watch | None = None
    """Who watches the connection, if that is known."""


def copies_privately(connection: Connection) -> bool:
    """Tell whether asyncpg's protocol accepts the statement and the types directly."""
    protocol = getattr(connection, "_protocol", None) if can_copy() else None
    return hasattr(protocol, "copy_in")  # false for a closed connection and for another driver's


def _goes_past_methods(connection: Connection, watch: Watch | None) -> bool:
    """Tell whether to use the protocol directly, because nobody watches asyncpg's own methods."""
    if not copies_privately(connection):
        return False
    if watch is None or not watch.is_of(connection):  # another object may stand in its place
        watch = Watch(connection)
    return watch.by(COPIES) is None


async def has_binary_form(connection: Connection, target: CopyTarget) -> bool:
    """Tell whether each column has a codec that encodes to PostgreSQL's binary form."""
    if _goes_past_methods(connection, target.watch):
        settings = connection._protocol.get_settings()
        return all(
            settings.get_data_codec(attribute.type.oid, _BINARY) is not None
            for attribute in target.described.get_attributes()
        )
    # asyncpg says so only by refusing, which leaves the transaction aborted
    savepoint = connection.transaction()
    await savepoint.start()
    try:
        await connection.reload_schema_state()
        copying = connection.copy_records_to_table(
            target.table, records=(), columns=target.columns, schema_name=target.schema
        )
        await _told_of_loss(connection, copying)
    except asyncpg.InternalClientError:
        return False  # it has no encoder for some type; text form takes every type
    finally:
        if not connection.is_closed():
            await savepoint.rollback()
    return True


def custom_codec_format(connection: Connection, oid: int) -> str | None:
    """Return the form of a codec that replaced asyncpg's own: ``text`` or ``binary``.

    None if none did, and for types without a codec of asyncpg's own, where one cannot tell.
    """
    settings = connection.get_settings()
    if not hasattr(settings, "get_data_codec"):
        return None
    if settings.get_data_codec(oid, ignore_custom_codec=True) is None:
        return None  # asyncpg itself sets a text codec for these types
    for form, name in ((_TEXT, "text"), (_BINARY, "binary")):
        codec = settings.get_data_codec(oid, form)
        if codec is not None and codec is not settings.get_data_codec(oid, form, True):
            return name
    return None


async def copy_records(
    connection: Connection, target: CopyTarget, records: AsyncIterator[Any] | Iterator[Any]
) -> None:
    """Send tuples of values in binary form, each in the order of the columns.

    Passes on what a codec raises for a value that it cannot encode.
    """
    if _goes_past_methods(connection, target.watch):
        statement = f"{target.statement} (FORMAT binary)"
        state = target.described._state
        copying = connection._protocol.copy_in(statement, None, None, records, state, _NO_TIMEOUT)
        await _told_of_loss(connection, copying)
        return
    await connection.reload_schema_state()
    copying = connection.copy_records_to_table(
        target.table,
        records=records,
        columns=target.columns,
        schema_name=target.schema,
        timeout=_NO_TIMEOUT,
    )
    await _unless_lost(connection, copying)


async def copy_text(
    connection: Connection, target: CopyTarget, chunks: AsyncIterator[bytes]
) -> None:
    """Send lines of COPY's text form."""
    if _goes_past_methods(connection, target.watch):
        copying = connection._protocol.copy_in(
            target.statement, chunks, None, None, None, _NO_TIMEOUT
        )
        await _told_of_loss(connection, copying)
        return
    copying = connection.copy_to_table(
        target.table,
        source=chunks,
        columns=target.columns,
        schema_name=target.schema,
        timeout=_NO_TIMEOUT,
    )
    await _unless_lost(connection, copying)


async def _told_of_loss(connection: Connection, copying: Operation) -> None:
    """Await asyncpg's COPY; raise ConnectionDoesNotExistError if asyncpg does not report the loss.

    If the server announced its end between two statements, asyncpg refuses to begin; if uvloop's
    transport is closed, writing to it raises RuntimeError inside asyncpg's error handling.  Each
    leaves a future whose exception would be logged as never retrieved; the first also leaves an
    operation that does not end.
    """
    held = gc.get_referents(copying)
    try:
        await copying
    except asyncpg.InternalClientError as error:
        if not says_protocol_is_busy(error):
            raise
        connection.terminate()
        _ask_futures(held)
        raise asyncpg.ConnectionDoesNotExistError(_LOST) from error
    except RuntimeError as error:
        if not connection.is_closed():
            raise
        _ask_futures(held)
        begun_by = error.__context__
        while begun_by is not None:
            if isinstance(begun_by, asyncio.CancelledError):
                raise begun_by from None
            begun_by = begun_by.__context__
        raise asyncpg.ConnectionDoesNotExistError(_LOST) from error


def _ask_futures(held: list[Any]) -> None:
    for future in gc.get_referents(*held):
        if isinstance(future, asyncio.Future) and future.done() and not future.cancelled():
            future.exception()


async def _unless_lost(connection: Connection, copying: Operation) -> None:
    """Await a COPY of asyncpg's public API, which may wait forever if the connection is lost."""
    lost = asyncio.Event()

    def note(_connection: object) -> None:
        lost.set()

    task = asyncio.ensure_future(_told_of_loss(connection, copying))
    losing = asyncio.ensure_future(lost.wait())
    connection.add_termination_listener(note)
    try:
        await asyncio.wait({task, losing}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            await asyncio.wait({task}, timeout=_SECONDS_TO_NOTICE)
        if not task.done():
            raise asyncpg.ConnectionDoesNotExistError(_LOST)
        task.result()
    finally:
        connection.remove_termination_listener(note)
        losing.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


def command_timeout(connection: Connection) -> float | None:
    """Return the seconds that an operation may take on this connection, if known."""
    config = getattr(connection, "_config", None) if is_private() else None
    return getattr(config, "command_timeout", None)


async def copy_out(
    connection: Connection,
    query: str,
    options: str,
    sink: Callable[[bytes], Awaitable[None]],
    watch: Watch | None = None,
) -> None:
    """Hand the output of a COPY of ``query`` to ``sink``, piece by piece.

    ``options`` is ``csv``, ``text`` or ``binary``, followed by `` header`` if wanted; ``watch``
    knows who watches the connection.
    """
    check_text(query)
    kind, _, header = options.partition(" ")
    if _goes_past_methods(connection, watch):
        more = ", HEADER" if header else ""
        statement = f"COPY ({query}) TO STDOUT (FORMAT {kind}{more})"
        await _told_of_loss(connection, connection._protocol.copy_out(statement, sink, _NO_TIMEOUT))
        return
    copying = connection.copy_from_query(
        query, output=sink, format=kind, header=True if header else None, timeout=_NO_TIMEOUT
    )
    await _told_of_loss(connection, copying)
