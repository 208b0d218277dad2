"""pgflight.stats(): what an engine's connections have done, closed ones included."""

from __future__ import annotations

import asyncio
import gc
import json
import warnings
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

import pgflight
from pgflight import driver
from pgflight.parameters.in_list_texts import TYPES, VALUES
from pgflight.session.statistics import Statistics
from tests.fixtures.engines import Dialect
from tests.fixtures.pages import DOCS, run_blocks

ZERO = Statistics(0, 0, 0, 0, 0)


def since(engine: Any, before: Statistics) -> Statistics:
    now = statements_of(engine)
    numbers: Any = [a - b for a, b in zip(now[:5], before[:5], strict=True)]
    return Statistics(*numbers)


def statements_of(engine: Any) -> Statistics:
    """Return the numbers of prepared statements; those of the wire have tests of their own."""
    return Statistics(*pgflight.stats(engine)[:5])


def engine_of(dialect: Dialect, size: int = 2, **options: Any) -> Any:
    return dialect.engine(connect_args={"prepared_statement_cache_size": size}, **options)


def test_what_is_counted(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = engine_of(pgflight_dialect)
        assert statements_of(engine) == ZERO
        async with engine.connect() as connection:
            before = statements_of(engine)
            assert before == ZERO._replace(statements_prepared=1)  # the first connection's
            for n in (1, 1, 2, 3, 1):  # prepared, hit, prepared, evicts 1, evicts 2
                await connection.execute(text(f"SELECT {n}"))
            assert since(engine, before) == Statistics(4, 1, 4, 2, 0)

    asyncio.run(work())


def test_a_stale_statement_is_a_miss_and_an_invalidation(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = engine_of(pgflight_dialect)
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
            before = statements_of(engine)
            engine.dialect._invalidate_schema_cache()
            await connection.execute(text("SELECT 1"))
            assert since(engine, before) == Statistics(1, 0, 1, 0, 1)
            await connection.execute(text("DEALLOCATE ALL"))
            assert since(engine, before) == Statistics(2, 0, 2, 0, 3)

    asyncio.run(work())


def test_without_a_cache_there_is_nothing_to_hit_or_miss(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = engine_of(pgflight_dialect, 0)
        async with engine.connect() as connection:
            before = statements_of(engine)
            for _ in range(3):
                await connection.execute(text("SELECT 1"))
            assert since(engine, before) == ZERO._replace(statements_prepared=3)

    asyncio.run(work())


def test_connections_are_summed_up_closed_ones_included(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = engine_of(pgflight_dialect, poolclass=NullPool)
        other = engine_of(pgflight_dialect)
        for _ in range(3):
            async with engine.connect() as one, engine.connect() as two:
                for connection in (one, two, two):
                    await connection.execute(text("SELECT 1"))
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
            await connection.invalidate()
        gc.collect()
        counted = Statistics(1 + 7, 3, 7, 0, 0)
        if driver.can_pipeline():  # the first of a connection is known from another one
            counted = Statistics(1 + 1 + 3, 0, 10, 0, 0)
        assert statements_of(engine) == counted
        assert pgflight.stats(engine.sync_engine) == pgflight.stats(engine)
        assert pgflight.stats(engine.execution_options()) == pgflight.stats(engine)
        # the stacks of greenlets are the process's
        idle = pgflight.stats(other)._replace(greenlet_stacks=ZERO.greenlet_stacks)
        assert idle == ZERO
        assert list(engine.dialect._counters._live) == []

    asyncio.run(work())


def test_a_synchronous_engine(pgflight_dialect: Dialect) -> None:
    url = pgflight_dialect.url().update_query_dict({"async_fallback": "true"})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*async_fallback dialect argument")
        engine = create_engine(url)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    assert pgflight.stats(engine).statements_prepared == 2
    engine.dispose()


def test_lists_that_stay_lists(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine()
        id_ = sa.literal_column("1", sa.Integer)
        wide = sa.literal_column("1", sa.Numeric)
        async with engine.connect() as connection:
            for values in (range(9), range(10), range(2**24, 2**24 + 10), range(2**30, 2**30 + 9)):
                await connection.execute(sa.select(id_.in_(list(values))))
            await connection.execute(sa.select(wide.in_([*map(Decimal, range(10))])))
        assert pgflight.stats(engine).in_list_fallbacks == {VALUES: 1, TYPES: 1}

    asyncio.run(work())


def test_what_is_no_engine_of_ours(builtin: Dialect) -> None:
    with pytest.raises(TypeError, match=r"takes an Engine or an AsyncEngine, not str"):
        pgflight.stats("postgresql+asyncpg://")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"served by sqlalchemy.*: call pgflight\.install\(\)"):
        pgflight.stats(builtin.engine())


def test_the_page_on_sight(pgflight_dialect: Dialect) -> None:
    """docs/sight.md, as it stands there, on an engine that has worked."""

    async def work() -> None:
        engine = pgflight_dialect.engine()
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        names: dict[str, Any] = {"pgflight": pgflight, "json": json, "engine": engine}
        await run_blocks(DOCS / "sight.md", names)
        trips = pgflight.stats(engine).round_trips
        assert json.loads(names["document"])["round_trips"] == trips > 0
        assert f'pgflight_round_trips_total{{engine="orders"}} {trips}\n' in names["page"]

    asyncio.run(work())
