"""What a connection leads to is proven: the server itself, or a pooler in transaction mode."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import NullPool

import pgflight
from pgflight import driver
from pgflight.cli.doctor import server_checks
from pgflight.cli.doctor.checking import run_check
from pgflight.cli.environment import Fact
from pgflight.driver.poolers.proof import QUESTION
from tests.adversity.server_view import View
from tests.fixtures.engines import Dialect
from tests.fixtures.messages import Messages
from tests.fixtures.pgbouncer import Pgbouncer
from tests.fixtures.scale import scaled
from tests.fixtures.waits import HoldingProxy, Waits
from tests.parity.scratch import committed, own

tells = pytest.mark.skipif(
    not driver.can_pipeline(), reason="PGFLIGHT_DRIVER=public finds poolers by the first connection"
)
metadata = sa.MetaData()
things = sa.Table(
    own("things_of_poolers"), metadata, sa.Column("id", sa.Integer), sa.Column("v", sa.BigInteger)
)


async def route_of(connection: AsyncConnection) -> driver.Route:
    adapted: Any = (await connection.get_raw_connection()).dbapi_connection
    route: driver.Route = adapted.session.statements.route
    return route


async def doubled(engine: AsyncEngine, number: int) -> None:
    async with engine.connect() as connection:
        assert await connection.scalar(sa.select(sa.literal(number) * 2)) == number * 2


async def jammed(pgbouncer: Pgbouncer) -> bool:
    """Tell whether a server connection is not free for other clients."""
    clients = [await pgbouncer.connect() for _ in range(pgbouncer.pool_size)]
    try:
        for client in clients:
            await asyncio.wait_for(client.execute("BEGIN"), 5)
        for client in clients:
            await client.execute("ROLLBACK")
    except asyncio.TimeoutError:
        return True
    finally:
        for client in clients:
            client.terminate()
    return False


@tells
def test_a_connection_to_the_server_is_proven_by_its_first_query(
    pgflight_dialect: Dialect,
) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=2, max_overflow=0)
        async with engine.connect() as first, engine.connect() as second:
            assert (await route_of(first)).direct  # by the engine's first question
            route = await route_of(second)
            assert (route.direct, route.asks) == (False, True)
            await second.execute(sa.text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
            assert route.asks  # the question would have been a query in front of it
            assert await second.scalar(sa.text("SHOW transaction_isolation")) == "serializable"
            await second.scalar(sa.select(sa.literal(1)))
            assert (route.direct, route.pooled, route.asks) == (True, False, False)
        await doubled(engine, 1)
        stats = pgflight.stats(engine)
        assert (stats.pooled_connections, stats.deferred_ends) == (0, 1)

    asyncio.run(work())


@tells
@pytest.mark.parametrize("option", ["auto", "transaction", "session", "none"])
def test_a_pooler_is_found_or_declared(
    pgflight_dialect: Dialect,
    pgbouncer: Pgbouncer,
    caplog: pytest.LogCaptureFixture,
    option: str,
) -> None:
    async def work() -> tuple[int, int]:
        engine = pgflight_dialect.engine(pgbouncer.url(), pooler=option, pool_size=3)
        async with engine.connect() as one, engine.connect() as two:
            for connection in (one, two):
                await connection.scalar(sa.select(sa.literal(1)))
                route = await route_of(connection)
                assert route.pooled is (option in ("auto", "transaction"))
                assert route.direct is (option == "none")
        stats = pgflight.stats(engine)
        return stats.pooled_connections, stats.deferred_ends

    with caplog.at_level(logging.INFO, logger="pgflight"):
        pooled, deferred = asyncio.run(work())
    assert pooled == (2 if option in ("auto", "transaction") else 0)
    assert deferred > 0
    said = [record.getMessage() for record in caplog.records if record.name == "pgflight"]
    found = [each for each in said if "pooler=session" in each]
    assert len(found) == (option == "auto")  # once for each engine
    assert all("follows the names" in each for each in said if each not in found)


@tells
@pytest.mark.parametrize("null", [True, False], ids=["NullPool", "pool"])
def test_the_proof_is_each_connections_own(
    pgflight_dialect: Dialect, pgbouncer: Pgbouncer, null: bool
) -> None:
    """An engine whose first connections reach the server, the next the pooler, and so on."""
    address = pgflight_dialect.server.address
    ports = itertools.cycle([pgflight_dialect.server.port, pgbouncer.port, pgbouncer.port])

    async def connect(*_args: Any, **options: Any) -> asyncpg.Connection:
        options.update(host="127.0.0.1", port=next(ports), password=address.password)
        return await asyncpg.connect(**options)

    async def work() -> None:
        pool: dict[str, Any] = (
            {"poolclass": NullPool} if null else {"pool_size": 6, "max_overflow": 0}
        )
        engine = pgflight_dialect.engine(connect_args={"async_creator_fn": connect}, **pool)
        numbers = iter(range(scaled(300, least=90)))

        async def worker() -> None:
            for number in numbers:
                await doubled(engine, number)

        await asyncio.wait_for(asyncio.gather(*(worker() for _ in range(10))), 60)
        if driver.can_pipeline():
            assert pgflight.stats(engine).pooled_connections > 0
        await engine.dispose()
        assert not await jammed(pgbouncer)

    asyncio.run(work())
    assert "not ready" not in pgbouncer.log()


@tells
def test_connections_that_serve_one_unit_seldom_ask(
    pgflight_dialect: Dialect, pgbouncer: Pgbouncer
) -> None:
    """Behind a known pooler one in 32 does; once the pooler has gone, all are direct again."""
    address = pgflight_dialect.server.address
    port = pgbouncer.port

    async def connect(*_args: Any, **options: Any) -> asyncpg.Connection:
        options.update(host="127.0.0.1", port=port, password=address.password)
        return await asyncpg.connect(**options)

    async def work() -> None:
        nonlocal port
        engine = pgflight_dialect.engine(
            connect_args={"async_creator_fn": connect}, poolclass=NullPool
        )

        async def leads() -> tuple[bool, bool]:
            async with engine.connect() as connection:
                raw: Any = (await connection.get_raw_connection()).dbapi_connection
                route = raw.session.statements.route
                asked = route.asks
                assert await connection.scalar(sa.select(sa.literal(3) * 2)) == 6
                return asked, route.pooled

        assert await leads() == (False, True)  # the engine's own first question was the proof
        found = [await leads() for _ in range(64)]
        assert found.count((True, True)) == 2
        assert found.count((False, True)) == 62
        port = pgflight_dialect.server.port
        found = [await leads() for _ in range(40)]
        first = found.index((True, False))
        assert found[:first] == [(False, True)] * first
        assert found[first:] == [(True, False)] * (40 - first)

    asyncio.run(work())


async def selects(engine: AsyncEngine) -> None:
    await doubled(engine, 21)


async def inserts(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        row = things.insert().values(id=1, v=2).returning(things.c.v)
        assert await connection.scalar(row) == 2


async def in_autocommit(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        assert await connection.scalar(sa.select(sa.literal(1) + 1)) == 2


@contextmanager
def counted(pgbouncer: Pgbouncer) -> Iterator[Waits]:
    proxy = HoldingProxy(replace(pgbouncer.server, address=pgbouncer.url("postgresql")))
    messages = Messages()
    proxy.observers.append(messages.observe)
    proxy.start()
    try:
        yield Waits(proxy, messages)
    finally:
        proxy.stop()


@tells
@pytest.mark.parametrize("caches", [{}, {"prepared_statement_cache_size": 0}], ids=["100", "0"])
@pytest.mark.parametrize(("unit", "most"), [(selects, 1), (inserts, 2), (in_autocommit, 1)])
def test_a_unit_of_one_statement_waits_at_most_twice(
    pgflight_dialect: Dialect,
    pgbouncer: Pgbouncer,
    unit: Callable[[AsyncEngine], Awaitable[None]],
    most: int,
    caches: dict[str, Any],
) -> None:
    async def work(waits: Waits) -> list[int]:
        engine = pgflight_dialect.engine(
            pgbouncer.url(), via=waits.proxy, pool_size=1, max_overflow=0, connect_args=caches
        )
        async with committed(pgflight_dialect.engine(), metadata):
            for _ in range(2):  # behind a pooler that follows names, the second time gives one
                await unit(engine)
            return [await waits.of(lambda: unit(engine)) for _ in range(3)]

    with counted(pgbouncer) as waits:
        assert asyncio.run(work(waits)) == [most] * 3


@pytest.mark.parametrize("autocommit", [False, True], ids=["transaction", "AUTOCOMMIT"])
def test_a_column_that_changes_its_type_is_read_right(
    pgflight_dialect: Dialect, pgbouncer: Pgbouncer, autocommit: bool
) -> None:
    """Another process alters the table between two executions of a statement without a name."""
    reading = sa.text(f"SELECT v FROM {things.name} WHERE id = CAST(:id AS integer)")
    writing = sa.text(f"UPDATE {things.name} SET id = id + 0 WHERE id = :id RETURNING v, :id")
    level: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"} if autocommit else {}

    async def work() -> None:
        engine = pgflight_dialect.engine(pgbouncer.url(), pool_size=1, max_overflow=0, **level)
        async with committed(pgflight_dialect.engine(), metadata):
            async with View.of(pgflight_dialect.server) as view:
                await view.connection.execute(f"INSERT INTO {things.name} VALUES (1, 42)")
                for kind, value in [
                    ("bigint", 42),
                    ("double precision", 42.0),
                    ("text", "42"),
                    ("bigint", 42),
                ]:
                    await view.connection.execute(
                        f"ALTER TABLE {things.name} ALTER v TYPE {kind} USING v::{kind}"
                    )
                    for statement, _ in itertools.product((reading, writing), range(2)):
                        async with engine.begin() as connection:
                            result = await connection.execute(statement, {"id": 1})
                            (found, *_) = result.one()
                            assert (type(found), found) == (type(value), value)

    asyncio.run(work())


@tells
def test_a_server_that_does_not_know_the_question(
    pgflight_dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = QUESTION.replace(b"pg_backend_pid", b"pg_packend_bid")
    monkeypatch.setattr("pgflight.driver.poolers.route.QUESTION", unknown)
    levels: list[dict[str, Any]] = [{}, {"isolation_level": "AUTOCOMMIT"}]

    async def work() -> None:
        for options in levels:
            engine = pgflight_dialect.engine(pool_size=2, **options)
            async with engine.connect() as one, engine.connect() as two:
                for connection in (one, two):
                    assert await connection.scalar(sa.select(sa.literal(1) + 1)) == 2
                    await connection.rollback()
                route = await route_of(two)
                assert (route.asks, route.direct, route.pooled) == (False, False, False)
                assert await two.scalar(sa.select(sa.literal(1) + 1)) == 2

    asyncio.run(work())


@tells
def test_an_error_of_a_pooler_calls_for_a_new_proof(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        await doubled(engine, 1)
        async with engine.connect() as connection:
            route = await route_of(connection)
            raw: Any = (await connection.get_raw_connection()).driver_connection
            assert route.direct
            await connection.scalar(sa.select(sa.literal(1)))  # or it would be executed again
            await raw.execute("DEALLOCATE ALL")
            with pytest.raises(sa.exc.ProgrammingError, match="does not exist") as failed:
                await connection.scalar(sa.select(sa.literal(1) * 2))
            assert (route.direct, route.asks) == (False, True)
            assert "pooler=transaction" in str(failed.value)
            assert "pgbouncer with pool_mode" not in str(failed.value)
        await doubled(engine, 2)
        assert (route.direct, route.asks) == (True, False)

    asyncio.run(work())


@pytest.mark.parametrize(
    ("option", "good", "said"),
    [
        ("auto", True, "one in transaction mode is in between"),
        ("transaction", True, "one in transaction mode is in between"),
        ("session", False, "set pooler=transaction"),
        ("none", False, "set pooler=transaction"),
    ],
)
def test_doctor_names_the_pooler_and_the_option(
    pgbouncer: Pgbouncer, option: str, good: bool, said: str
) -> None:
    url = pgbouncer.url("postgresql+pgflight").update_query_dict({"pooler": option})
    found = facts(url, None if good else ("connect", "pooler"))
    assert said in found["pooler"].text
    assert [name for name in found if not found[name].good] == ([] if good else ["pooler"])


def facts(url: sa.URL, names: Collection[str] | None = None) -> dict[str, Fact]:
    """Return what doctor's checks find, all of them or those of `names`."""
    return {
        check.name: asyncio.run(run_check(check, url, 20))
        for check in server_checks.CHECKS
        if names is None or check.name in names
    }


