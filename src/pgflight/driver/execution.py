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
from .arguments.flat_lists import flat_lists, places_of_arrays
from .capability import is_private, pipelines
from .contracts import Connection, Executor, Operation, ProtocolOfAsyncpg, Statement
from .known_types import check_numeric_rows, has_own_numeric
from .watching import CALLS, CLASSES, PROTOCOL, STATEMENT, VALID, State, Watch

_STATEMENT = CLASSES["PreparedStatement"]
_DIRECTLY = "a statement executed without asyncpg's fetch()"


def check_text(text: str) -> None:
    """Raise asyncpg's DataError for SQL, or a name in it, that cannot be sent.

    asyncpg closes the connection over a lone surrogate, which it cannot encode; with a NUL, where
    the server takes the text to end, it sends a message that the server refuses.
    """
    if "\0" in text:
        raise driver_errors.DataError(
            f"invalid SQL text: a NUL character at position {text.index(chr(0))}"
        )
    if not text.isascii():
        try:
            text.encode()  # asyncpg sends UTF-8, whatever the encoding of the session
        except UnicodeEncodeError as error:
            raise driver_errors.DataError(f"invalid SQL text: {error}") from error


async def _fetch_public(
    statement: Statement, args: Sequence[Any], watch: Watch | None = None
) -> tuple[list[Any], str | None]:
    records = await statement.fetch(*args)
    return records, statement.get_statusmsg()


def _executor_public(
    statement: Statement, watch: Watch | None = None, types: Sequence[Any] | None = None
) -> Executor:
    return partial(_fetch_public, statement)


def _executor_private(
    statement: Statement, watch: Watch | None = None, types: Sequence[Any] | None = None
) -> Executor:
    connection = statement._connection
    watch = watch or Watch(connection)
    if type(statement) is not _STATEMENT or watch.other is not None:
        # a tracer's own, or one of a connection that a tracer has put in the place of asyncpg's

        def execute_watched(args: Sequence[Any]) -> Awaitable[Any]:
            watch.steps_aside(_DIRECTLY, CALLS)
            return _fetch_public(statement, args)

        return execute_watched
    protocol: ProtocolOfAsyncpg = connection._protocol
    bind_execute = protocol.bind_execute
    state = statement._state
    attributes = watch.attributes
    arrays = places_of_arrays(state._get_parameters() if types is None else types)
    pooled = getattr(connection, "_proxy", connection) is not None

    def execute(args: Sequence[Any]) -> Awaitable[Any]:
        if (
            not STATEMENT.__flags__ & PROTOCOL.__flags__ & VALID
            or State.any
            or "bind_execute" in attributes
        ) and watch.steps_aside(_DIRECTLY, CALLS):
            return _fetch_public(statement, args)
        # from an asyncpg pool: after its release another task may have the connection
        if pooled or state.closed or connection.is_closed():
            statement._check_conn_validity("fetch")  # raises the appropriate error
        if arrays:
            args = flat_lists(args, arrays)  # encoded at the first step, before anyone sees them
        return bind_execute(state, args, "", 0, True, None)

    return execute


executor: Callable[[Statement, Watch | None, Sequence[Any] | None], Executor] = (
    _executor_private if is_private() else _executor_public
)
"""Return the function that executes a prepared statement, without a coroutine of its own.

``types`` are those of its parameters, if they have been asked for already.

Awaiting what it returns gives a sequence that begins with the records and the command tag (text or
bytes).  Pass any error that it raises to :func:`settle`.
"""


async def settle(statement: Statement, error: Exception) -> None:
    """Handle an error of :data:`executor`'s function as asyncpg's own ``fetch()`` does.

    If rows can no longer be decoded, neither the types nor this statement may be used again.
    """
    stale = is_private() and isinstance(error, driver_errors.OutdatedSchemaCacheError)
    if stale and not statement._state.closed:  # asyncpg's fetch() has done so itself
        await statement._connection.reload_schema_state()
        statement._state.mark_closed()


async def _fetch_private(
    statement: Statement, args: Sequence[Any], watch: Watch | None = None
) -> tuple[list[Any], str | None]:
    try:
        records, status, *_ = await _executor_private(statement, watch)(args)
    except Exception as error:
        await settle(statement, error)
        raise
    return records, status.decode() if isinstance(status, bytes) else status


fetch: Callable[..., Awaitable[tuple[list[Any], str | None]]] = (
    _fetch_private if is_private() else _fetch_public
)
"""Execute a prepared statement; return its records and its command tag."""


def name_of(statement: Statement) -> str:
    """Return the name of a prepared statement without a call that a tracer of asyncpg would see."""
    if is_private() and type(statement) is _STATEMENT:
        name: str = statement._state.name
        return name
    return statement.get_name()


def parameters_of(statement: Statement) -> Any:
    """Return the types of a prepared statement's parameters, likewise."""
    if is_private() and type(statement) is _STATEMENT:
        return statement._state._get_parameters()
    return statement.get_parameters()


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


IN_TRANSACTION = ord("T")
"""The status of a session that is in a transaction, and not in an aborted one."""
IDLE = ord("I")
"""The status of a session that is in no transaction."""


class UnknownStatus:
    """In place of a receiver where there is none: the status is to be asked of asyncpg."""

    __slots__ = ()
    status = 0


def transaction_status(connection: Connection) -> Receiver | UnknownStatus:
    """Return the object whose ``status`` the server's last ReadyForQuery has set.

    Reading it costs no call.  0, if something else came last or there is no receiver, means to ask
    asyncpg's connection instead.
    """
    return receiver_of(connection) or UnknownStatus()


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
    check_text(statement)
    if has_own_numeric(connection):
        rows = rows if isinstance(rows, (list, tuple)) else list(rows)
        check_numeric_rows(statement, rows)
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
