"""Ending a transaction without waiting for the server's answer.

asyncpg is given the expected answer at once, and the server's own answer is withheld from it when
it arrives.  So asyncpg's state of the connection is the same as if it had waited.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable
from typing import Any

import asyncpg
from asyncpg import exceptions as driver_errors

from ..._contracts import Receiver
from ..capability import OWNERS
from ..contracts import Connection, ProtocolOfAsyncpg, StatementState, Transaction
from ..given_answers import complete
from ..sender import Sender
from ..sockets import is_idle
from ..time_bounds import within
from ..watching import CLASSES, PROTOCOL, TRANSACTION, VALID, State, Watch
from .awaited_ends import end, raise_if_given_up

_log = logging.getLogger("pgflight")

# may be None only if can_pipeline() is false
TransactionState: Any = OWNERS["TransactionState"]

_TRANSACTION = CLASSES["Transaction"]

SETTLE_SECONDS = 2
"""How long a cancellation may take to finish on a connection that is returned."""

_MOST_TRIES = 5
_IN_TRANSACTION = ord("T")


def _answer(tag: bytes) -> bytes:
    """Return CommandComplete, and ReadyForQuery outside a transaction."""
    return b"C" + (len(tag) + 5).to_bytes(4, "big") + tag + b"\0Z\0\0\0\x05I"


_ROLLBACK = ("ROLLBACK;", _answer(b"ROLLBACK"))
_COMMIT = ("COMMIT;", _answer(b"COMMIT"))
_ROLLBACK_MESSAGE = b"Q\0\0\0\x0eROLLBACK;\0"


class DeferredEnds:
    """The ends of one connection's transactions; a base of the pipeline."""

    __slots__ = (
        "_connection",
        "_protocol",
        "_sender",
        "_receiver",
        "_watch",
        "_operations",
        "_probe",
        "_collecting",
        "_committing",
        "_collected",
        "listening",
        "end_refused",
        "direct",
        "parses",
        "__weakref__",
    )

    def __init__(
        self, connection: Connection, sender: Sender, receiver: Receiver | None, watch: Watch
    ) -> None:
        self._connection = connection
        self._watch = watch
        self._protocol: ProtocolOfAsyncpg = connection._protocol
        self._sender = sender
        self._receiver = receiver
        self._operations = 0  # asyncpg's count when the transaction began
        self._probe: StatementState | None = None
        self._collecting: asyncio.Future[None] | None = None
        self._committing = False  # whether the last deferred end was a COMMIT
        self._collected: Callable[[], None] | None = None
        self.direct = False
        """Whether the connection is known to be a server session of its own.

        A pooler may lose what is sent behind an end that has not been answered, and then waits
        forever: whoever sends something, it is kept until then.
        """
        self.parses = False
        """Whether a statement has been prepared since the connection was opened."""
        self.listening = False
        """Whether the session may receive notifications."""
        self.end_refused = False
        """Whether the server refused an end after something else had already been sent."""
        if receiver is not None:
            # the event loop refers to the receiver, and must not keep an unused connection alive
            me = weakref.ref(self)

            def refused() -> None:
                if (pipeline := me()) is not None:
                    pipeline._roll_back_again()

            def collected() -> None:
                sender.release()
                if (pipeline := me()) is not None:
                    pipeline._wake()

            receiver.when_refused = refused
            self._collected = collected

    @property
    def farewell(self) -> bool:
        """Whether the server has announced that it will close the connection."""
        return self._receiver is not None and bool(self._receiver.farewell)

    @property
    def end_is_owed(self) -> bool:
        """Whether the server has not answered a deferred end yet."""
        return self._receiver is not None and self._receiver.owed > 0

    def is_idle(self) -> bool:
        """Tell whether asyncpg would send its next message at once."""
        protocol = self._protocol
        if protocol._is_cancelling():
            return False
        probe = self._probe
        if probe is None:
            probe = OWNERS["PreparedStatementState"]("", "", protocol, asyncpg.Record, False)
            self._probe = probe
        return is_idle(protocol, probe)

    def _roll_back_again(self) -> None:
        """Roll back a transaction whose deferred end the server refused because it was cancelled.

        For asyncpg the transaction has ended, so the ROLLBACK bypasses it.  If a statement is
        already under way, the server refuses it in the aborted transaction without executing it.
        """
        if self._committing:
            _log.warning("the server refused the COMMIT of a READ ONLY transaction: rolled back")
        transport, receiver = self._connection._transport, self._receiver
        if transport is None or transport.is_closing():
            return
        if self.is_idle() and receiver is not None:
            self._sender.send(_ROLLBACK_MESSAGE)
            receiver.owe(_ROLLBACK[1])
        else:
            self.end_refused = True

    @property
    def unsettled(self) -> bool:
        """Whether a refused end, a cancellation or a missing Sync makes the session unfit."""
        return (
            self.end_refused
            or bool(self._protocol._is_cancelling())
            or (not self.direct and self._is_unsynced())
        )

    def _is_unsynced(self) -> bool:
        """Tell whether a pooler may wait for more: a Parse was answered, and its Bind not sent."""
        receiver = self._receiver
        return self.parses and receiver is not None and not receiver.status and self.is_idle()

    async def settle(self) -> None:
        """Wait until the session is fit for another task; close it if that takes too long."""
        try:
            if self._protocol._is_cancelling():
                cancelled = self._protocol._wait_for_cancellation()
                await within(SETTLE_SECONDS, cancelled)
            await self.roll_back_refused_end()
            if not self.direct and self._is_unsynced():
                await self._protocol.close_portal("", None)
        except Exception:
            self._connection.terminate()

    async def roll_back_refused_end(self) -> None:
        """Roll back the transaction that a refused end left open; raise asyncpg's errors."""
        tries = _MOST_TRIES
        while self.end_refused:
            tries -= 1
            try:
                await self._protocol.query(_ROLLBACK[0], None)
            except driver_errors.PostgresError:
                if not tries:
                    raise
                continue  # cancelled again, like the end itself
            self.end_refused = False

    async def wait_for_ends(self) -> None:
        """Wait until the server has answered every deferred end."""
        await self.roll_back_refused_end()
        receiver = self._receiver
        if receiver is None or not receiver.owed:
            return
        self._collecting = waiting = asyncio.get_running_loop().create_future()
        receiver.when_collected = self._collected
        try:
            await within(self._connection._config.command_timeout, waiting)
        finally:
            self._collecting = None
            if self.direct:
                receiver.when_collected = None

    def _wake(self) -> None:
        if self._collecting is not None and not self._collecting.done():
            self._collecting.set_result(None)

    def owns(self, transaction: Transaction) -> bool:
        """Tell whether ``transaction`` is asyncpg's open one, and nobody watches its end."""
        connection, watch = self._connection, self._watch
        return (
            connection._top_xact is transaction
            and transaction._state is TransactionState.STARTED
            and type(transaction) is _TRANSACTION
            and not connection._query_loggers
            # written out: a call would cost more than the rest
            and (
                (
                    watch.mark.__flags__ & TRANSACTION.__flags__ & PROTOCOL.__flags__ & VALID
                    and not (State.any or watch.odd or "query" in watch.attributes)
                )
                or watch.by() is None
            )
        )

    def end_unawaited(self, transaction: Transaction, statements: int, *, commit: bool) -> bool:
        """Send the end and continue as if it had been answered; tell whether that was possible.

        ``statements`` is the number of operations that the caller has made in the transaction: if
        asyncpg has counted a different number, something else used the connection.  Not possible
        while the session may receive notifications: part of one may have arrived already.
        """
        connection, protocol, receiver = self._connection, self._protocol, self._receiver
        if (
            receiver is None
            or not (self.direct or self._sender.can_hold_back)
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
        self._committing = commit
        text, answer = _COMMIT if commit else _ROLLBACK
        operation = protocol.query(text, None)
        try:
            answered = operation.send(None)
        except driver_errors.InterfaceError:
            return False  # another operation is under way: awaiting the end raises the error
        if not self.direct:
            receiver.when_collected = self._collected
            self._sender.keep()
        complete(protocol, operation, answered, receiver.foretell, answer)
        connection._top_xact = None
        transaction._state = TransactionState.ROLLEDBACK
        return True

    async def end(self, transaction: Transaction, *, commit: bool) -> None:
        """Send the end and wait for its answer; errors are asyncpg's."""
        if not self.owns(transaction) or self._connection.is_closed():
            # the program has used the connection, or wants to see the end in its query log
            await end(self._connection, transaction, commit=commit)
            return
        self._connection._top_xact = None
        transaction._state = TransactionState.ROLLEDBACK
        try:
            await self._protocol.query((_COMMIT if commit else _ROLLBACK)[0], None)
        except driver_errors.InterfaceError as error:
            raise_if_given_up(self._connection, error)
            raise
