"""A pooler that follows the names of prepared statements, and one that does not: what is sent.

Which one it is depends on the pgbouncer of this machine: see tests/fixtures/pgbouncer.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import NullPool

import pgflight
from pgflight import driver
from pgflight.driver.poolers.followed_names import NAMES_QUESTION
from tests.adversity.server_view import View
from tests.adversity.test_poolers import doubled, jammed, route_of
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import attempt
from tests.fixtures.pgbouncer import Pgbouncer
from tests.parity.scratch import committed, own

pytestmark = pytest.mark.skipif(
    not driver.can_pipeline(), reason="PGFLIGHT_DRIVER=public sends no questions of its own"
)
metadata = sa.MetaData()
things = sa.Table(
    own("things_with_names"), metadata, sa.Column("id", sa.Integer), sa.Column("v", sa.Integer)
)
NAMES = sa.text("SELECT name, statement FROM pg_prepared_statements ORDER BY name")
READS = f"SELECT * FROM {things.name} WHERE id = CAST(:id AS INTEGER)"


async def read(engine: AsyncEngine) -> Any:
    async with engine.connect() as connection:
        return tuple((await connection.execute(sa.text(READS), {"id": 1})).one())


async def route(engine: AsyncEngine) -> driver.Route:
    async with engine.connect() as connection:
        return await route_of(connection)


def behind(pgflight_dialect: Dialect, pgbouncer: Pgbouncer, **options: Any) -> AsyncEngine:
    return pgflight_dialect.engine(
        pgbouncer.url(), **{"pool_size": 1, "max_overflow": 0, **options}
    )


def with_things(
    pgflight_dialect: Dialect, work: Callable[[Any], Awaitable[Any]]
) -> Any:  # what `work` returned
    async def main() -> Any:
        async with committed(pgflight_dialect.engine(), metadata):
            async with View.of(pgflight_dialect.server) as view:
                await view.connection.execute(f"INSERT INTO {things.name} VALUES (1, 42)")
                return await work(view.connection)

    return asyncio.run(main())


@pytest.mark.parametrize("pooler", ["auto", "transaction"])
def test_names_are_used_where_the_pooler_follows_them(
    pgflight_dialect: Dialect, pgbouncer: Pgbouncer, pooler: str
) -> None:
    async def work() -> tuple[bool, int, list[Any]]:
        engine = behind(pgflight_dialect, pgbouncer, pooler=pooler)
        for number in range(4):
            await doubled(engine, number)
        before = pgflight.stats(engine).statements_prepared
        for number in range(50):
            await doubled(engine, number)
        prepared = pgflight.stats(engine).statements_prepared - before
        followed = (await route(engine)).names.followed
        async with engine.connect() as connection:
            left = (await connection.execute(NAMES)).all()
        return followed, prepared, [tuple(row) for row in left]

    followed, prepared, left = asyncio.run(work())
    assert (followed, prepared) == (pgbouncer.follows_names, 0)
    # the pooler's names, or none at all: what is asked leaves nothing behind
    assert all(name.startswith("PGBOUNCER_") for name, _ in left)
    assert any("CAST" in text or "* " in text for _, text in left) is followed


def test_each_connection_finds_out_for_itself(
    pgflight_dialect: Dialect, pgbouncer: Pgbouncer
) -> None:
    """But not one that keeps no statements."""

    async def work() -> list[bool]:
        found = []
        for engine in (
            behind(pgflight_dialect, pgbouncer, pool_size=2),
            behind(
                pgflight_dialect,
                pgbouncer,
                pool_size=2,
                connect_args={"prepared_statement_cache_size": 0},
            ),
        ):
            async with engine.connect() as one, engine.connect() as two:
                for connection in (one, two):
                    for number in range(3):
                        assert await connection.scalar(sa.select(sa.literal(number) + 1))
                        await connection.rollback()
                    found.append((await route_of(connection)).names.followed)
        return found

    follows = pgbouncer.follows_names
    assert asyncio.run(work()) == [follows, follows, False, False]


def test_connections_that_serve_one_unit_use_names_at_once(
    pgflight_dialect: Dialect, pgbouncer: Pgbouncer
) -> None:
    """Once one of them has found out, and each proves it: with the first statement."""

    async def work() -> list[tuple[bool, int]]:
        engine = pgflight_dialect.engine(pgbouncer.url(), poolclass=NullPool)
        found = []
        for number in range(6):
            async with engine.connect() as connection:
                assert await connection.scalar(sa.select(sa.literal(number) + 1)) == number + 1
                statements = (await route_of(connection)).names
                left = (await connection.execute(NAMES)).all()
                found.append(
                    (statements.followed, sum("literal" in str(r) or "$1" in str(r) for r in left))
                )
        return found

    found = asyncio.run(work())
    assert [followed for followed, _ in found] == [pgbouncer.follows_names] * 6
    # one plan for all of them, in each of the server sessions that they met
    assert (found[-1][1] >= 1) is pgbouncer.follows_names


@pytest.mark.parametrize("autocommit", [False, True], ids=["transaction", "AUTOCOMMIT"])
def test_a_statement_that_others_make_stale(
    pgflight_dialect: Dialect, pgbouncer: Pgbouncer, autocommit: bool
) -> None:
    """The pooler would hand out the same plan again, under each new name of the same text."""

    async def work(other: Any) -> list[Any]:
        level = {"isolation_level": "AUTOCOMMIT"} if autocommit else {}
        engine = behind(pgflight_dialect, pgbouncer, **level)
        seen = [await read(engine) for _ in range(4)]
        followed = (await route(engine)).names.followed
        assert followed is pgbouncer.follows_names
        for kind in ("text", "bigint"):
            await other.execute(f"ALTER TABLE {things.name} ALTER v TYPE {kind} USING v::{kind}")
            seen += [await read(engine) for _ in range(3)]
        assert (await route(engine)).names.followed is pgbouncer.follows_names
        return seen

    seen = with_things(pgflight_dialect, work)
    assert seen == [(1, 42)] * 4 + [(1, "42")] * 3 + [(1, 42)] * 3


def test_a_statement_that_we_make_stale(pgflight_dialect: Dialect, pgbouncer: Pgbouncer) -> None:
    """Within one transaction, where nothing could be executed again."""

    async def work(other: Any) -> list[Any]:
        engine = behind(pgflight_dialect, pgbouncer)
        seen = [await read(engine) for _ in range(4)]
        async with engine.begin() as connection:
            reads = sa.text(READS)
            seen.append(tuple((await connection.execute(reads, {"id": 1})).one()))
            await connection.execute(sa.text(f"ALTER TABLE {things.name} ADD w integer DEFAULT 7"))
            seen.append(tuple((await connection.execute(reads, {"id": 1})).one()))
        seen += [await read(engine) for _ in range(3)]
        return seen

    assert with_things(pgflight_dialect, work) == [(1, 42)] * 5 + [(1, 42, 7)] * 4


def test_a_new_connection_after_the_engines_own_ddl(
    pgflight_dialect: Dialect, pgbouncer: Pgbouncer
) -> None:
    """It meets server sessions in which the pooler has prepared the text before."""

    async def work(other: Any) -> list[Any]:
        engine = behind(pgflight_dialect, pgbouncer)
        seen = [await read(engine) for _ in range(6)]
        async with engine.begin() as connection:
            await connection.execute(sa.text(f"ALTER TABLE {things.name} ADD w integer DEFAULT 7"))
        await engine.dispose()
        async with engine.connect() as connection:
            for _ in range(3):
                await connection.execute(sa.text("SELECT 1"))
                result = await connection.execute(sa.text(READS), {"id": 1})
                seen.append(tuple(result.one()))
                await connection.rollback()
        return seen

    assert with_things(pgflight_dialect, work) == [(1, 42)] * 6 + [(1, 42, 7)] * 3


@pytest.mark.parametrize("kind", ["text", "numeric", "bigint"])
def test_a_parameter_whose_column_others_alter(
    pgflight_dialect: Dialect, pgbouncer: Pgbouncer, kind: str
) -> None:
    """The pooler keeps the types that the parameters had when it first met the text."""
    by_value = sa.text(f"SELECT id FROM {things.name} WHERE v = :v")

    async def work(other: Any) -> list[Any]:
        seen = []
        engine = behind(pgflight_dialect, pgbouncer)

        async def read_by(value: Any, times: int) -> None:
            for _ in range(times):
                async with engine.connect() as connection:
                    seen.append(await attempt(connection.scalar(by_value, {"v": value})))

        await read_by(42, 4)
        await other.execute(f"ALTER TABLE {things.name} ALTER v TYPE {kind} USING v::{kind}")
        for _ in range(3):  # new connections, of which the text is the first statement
            await engine.dispose()
            await read_by("42" if kind == "text" else 42, 4)
        return seen

    assert with_things(pgflight_dialect, work) == [1] * 16


def test_each_tenants_search_path_is_kept(pgflight_dialect: Dialect, pgbouncer: Pgbouncer) -> None:
    """Made by SET LOCAL in each transaction: the same text means another table."""

    async def work(other: Any) -> list[Any]:
        seen = []
        for name, kind in (("ta", "integer"), ("tb", "text")):
            await other.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}")
            await other.execute(f"CREATE TABLE {name}.tt (id integer, v {kind})")
            await other.execute(f"INSERT INTO {name}.tt VALUES (1, '7')")
        try:
            for name, value in (("ta", 7), ("tb", "7"), ("ta", 7)):
                settings = {"server_settings": {"search_path": name}}
                engine = behind(pgflight_dialect, pgbouncer, connect_args=settings)
                for _ in range(4):
                    async with engine.connect() as connection:
                        found = await connection.execute(
                            sa.text("SELECT v FROM tt WHERE v = :v"), {"v": value}
                        )
                        seen.append(found.scalar() == value)
                await engine.dispose()
        finally:
            await other.execute("DROP SCHEMA ta CASCADE; DROP SCHEMA tb CASCADE")
        return seen

    assert with_things(pgflight_dialect, work) == [True] * 12


@pytest.mark.parametrize("text", ["DEALLOCATE ALL", "DISCARD ALL"])
@pytest.mark.parametrize("by", ["text", "asyncpg"])
def test_the_program_discards_all_statements(
    pgflight_dialect: Dialect, pgbouncer: Pgbouncer, text: str, by: str
) -> None:
    """At worst one unit of work fails, as it does on the built-in dialect."""

    async def discard(connection: AsyncConnection) -> None:
        if by == "text":
            await connection.execute(sa.text(text))
        else:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            await raw.execute(text)

    async def work(other: Any) -> list[Any]:
        engine = behind(pgflight_dialect, pgbouncer, isolation_level="AUTOCOMMIT")
        seen = [await read(engine) for _ in range(4)]
        async with engine.connect() as connection:
            await discard(connection)
        seen += [await attempt(read(engine)) for _ in range(4)]
        return seen

    seen = with_things(pgflight_dialect, work)
    assert seen[:4] == [(1, 42)] * 4
    assert seen[5:] == [(1, 42)] * 3
    assert seen[4] == (1, 42) or by == "asyncpg"


def test_the_pooler_stops_following(pgflight_dialect: Dialect, pgbouncer: Pgbouncer) -> None:
    """Its settings are read anew: every value is right, and what fails is executed again."""
    if not pgbouncer.follows_names:
        pytest.skip("the setting is unknown to this pgbouncer, which follows no names")

    async def work(other: Any) -> list[Any]:
        engine = behind(pgflight_dialect, pgbouncer)
        seen = [await read(engine) for _ in range(4)]
        assert (await route(engine)).names.followed
        pgbouncer.reconfigure("max_prepared_statements = 0")
        await asyncio.sleep(0.3)  # it has no other sign that it has read them
        seen += [await read(engine) for _ in range(6)]
        return seen

    assert with_things(pgflight_dialect, work) == [(1, 42)] * 10


def test_many_clients_share_the_poolers_names(
    pgflight_dialect: Dialect, pgbouncer: Pgbouncer
) -> None:
    async def work() -> bool:
        engine = behind(pgflight_dialect, pgbouncer, pool_size=10)

        async def many(start: int) -> None:
            for number in range(start, start + 60):
                await doubled(engine, number)

        await asyncio.gather(*(many(1000 * n) for n in range(10)))
        return (await route(engine)).names.followed

    assert asyncio.run(work()) is pgbouncer.follows_names
    assert not asyncio.run(jammed(pgbouncer))


@pytest.mark.parametrize("autocommit", [False, True], ids=["transaction", "AUTOCOMMIT"])
@pytest.mark.parametrize("pooler", ["auto", "transaction"])
def test_a_server_that_does_not_know_the_question(
    pgflight_dialect: Dialect,
    pgbouncer: Pgbouncer,
    monkeypatch: pytest.MonkeyPatch,
    pooler: str,
    autocommit: bool,
) -> None:
    unknown = NAMES_QUESTION.replace(b"pg_prepared_statements", b"pg_packaged_statements")
    monkeypatch.setattr("pgflight.driver.poolers.route.NAMES_QUESTION", unknown)
    level = {"isolation_level": "AUTOCOMMIT"} if autocommit else {}

    async def work() -> None:
        engine = behind(pgflight_dialect, pgbouncer, pooler=pooler, pool_size=2, **level)
        async with engine.connect() as one, engine.connect() as two:
            for connection in (one, two):
                for number in range(3):
                    assert await connection.scalar(sa.select(sa.literal(number) + 1)) == number + 1
                    await connection.rollback()
                found = await route_of(connection)
                assert (found.pooled, found.names.followed) == (True, False)

    asyncio.run(work())