def test_doctor_says_that_there_is_none(pgflight_dialect: Dialect) -> None:
    fact = facts(pgflight_dialect.url(), ["pooler"])["pooler"]
    assert (fact.good, fact.text.startswith("none: ")) == (True, True)


@pytest.mark.parametrize("pipeline", ["auto", "off"])
def test_settings_that_the_pooler_refuses_are_made_in_each_transaction(
    pgflight_dialect: Dialect,
    pgbouncer: Pgbouncer,
    caplog: pytest.LogCaptureFixture,
    pipeline: str,
) -> None:
    settings = {
        "statement_timeout": "54321",
        "search_path": 'Pg_Catalog, "Odd ""Name", public',
        "my.own": "it's \\ here",
    }
    application = own("settings_of_poolers")
    given = {**settings, "application_name": application}  # which no pooler refuses
    shown = sa.select(*(sa.func.current_setting(name) for name in settings))

    async def work() -> None:
        engine = pgflight_dialect.engine(
            pgbouncer.url(), connect_args={"server_settings": given}, pipeline=pipeline
        )
        async with committed(pgflight_dialect.engine(), metadata):
            for _ in range(3):
                async with engine.connect() as one, engine.connect() as two:
                    for connection in (one, two):
                        values = tuple((await connection.execute(shown)).one())
                        assert values == (
                            "54321ms",
                            'pg_catalog, "Odd ""Name", public',
                            "it's \\ here",
                        )
            many = [{"id": n, "v": n} for n in range(3)]
            async with engine.begin() as connection:
                text = f"INSERT INTO public.{things.name} VALUES (:id, :v)"
                assert (await connection.execute(sa.text(text), many)).rowcount in (3, -1)
                rows = sa.text(f"SELECT v FROM public.{things.name} ORDER BY v")
                assert list(await connection.scalars(rows)) == [0, 1, 2]
        async with View.of(pgflight_dialect.server) as view:
            assert await view.at_rest(application) == []

    with caplog.at_level(logging.INFO, logger="pgflight"):
        asyncio.run(work())
    refused = [record for record in caplog.records if "refuses" in record.getMessage()]
    assert len(refused) == len(settings)  # once for each engine


