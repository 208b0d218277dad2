"""Whether the server at the other end of a session still answers, and when it last did.

Owned by the session; :mod:`pgflight.dialect.pool_health` asks.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

import asyncpg

from .. import driver
from .statistics import Counters
from .transactions import Transactions
from .unit_of_work import UnitOfWork

_PING = "a ping of one round trip"


class Liveness:
    """Checks, with or without a round trip, of whether one session is alive."""

    __slots__ = ("_connection", "_transactions", "_unit", "_counters", "_pending")

    def __init__(
        self,
        connection: driver.Connection,
        transactions: Transactions,
        unit: UnitOfWork,
        counters: Counters,
    ) -> None:
        self._connection = connection
        self._transactions = transactions
        self._unit = unit
        self._counters = counters
        self._pending: Any = None

    def is_leaving(self) -> bool:
        """Tell whether the server has announced the end of the session."""
        pipeline = self._transactions.pipeline
        return pipeline is not None and pipeline.farewell

    def is_recent(self, window: float) -> bool:
        """Tell whether the server answered within ``window`` seconds and has not hung up since.

        False if no waits are saved.
        """
        return (
            self._transactions.saves != "off"
            and monotonic() - self._transactions.last_used < window
            # compared with False: an object that stands in for asyncpg's may return anything
            and self._connection.is_closed() is False
            and not self.is_leaving()
            and not self._counters.watch.steps_aside("no ping within ping_bypass_window")
        )

    def end_is_owed(self) -> bool:
        """Tell whether the server has not answered the end of a transaction yet."""
        pipeline = self._transactions.pipeline
        return pipeline is not None and pipeline.end_is_owed

    def input_pending(self) -> bool:
        """Tell, without waiting, whether input has arrived that the event loop has not read.

        Only valid while the connection is open.
        """
        if self._pending is None:
            self._pending = driver.pending_input(self._connection)
        return bool(self._pending())

    async def ping(self) -> None:
        """Make one empty round trip; raise asyncpg's error when the server is gone."""
        connection, counters = self._connection, self._counters
        alone = self._unit.transaction is None and not self._transactions.autocommit
        # checked by class: another object may stand in for asyncpg's
        own = isinstance(connection, asyncpg.Connection)
        if (
            own
            and self._transactions.pipeline is not None
            and not self._counters.watch.steps_aside(_PING)
        ):
            await driver.ping(connection)
            counters.trips += 1
            if alone:
                counters.saved += 2  # BEGIN and the end of a transaction around it
        elif alone:
            await self._ping_in_a_transaction()
        else:
            await connection.fetchrow(";")
            counters.ran()
        self._transactions.last_used = monotonic()

    async def _ping_in_a_transaction(self) -> None:
        # so that a transaction pooler (pgbouncer) stays on one server throughout the prepared
        # round trip (SQLAlchemy issue 10226)
        transaction = self._connection.transaction()
        try:
            await transaction.start()
        except BaseException:
            driver.forget_transaction(self._connection, transaction)
            raise
        try:
            await self._connection.fetchrow(";")
        finally:
            await transaction.rollback()
        self._counters.ran(3)
