"""Runs the units of work under one tracer and prints its spans as JSON, unit by unit.

    python -m tests.tracing.packages.observe TRACER DRIVER WHEN

TRACER is a name in TRACERS; DRIVER ``asyncpg`` (the built-in dialect) or ``pgflight``; WHEN says
when the tracer is switched on: ``before`` the engine is made, ``after`` it has connections, or
``removed``: on, and off again before the units.  ``PGFLIGHT_TRACED_URL`` is the rest of the URL,
``PGFLIGHT_TRACED_OPTIONS`` what follows it for our dialect.
A process of its own, because some tracers cannot be removed.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Callable
from typing import Any

Spans = list[Any]
_NUMBERED = re.compile(r"__asyncpg_\w+?__")


def shown(text: Any) -> str:
    """Return a text without what differs from connection to connection."""
    return _NUMBERED.sub("a name", str(text))


class Opentelemetry:
    """OpenTelemetry, of asyncpg or of SQLAlchemy: names, texts, errors and parents of spans."""

    def __init__(self, instrumentor: Any, spans: Spans) -> None:
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import (
            SimpleSpanProcessor,
            SpanExporter,
            SpanExportResult,
        )

        names: dict[int, str] = {}

        class Exporter(SpanExporter):
            def export(self, ended: Any) -> Any:
                for span in ended:
                    parent = None if span.parent is None else names.get(span.parent.span_id, "?")
                    attributes = span.attributes or {}
                    text = attributes.get("db.statement") or attributes.get("db.query.text")
                    spans.append([span.name, shown(text), span.status.status_code.name, parent])
                return SpanExportResult.SUCCESS

            def shutdown(self) -> None: ...

        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(Exporter()))
        trace.set_tracer_provider(provider)
        self._tracer = trace.get_tracer("program")
        self._names = names
        self._instrumentor = instrumentor

    def on(self, engine: Any = None) -> None:
        """Switch the tracer on."""
        # it declares SQLAlchemy 2.1 unknown, and works with it
        options = {} if engine is None else {"engine": engine}
        self._instrumentor.instrument(skip_dep_check=True, **options)

    def off(self) -> None:
        """Switch the tracer off."""
        self._instrumentor.uninstrument()

    def within(self, name: str) -> Any:
        """Return a span of the program around a unit."""
        span = self._tracer.start_as_current_span(name)
        made = span.__enter__()
        self._names[made.get_span_context().span_id] = name
        return lambda: span.__exit__(None, None, None)


def opentelemetry_asyncpg(spans: Spans) -> Any:
    """OpenTelemetry's wrappers of asyncpg's methods."""
    from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor

    return Opentelemetry(AsyncPGInstrumentor(), spans)


def opentelemetry_sqlalchemy(spans: Spans) -> Any:
    """OpenTelemetry's event hooks of SQLAlchemy's engines."""
    from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor

    return Opentelemetry(SQLAlchemyInstrumentor(), spans)


class Sentry:
    """Sentry's integration: operations, descriptions and states of spans."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans

    def on(self, engine: Any = None) -> None:
        """Switch the tracer on."""
        import sentry_sdk
        from sentry_sdk.integrations.asyncpg import AsyncPGIntegration
        from sentry_sdk.transport import Transport

        spans = self._spans

        class Kept(Transport):  # type: ignore[misc]
            def capture_envelope(self, envelope: Any) -> None:
                for item in envelope.items:
                    if item.headers.get("type") == "transaction":
                        sent = item.payload.json
                        names = {sent["contexts"]["trace"]["span_id"]: sent["transaction"]}
                        names |= {s["span_id"]: s["description"] for s in sent["spans"]}
                        spans.extend(
                            [
                                s["op"],
                                shown(s["description"]),
                                s.get("status"),
                                shown(names.get(s["parent_span_id"])),
                            ]
                            for s in sent["spans"]
                        )

        sentry_sdk.init(
            dsn="https://key@localhost/1",
            traces_sample_rate=1.0,
            transport=Kept,
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[AsyncPGIntegration()],
        )

    def within(self, name: str) -> Any:
        """Return a transaction of Sentry's around a unit."""
        import sentry_sdk

        transaction = sentry_sdk.start_transaction(name=name)
        transaction.__enter__()

        def end() -> None:
            transaction.__exit__(None, None, None)
            sentry_sdk.flush()

        return end


