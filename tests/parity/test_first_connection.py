"""What an engine learns from its first connection, and how many round trips that takes."""

from __future__ import annotations

import asyncio
import gc
import logging
import warnings
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import sqlalchemy
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from pgflight import driver
from pgflight.dbapi.connection import AsyncAdapt_asyncpg_connection
from pgflight.dialect import PGDialect_asyncpg
from pgflight.dialect.first_connection import QUESTION
from pgflight.session.codecs import set_json_codec
from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy
from tests.fixtures.statements import Statements

BUILTIN_ROUND_TRIPS = 10
CLOSED = int(asyncpg.__version__.startswith("0.30."))
"""A statement that this asyncpg left over when it looked the codecs up, as the built-in dialect has
it do, and ours at level public."""
LEFT_OVER = 0 if driver.is_private() else CLOSED
ASKED = 2
"""One statement: prepared, executed."""
CONFIRMED = 1
"""A transaction of the engine's own level begins and ends."""


def leaks_where_initialize_fails(test: Any) -> Any:
    """Mark a test whose connection SQLAlchemy before 2.1 forgets to close, on both dialects."""
    for ignored in (
        "ignore:unclosed connection",
        "ignore::ResourceWarning",
        "ignore::pytest.PytestUnraisableExceptionWarning",
    ):
        test = pytest.mark.filterwarnings(ignored)(test)
    return test


def learned(engine: AsyncEngine) -> dict[str, Any]:
    """Return everything that the dialect sets in initialize()."""
    dialect: Any = engine.dialect
    names = (
        "server_version_info default_schema_name default_isolation_level max_identifier_length"
        " _backslash_escapes supports_smallserial supports_identity_columns"
        " _supports_drop_index_concurrently _supports_jsonb_subscripting"
        " supports_virtual_generated_columns"
    )
    return {name: getattr(dialect, name, None) for name in names.split()}


async def connect(engine: AsyncEngine, proxy: Proxy) -> int:
    """Connect and close once; return the number of round trips."""
    with proxy.counting() as trips:
        async with engine.connect():
            pass
    return trips.count


async def as_builtin_sets_it(connection: Any, deserializer: None, *, jsonb: bool) -> None:
    name = "jsonb" if jsonb else "json"
    await connection.set_type_codec(
        name, schema="pg_catalog", format="binary", encoder=str.encode, decoder=bytes.decode
    )


async def bare(
    proxy: Proxy, *, statement_cache_size: int = 100, set_codec: Any = set_json_codec
) -> int:
    """Return the round trips of connecting and of the codecs, which asyncpg 0.30 looks up."""
    url = proxy.url()
    with proxy.counting() as trips:
        connection = await asyncpg.connect(
            host=url.host, port=url.port, user=url.username, password=url.password,
            database=url.database, statement_cache_size=statement_cache_size,
        )  # fmt: skip
        for jsonb in (False, True):
            await set_codec(connection, None, jsonb=jsonb)
    await connection.close()
    return trips.count


