"""What sessions and engines have done so far, in numbers: ``pgflight.stats(engine)``.

Each session counts for itself as it goes; the sum is computed on request.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol
from weakref import WeakSet

from .. import _greenlet_stacks, driver
from .._greenlet_stacks import GreenletStacks
from ..compat.connections import engine_behind
from . import exposition

_log = logging.getLogger("pgflight")
_EXECUTED_AGAIN = "the first statement of a unit of work is executed again"

_FOLD_AT = 64
"""How many closed connections may wait to have their numbers added up."""


class Statistics(NamedTuple):
    """The numbers of one engine, summed over its connections, closed ones included.

    A snapshot: it does not change.  Later versions may add fields at the end.
    """

    statements_prepared: int
    """Statements that the server has parsed and described, cached or not."""
    cache_hits: int
    """Executions of a statement that was already prepared."""
    cache_misses: int
    """Executions of a statement that was not yet prepared, on a connection with a cache."""
    cache_evictions: int
    """Statements that were removed because the cache was full."""
    cache_invalidations: int
    """Statements that were discarded because the schema or the session had changed."""

    units_of_work: int = 0
    """Transactions that reached the server, and statements in AUTOCOMMIT."""
    round_trips: int = 0
    """Messages whose answer was waited for, without those of logging in and ``deferred_ends``.  A
    program's own use of asyncpg's connection is counted at the driver level ``private``.  Not
    counted: statements that asyncpg prepares for itself (the first of each executemany)."""
    round_trips_saved: int = 0
    """Waits that ``pipeline=off`` would have added: for BEGIN, for the end of a transaction, in
    pings."""
    deferred_ends: int = 0
    """Ends of transactions whose answer was collected after the program had gone on."""
    pings_saved: int = 0
    """Pings that were left out because the connection had been used recently."""
    array_inserts: int = 0
    """INSERTs of many rows (one ``execute()`` each) that were sent as one array per column."""
    array_fallbacks: Mapping[str, int] = MappingProxyType({})
    """INSERTs of many rows that were not, by reason; with ``array_dml`` also UPDATEs, DELETEs."""
    array_dml: int = 0
    """ON CONFLICT DO UPDATEs without RETURNING, UPDATEs and DELETEs of many rows that were sent as
    arrays, if the option ``array_dml`` is on."""
    watched: Mapping[str, int] = MappingProxyType({})
    """What was sent as the built-in dialect sends it, because somebody watches asyncpg (a tracer, a
    query logger): by what steps aside and who watches."""

    transactions_tidied: Mapping[str, int] = MappingProxyType({})
    """Transactions that the program ended or left open behind SQLAlchemy's back, by what was done
    about it."""
    in_list_fallbacks: Mapping[str, int] = MappingProxyType({})
    """IN lists of as many elements as an array needs that were sent as lists, by reason."""
    pooled_connections: int = 0
    """Connections that led to a connection pooler in transaction mode, found or declared."""
    healed: Mapping[str, int] = MappingProxyType({})
    """First statements of a unit that failed through no fault of the program's and were executed
    again, by what was wrong."""
    connections_kept: int = 0
    """Connections whose statement was cancelled or took too long and that the pool has again."""
    type_lookups: int = 0
    """Statements with types that asyncpg has looked up on the server, in several round trips each:
    those that the engine had not met.  Counted at the driver level ``private``, like the next."""
    type_lookups_saved: int = 0
    """Statements with types that it would have looked up, of which it was told what they are."""
    greenlet_stacks: GreenletStacks = _greenlet_stacks.NONE
    """Stacks of ended greenlets that new ones took over, of all engines and everything else in the
    process."""

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by their names, in what JSON knows."""
        return exposition.as_dict(self)

    def prometheus(self, labels: Mapping[str, object] = MappingProxyType({})) -> str:
        """Return the numbers in Prometheus' text format, each with ``labels``, whose values are
        written as ``str()`` has them; ValueError for one whose name it does not know."""
        return exposition.prometheus(self, labels)


NOTHING = Statistics(0, 0, 0, 0, 0)


class Counting(Protocol):
    """A connection's part of the sum."""

    def totals(self) -> Statistics:
        """Return the numbers of this connection."""
        ...

    def retire_into(self, retired: deque[Statistics]) -> None:
        """Append the numbers to ``retired`` when the object is gone."""
        ...


