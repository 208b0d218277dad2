"""Beginning a transaction in the first statement's flight.

One :class:`Pipeline` per connection, used by the session.  asyncpg's own view of the connection
(``is_in_transaction()``, ``transaction()`` as a savepoint) stays as it would be if everything had
been waited for.  How transactions end: :mod:`pgflight.driver.ends.deferred_ends`.
"""

from __future__ import annotations

from typing import Any

from asyncpg import exceptions as driver_errors
from asyncpg import transaction as transactions

from .._contracts import Receiver
from .capability import can_pipeline, is_private, pipelines
from .contracts import Connection, Transaction
from .ends.deferred_ends import DeferredEnds, TransactionState
from .execution import receiver_of
from .given_answers import complete_unsent
from .sender import Sender, message
from .watching import CLASSES, PROTOCOL, TRANSACTION, VALID, State, Watch

_TRANSACTION = CLASSES["Transaction"]

BEGIN_EARLY = "BEGIN with the first statement"
"""What :class:`Watch` calls the shortcut of this module."""
_PORTAL_CLOSED = b"3\0\0\0\x04Z\0\0\0\x05"  # and the status of the transaction


class Pipeline(DeferredEnds):
    """The begin and the end of one connection's transactions.

    Call its methods only while no other task uses the connection.
    """

    __slots__ = ("_begins", "_pretended", "begin_under_way", "settings")

    def __init__(
        self, connection: Connection, sender: Sender, receiver: Receiver | None, watch: Watch
    ) -> None:
        super().__init__(connection, sender, receiver, watch)
        self._begins: dict[tuple[Any, ...], tuple[Transaction, bytes]] = {}
        self._pretended = False
        self.settings: tuple[str, ...] = ()
        """Statements that follow BEGIN."""
        self.begin_under_way = False
        """Whether BEGIN has been handed over and the server's status is not known since."""

    def in_transaction(self) -> bool:
        """Tell whether the next message runs in a transaction, unless BEGIN fails."""
        return self.begin_under_way or bool(self._protocol.is_in_transaction())

    def begin(self, isolation: str | None, readonly: bool, deferrable: bool) -> Transaction | None:
        """Put BEGIN in front of asyncpg's next message; return asyncpg's transaction.

        Returns None if BEGIN must be sent and awaited: a transaction is open, an operation is under
        way, or somebody who watches asyncpg must see it.
        """
        connection, protocol, sender = self._connection, self._protocol, self._sender
        watch = self._watch
        if (
            connection._top_xact is not None
            or protocol.is_in_transaction()
            or connection.is_closed()
            or (
                # written out: a call would cost more than all the rest
                (
                    connection._query_loggers
                    or not watch.mark.__flags__ & TRANSACTION.__flags__ & PROTOCOL.__flags__ & VALID
                    or State.any
                    or watch.odd
                    or "query" in watch.attributes
                    or transactions.Transaction is not _TRANSACTION
                )
                and watch.steps_aside(BEGIN_EARLY)
            )
        ):
            return None
        key = (isolation, readonly, deferrable)
        known = self._begins.get(key)
        if known is None:
            transaction = connection.transaction(
                isolation=isolation, readonly=readonly, deferrable=deferrable
            )
            texts = (begin_text(*key), *self.settings)
            known = self._begins[key] = transaction, b"".join(map(statement_messages, texts))
        if not sender.can_hold_back and not self.is_idle():
            return None
        transaction, messages = known
        transaction._state = TransactionState.STARTED
        connection._top_xact = transaction
        self._operations = protocol.queries_count
        self.begin_under_way = True
        self._pretended = False
        sender.put(messages)
        return transaction

    @property
    def begin_fits_executemany(self) -> bool:
        """Whether BEGIN can leave in front of an ``executemany()``."""
        return self._sender.can_hold_back and not self._protocol._is_cancelling()

    def expect_executemany(self) -> None:
        """Prepare for an ``executemany()`` behind a BEGIN that has not been sent yet.

        If one of its arguments turns out to be wrong half-way, asyncpg rolls back unless it knows
        of a transaction; so make it assume one.
        """
        messages = self._sender.take_unsent()
        self._pretend(b"T")
        self._pretended = True
        self._sender.put(messages, before_buffers=True)

    def _pretend(self, status: bytes) -> None:
        """Make asyncpg assume that the server has reported ``status``; send nothing."""
        operation = self._protocol.close_portal("", None)
        complete_unsent(self._protocol, self._sender, operation, _PORTAL_CLOSED + status)

    def drop_unsent_begin(self) -> bool:
        """Forget a BEGIN that has not been sent; tell whether there was one."""
        if not self._sender.unsent:  # nearly always: asked behind each first statement
            return False
        self._sender.take_unsent()
        if self._pretended:
            try:
                self._pretend(b"I")
            except driver_errors.InterfaceError:
                pass  # closed, or busy with an operation whose answer sets the status
        self.forget_transaction()
        return True

    def forget_transaction(self) -> None:
        """Make asyncpg forget the transaction, because none is open."""
        self.begin_under_way = False
        for transaction, _ in self._begins.values():
            if self._connection._top_xact is transaction:
                self._connection._top_xact = None

    async def synchronize(self) -> bool:
        """Get the server's status in one round trip; tell whether a transaction is open.

        Sends Close of a portal that does not exist, and Sync: harmless in every state.  Raises
        asyncpg's errors if the connection is lost.
        """
        try:
            await self._protocol.close_portal("", None)
        except driver_errors.PostgresError:
            pass  # from a BEGIN that failed: its sender already got a more serious error
        self.begin_under_way = False
        return bool(self._protocol.is_in_transaction())


