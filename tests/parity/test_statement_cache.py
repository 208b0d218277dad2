"""The prepared-statement cache and its invalidation, on both dialects where both promise it."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy.exc
from sqlalchemy import Column, Integer, MetaData, Table, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.fixtures.engines import Dialect

PREPARED = text(
    "SELECT count(*) FROM pg_prepared_statements"
    " WHERE statement LIKE '%kept here%' AND statement NOT LIKE '%pg_prepared%'"
)
BUILTIN_SLACK = 1.5  # its LRU is trimmed to the size only when half as many again have come


async def adapted(connection: AsyncConnection) -> Any:
    """Return the adapted DBAPI connection."""
    return (await connection.get_raw_connection()).dbapi_connection


async def run_distinct(connection: AsyncConnection, number: int) -> None:
    for n in range(number):
        assert await connection.scalar(text(f"SELECT {n} /* kept here */")) == n


@pytest.mark.parametrize(("size", "kept"), [(None, 100), (7, 7), (0, 0)])
def test_at_most_so_many_statements_are_kept(dialect: Dialect, size: int | None, kept: int) -> None:
    async def work() -> None:
        url = dialect.url()
        if size is not None:
            url = url.update_query_dict({"prepared_statement_cache_size": str(size)})
        async with dialect.engine(url).connect() as connection:
            await run_distinct(connection, 130)
            count = await connection.scalar(PREPARED)
            most = kept if dialect.ours else int(kept * BUILTIN_SLACK)
            # the question itself takes a place; asyncpg closes an evicted one with a later prepare
            assert max(kept - 2, 0) <= count <= most + 1

    asyncio.run(work())


def test_a_cached_statement_is_prepared_once(dialect: Dialect) -> None:
    async def work() -> None:
        async with dialect.engine().connect() as connection:
            for _ in range(5):
                await connection.execute(text("SELECT 1 /* kept here */"))
            assert await connection.scalar(PREPARED) == 1

    asyncio.run(work())


def test_the_name_function_names_each_statement(dialect: Dialect) -> None:
    names: list[str] = []

    def name() -> str:
        names.append(f"pgflight_{uuid4()}")
        return names[-1]

    async def work() -> None:
        engine = dialect.engine(connect_args={"prepared_statement_name_func": name})
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1 /* kept here */"))
            found = await connection.scalars(text("SELECT name FROM pg_prepared_statements"))
            assert set(found) & set(names)

    asyncio.run(work())


def test_statistics_of_the_cache(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        url = pgflight_dialect.url().update_query_dict({"prepared_statement_cache_size": "2"})
        async with pgflight_dialect.engine(url).connect() as connection:
            cache = (await adapted(connection)).session.statements.cache
            before = (cache.hits, cache.misses, cache.evictions)
            await run_distinct(connection, 3)
            await run_distinct(connection, 1)  # evicted meanwhile
            await connection.scalar(text("SELECT 0 /* kept here */"))
            after = (cache.hits, cache.misses, cache.evictions)
            assert after[0] - before[0] == 1
            assert after[1] - before[1] == 4
            assert len(cache) == 2

    asyncio.run(work())


def table(name: str) -> Table:
    return Table(name, MetaData(), Column("id", Integer, primary_key=True))


def test_ddl_on_one_connection_of_the_engine_reaches_the_others(dialect: Dialect) -> None:
    """Declared DDL: the neighbour prepares anew and never meets the stale statement."""
    t = table("stale_neighbour")

    async def work() -> None:
        engine = dialect.engine()
        async with engine.begin() as connection:
            await connection.run_sync(t.metadata.drop_all)
            await connection.run_sync(t.metadata.create_all)
        async with engine.connect() as reader:
            assert (await reader.execute(text("SELECT * FROM stale_neighbour"))).keys() is not None
            await reader.rollback()
            async with engine.begin() as writer:
                await writer.run_sync(t.metadata.drop_all)
                t.append_column(Column("extra", Integer), replace_existing=True)
                await writer.run_sync(t.metadata.create_all)
            result = await reader.execute(text("SELECT * FROM stale_neighbour"))
            assert list(result.keys()) == ["id", "extra"]

    asyncio.run(work())


def test_ddl_in_plain_text_reaches_the_others_too(pgflight_dialect: Dialect) -> None:
    """The built-in dialect raises InvalidCachedStatementError here: it only sees DDL constructs."""

    async def work() -> None:
        engine = pgflight_dialect.engine()
        async with engine.begin() as connection:
            await connection.execute(text("DROP TABLE IF EXISTS stale_text"))
            await connection.execute(text("CREATE TABLE stale_text (id int)"))
        async with engine.connect() as reader:
            await reader.execute(text("SELECT * FROM stale_text"))
            await reader.rollback()
            async with engine.begin() as writer:
                await writer.execute(text("ALTER TABLE stale_text ADD COLUMN extra int"))
            result = await reader.execute(text("SELECT * FROM stale_text"))
            assert list(result.keys()) == ["id", "extra"]

    asyncio.run(work())


def test_a_neighbour_that_prepares_before_the_ddl_commits(pgflight_dialect: Dialect) -> None:
    """DDL that becomes visible at COMMIT invalidates at COMMIT, whenever it was executed."""

    async def work() -> None:
        engine = pgflight_dialect.engine()
        async with engine.begin() as connection:
            await connection.execute(text("DROP VIEW IF EXISTS stale_view"))
            await connection.execute(text("CREATE VIEW stale_view AS SELECT 1 AS a"))
            await connection.execute(text("DROP TABLE IF EXISTS stale_process"))
            await connection.execute(text("CREATE TABLE stale_process (id int)"))
        async with engine.connect() as reader, engine.connect() as writer:
            await writer.execute(text("ALTER TABLE stale_process RENAME TO stale_other"))
            await reader.execute(text("SELECT * FROM stale_view"))
            statements = (await adapted(reader)).session.statements
            renewed = statements.renewals
            await reader.rollback()
            await writer.rollback()
            await reader.execute(text("SELECT * FROM stale_view"))
            assert statements.renewals == renewed + 1

    asyncio.run(work())


def test_what_is_created_anew_costs_the_others_nothing(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine()
        async with engine.connect() as reader, engine.connect() as writer:
            await reader.execute(text("SELECT 1"))
            statements = (await adapted(reader)).session.statements
            for _ in range(5):
                await writer.execute(text("CREATE TEMP TABLE stale_none (id int) ON COMMIT DROP"))
                await writer.commit()
                await reader.execute(text("SELECT 1"))
            assert statements.renewals == 0

    asyncio.run(work())


def test_a_savepoint_with_ddl_that_is_rolled_back(pgflight_dialect: Dialect) -> None:
    """The built-in dialect raises InvalidCachedStatementError: what it prepared saw the column."""

    async def work() -> None:
        engine = pgflight_dialect.engine()
        async with engine.connect() as connection:
            await connection.execute(text("DROP TABLE IF EXISTS stale_savepoint"))
            await connection.execute(text("CREATE TABLE stale_savepoint (id int)"))
            nested = await connection.begin_nested()
            await connection.execute(text("ALTER TABLE stale_savepoint ADD COLUMN extra int"))
            await connection.execute(text("SELECT * FROM stale_savepoint"))
            await nested.rollback()
            result = await connection.execute(text("SELECT * FROM stale_savepoint"))
            assert list(result.keys()) == ["id"]

    asyncio.run(work())


@pytest.mark.parametrize("size", [0, None])
def test_no_cache_by_connect_args(dialect: Dialect, size: int | None) -> None:
    async def work() -> None:
        engine = dialect.engine(connect_args={"prepared_statement_cache_size": size})
        async with engine.connect() as connection:
            await run_distinct(connection, 20)
            assert await connection.scalar(PREPARED) <= 1

    asyncio.run(work())


def test_ddl_of_another_process_raises_once_then_recovers(dialect: Dialect) -> None:
    """Later in a unit of work; as its first statement ours would be executed again."""

    async def work() -> None:
        ours, other = dialect.engine(), dialect.engine()
        async with other.begin() as connection:
            await connection.execute(text("DROP TABLE IF EXISTS stale_process"))
            await connection.execute(text("CREATE TABLE stale_process (id int)"))
        async with ours.connect() as connection:
            await connection.execute(text("SELECT * FROM stale_process"))
        async with other.begin() as connection:
            await connection.execute(text("ALTER TABLE stale_process ADD COLUMN extra int"))
        async with ours.connect() as connection:
            await connection.execute(text("SELECT 1"))
            with pytest.raises(sqlalchemy.exc.NotSupportedError) as caught:
                await connection.execute(text("SELECT * FROM stale_process"))
            await connection.rollback()
            assert "will now invalidate all prepared caches" in str(caught.value)
            if dialect.ours:
                error: Any = caught.value.orig
                assert error.pgcode == "0A000"
                assert type(error.driver_exception).__name__ == "InvalidCachedStatementError"
            result = await connection.execute(text("SELECT * FROM stale_process"))
            assert list(result.keys()) == ["id", "extra"]

    asyncio.run(work())


@pytest.mark.parametrize("command", ["DEALLOCATE ALL", "DISCARD ALL"])
def test_statements_that_the_program_deallocates(pgflight_dialect: Dialect, command: str) -> None:
    """The built-in dialect goes on failing with 26000 for every statement that it had cached."""

    async def work() -> None:
        engine = pgflight_dialect.engine(isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            for _ in range(2):
                assert await connection.scalar(text("SELECT 1")) == 1
            await connection.execute(text(command))
            assert await connection.scalar(text("SELECT 1")) == 1

    asyncio.run(work())


def test_statements_that_vanish_behind_our_back(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        async with pgflight_dialect.engine().connect() as connection:
            assert await connection.scalar(select(1)) == 1
            await (await adapted(connection))._connection.execute("DEALLOCATE ALL")
            with pytest.raises(sqlalchemy.exc.ProgrammingError) as caught:
                await connection.scalar(select(1))
            assert getattr(caught.value.orig, "pgcode", None) == "26000"
            await connection.rollback()
            assert await connection.scalar(select(1)) == 1

    asyncio.run(work())
