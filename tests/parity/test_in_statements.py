"""What becomes of long IN lists on the server: how many statements, which plans, which waits."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

import pgflight
from pgflight import driver
from pgflight.sqltext.long_lists import LONG_FROM
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both
from tests.parity.scratch import scratch

metadata = sa.MetaData()
numbers = sa.Table(
    "numbers_of_in",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("g", sa.Integer),
)
parts = sa.Table(
    "parts_of_in",
    metadata,
    sa.Column("id", sa.Integer),
    postgresql_partition_by="LIST (id)",
)
PARTITIONS = [
    f"CREATE TABLE parts_of_in_{n} PARTITION OF parts_of_in FOR VALUES IN ({n})" for n in range(20)
]
CATALOG = sa.table("pg_class", sa.column("oid", sa.Integer), schema="pg_catalog")
PREPARED = sa.text(
    "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT pg_catalog.%'"
)


async def _prepared(connection: AsyncConnection) -> int:
    return int(await connection.scalar(PREPARED) or 0)


async def _fill(connection: AsyncConnection, count: int) -> None:
    await connection.execute(
        sa.text(
            "INSERT INTO numbers_of_in SELECT i, i % 100 FROM generate_series(1, :n) i"
        ).bindparams(sa.bindparam("n", count, sa.Integer))
    )


@pytest.mark.parametrize("size", [40_000, 50_000])
def test_more_than_a_message_has_parameters(pgflight_dialect: Dialect, size: int) -> None:
    async def work() -> None:
        async with scratch(pgflight_dialect.engine(), metadata) as connection:
            await _fill(connection, size)
            for turn in range(3):
                wanted = range(turn, size + turn)
                chosen = numbers.c.id.in_(wanted)
                count = sa.select(sa.func.count()).select_from(numbers)
                found = size - (0 if turn == 1 else 1)  # the table has 1 to size
                assert await connection.scalar(count.where(chosen)) == found
                assert await connection.scalar(count.where(~chosen)) == size - found
            removed = await connection.execute(
                numbers.delete().where(numbers.c.id.in_(range(size)))
            )
            assert removed.rowcount == size - 1

    asyncio.run(work())


def test_one_statement_for_all_lengths(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        async with pgflight_dialect.engine().connect() as connection:
            for size in [*range(10, LONG_FROM), 500, 1000, 2000]:
                await connection.execute(sa.select(CATALOG).where(CATALOG.c.oid.in_(range(size))))
            # a long one has another, without a name unless asyncpg's own methods have to execute it
            named = 1 if driver.is_private() else 2
            assert await _prepared(connection) == named
            for size in [*range(10), *range(10)]:
                await connection.execute(sa.select(CATALOG).where(CATALOG.c.oid.in_(range(size))))
            assert await _prepared(connection) == 10 + named

    asyncio.run(work())


def test_none_turns_it_off(both: Both) -> None:
    """Then the statements are the built-in dialect's, one for each length."""

    async def body(engine: AsyncEngine) -> Any:
        seen: list[Any] = []
        listener = "before_cursor_execute"
        sa.event.listen(engine.sync_engine, listener, lambda c, k, s, p, *_: seen.append((s, p)))
        async with engine.connect() as connection:
            for size in (1, 12, 13, 12):
                await connection.execute(sa.select(CATALOG).where(CATALOG.c.oid.in_(range(size))))
        return seen

    both.run(both.builtin, body)
    off = both.run(both.ours, body, in_array_threshold=None)
    assert off == both.run(both.builtin, body)
    assert [len(parameters) for _, parameters in off] == [1, 12, 13, 12]
    on = both.run(both.ours, body)
    assert [len(parameters) for _, parameters in on] == [1, 1, 1, 1]


async def _plan(connection: AsyncConnection, statement: Any) -> str:
    """Return the server's plan of a statement as it is executed."""
    seen: list[Any] = []
    sync: Any = connection.sync_connection
    sa.event.listen(sync, "before_cursor_execute", lambda c, k, s, p, *_: seen.append((s, p)))
    await connection.execute(statement)
    text, parameters = seen[0]
    raw: Any = (await connection.get_raw_connection()).driver_connection
    lines = await raw.fetch(f"EXPLAIN (COSTS OFF) {text}", *parameters)
    return "\n".join(line[0] for line in lines)


