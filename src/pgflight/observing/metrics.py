"""An engine's numbers as OpenTelemetry metrics, named by its semantic conventions for databases.

``pgflight.observing.metrics.observe(engine)``; needs the package ``opentelemetry-api`` (extra
``metrics``), and shows something once the program has set up a meter provider.  From SQLAlchemy's
events and the pool's own numbers, so that other dialects are measured alike; pgflight's counters
come with its engines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

from ..compat.connections import engine_behind
from ..session import statistics
from ..session.exposition import fields
from .statement_timer import StatementTimer, TimedStatement, listen

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

_TAKEN = "taken"
_MADE = "made"
_WORD = re.compile(r"(?:\s|\(|/\*.*?\*/)*([A-Za-z]+)", re.DOTALL)
# https://opentelemetry.io/docs/specs/semconv/db/database-metrics/
_BOUNDARIES = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)


def observe(
    engine: Engine | AsyncEngine,
    *,
    pool_name: str | None = None,
    meter_provider: MeterProvider | None = None,
) -> Callable[[], None]:
    """Measure an engine from now on; return a function that ends it.

    ``pool_name`` is ``db.client.connection.pool.name``, by default host, port and database as the
    conventions ask for; give each of several engines on one database a name of its own.  Raises
    TypeError for what is no engine.
    """
    found = engine_behind(engine, "observe()")
    meter = metrics.get_meter("pgflight", meter_provider=meter_provider)
    return _Measurement(found, meter, pool_name).begin()


def _place(engine: Engine) -> dict[str, Any]:
    """Return the attributes that say which database it is."""
    url = engine.url
    found: dict[str, Any] = {"db.system.name": "postgresql"}
    if url.database:
        found["db.namespace"] = url.database
    if url.host:
        found["server.address"] = url.host
        if url.port and url.port != 5432:
            found["server.port"] = url.port
    return found


class _Measurement:
    """The instruments of one engine, and what listens to it."""

    def __init__(self, engine: Engine, meter: Meter, pool_name: str | None) -> None:
        self._engine = engine
        self._ended = False
        self._place = _place(engine)
        url = engine.url
        name = pool_name or f"{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"
        self._named: dict[str, Any] = {"db.client.connection.pool.name": name}
        histogram = meter.create_histogram
        bounds = {"explicit_bucket_boundaries_advisory": _BOUNDARIES}
        self._duration = histogram(
            "db.client.operation.duration", "s", "Duration of database client operations.", **bounds
        )
        self._use = histogram(
            "db.client.connection.use_time", "s", "From borrowing a connection to its return."
        )
        self._create = histogram(
            "db.client.connection.create_time", "s", "The time it took to create a new connection."
        )
        meter.create_observable_up_down_counter(
            "db.client.connection.count",
            [self._connections],
            "{connection}",
            "Connections by state.",
        )
        meter.create_observable_up_down_counter(
            "db.client.connection.idle.max", [self._most], "{connection}", "Connections kept open."
        )
        for each, value in fields(statistics.NOTHING):
            if isinstance(value, (int, dict)):
                what = f"pgflight: {each.replace('_', ' ')}."
                meter.create_observable_counter(
                    f"pgflight.{each}", [self._counter(each)], "1", what
                )

    def begin(self) -> Callable[[], None]:
        """Listen, and return what ends that."""
        stop = listen(
            self._engine,
            {
                **StatementTimer(self.executed).listeners(),
                "do_connect": self.connecting,
                "connect": self.connected,
                "checkout": self.taken,
                "checkin": self.returned,
            },
        )

        def end() -> None:
            self._ended = True
            stop()

        return end

    def executed(self, timed: TimedStatement) -> None:
        """Record a statement."""
        attributes = dict(self._place)
        if found := _WORD.match(timed.text):
            word = found[1].upper()
            attributes["db.operation.name"] = f"BATCH {word}" if timed.executemany else word
        if timed.error is not None:
            state = getattr(timed.error, "sqlstate", None)
            attributes["error.type"] = state or type(timed.error).__qualname__
            if state:
                attributes["db.response.status_code"] = state
        self._duration.record(timed.seconds, attributes)

    def connecting(self, _: Any, record: Any, *__: Any) -> None:
        """Note the time; `do_connect`."""
        if record is not None:
            record.info[self, _MADE] = perf_counter()

    def connected(self, _: Any, record: Any) -> None:
        """Record a login; `connect`."""
        began = record.info.pop((self, _MADE), None)
        if began is not None and not self._ended:
            self._create.record(perf_counter() - began, self._named)

    def taken(self, _: Any, record: Any, __: Any) -> None:
        """Note the time; `checkout`."""
        record.info[self, _TAKEN] = perf_counter()

    def returned(self, _: Any, record: Any) -> None:
        """Record how long a connection was used; `checkin`."""
        began = record.info.pop((self, _TAKEN), None)
        if began is not None and not self._ended:
            self._use.record(perf_counter() - began, self._named)

    def _connections(self, _: CallbackOptions) -> Iterator[Observation]:
        for state, method in (("idle", "checkedin"), ("used", "checkedout")):
            count = getattr(self._engine.pool, method, None)
            if count is not None and not self._ended:  # NullPool has neither
                yield Observation(count(), {**self._named, "db.client.connection.state": state})

    def _most(self, _: CallbackOptions) -> Iterator[Observation]:
        size = getattr(self._engine.pool, "size", None)
        if size is not None and not self._ended:
            yield Observation(size(), self._named)

    def _counter(self, name: str) -> Callable[[CallbackOptions], Iterator[Observation]]:
        def observed(_: CallbackOptions) -> Iterator[Observation]:
            if self._ended:
                return
            try:
                numbers = statistics.stats(self._engine)
            except TypeError:  # another dialect's engine
                return
            value = getattr(numbers, name)
            if isinstance(value, dict):
                for reason, count in value.items():
                    yield Observation(count, {**self._named, "reason": reason})
            else:
                yield Observation(value, self._named)

        return observed
