"""The adapted connection's face: driver access, queueing, ping, codecs, creators, many hosts."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from typing import Any

import asyncpg
import pytest
import sqlalchemy.exc
from sqlalchemy import event, text
from sqlalchemy.pool import NullPool

from pgflight import driver
from pgflight._warnings import PgflightWarning
from tests.fixtures.engines import Dialect
from tests.fixtures.statements import Statements


async def dbapi(connection: Any) -> Any:
    return (await connection.get_raw_connection()).dbapi_connection


def test_the_driver_connection_is_asyncpgs(dialect: Dialect) -> None:
    async def work() -> None:
        async with dialect.engine().connect() as connection:
            fairy = await connection.get_raw_connection()
            assert isinstance(fairy.driver_connection, asyncpg.Connection)
            adapted: Any = fairy.dbapi_connection
            assert adapted.driver_connection is fairy.driver_connection
            pid = await connection.scalar(text("SELECT pg_backend_pid()"))
            assert fairy.driver_connection.get_server_pid() == pid

    asyncio.run(work())


def test_run_async_in_a_connect_event(dialect: Dialect) -> None:
    """How programs register codecs; the rows of asyncpg's own connection stay records."""

    async def work() -> None:
        engine = dialect.engine()

        @event.listens_for(engine.sync_engine, "connect")
        def register(dbapi_connection: Any, record: Any) -> None:
            def codec(connection: Any) -> Any:
                return connection.set_type_codec(
                    "text", schema="pg_catalog", encoder=str, decoder=str.upper, format="text"
                )

            dbapi_connection.run_async(codec)

        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT 'abc'::text")) == "ABC"
            raw = (await dbapi(connection)).driver_connection
            row = await raw.fetchrow("SELECT 'abc'::text AS a")
            assert isinstance(row, asyncpg.Record) and row["a"] == "ABC"

    asyncio.run(work())


def test_two_tasks_on_one_connection_queue(dialect: Dialect) -> None:
    async def work() -> None:
        async with dialect.engine().connect() as connection:
            await connection.scalar(text("SELECT 1"))
            found = await asyncio.gather(
                *(
                    connection.scalar(text("SELECT :n FROM pg_sleep(0.005)"), {"n": str(n)})
                    for n in range(20)
                )
            )
            assert found == [str(n) for n in range(20)]

    asyncio.run(work())


def test_ping(dialect: Dialect) -> None:
    async def work() -> None:
        engine = dialect.engine()
        async with engine.connect() as connection:
            raw = await dbapi(connection)
            assert await connection.run_sync(lambda c: c.dialect.do_ping(raw)) is True
            await connection.scalar(text("SELECT 1"))
            assert await connection.run_sync(lambda c: c.dialect.do_ping(raw)) is True

    asyncio.run(work())


@pytest.mark.parametrize("native", [None, True, False])
def test_native_inet_types(dialect: Dialect, native: bool | None) -> None:
    query = text("SELECT '10.0.0.1'::inet, '10.0.0.0/8'::cidr, '10.0.0.1/24'::inet, NULL::inet")

    async def work() -> None:
        options: dict[str, Any] = {} if native is None else {"native_inet_types": native}
        async with dialect.engine(**options).connect() as connection:
            row = (await connection.execute(query)).one()
            if native is False:
                assert tuple(row) == ("10.0.0.1", "10.0.0.0/8", "10.0.0.1/24", None)
            else:
                assert row[0] == ipaddress.ip_address("10.0.0.1")
                assert row[1] == ipaddress.ip_network("10.0.0.0/8")

    asyncio.run(work())


def test_async_creator_fn_and_async_creator(dialect: Dialect) -> None:
    calls: list[str] = []

    async def creator(*args: Any, **kwargs: Any) -> Any:
        calls.append("called")
        url = dialect.server.url().set(drivername="postgresql")
        return await asyncpg.connect(url.render_as_string(hide_password=False))

    async def work() -> None:
        first = dialect.engine(connect_args={"async_creator_fn": creator})
        second = dialect.engine(async_creator=creator)
        for engine in (first, second):
            async with engine.connect() as connection:
                assert await connection.scalar(text("SELECT '{\"a\": 1}'::jsonb")) == {"a": 1}
        assert calls == ["called", "called"]

    asyncio.run(work())


def test_a_connection_out_of_asyncpgs_own_pool(dialect: Dialect) -> None:
    async def work() -> None:
        url = dialect.server.url().set(drivername="postgresql")
        async with asyncpg.create_pool(
            url.render_as_string(hide_password=False), min_size=1, max_size=2
        ) as pool:

            async def acquire(*args: Any, **kwargs: Any) -> Any:
                return await pool.acquire()

            engine = dialect.engine(connect_args={"async_creator_fn": acquire}, poolclass=NullPool)
            for _ in range(3):
                async with engine.connect() as connection:
                    assert await connection.scalar(text("SELECT 1")) == 1
                    assert (await connection.execute(text("SELECT 1, 'a'"))).all() == [(1, "a")]
            # asyncpg 0.32's pool is replacing the last one, and drops the error of giving that up
            for _ in range(50):
                if pool.get_size() == pool.get_idle_size() > 0:
                    break
                await asyncio.sleep(0.01)

    asyncio.run(work())