def test_plans(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine()
        async with scratch(engine, metadata, "SET LOCAL enable_seqscan = off") as connection:
            await _fill(connection, 1000)
            ids = sa.select(numbers.c.g)
            assert "Index Cond: (id = 5)" in await _plan(
                connection, ids.where(numbers.c.id.in_([5]))
            )
            for size in (2, 50):
                plan = await _plan(connection, ids.where(numbers.c.id.in_(range(size))))
                assert "id = ANY" in plan
                assert "Index" in plan

    asyncio.run(work())


@pytest.mark.parametrize("size", [1, 9, 12])
def test_partitions_are_pruned(pgflight_dialect: Dialect, size: int) -> None:
    async def work() -> None:
        async with scratch(pgflight_dialect.engine(), metadata) as connection:
            for partition in PARTITIONS:
                await connection.execute(sa.text(partition))
            plan = await _plan(connection, sa.select(parts).where(parts.c.id.in_(range(size))))
            assert plan.count("Scan on parts_of_in_") == size

    asyncio.run(work())


@pytest.mark.skipif(
    not driver.can_pipeline(), reason="PGFLIGHT_DRIVER=public: every end is awaited"
)
@pytest.mark.parametrize("size", [0, 3, 200])
def test_it_is_a_plain_select(pgflight_dialect: Dialect, size: int) -> None:
    """Nobody waits for the end of a transaction that ran nothing else."""

    async def work() -> None:
        engine = pgflight_dialect.engine()
        chosen = sa.select(CATALOG.c.oid).where(CATALOG.c.oid.in_(range(size)))
        for _ in range(3):
            before = pgflight.stats(engine)
            async with engine.connect() as connection:
                await connection.execute(chosen.where(CATALOG.c.oid.not_in(range(size))))
        now = pgflight.stats(engine)
        assert now.deferred_ends - before.deferred_ends == 1
        assert now.round_trips - before.round_trips == 1

    asyncio.run(work())


def test_what_is_seen_of_an_array(
    pgflight_dialect: Dialect, caplog: pytest.LogCaptureFixture
) -> None:
    """Hooks and logs get the statement that runs, and the list as one parameter."""
    text = "oid = ANY (CAST($2 AS INTEGER[]))"

    async def work() -> None:
        engine = pgflight_dialect.engine(echo=False)
        seen: list[Any] = []

        @sa.event.listens_for(engine.sync_engine, "before_cursor_execute", retval=True)
        def rewrite(c: Any, k: Any, s: str, p: Any, *rest: Any) -> Any:
            seen.append((s, p))
            return f"/* mine */ {s}", p

        with caplog.at_level(logging.INFO, "sqlalchemy.engine.Engine"):
            async with engine.connect() as connection:
                chosen = CATALOG.c.oid.in_(range(5000))
                for _ in range(2):
                    result = await connection.execute(
                        sa.select(CATALOG.c.oid).where(chosen, CATALOG.c.oid != 0)
                    )
                    (statement, parameters) = seen.pop()
                    assert text in statement
                    assert parameters == (0, list(range(5000)))
                    (given,) = result.context.compiled_parameters
                    assert given == {"oid_1": list(range(5000)), "oid_2": 0}
        logged = [m for m in caplog.messages if "5000" in m or "4999" in m or "0, 1" in m]
        assert len(logged) == 2
        assert max(map(len, logged)) < 1000

    asyncio.run(work())


def test_error_names_the_element(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        async with pgflight_dialect.engine().connect() as connection:
            values: list[Any] = list(range(3000))
            values[1234] = "x"
            with pytest.raises(sa.exc.DBAPIError) as caught:
                await connection.execute(sa.select(CATALOG).where(CATALOG.c.oid.in_(values)))
            assert "invalid array element at index 1234" in str(caught.value.orig)
            assert len(str(caught.value)) < 1500

    asyncio.run(work())


def test_a_thousand_units_at_once(pgflight_dialect: Dialect) -> None:
    """Tasks that share a statement and run lists of different lengths get their own rows."""

    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=4)
        series = sa.func.generate_series(0, 39).table_valued("n").render_derived()
        n = series.c.n

        async def unit(number: int) -> None:
            wanted = [(number * 7 + turn) % 40 for turn in range(number % 25)]
            async with engine.connect() as connection:
                found = await connection.scalars(
                    sa.select(n).where(sa.cast(n, sa.Integer).in_(wanted)).order_by(n)
                )
                assert list(found.all()) == sorted(wanted)

        await asyncio.gather(*map(unit, range(1000)))

    asyncio.run(work())