class Ddtrace:
    """Datadog's wrappers of connect() and of the protocol."""

    def __init__(self, spans: Spans) -> None:
        os.environ["DD_INSTRUMENTATION_TELEMETRY_ENABLED"] = "false"
        os.environ["DD_REMOTE_CONFIGURATION_ENABLED"] = "false"
        from ddtrace.trace import TraceFilter, tracer

        class Kept(TraceFilter):  # type: ignore[misc]
            def process_trace(self, trace: Any) -> None:
                names = {span.span_id: span.name for span in trace}
                spans.extend(
                    [span.name, shown(span.resource), span.error, names.get(span.parent_id)]
                    for span in trace
                )

        tracer.configure(trace_processors=[Kept()])
        self._tracer = tracer

    def on(self, engine: Any = None) -> None:
        """Switch the tracer on."""
        import ddtrace

        ddtrace.patch(asyncpg=True)

    def off(self) -> None:
        """Switch the tracer off."""
        from ddtrace.contrib.internal.asyncpg.patch import unpatch

        unpatch()

    def within(self, name: str) -> Any:
        """Return a span of the program around a unit."""
        return self._tracer.trace(name).finish


class Elastic:
    """Elastic's wrappers of the protocol."""

    def __init__(self, spans: Spans) -> None:
        import elasticapm

        class Client(elasticapm.Client):  # type: ignore[misc]
            def queue(self, event_type: str, data: Any, flush: bool = False) -> None:
                if event_type == "span":
                    text = data["context"]["db"]["statement"]
                    spans.append([data["name"], shown(text), data.get("outcome"), data["subtype"]])

        self._client = Client(
            service_name="program",
            metrics_interval="0s",
            central_config=False,
            cloud_provider=False,
            disable_send=True,
            span_compression_enabled=False,
            exit_span_min_duration="0ms",
            transaction_max_spans=100_000,
        )

    def on(self, engine: Any = None) -> None:
        """Switch the tracer on."""
        import elasticapm

        elasticapm.instrument()

    def off(self) -> None:
        """Switch the tracer off."""
        import elasticapm

        elasticapm.uninstrument()

    def within(self, name: str) -> Any:
        """Return a transaction of Elastic's around a unit."""
        self._client.begin_transaction("program")
        return lambda: self._client.end_transaction(name)


class Newrelic:
    """New Relic's object around the protocol: the statements that it times."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans

    def on(self, engine: Any = None) -> None:
        """Switch the tracer on."""
        import asyncpg.protocol
        from newrelic.hooks import database_asyncpg

        spans = self._spans

        class Timed:
            def __init__(self, sql: str, **_: Any) -> None:
                self.sql = sql

            def __enter__(self) -> None:
                spans.append(["database", shown(self.sql), None, None])

            def __exit__(self, *_: object) -> None: ...

        database_asyncpg.DatabaseTrace = Timed
        database_asyncpg.instrument_asyncpg_protocol(asyncpg.protocol)

    def within(self, name: str) -> Any:
        """Do nothing: what is looked at needs no transaction of New Relic's."""
        return lambda: None


TRACERS: dict[str, Callable[[Spans], Any]] = {
    "opentelemetry_asyncpg": opentelemetry_asyncpg,
    "opentelemetry_sqlalchemy": opentelemetry_sqlalchemy,
    "sentry": Sentry,
    "ddtrace": Ddtrace,
    "elastic": Elastic,
    "newrelic": Newrelic,
}


async def observed(tracer: Any, spans: Spans, driver: str, when: str) -> dict[str, Any]:
    """Return the spans of each unit, and what our engine says."""
    # imported here, because a tracer may be there before it
    import sqlalchemy.ext.asyncio as sa_asyncio

    import pgflight
    from tests.tracing import units

    url = f"postgresql+{driver}://{os.environ['PGFLIGHT_TRACED_URL']}"
    if driver == "pgflight":
        url += os.environ.get("PGFLIGHT_TRACED_OPTIONS", "")
    engine = sa_asyncio.create_async_engine(url, pool_pre_ping=True)
    await units.prepare(engine)
    await units.read(engine)
    if when == "after":
        by_engine = isinstance(tracer, Opentelemetry) and "sqlalchemy" in sys.argv[1]
        tracer.on(engine.sync_engine if by_engine else None)
        await units.select_one(engine)  # asyncpg prepares the ping's statement once
    if when == "removed":
        tracer.off()
        await engine.dispose()
    spans.clear()
    found: dict[str, Any] = {}
    for name, unit in units.UNITS.items():
        end = tracer.within(name)
        try:
            await unit(engine)
        finally:
            end()
        found[name] = list(spans)
        spans.clear()
    told: dict[str, Any] = {}
    if driver == "pgflight":
        stats = pgflight.stats(engine)
        told = {
            "watched": dict(stats.watched),
            "fallbacks": dict(stats.array_fallbacks),
            "deferred": stats.deferred_ends,
            "implementation": pgflight.implementation().reason,
        }
    await engine.dispose()
    return {"units": found, "told": told}


def main() -> None:
    """Run the units and print what the tracer saw."""
    name, driver, when = sys.argv[1:]
    spans: Spans = []
    tracer = TRACERS[name](spans)
    if when != "after":
        tracer.on()
    print(json.dumps(asyncio.run(observed(tracer, spans, driver, when))))


if __name__ == "__main__":
    main()