def test_a_connection_given_back_to_asyncpgs_pool_behind_our_back(dialect: Dialect) -> None:
    """It may be somebody else's by now: not even a statement that is prepared already runs."""

    async def work() -> None:
        url = dialect.server.url().set(drivername="postgresql")
        async with asyncpg.create_pool(
            url.render_as_string(hide_password=False), min_size=1, max_size=1
        ) as pool:
            engine = dialect.engine(
                async_creator=pool.acquire, poolclass=NullPool, isolation_level="AUTOCOMMIT"
            )
            connection = await engine.connect()
            assert await connection.scalar(text("SELECT 1")) == 1
            assert await connection.scalar(text("SELECT 1")) == 1
            await pool.release((await dbapi(connection)).driver_connection)
            async with pool.acquire() as other:
                with pytest.raises(asyncpg.InterfaceError, match="released back to the pool"):
                    await connection.scalar(text("SELECT 1"))
                assert await other.fetchval("SELECT 2") == 2
            with contextlib.suppress(asyncpg.InterfaceError):
                await connection.close()

    asyncio.run(work())


def test_several_hosts(dialect: Dialect) -> None:
    """The first host refuses, the second serves."""
    server = dialect.server

    async def work() -> None:
        url = dialect.url().set(host=None, port=None)
        url = url.update_query_dict({"host": [f"127.0.0.1:{1}", f"{server.host}:{server.port}"]})
        async with dialect.engine(url).connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1

    asyncio.run(work())


def test_one_port_for_several_hosts(pgflight_dialect: Dialect) -> None:
    server = pgflight_dialect.server

    async def work() -> None:
        url = pgflight_dialect.url().set(host=None, port=None)
        url = url.update_query_dict({"host": f"127.0.0.99,{server.host}", "port": str(server.port)})
        async with pgflight_dialect.engine(url).connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1

    asyncio.run(work())


def test_settings_from_the_url_reach_the_session(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        url = pgflight_dialect.url().update_query_dict(
            {
                "application_name": "the program",
                "options": "-c work_mem=5MB -c statement_timeout=12s",
                "sslmode": "prefer",
                "connect_timeout": "10",
                "keepalives_idle": "33",
            }
        )
        async with pgflight_dialect.engine(url).connect() as connection:
            for name, value in (
                ("application_name", "the program"),
                ("work_mem", "5MB"),
                ("statement_timeout", "12s"),
            ):
                assert await connection.scalar(text(f"SHOW {name}")) == value

    if driver.capabilities().level == "private":
        asyncio.run(work())
    else:
        with pytest.raises(sqlalchemy.exc.ArgumentError, match="keepalives_idle"):
            asyncio.run(work())


def test_a_wrong_option_is_an_error_before_anything_is_tried(pgflight_dialect: Dialect) -> None:
    with pytest.warns(PgflightWarning, match="Unknown option 'statment_cache_size' in the URL"):
        wrong = pgflight_dialect.engine(
            pgflight_dialect.url().update_query_dict({"statment_cache_size": "5"})
        )

    async def work() -> None:
        for _ in range(2):
            with pytest.raises(
                sqlalchemy.exc.ArgumentError,
                match=r"^Unknown option 'statment_cache_size' in the URL: did you mean",
            ):
                await wrong.connect()
        engine = pgflight_dialect.engine(connect_args={"statment_cache_size": 5})
        with pytest.raises(sqlalchemy.exc.ArgumentError, match="statement_cache_size"):
            await engine.connect()

    asyncio.run(work())


def test_every_class_of_the_documentation_can_be_imported() -> None:
    import pgflight.dialect

    for name in (
        "AsyncAdapt_asyncpg_connection AsyncAdapt_asyncpg_cursor AsyncAdapt_asyncpg_dbapi"
        " AsyncAdapt_asyncpg_ss_cursor AsyncAdaptFallback_asyncpg_connection AsyncpgBigInteger"
        " AsyncpgBoolean AsyncpgDate AsyncpgDateTime AsyncPgEnum AsyncpgFloat AsyncpgInteger"
        " AsyncPgInterval AsyncpgJSON AsyncpgJSONB AsyncpgJSONIndexType AsyncpgJSONIntIndexType"
        " AsyncpgJSONPathType AsyncpgJSONStrIndexType AsyncpgNumeric AsyncpgOID AsyncpgREGCLASS"
        " AsyncpgTime AsyncpgUUID PGCompiler_asyncpg PGDialect_asyncpg PGExecutionContext_asyncpg"
        " PGIdentifierPreparer_asyncpg _pg_types _python_UUID AsyncpgARRAY AsyncpgBit AsyncpgByteA"
        " AsyncpgCHAR AsyncpgREGCONFIG AsyncpgSmallInteger AsyncpgString dialect"
    ).split():
        found = getattr(pgflight.dialect, name)
        if isinstance(found, type) and name not in ("_python_UUID", "dialect"):
            assert found.__name__ == name
            assert found.__doc__ and found.__doc__.strip()


def test_a_unit_of_work_sends_what_the_builtin_one_sends(
    builtin: Dialect, pgflight_dialect: Dialect, statements: Statements, proxy: Any
) -> None:
    async def sent(dialect: Dialect) -> list[str]:
        engine = dialect.engine(via=proxy, pool_size=1, max_overflow=0)
        async with engine.connect():
            pass  # what the first connection asks is another test's: test_first_connection.py
        statements.clear()
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
            await connection.execute(text("SELECT 2"))
            await connection.commit()
            await connection.execute(text("SELECT 1"))
        async with engine.begin() as connection:
            await connection.execute(text("SELECT 2"))
        return statements.take()

    async def work() -> tuple[list[str], list[str]]:
        return await sent(builtin), await sent(pgflight_dialect)

    theirs, ours = asyncio.run(work())
    assert ours == theirs
