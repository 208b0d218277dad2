"""Beginning a transaction in the first statement's flight, and ending one without waiting.

One :class:`Pipeline` per connection, used by the adapted connection.  It tells asyncpg what the
server is going to answer where that can be known, so that asyncpg's own view of the connection
(``is_in_transaction()``, ``transaction()`` as a savepoint) is the one that it would have after
having waited.
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
from asyncpg import exceptions as driver_errors

from .. import _impl
from .capability import can_pipeline, is_private
from .closing import is_idle
from .preamble import Preamble, begin_text, statement_messages

try:
    from asyncpg.transaction import Transaction, TransactionState
except ImportError:  # pragma: no cover - can_pipeline() is False then
    Transaction = TransactionState = None

_IN_TRANSACTION = ord("T")


def _answer(tag: bytes, status: bytes) -> bytes:
    """Return CommandComplete and ReadyForQuery."""
    return b"C" + (len(tag) + 5).to_bytes(4, "big") + tag + b"\0Z\0\0\0\x05" + status


_ROLLBACK = ("ROLLBACK;", _answer(b"ROLLBACK", b"I"))
_COMMIT = ("COMMIT;", _answer(b"COMMIT", b"I"))
_PORTAL_CLOSED = b"3\0\0\0\x04Z\0\0\0\x05"  # and the status of the transaction


class Pipeline:
    """The begin and the end of one connection's transactions.

    Every method is called by whoever has the connection to himself.
    """

    __slots__ = (
        "_connection",
        "_protocol",
        "_preamble",
        "_receiver",
        "_begins",
        "_operations",
        "_probe",
        "_quiet",
        "_collecting",
        "_pretended",
        "traveling",
        "listening",
    )

    def __init__(self, connection: Any, preamble: Preamble, receiver: Any) -> None:
        self._connection = connection
        self._protocol = connection._protocol
        self._preamble = preamble
        self._receiver = receiver
        self._begins: dict[tuple[Any, ...], tuple[Any, bytes]] = {}
        self._operations = 0
        self._probe: Any = None
        # what asyncpg's cache of statements is switched off for: a pooler, which hands the session
        # on after each transaction, and should not be sent one while it ends another
        self._quiet = connection._config.statement_cache_size == 0
        self._collecting: asyncio.Future[None] | None = None
        self.traveling = False
        """Whether BEGIN has been given on its way and the server's status not been heard since."""
        self.listening = False
        """Whether the session may be sent notifications."""
        self._pretended = False

    @property
    def farewell(self) -> bool:
        """Whether the server has said that it ends the connection, even if it has not yet."""
        return self._receiver is not None and bool(self._receiver.farewell)

    @property
    def held_up(self) -> bool:
        """Whether a pooler has yet to answer the last end before it is sent more."""
        return self._quiet and self._receiver is not None and bool(self._receiver.owed)

    def in_transaction(self) -> bool:
        """Tell whether what is sent next runs in a transaction, unless BEGIN fails."""
        return self.traveling or bool(self._protocol.is_in_transaction())

    def begin(self, isolation: str | None, readonly: bool, deferrable: bool) -> Any:
        """Have BEGIN sent in front of what asyncpg sends next; return asyncpg's transaction.

        Returns None where BEGIN must be sent and awaited: something is open or going on already,
        query loggers are to see it.
        """
        connection, protocol, preamble = self._connection, self._protocol, self._preamble
        if (
            connection._top_xact is not None
            or connection._query_loggers
            or protocol.is_in_transaction()
            or connection.is_closed()
        ):
            return None
        key = (isolation, readonly, deferrable)
        known = self._begins.get(key)
        if known is None:
            transaction = connection.transaction(
                isolation=isolation, readonly=readonly, deferrable=deferrable
            )
            known = self._begins[key] = transaction, statement_messages(begin_text(*key))
        if not preamble.can_wait and not self._is_idle():
            return None
        transaction, messages = known
        transaction._state = TransactionState.STARTED
        connection._top_xact = transaction
        self._operations = protocol.queries_count
        self.traveling = True
        self._pretended = False
        preamble.put(messages)
        return transaction

    def _is_idle(self) -> bool:
        protocol = self._protocol
        if protocol._is_cancelling():
            return False
        if self._probe is None:
            state = asyncpg.protocol.protocol.PreparedStatementState
            self._probe = state("", "", protocol, asyncpg.Record, False)
        return is_idle(protocol, self._probe)

    @property
    def joins_many(self) -> bool:
        """Whether BEGIN can leave in front of an ``executemany()``."""
        return self._preamble.can_wait and not self._protocol._is_cancelling()

    def expect_many(self) -> None:
        """Prepare for an ``executemany()`` behind the BEGIN that has not left yet.

        When its arguments turn out wrong half-way, asyncpg rolls back unless it knows of a
        transaction; so it is told that there is one.
        """
        preamble = self._preamble
        messages = preamble.take()
        self._pretend(b"T")
        self._pretended = True
        preamble.put(messages, many=True)

    def _pretend(self, status: bytes) -> None:
        """Have asyncpg believe that the server has told it ``status``; nothing is sent."""
        transport, protocol = self._connection._transport, self._protocol
        transport.write = _swallow
        operation = protocol.close_portal("", None)
        try:
            answered = operation.send(None)
        finally:
            del transport.write
        self._answer(operation, answered, protocol.data_received, _PORTAL_CLOSED + status)

    def unsent(self) -> bool:
        """Forget a BEGIN that has not been sent; tell whether there was one."""
        if not self._preamble.disarm():
            return False
        if self._pretended:
            try:
                self._pretend(b"I")
            except driver_errors.InterfaceError:
                pass  # it is closed, or at something else, whose answer will tell
        self.forget()
        return True

    def forget(self) -> None:
        """Make asyncpg forget the transaction: there is none."""
        self.traveling = False
        for transaction, _ in self._begins.values():
            if self._connection._top_xact is transaction:
                self._connection._top_xact = None

    async def synchronize(self) -> bool:
        """Learn the server's status by a round trip; tell whether a transaction is open.

        Close of a portal that is not there, and Sync: harmless in every state.  Raises asyncpg's
        errors when the connection is lost.
        """
        try:
            await self._protocol.close_portal("", None)
        except driver_errors.PostgresError:
            pass  # that of a BEGIN that failed: whoever sent it has been told of something worse
        self.traveling = False
        return bool(self._protocol.is_in_transaction())

    async def collected(self) -> None:
        """Wait until the server has answered every end that was not waited for."""
        receiver = self._receiver
        if receiver is None or not receiver.owed:
            return
        self._collecting = waiting = asyncio.get_running_loop().create_future()
        receiver.when_collected = self._wake
        try:
            await asyncio.wait_for(waiting, self._connection._config.command_timeout)
        finally:
            receiver.when_collected = self._collecting = None

    def _wake(self) -> None:
        if self._collecting is not None and not self._collecting.done():
            self._collecting.set_result(None)

    def _answer(self, operation: Any, answered: Any, give: Any, answer: bytes) -> None:
        """Have asyncpg take ``answer`` to the operation that waits for ``answered``, now."""
        # it would run in the loop's next turn only, and take the next operation's timeout away
        answered.remove_done_callback(self._protocol._on_waiter_completed)
        give(answer)
        try:
            operation.send(None)
        except StopIteration:
            return
        raise RuntimeError("asyncpg did not take the answer that it was given")

    # the end

    def owns(self, transaction: Any) -> bool:
        """Tell whether ``transaction`` is asyncpg's open one, and not the query loggers' affair."""
        connection = self._connection
        return (
            connection._top_xact is transaction
            and transaction._state is TransactionState.STARTED
            and not connection._query_loggers
        )

    def end_unawaited(self, transaction: Any, statements: int, *, commit: bool) -> bool:
        """Send the end and go on as if it had been answered; tell whether that was possible.

        ``statements`` is the number of operations that the caller has made in the transaction: if
        asyncpg has made another number, somebody else used the connection.  Not while the session
        may be sent notifications: a part of one may have come already.
        """
        connection, protocol, receiver = self._connection, self._protocol, self._receiver
        if (
            receiver is None
            or receiver.status != _IN_TRANSACTION
            or protocol.queries_count != self._operations + statements
            or connection._listeners
            or self.listening
            or connection._loop is not asyncio._get_running_loop()
            or not self.owns(transaction)
            or protocol._is_cancelling()
            or connection.is_closed()
        ):
            return False
        text, answer = _COMMIT if commit else _ROLLBACK
        operation = protocol.query(text, None)
        try:
            answered = operation.send(None)
        except driver_errors.InterfaceError:
            return False  # something else is going on: awaiting the end says so
        self._answer(operation, answered, receiver.foretell, answer)
        connection._top_xact = None
        transaction._state = TransactionState.ROLLEDBACK
        return True

    async def end(self, transaction: Any, *, commit: bool) -> None:
        """Send the end and wait for its answer; errors are asyncpg's."""
        if not self.owns(transaction) or self._connection.is_closed():
            # the program has used it, or wants to see it in its query log
            await (transaction.commit() if commit else transaction.rollback())
            return
        self._connection._top_xact = None
        transaction._state = TransactionState.ROLLEDBACK
        await self._protocol.query("COMMIT;" if commit else "ROLLBACK;", None)


def _swallow(_data: Any) -> None:
    pass


def forget(connection: Any, transaction: Any) -> None:
    """Make asyncpg forget a transaction of its own whose BEGIN has failed, or which has ended.

    At level ``public`` nobody can: the connection is closed when BEGIN has failed.
    """
    if getattr(connection, "_top_xact", None) is not transaction:
        return
    if is_private():
        connection._top_xact = None
    else:
        connection.terminate()


def open_pipeline(connection: Any, preamble: Preamble | None) -> Pipeline | None:
    """Return a new pipeline of asyncpg's connection, None where this asyncpg cannot have one."""
    # by its class: asyncpg has the proxies of its own pools pass for connections, too
    own = issubclass(type(connection), asyncpg.Connection)
    if not can_pipeline() or preamble is None or not own:
        return None
    stands = connection._transport.get_protocol()
    receiver = stands if isinstance(stands, _impl.receiving.Receiver) else None
    return Pipeline(connection, preamble, receiver)