def test_a_refused_setting_with_a_wrong_value_fails_in_the_transaction(
    pgflight_dialect: Dialect, pgbouncer: Pgbouncer
) -> None:
    async def work() -> None:
        arguments = {"server_settings": {"statement_timeout": "soon"}}
        for pipeline in ("auto", "off"):
            engine = pgflight_dialect.engine(
                pgbouncer.url(), connect_args=arguments, pipeline=pipeline
            )
            for _ in range(2):
                async with engine.connect() as connection:
                    with pytest.raises(sa.exc.DBAPIError, match="statement_timeout"):
                        await connection.scalar(sa.select(sa.literal(1)))
        assert not await jammed(pgbouncer)

    asyncio.run(work())


@pytest.mark.skipif(
    not driver.can_pipeline(), reason="asyncpg's public API sends no Sync by itself"
)
def test_a_value_that_asyncpg_refuses_leaves_the_server_connection_free(
    pgflight_dialect: Dialect, pgbouncer: Pgbouncer
) -> None:
    """In AUTOCOMMIT nothing follows the Parse: without a Sync the pooler would wait for more."""

    async def work() -> None:
        engine = pgflight_dialect.engine(
            pgbouncer.url(), pool_size=5, max_overflow=0, isolation_level="AUTOCOMMIT"
        )
        for number in range(2 * pgbouncer.pool_size):
            async with engine.connect() as connection:
                statement = sa.text(f"SELECT {number} + CAST(:x AS integer)")
                with pytest.raises(sa.exc.DBAPIError, match="invalid input"):
                    await asyncio.wait_for(connection.scalar(statement, {"x": "none"}), 10)
        assert not await jammed(pgbouncer)

    asyncio.run(work())
