"""Executing statements, once or with many sets of arguments, and receiving rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from functools import partial
from typing import Any

import asyncpg
from asyncpg import exceptions as driver_errors

from .. import _impl
from .._contracts import Receiver
from .capability import is_private, pipelines
from .contracts import Connection, Executor, Operation, ProtocolOfAsyncpg, Statement


async def _fetch_public(statement: Statement, args: Sequence[Any]) -> tuple[list[Any], str | None]:
    records = await statement.fetch(*args)
    return records, statement.get_statusmsg()


def _executor_public(statement: Statement) -> Executor:
    return partial(_fetch_public, statement)


def _executor_private(statement: Statement) -> Executor:
    connection = statement._connection
    protocol: ProtocolOfAsyncpg = connection._protocol
    bind_execute = protocol.bind_execute
    state = statement._state
    if getattr(connection, "_proxy", connection) is not None:
        # from an asyncpg pool: after its release another task may have the connection

        def execute_checked(args: Sequence[Any]) -> Awaitable[Any]:
            statement._check_conn_validity("fetch")
            return bind_execute(state, args, "", 0, True, None)

        return execute_checked

    def execute(args: Sequence[Any]) -> Awaitable[Any]:
        if state.closed or connection.is_closed():
            statement._check_conn_validity("fetch")  # raises the appropriate error
        return bind_execute(state, args, "", 0, True, None)

    return execute


executor: Callable[[Statement], Executor] = _executor_private if is_private() else _executor_public
"""Return the function that executes a prepared statement, without a coroutine of its own.

Awaiting what it returns gives a sequence that begins with the records and the command tag (text or
bytes).  Pass any error that it raises to :func:`settle`.
"""


async def settle(statement: Statement, error: Exception) -> None:
    """Handle an error of :data:`executor`'s function as asyncpg's own ``fetch()`` does.

    If rows can no longer be decoded, neither the types nor this statement may be used again.
    """
    if is_private() and isinstance(error, driver_errors.OutdatedSchemaCacheError):
        await statement._connection.reload_schema_state()
        statement._state.mark_closed()


async def _fetch_private(statement: Statement, args: Sequence[Any]) -> tuple[list[Any], str | None]:
    try:
        records, status, _ = await _executor_private(statement)(args)
    except Exception as error:
        await settle(statement, error)
        raise
    return records, None if status is None else status.decode()


fetch: Callable[[Statement, Sequence[Any]], Awaitable[tuple[list[Any], str | None]]] = (
    _fetch_private if is_private() else _fetch_public
)
"""Execute a prepared statement; return its records and its command tag."""


def receive_in_bulk(connection: Connection) -> None:
    """Pause the garbage collector whenever a connection decodes many rows at once.

    Does nothing at level ``public``, or if the connection's transport does not talk to asyncpg's
    protocol directly.
    """
    if is_private() and isinstance(connection, asyncpg.Connection):
        transport, protocol = connection._transport, connection._protocol
        if transport is not None and transport.get_protocol() is protocol:
            transport.set_protocol(_impl.receiving.Receiver(protocol))


def receiver_of(connection: Connection) -> Receiver | None:
    """Return the receiver that :func:`receive_in_bulk` has installed, None if there is none."""
    transport = getattr(connection, "_transport", None) if is_private() else None
    stands = None if transport is None else transport.get_protocol()
    return stands if isinstance(stands, _impl.receiving.Receiver) else None


def counter(connection: Connection) -> ProtocolOfAsyncpg | None:
    """Return the object that counts the operations of ``connection``, ``None`` if there is none.

    It can still be read after the connection is closed.
    """
    return connection._protocol if pipelines(connection) else None


def operations(counter: ProtocolOfAsyncpg | None) -> int:
    """Return the number of operations executed, 0 without a counter.

    One for each round trip of a simple query, of Bind with Execute, of an executemany, and of
    Execute on an open portal.  Not counted: Parse with Describe, Bind alone, Close.
    """
    count: int = 0 if counter is None else counter.queries_count
    return count


async def executemany(
    connection: Connection, statement: str, rows: Any, pooled: bool = False
) -> int:
    """Execute a statement once per row, atomically; return the number of rows affected in all.

    If ``pooled``, the statement has no name, which asyncpg may give it otherwise.

    Returns -1 if we cannot see the command tags, which asyncpg discards: at level ``public``, on a
    connection that is not asyncpg's own, or when part of a notification has come; and for
    commands whose tags have no number.  Raises asyncpg's errors.
    """
    receiver = receiver_of(connection)
    if receiver is None and pooled:
        prepared = await connection.prepare(statement, name="")
        await Cancellable(connection, prepared.executemany(rows))
        return -1
    if receiver is None or not receiver.whole:
        await Cancellable(connection, connection.executemany(statement, rows))
        return -1
    tally = _impl.tags.Tally()
    receiver.overhear = tally.take
    try:
        await Cancellable(connection, connection.executemany(statement, rows))
    finally:
        receiver.overhear = None
    return tally.total


class Cancellable:
    """Awaits an operation of a connection; when it is cancelled, the connection is dropped.

    asyncpg sends the arguments of ``executemany()`` in parts of 128 KB.  If cancelled between two
    of them, it never sends the Sync that the server waits for, ignores the cancellation and waits
    forever for an answer.  With the connection closed it gives up at once.
    """

    __slots__ = ("_connection", "_operation")

    def __init__(self, connection: Connection, operation: Operation) -> None:
        self._connection = connection
        self._operation = operation

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._operation.__await__()
        try:
            waiting_for = next(steps)
            while True:
                try:
                    sent = yield waiting_for
                except (asyncio.CancelledError, GeneratorExit) as cancellation:
                    self._connection.terminate()
                    _close(steps, cancellation)
                    raise
                except BaseException as error:
                    waiting_for = steps.throw(error)
                else:
                    waiting_for = steps.send(sent)
        except StopIteration as end:
            return end.value


def _close(steps: Any, cancellation: BaseException) -> None:
    try:
        while True:
            # whatever it still waits for ended with the connection
            steps.throw(cancellation)
    except BaseException:
        return