OPTIONS: dict[str, tuple[dict[str, Any], int]] = {
    "plain": ({}, ASKED),
    "echo": ({"echo": True}, ASKED),
    "pre_ping": ({"pool_pre_ping": True}, ASKED),
    "AUTOCOMMIT": ({"isolation_level": "AUTOCOMMIT"}, ASKED),
    "SERIALIZABLE": ({"isolation_level": "SERIALIZABLE"}, ASKED + CONFIRMED),
    "REPEATABLE READ": ({"isolation_level": "REPEATABLE READ"}, ASKED + CONFIRMED),
    "READ COMMITTED": ({"isolation_level": "READ COMMITTED"}, ASKED + CONFIRMED),
    "no caches": (
        {"connect_args": {"statement_cache_size": 0, "prepared_statement_cache_size": 0}}, ASKED),
    "named": ({"connect_args": {"prepared_statement_name_func": lambda: f"mine_{uuid4()}"}}, ASKED),
    "unnamed": ({"connect_args": {"prepared_statement_name_func": lambda: ""}}, ASKED),
    "read only": (
        {"connect_args": {"server_settings": {"default_transaction_read_only": "on"}}}, ASKED),
    "own default": (
        {"connect_args": {"server_settings": {"default_transaction_isolation": "repeatable read"}}},
        ASKED,
    ),
    "no schema": ({"connect_args": {"server_settings": {"search_path": ""}}}, ASKED),
    "schema": ({"connect_args": {"server_settings": {"search_path": "test_schema"}}}, ASKED),
    "escapes": (
        {"connect_args": {"server_settings": {"standard_conforming_strings": "off"}}}, ASKED),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_the_first_connection_learns_the_same_in_fewer_round_trips(
    builtin: Dialect, pgflight_dialect: Dialect, proxy: Proxy, name: str
) -> None:
    options, expected = OPTIONS[name]

    async def work() -> None:
        if name == "escapes" and pgflight_dialect.server.version >= (19, 0):
            pytest.skip("the server has no such strings any more")
        reference = builtin.engine(via=proxy, **options)
        engine = pgflight_dialect.engine(via=proxy, **options)
        await connect(reference, proxy)
        size = options.get("connect_args", {}).get("statement_cache_size", 100)
        alone = await bare(proxy, statement_cache_size=size)
        first = await connect(engine, proxy)
        assert first - alone == expected + (LEFT_OVER if size else 0)
        assert learned(engine) == learned(reference)
        assert learned(engine)["server_version_info"][0] == pgflight_dialect.server.version[0]

    asyncio.run(work())


def test_the_builtin_dialect_takes_ten(builtin: Dialect, proxy: Proxy) -> None:
    """What the figures above are measured against."""

    async def work() -> None:
        first = await connect(builtin.engine(via=proxy), proxy)
        assert (
            first - await bare(proxy, set_codec=as_builtin_sets_it) == BUILTIN_ROUND_TRIPS + CLOSED
        )

    asyncio.run(work())


def test_later_connections_ask_nothing(
    pgflight_dialect: Dialect, proxy: Proxy, statements: Statements
) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(via=proxy, poolclass=NullPool)
        await connect(engine, proxy)
        assert statements.take().count(QUESTION) == 1
        await proxy.parted()
        later = await connect(engine, proxy)
        await proxy.parted()
        assert QUESTION not in statements.sql
        asked = later - await bare(proxy)
        assert asked in (0, 1)  # its farewell may have been counted

    asyncio.run(work())


def test_nothing_is_left_on_the_session(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        for level in (None, "SERIALIZABLE"):
            options: dict[str, Any] = {"isolation_level": level} if level else {}
            async with pgflight_dialect.engine(**options).connect() as connection:
                raw: Any = (await connection.get_raw_connection()).driver_connection
                assert not raw.is_in_transaction()
                assert await raw.fetchval("SELECT count(*) FROM pg_prepared_statements") <= 1
                assert await connection.scalar(text("SELECT 1")) == 1

    asyncio.run(work())


def test_listeners_run_as_ever(dialect: Dialect) -> None:
    """A listener in front of the first connection's questions decides what they answer."""
    seen: list[str] = []

    async def work() -> None:
        engine = dialect.engine()
        pool = engine.sync_engine

        @event.listens_for(pool, "do_connect")
        def do_connect(*arguments: Any) -> None:
            seen.append("do_connect")

        @event.listens_for(pool, "connect", insert=True)
        def set_up(dbapi_connection: Any, record: Any) -> None:
            before = dbapi_connection.autocommit
            dbapi_connection.autocommit = True
            cursor = dbapi_connection.cursor()
            cursor.execute("SET SESSION search_path = 'test_schema'")
            cursor.close()
            dbapi_connection.autocommit = before
            seen.append("connect")

        @event.listens_for(pool, "first_connect")
        def first(dbapi_connection: Any, record: Any) -> None:
            seen.append("first_connect")

        async with engine.connect():
            pass
        assert seen == ["do_connect", "connect", "first_connect"] or seen == [
            "do_connect", "first_connect", "connect",
        ]  # fmt: skip
        assert learned(engine)["default_schema_name"] == "test_schema"

    asyncio.run(work())


def test_a_transaction_that_a_listener_has_begun(dialect: Dialect) -> None:
    """The questions are asked in it, and it is rolled back afterwards."""

    async def work() -> None:
        engine = dialect.engine()

        @event.listens_for(engine.sync_engine, "connect", insert=True)
        def begin(dbapi_connection: Any, record: Any) -> None:
            dbapi_connection.cursor().execute("SET LOCAL search_path = 'test_schema_2'")

        async with engine.connect() as connection:
            assert await connection.scalar(text("SHOW search_path")) != "test_schema_2"
        assert learned(engine)["default_schema_name"] == "test_schema_2"

    asyncio.run(work())


@leaks_where_initialize_fails
def test_a_transaction_that_has_failed_already(dialect: Dialect) -> None:
    async def work() -> None:
        engine = dialect.engine()

        @event.listens_for(engine.sync_engine, "connect", insert=True)
        def fail(dbapi_connection: Any, record: Any) -> None:
            with pytest.raises(dbapi_connection.dbapi.Error):
                dbapi_connection.cursor().execute("SELECT 1/0")

        # not wrapped where SQLAlchemy 2.0 meets it outside a statement of its own
        with pytest.raises(Exception, match="transaction is aborted"):
            async with engine.connect():
                pass

    asyncio.run(work())


def test_an_async_creator(dialect: Dialect) -> None:
    async def work() -> None:
        async def create() -> Any:
            return await dialect.server.connect()

        engine = dialect.engine(async_creator=create)
        async with engine.connect():
            pass
        assert learned(engine)["server_version_info"][0] == dialect.server.version[0]

    asyncio.run(work())


def test_the_log_shows_the_question(
    pgflight_dialect: Dialect, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine()
        with caplog.at_level(logging.INFO, logger="sqlalchemy.engine"):
            async with engine.connect():
                pass
        assert [record.getMessage() for record in caplog.records] == [QUESTION, "[raw sql] ()"]

    asyncio.run(work())


def unable(monkeypatch: pytest.MonkeyPatch, question: str) -> None:
    monkeypatch.setattr("pgflight.dialect.first_connection.QUESTION", question)


@pytest.mark.parametrize(
    "question",
    [
        "SELECT no_such_function()",  # a fork, or a permission that was taken away
        "SELECT 1, 2, 3, 4",  # an answer of another kind
        "SELECT 1",
    ],
)
def test_a_server_that_cannot_answer_is_asked_one_by_one(
    builtin: Dialect,
    pgflight_dialect: Dialect,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    question: str,
) -> None:
    unable(monkeypatch, question)

    async def work() -> None:
        reference, engine = builtin.engine(), pgflight_dialect.engine(via=proxy)
        async with reference.connect():
            pass
        count = await connect(engine, proxy) - await bare(proxy)
        # fewer than with the built-in: BEGIN and ROLLBACK cost none of their own
        assert BUILTIN_ROUND_TRIPS / 2 < count <= BUILTIN_ROUND_TRIPS + CLOSED + ASKED
        assert learned(engine) == learned(reference)

    asyncio.run(work())


def test_a_level_that_the_server_does_not_keep_is_asked_for(
    pgflight_dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a fork that turns one level into another: the failed check leaves nothing behind."""
    monkeypatch.setattr(
        "pgflight.dialect.first_connection._CONFIRM",
        "BEGIN ISOLATION LEVEL {upper}; SELECT 1/0 /* {lower} */",
    )

    async def work() -> None:
        engine = pgflight_dialect.engine(isolation_level="SERIALIZABLE")
        async with engine.connect() as connection:
            assert await connection.scalar(text("SHOW transaction_isolation")) == "serializable"
        assert learned(engine)["default_isolation_level"] == "SERIALIZABLE"

    asyncio.run(work())


def test_a_connection_lost_meanwhile_is_reported_as_ever(
    pgflight_dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    unable(monkeypatch, "SELECT pg_terminate_backend(pg_backend_pid())")

    async def work() -> None:
        with pytest.raises(sqlalchemy.exc.InterfaceError, match="connection is closed"):
            async with pgflight_dialect.engine().connect():
                pass

    asyncio.run(work())


class Derived(PGDialect_asyncpg):
    """A third party's dialect: each of its overrides must be asked."""

    supports_statement_cache = True

    def _get_server_version_info(self, connection: Any) -> Any:
        version = connection.exec_driver_sql("select pg_catalog.version()").scalar()
        assert version.startswith("PostgreSQL")
        return (9, 1)

    def _get_default_schema_name(self, connection: Any) -> Any:
        assert sqlalchemy.inspect(connection) is not None
        return "derived"

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        return "DERIVED"

    def _set_backslash_escapes(self, connection: Any) -> None:
        self._backslash_escapes = "derived"  # type: ignore[assignment]


class Mixed(sqlalchemy.dialects.postgresql.base.PGDialect):
    """The half of a third party's dialect that knows no driver (as CockroachDB's)."""

    def _get_server_version_info(self, connection: Any) -> Any:
        return connection.exec_driver_sql("select pg_catalog.version()").one()

    def initialize(self, connection: Any) -> None:
        sqlalchemy.engine.default.DefaultDialect.initialize(self, connection)


class DerivedFromBoth(PGDialect_asyncpg, Mixed):
    supports_statement_cache = True


async def connected_by(dialect: Dialect, cls: type[Any]) -> AsyncEngine:
    sqlalchemy.dialects.registry.register("postgresql.derived", cls.__module__, cls.__name__)
    try:
        engine = create_async_engine(dialect.url().set(drivername="postgresql+derived"))
    finally:
        del sqlalchemy.dialects.registry.impls["postgresql.derived"]
    async with engine.connect():
        pass
    await engine.dispose()
    return engine


def test_the_overrides_of_a_derived_dialect_are_asked(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        found = learned(await connected_by(pgflight_dialect, Derived))
        assert found["server_version_info"] == (9, 1)
        assert found["default_schema_name"] == "derived"
        assert found["default_isolation_level"] == "DERIVED"
        assert found["_backslash_escapes"] == "derived"
        assert found["supports_smallserial"] is False

    asyncio.run(work())


def test_a_dialect_that_stands_between_gets_the_connection_itself(
    pgflight_dialect: Dialect,
) -> None:
    async def work() -> None:
        found = learned(await connected_by(pgflight_dialect, DerivedFromBoth))
        assert found["server_version_info"][0].startswith("PostgreSQL")
        assert found["default_schema_name"] == "public"

    asyncio.run(work())


@leaks_where_initialize_fails
@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("PostgreSQL 13.0.0 (CockroachDB CCL v23.1)", (13, 0, 0)),
        ("EnterpriseDB 9.3.13.35 on x86_64-linux-gnu", (9, 3, 13)),
        ("PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC, Redshift 1.0.12103", (8, 0, 2)),
        ("PostgreSQL 18beta1 on x86_64-linux-gnu", (18,)),
        ("PostgreSQL 17devel on x86_64-linux-gnu", (17,)),
        ("Something else 1.0", None),
    ],
)
def test_the_version_is_read_by_sqlalchemy(
    pgflight_dialect: Dialect, monkeypatch: pytest.MonkeyPatch, version: str, expected: Any
) -> None:
    unable(monkeypatch, QUESTION.replace("pg_catalog.version()", f"'{version}'"))

    async def work() -> None:
        engine = pgflight_dialect.engine()
        if expected is None:
            with pytest.raises(AssertionError, match="Could not determine version"):
                async with engine.connect():
                    pass
            return
        async with engine.connect():
            pass
        assert engine.dialect.server_version_info == expected

    asyncio.run(work())


def test_a_synchronous_engine(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    url = proxy.url("postgresql+pgflight").update_query_dict({"async_fallback": "true"})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*async_fallback dialect argument")
        engine = sqlalchemy.create_engine(url)
    try:
        with proxy.counting() as trips, engine.connect():
            pass
        alone = asyncio.run(bare(proxy))
        assert trips.count - alone == ASKED + LEFT_OVER
        assert engine.dialect.default_schema_name == "public"
    finally:
        engine.dispose()


def test_a_connection_of_another_kind_is_asked_one_by_one(pgflight_dialect: Dialect) -> None:
    """A creator may wrap the connection: then nothing is known about it."""

    class Wrapped:
        def __init__(self, connection: Any) -> None:
            self.__dict__["wrapped"] = connection

        def __getattr__(self, name: str) -> Any:
            return getattr(self.wrapped, name)

        def __setattr__(self, name: str, value: Any) -> None:
            setattr(self.wrapped, name, value)

    async def work() -> None:
        engine = pgflight_dialect.engine()

        @event.listens_for(engine.sync_engine, "do_connect")
        def wrap(dialect: Any, record: Any, arguments: Any, options: Any) -> Any:
            connection = dialect.connect(*arguments, **options)
            assert isinstance(connection, AsyncAdapt_asyncpg_connection)
            return Wrapped(connection)

        async with engine.connect():
            pass
        assert learned(engine)["default_isolation_level"] == "READ COMMITTED"

    asyncio.run(work())


def test_cancelled_while_it_asks(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    """The connection is closed at once; SQLAlchemy before 2.1 leaves it to the collector."""

    async def work() -> None:
        engine, asked = pgflight_dialect.engine(via=proxy), asyncio.Event()
        loop = asyncio.get_running_loop()

        def keep(link: int, side: str, data: bytes) -> bytes:
            if side == "client" and b"version()" in data:
                loop.call_soon_threadsafe(asked.set)
                return b""
            return data

        proxy.filters.append(keep)
        gc.disable()
        try:
            task = asyncio.ensure_future(engine.connect().start())
            await asyncio.wait_for(asked.wait(), 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await proxy.parted()
        finally:
            gc.enable()
            proxy.filters.remove(keep)
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1

    asyncio.run(work())
