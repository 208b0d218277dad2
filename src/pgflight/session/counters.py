"""What one connection has been through, in numbers: units of work, round trips, waits saved.

Held by the adapted connection, which counts as it goes; :mod:`pgflight.session.statistics` takes
the sum.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from .. import driver
from .statistics import NOTHING, Statistics


class Work:
    """The counters of one connection; they go on after it, in the engine's sum.

    Whoever makes a round trip that :func:`pgflight.driver.operations` does not count adds it to
    ``trips``: a Parse with Describe is counted with the statements, a Bind alone and a Close are
    to be added.
    """

    __slots__ = (
        "units",
        "trips",
        "saved",
        "deferred",
        "pings_saved",
        "by_hand",
        "array_inserts",
        "array_dml",
        "array_fallbacks",
        "_counter",
        "_retired",
        "__weakref__",
    )

    def __init__(self, connection: Any) -> None:
        self._retired: deque[Statistics] | None = None
        self._counter = driver.counter(connection)
        self.units = 0
        """Transactions that reached the server, and statements in autocommit."""
        self.trips = 0
        """Round trips that asyncpg does not count."""
        self.saved = 0
        """Waits that the built-in dialect's sequence would have had."""
        self.deferred = 0
        """Ends of transactions that nobody waited for."""
        self.pings_saved = 0
        """Pings left out within the bypass window."""
        self.array_inserts = 0
        """INSERTs of many rows that went through arrays."""
        self.array_dml = 0
        """Other changes of many rows that did."""
        self.array_fallbacks: dict[str, int] = {}
        """Changes of many rows that did not, by reason."""
        self.by_hand = self._counter is None
        """Whether asyncpg does not count what it executes, so that :meth:`ran` has to."""

    def ran(self, operations: int = 1) -> None:
        """Count operations (execute, executemany, fetch) where asyncpg does not count them."""
        if self.by_hand:
            self.trips += operations

    def totals(self) -> Statistics:
        """Return what has happened here; Parse round trips are counted with the statements."""
        return NOTHING._replace(
            units_of_work=self.units,
            round_trips=self.trips + driver.operations(self._counter),
            round_trips_saved=self.saved,
            deferred_ends=self.deferred,
            pings_saved=self.pings_saved,
            array_inserts=self.array_inserts,
            array_fallbacks=dict(self.array_fallbacks),
            array_dml=self.array_dml,
        )

    def went_through(self, *, opted: bool = False) -> None:
        """Count a change of many rows through arrays; ``opted``: one that takes ``array_dml``."""
        if opted:
            self.array_dml += 1
        else:
            self.array_inserts += 1

    def fell_back(self, reason: str) -> None:
        """Count a change of many rows that did not go through arrays."""
        self.array_fallbacks[reason] = self.array_fallbacks.get(reason, 0) + 1

    def retire_into(self, retired: deque[Statistics]) -> None:
        """Leave the totals there when this connection is gone."""
        self._retired = retired

    def __del__(self) -> None:
        if self._retired is not None:
            self._retired.append(self.totals())