class Counters:
    """The counters of one connection; the engine's sum keeps them after it has closed.

    A caller adds to ``trips`` a round trip that :func:`pgflight.driver.operations` does not count:
    a Bind alone or a Close, but not a Parse with Describe, which is counted with the statements.
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
        "tidied",
        "healed",
        "kept",
        "watch",
        "_counter",
        "_route",
        "_retired",
        "__weakref__",
    )

    def __init__(
        self, connection: driver.Connection, route: driver.Route, watch: driver.Watch
    ) -> None:
        self._route = route
        self._retired: deque[Statistics] | None = None
        self.watch = watch
        """Who watches asyncpg's calls on it, and what that has cost."""
        self._counter = driver.counter(connection)
        self.units = 0
        """Transactions that reached the server, and statements in autocommit."""
        self.trips = 0
        """Round trips that asyncpg does not count."""
        self.saved = 0
        """Waits that the built-in dialect would have added."""
        self.deferred = 0
        """Ends of transactions that were not waited for."""
        self.pings_saved = 0
        """Pings left out within the bypass window."""
        self.array_inserts = 0
        """INSERTs of many rows that went through arrays."""
        self.array_dml = 0
        """Other changes of many rows that went through arrays."""
        self.array_fallbacks: dict[str, int] = {}
        """Changes of many rows that did not go through arrays, by reason."""
        self.tidied: dict[str, int] = {}
        """Transactions of the program's own, by what was done about them."""
        self.healed: dict[str, int] = {}
        """First statements that were executed again, by what was wrong."""
        self.kept = 0
        """1 for a connection that was drained after its statement had been interrupted."""
        self.by_hand = self._counter is None
        """Whether :meth:`ran` has to count operations because asyncpg does not."""

    def ran(self, operations: int = 1) -> None:
        """Count operations (execute, executemany, fetch) where asyncpg does not count them."""
        if self.by_hand:
            self.trips += operations

    def totals(self) -> Statistics:
        """Return this connection's numbers; Parse round trips are counted with the statements."""
        return NOTHING._replace(
            units_of_work=self.units,
            round_trips=self.trips + driver.operations(self._counter),
            round_trips_saved=self.saved,
            deferred_ends=self.deferred,
            pings_saved=self.pings_saved,
            array_inserts=self.array_inserts,
            array_fallbacks=dict(self.array_fallbacks),
            array_dml=self.array_dml,
            transactions_tidied=dict(self.tidied),
            healed=dict(self.healed),
            connections_kept=self.kept,
            watched=dict(self.watch.counts),
            pooled_connections=int(self._route.pooled),
        )

    def went_through(self, *, opted: bool = False) -> None:
        """Count a change of many rows through arrays; ``opted`` if it needs ``array_dml``."""
        if opted:
            self.array_dml += 1
        else:
            self.array_inserts += 1

    def fell_back(self, reason: str) -> None:
        """Count a change of many rows that did not go through arrays."""
        self.array_fallbacks[reason] = self.array_fallbacks.get(reason, 0) + 1

    def tidy(self, what: str) -> None:
        """Count a transaction of the program's own by what was done about it."""
        self.tidied[what] = self.tidied.get(what, 0) + 1

    def heal(self, what: str, done: str = _EXECUTED_AGAIN) -> None:
        """Count what is done again, by default a first statement, and say so."""
        self.healed[what] = self.healed.get(what, 0) + 1
        _log.info("%s: %s", done, what)

    def retire_into(self, retired: deque[Statistics]) -> None:
        """Append the totals to ``retired`` when this connection is gone."""
        self._retired = retired

    def __del__(self) -> None:
        if self._retired is not None:
            self._retired.append(self.totals())


class EngineCounters:
    """The numbers of one engine's connections, open and closed; thread-safe."""

    def __init__(self) -> None:
        self._live: WeakSet[Any] = WeakSet()
        # a deque: __del__ may run in the middle of anything, where no lock may be taken
        self._retired: deque[Statistics] = deque()
        self._total = NOTHING
        self._lock = threading.Lock()
        self._told: set[tuple[str, str]] = set()

    def __reduce__(self) -> Any:
        return EngineCounters, ()  # a copied dialect has its own connections

    def register(self, connection: Counting) -> None:
        """Count ``connection`` from now on."""
        connection.retire_into(self._retired)
        with self._lock:
            self._live.add(connection)
            if len(self._retired) >= _FOLD_AT:
                self._fold()

    def tell_once(self, what: str, reason: str) -> None:
        """Log once what is done as the built-in dialect does it, and why; no handler's error."""
        if (what, reason) not in self._told and _log.isEnabledFor(logging.INFO):
            self._told.add((what, reason))
            with suppress(Exception):
                _log.info("%s: %s", what, reason)

    def _fold(self) -> None:
        gone = []
        while self._retired:
            gone.append(self._retired.popleft())
        self._total = _sum([self._total, *gone])

    def snapshot(self) -> Statistics:
        """Return the sum as of now."""
        with self._lock:
            live = list(self._live)  # kept alive, so that none can retire meanwhile
            self._fold()
            total = self._total
        return _sum([total, *(connection.totals() for connection in live)])


def _sum(several: list[Statistics]) -> Statistics:
    return Statistics(*(_added(values) for values in zip(*several, strict=True)))


def _added(values: tuple[Any, ...]) -> Any:
    if isinstance(values[0], int):
        return sum(values)
    if isinstance(values[0], GreenletStacks):
        return values[0]  # of the process: no connection has any
    total: Counter[str] = Counter()
    for counts in filter(None, values):
        total.update(counts)
    return dict(total)


def stats(engine: object) -> Statistics:
    """Return the numbers of ``engine``: see :func:`pgflight.stats`."""
    found = engine_behind(engine, "pgflight.stats()")
    counters = getattr(found.dialect, "_counters", None)
    if not isinstance(counters, EngineCounters):
        raise TypeError(
            f"pgflight.stats() takes an engine that pgflight serves; this one of "
            f"{found.url.drivername} is served by "
            f"{type(found.dialect).__module__}: call pgflight.install() before the engine is made"
        )
    fallbacks = dict(getattr(found.dialect, "in_list_fallbacks", {}))
    return counters.snapshot()._replace(
        in_list_fallbacks=fallbacks, greenlet_stacks=_greenlet_stacks.state()
    )