def begin_text(isolation: str | None, readonly: bool, deferrable: bool) -> str:
    """Return the BEGIN that asyncpg's ``Transaction`` would send."""
    level = f" ISOLATION LEVEL {isolation.upper().replace('_', ' ')}" if isolation else ""
    return f"BEGIN{level}{' READ ONLY' if readonly else ''}{' DEFERRABLE' if deferrable else ''};"


def statement_messages(text: str) -> bytes:
    """Return unnamed Parse, Bind and Execute of a statement without parameters.

    Layout: PostgreSQL's documentation, "Message Formats".
    """
    return (
        message(b"P", b"\0" + text.encode() + b"\0\0\0")
        + message(b"B", bytes(8))
        + message(b"E", bytes(5))
    )


def forget_transaction(connection: Connection, transaction: Transaction) -> None:
    """Make asyncpg forget its transaction after BEGIN has failed, or after its end.

    Level ``public`` has no way to do that, so it closes the connection instead.
    """
    if getattr(connection, "_top_xact", None) is not transaction:
        return
    if is_private():
        connection._top_xact = None
    else:
        connection.terminate()


async def forget_ended(connection: Connection, transaction: Transaction) -> None:
    """Make asyncpg forget its transaction, which has ended without its knowledge.

    At level ``public`` that takes a ROLLBACK, of which the server may warn.
    """
    if not is_private():
        try:
            await transaction.rollback()
            return
        except (driver_errors.InterfaceError, driver_errors.PostgresError):
            pass
    forget_transaction(connection, transaction)


def has_transaction(connection: Connection) -> bool:
    """Tell whether the server has an open transaction, or asyncpg believes that it has."""
    if connection.is_closed():
        return False
    # compared with True: an object that stands in for asyncpg's may return anything
    if connection.is_in_transaction() is True:
        return True
    return getattr(connection, "_top_xact", None) is not None


def has_listeners(connection: Connection) -> bool:
    """Tell whether somebody has asked asyncpg's connection to be told of anything.

    Only of a connection that has a pipeline.
    """
    return bool(
        connection._listeners
        or connection._log_listeners
        or connection._query_loggers
        or connection._termination_listeners
    )


def open_pipeline(
    connection: Connection, sender: Sender | None, watch: Watch | None = None
) -> Pipeline | None:
    """Return a new pipeline for asyncpg's connection, None if it is not possible."""
    watch = watch or Watch(connection)
    if watch.other is not None:
        watch.no_pipeline = can_pipeline()
        return None
    if sender is None or not pipelines(connection):
        return None
    return Pipeline(connection, sender, receiver_of(connection), watch)
