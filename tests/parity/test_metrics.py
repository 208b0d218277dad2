"""An engine's OpenTelemetry metrics: the same names and counts on both dialects."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

import pytest
import sqlalchemy as sa
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from pgflight.observing.metrics import observe
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both
from tests.parity.scratch import scratch

metadata = sa.MetaData()
measured = sa.Table("measured", metadata, sa.Column("id", sa.Integer))
Points = dict[str, list[tuple[dict[str, Any], Any]]]


def collected(reader: InMemoryMetricReader) -> Points:
    """Return each metric's points: attributes, and the count or the value."""
    found: Points = defaultdict(list)
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    value = getattr(point, "count", None)
                    value = getattr(point, "value", None) if value is None else value
                    found[metric.name].append((dict(point.attributes or {}), value))
    return found


def test_names_and_counts(both: Both) -> None:
    async def body(engine: AsyncEngine) -> Any:
        reader = InMemoryMetricReader()
        end = observe(engine, pool_name="orders", meter_provider=MeterProvider([reader]))
        async with scratch(engine, metadata) as connection:
            await connection.execute(measured.insert(), {"id": 1})
            await connection.execute(measured.insert(), [{"id": 2}, {"id": 3}])
            await connection.execute(sa.text("/* why */ ( SELECT 1 )"))
            with pytest.raises(DBAPIError):
                await connection.execute(sa.text("SELECT 1 / 0"))
            used = collected(reader)["db.client.connection.count"]
        found = collected(reader)
        end()
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
        again = collected(reader)
        key = "db.client.operation.duration"
        assert sorted(map(str, again[key])) == sorted(map(str, found[key]))
        named = ("db.operation.name", "error.type", "db.response.status_code", "db.system.name")
        durations = [
            ({name: attributes.get(name) for name in named}, count)
            for attributes, count in found[key]
        ]
        pool = [found[f"db.client.connection.{name}"] for name in ("count", "idle.max")]
        times = [found[f"db.client.connection.{name}"] for name in ("use_time", "create_time")]
        return sorted(map(str, durations)), sorted(map(str, used)), pool, times

    durations, used, _, times = both(body)
    assert len(durations) == 5
    assert any("'22012'" in each for each in durations)
    assert any("BATCH INSERT" in each for each in durations)
    assert "'used'}, 1)" in used[1]
    assert times == [[({"db.client.connection.pool.name": "orders"}, 1)]] * 2


def test_pgflights_own_numbers(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        reader = InMemoryMetricReader()
        provider = MeterProvider([reader])
        engine = pgflight_dialect.engine()
        observe(engine, meter_provider=provider)
        async with scratch(engine, metadata) as connection:
            await connection.execute(measured.insert(), [{"id": each} for each in range(50)])
        found = collected(reader)
        ((attributes, count),) = found["pgflight.array_inserts"]
        assert count + sum(count for _, count in found["pgflight.array_fallbacks"]) == 1
        assert str(engine.url.database) in attributes["db.client.connection.pool.name"]
        assert "password" not in str(found) and str(engine.url.password) not in found

    asyncio.run(work())


def test_two_readers_and_an_engine_that_was_disposed_of(pgflight_dialect: Dialect) -> None:
    """Each reader counts for itself, and the one that has ended no more, whatever the pool."""

    async def work() -> None:
        one, two = InMemoryMetricReader(), InMemoryMetricReader()
        engine = pgflight_dialect.engine()
        end = observe(engine, meter_provider=MeterProvider([one]))
        observe(engine, meter_provider=MeterProvider([two]))

        async def use() -> None:
            async with engine.connect() as connection:
                await connection.execute(sa.text("SELECT 1"))

        def counts(reader: InMemoryMetricReader) -> list[int]:
            found = collected(reader)
            names = ("operation.duration", "connection.create_time", "connection.use_time")
            return [found[f"db.client.{name}"][0][1] for name in names]

        await use()
        await engine.dispose()
        await use()
        assert counts(one) == counts(two) == [2, 2, 2]
        end()
        await use()
        assert counts(one) == [2, 2, 2]
        assert counts(two) == [3, 2, 3]

    asyncio.run(work())


def test_a_pool_that_keeps_none(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        reader = InMemoryMetricReader()
        engine = pgflight_dialect.engine(poolclass=NullPool)
        observe(engine.sync_engine, meter_provider=MeterProvider([reader]))
        for _ in range(3):
            async with engine.connect() as connection:
                await connection.execute(sa.text("SELECT 1"))
        found = collected(reader)
        assert not found["db.client.connection.count"]
        assert [count for _, count in found["db.client.connection.create_time"]] == [3]

    asyncio.run(work())


def test_what_is_no_engine() -> None:
    with pytest.raises(TypeError, match="AsyncEngine, not str"):
        observe("postgresql://")  # type: ignore[arg-type]
