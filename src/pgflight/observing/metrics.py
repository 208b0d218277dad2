"""An engine's numbers as OpenTelemetry metrics, named by its semantic conventions for databases.

``pgflight.observing.metrics.observe(engine)``; needs the package ``opentelemetry-api`` (extra
``metrics``), and shows something once the program has set up a meter provider.  From SQLAlchemy's
events and the pool's own numbers, so that other dialects are measured alike; pgflight's counters
come with its engines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from time import perf_counter
from typing import Any

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from ..session import statistics
from ..session.exposition import fields

_BEGAN = "_pgflight_measured"
_TAKEN = "pgflight.taken"
_MADE = "pgflight.made"
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
    if isinstance(engine, AsyncEngine):
        engine = engine.sync_engine
    if not isinstance(engine, Engine):
        raise TypeError(f"observe() takes an Engine or an AsyncEngine, not {type(engine).__name__}")
    meter = metrics.get_meter("pgflight", meter_provider=meter_provider)
    return _Measurement(engine, meter, pool_name).begin()


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
        for each in type(statistics.NOTHING).__match_args__:
            if isinstance(getattr(statistics.NOTHING, each), (int, dict)):
                what = f"pgflight: {each.replace('_', ' ')}."
                meter.create_observable_counter(
                    f"pgflight.{each}", [self._counter(each)], "1", what
                )

    def begin(self) -> Callable[[], None]:
        """Listen, and return what ends that."""
        engine = self._engine
        listeners = (
            (engine, "before_cursor_execute", self.began),
            (engine, "after_cursor_execute", self.ended),
            (engine, "handle_error", self.failed),
            (engine, "do_connect", self.connecting),
            (engine, "connect", self.connected),
            (engine, "checkout", self.taken),
            (engine, "checkin", self.returned),
        )
        for target, name, listener in listeners:
            event.listen(target, name, listener)

        def end() -> None:
            self._ended = True
            for target, name, listener in listeners:
                if event.contains(target, name, listener):
                    event.remove(target, name, listener)

        return end

    def began(self, *arguments: Any) -> None:
        """Note the time; `before_cursor_execute`."""
        if arguments[4] is not None:
            setattr(arguments[4], _BEGAN, perf_counter())

    def ended(self, *arguments: Any) -> None:
        """Record a statement; `after_cursor_execute`."""
        _, _, statement, _, context, executemany = arguments
        self._record(context, statement, bool(executemany), {})

    def failed(self, failure: Any) -> None:
        """Record a statement that failed; `handle_error`."""
        error = failure.original_exception
        state = getattr(error, "sqlstate", None)
        attributes = {"error.type": state or type(error).__qualname__}
        if state:
            attributes["db.response.status_code"] = state
        context = failure.execution_context
        many = context is not None and bool(context.executemany)
        self._record(context, failure.statement, many, attributes)

    def _record(self, context: Any, text: Any, many: bool, more: Mapping[str, Any]) -> None:
        began = getattr(context, _BEGAN, None)
        if began is None:
            return
        setattr(context, _BEGAN, None)
        found = _WORD.match(text) if isinstance(text, str) else None
        word = found[1].upper() if found else ""
        named = {"db.operation.name": f"BATCH {word}" if many else word} if word else {}
        self._duration.record(perf_counter() - began, {**self._place, **named, **more})

    def connecting(self, _: Any, record: Any, *__: Any) -> None:
        """Note the time; `do_connect`."""
        if record is not None:
            record.info[_MADE] = perf_counter()

    def connected(self, _: Any, record: Any) -> None:
        """Record a login; `connect`."""
        began = record.info.pop(_MADE, None)
        if began is not None:
            self._create.record(perf_counter() - began, self._named)

    def taken(self, _: Any, record: Any, __: Any) -> None:
        """Note the time; `checkout`."""
        record.info[_TAKEN] = perf_counter()

    def returned(self, _: Any, record: Any) -> None:
        """Record how long a connection was used; `checkin`."""
        began = record.info.pop(_TAKEN, None)
        if began is not None:
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
            value = dict(fields(numbers))[name]
            if isinstance(value, dict):
                for reason, count in value.items():
                    yield Observation(count, {**self._named, "reason": reason})
            else:
                yield Observation(value, self._named)

        return observed
