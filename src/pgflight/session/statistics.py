"""What an engine has done so far, in numbers: ``pgflight.stats(engine)``.

Connections count for themselves as they go; the sum is taken when somebody asks for it.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol
from weakref import WeakSet

_FOLD_AT = 64
"""Farewells of closed connections that may wait to be summed up."""


class Statistics(NamedTuple):
    """The numbers of one engine, summed over its connections, closed ones included.

    A snapshot: it does not change.  Later versions may add fields at the end.
    """

    statements_prepared: int
    """Statements that the server has parsed and described, cached ones or not."""
    cache_hits: int
    """Executions of a statement that was prepared already."""
    cache_misses: int
    """Executions of a statement that was not, on a connection with a cache."""
    cache_evictions: int
    """Statements that gave way to another one because the cache was full."""
    cache_invalidations: int
    """Statements that were given up because the schema or the session had changed."""

    units_of_work: int = 0
    """Transactions that reached the server, and statements in AUTOCOMMIT."""
    round_trips: int = 0
    """Times that the server was asked and somebody waited for the answer, without those of logging
    in and without ``deferred_ends``.  What a program does with asyncpg's own connection counts at
    the driver level ``private``.  Not counted: statements that asyncpg prepares for itself (the
    first of each executemany)."""
    round_trips_saved: int = 0
    """Waits that ``pipeline=off`` would have had: for BEGIN, for the end of a transaction, in
    pings."""
    deferred_ends: int = 0
    """Ends of transactions whose answer was collected after the program had gone on."""
    pings_saved: int = 0
    """Pings that were left out because the connection had been used recently."""
    array_inserts: int = 0
    """INSERTs of many rows (one ``execute()`` each) that went through one array per column."""
    array_fallbacks: Mapping[str, int] = MappingProxyType({})
    """INSERTs of many rows that did not, by reason; with ``array_dml`` also UPDATEs and DELETEs."""
    array_dml: int = 0
    """ON CONFLICT DO UPDATEs without RETURNING, UPDATEs and DELETEs of many rows that did, where
    the option ``array_dml`` is on."""


NOTHING = Statistics(0, 0, 0, 0, 0)


class Counting(Protocol):
    """A connection's part of the sum."""

    def totals(self) -> Statistics:
        """Return the numbers of this connection."""
        ...

    def retire_into(self, retired: deque[Statistics]) -> None:
        """Have the numbers appended to ``retired`` when the object is gone."""
        ...


class EngineCounters:
    """The numbers of one engine's connections, living and closed; safe in any thread."""

    def __init__(self) -> None:
        self._live: WeakSet[Any] = WeakSet()
        # a deque: an object's end may come in the middle of anything, where no lock may be taken
        self._retired: deque[Statistics] = deque()
        self._total = NOTHING
        self._lock = threading.Lock()

    def __reduce__(self) -> Any:
        return EngineCounters, ()  # a copy of a dialect serves other connections

    def register(self, connection: Counting) -> None:
        """Count ``connection`` from now on."""
        connection.retire_into(self._retired)
        with self._lock:
            self._live.add(connection)
            if len(self._retired) >= _FOLD_AT:
                self._fold()

    def _fold(self) -> None:
        while self._retired:
            self._total = _sum(self._total, self._retired.popleft())

    def snapshot(self) -> Statistics:
        """Return the sum as of now."""
        with self._lock:
            live = list(self._live)  # kept alive: none of them can retire meanwhile
            self._fold()
            total = self._total
        for connection in live:
            total = _sum(total, connection.totals())
        return total


def _sum(one: Statistics, other: Statistics) -> Statistics:
    return Statistics(*(_added(a, b) for a, b in zip(one, other, strict=True)))


def _added(one: Any, other: Any) -> Any:
    return one + other if isinstance(one, int) else dict(Counter(one) + Counter(other))


def stats(engine: Any) -> Statistics:
    """Return the numbers of ``engine``: see :func:`pgflight.stats`."""
    from sqlalchemy.engine import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    if isinstance(engine, AsyncEngine):
        engine = engine.sync_engine
    if not isinstance(engine, Engine):
        raise TypeError(
            f"pgflight.stats() takes an Engine or an AsyncEngine, not {type(engine).__name__}"
        )
    counters = getattr(engine.dialect, "_counters", None)
    if not isinstance(counters, EngineCounters):
        raise TypeError(
            f"pgflight.stats() takes an engine that pgflight serves; {engine.url!r} is served by "
            f"{type(engine.dialect).__module__}: call pgflight.install() before the engine is made"
        )
    return counters.snapshot()
