"""``create_engine("postgresql+asyncpg://...?async_fallback=true")``: synchronous, on any thread."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
import sqlalchemy.exc
from sqlalchemy import URL, Column, Engine, Integer, MetaData, Table, create_engine, select, text
from sqlalchemy.dialects import registry
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool
from sqlalchemy.util.concurrency import greenlet_spawn

from pgflight.dbapi.recovery import standby_servers
from pgflight.dbapi.sync.event_loop_thread import LoopThread
from pgflight.dialect import PGDialect_asyncpg
from tests.fixtures.children import Child
from tests.fixtures.engines import Dialect
from tests.fixtures.server import Server

THREAD_NAME = "pgflight-async-fallback"


def loop_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


@contextmanager
def sync_engine(server: Server, url: URL | None = None, **options: Any) -> Iterator[Engine]:
    url = url or server.url("postgresql+pgflight")
    url = url.update_query_dict({"async_fallback": "true"})
    with warnings.catch_warnings():
        # SQLAlchemy 2.0 announces that its own dialect will lose the option
        warnings.filterwarnings("ignore", message=".*async_fallback dialect argument")
        engine = create_engine(url, **options)
    try:
        yield engine
    finally:
        engine.dispose()
        gc.collect()
        for thread in loop_threads():
            thread.join(5)
        assert loop_threads() == []


def test_work_is_done_without_a_greenlet(server: Server) -> None:
    t = Table("sync_work", MetaData(), Column("id", Integer, primary_key=True))
    with sync_engine(server) as engine:
        t.metadata.drop_all(engine)
        t.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(t.insert(), [{"id": n} for n in range(100)])
        with Session(engine) as session:
            assert len(session.scalars(select(t.c.id)).all()) == 100
        with engine.connect() as connection:
            streamed = connection.execution_options(yield_per=10).execute(select(t.c.id))
            assert len(list(streamed)) == 100
        with pytest.raises(sqlalchemy.exc.DataError), engine.connect() as connection:
            connection.execute(text("SELECT 1 / 0"))
        t.metadata.drop_all(engine)


def test_many_threads_share_the_engine(server: Server) -> None:
    def one(n: int) -> int:
        with engine.connect() as connection:
            return int(connection.scalar(text("SELECT :n * 2"), {"n": n}) or 0)

    with sync_engine(server, pool_size=3, max_overflow=2) as engine:
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(one, range(200))) == [n * 2 for n in range(200)]
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_a_thread_whose_own_loop_is_running(server: Server) -> None:
    async def work() -> Any:
        with engine.connect() as connection:
            return connection.scalar(text("SELECT 42"))

    with sync_engine(server) as engine:
        assert asyncio.run(work()) == 42


def test_no_pool(server: Server) -> None:
    with sync_engine(server, poolclass=NullPool) as engine:
        for n in range(3):
            with engine.connect() as connection:
                assert connection.scalar(text(f"SELECT {n}")) == n


# asyncpg warns of its connection that nobody closed, as it does under the built-in dialect
@pytest.mark.filterwarnings("ignore:unclosed connection", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_connection_that_outlives_dispose(server: Server) -> None:
    with sync_engine(server) as engine:
        connection = engine.connect()
        engine.dispose()
        assert connection.scalar(text("SELECT 1")) == 1
        connection.close()
        del connection  # with it goes the pool that was disposed of, and its connection
        with engine.connect() as again:
            assert again.scalar(text("SELECT 2")) == 2


def test_use_after_dispose_starts_a_new_loop(server: Server) -> None:
    with sync_engine(server) as engine:
        for _ in range(3):
            with engine.connect() as connection:
                assert connection.scalar(text("SELECT 1")) == 1
            assert len(loop_threads()) == 1
            engine.dispose()
            assert loop_threads() == []


def test_run_async_and_the_driver_connection(server: Server) -> None:
    with sync_engine(server) as engine, engine.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        assert raw.run_async(lambda driver: driver.fetchval("SELECT 7")) == 7
        assert raw.driver_connection.get_server_pid() == connection.scalar(
            text("SELECT pg_backend_pid()")
        )


def test_an_async_engine_ignores_the_option(pgflight_dialect: Dialect) -> None:
    """As with the built-in dialect of SQLAlchemy 2.0."""

    async def work() -> None:
        url = pgflight_dialect.url().update_query_dict({"async_fallback": "true"})
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*async_fallback dialect argument")
            engine = pgflight_dialect.engine(url)
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1
        assert loop_threads() == []

    asyncio.run(work())


def test_the_loops_own_thread_is_refused() -> None:
    thread = LoopThread()

    async def inside() -> None:
        async def nothing() -> None:
            return None

        with pytest.raises(RuntimeError, match="inside its own event loop's thread"):
            thread.run(nothing())

    thread.run(inside())
    assert thread.running
    thread.close()
    assert not thread.running


def test_an_exception_travels_to_the_caller() -> None:
    async def failing() -> None:
        raise KeyError("here")

    thread = LoopThread()
    with pytest.raises(KeyError, match="here"):
        thread.run(failing())
    thread.close()


def test_greenlets_wait_in_their_own_loop(server: Server) -> None:
    """Under greenlet_spawn the connection belongs to the caller's loop, not to the thread's."""

    async def work() -> Any:
        def body() -> Any:
            with engine.connect() as connection:
                return connection.scalar(text("SELECT 5"))

        value = await greenlet_spawn(body)
        await greenlet_spawn(engine.dispose)
        return value

    with sync_engine(server, poolclass=NullPool) as engine:
        assert asyncio.run(work()) == 5


def test_dispose_while_another_thread_connects(server: Server) -> None:
    """The loop goes on until the connection is made; nobody waits for ever."""
    with sync_engine(server) as engine:
        start = threading.Barrier(2)

        def connect() -> Any:
            start.wait()
            with engine.connect() as connection:
                return connection.scalar(text("SELECT 1"))

        for _ in range(20):
            with ThreadPoolExecutor(1) as threads:
                answer = threads.submit(connect)
                start.wait()
                engine.dispose()
                assert answer.result(timeout=30) == 1


def test_a_forked_child_has_a_loop_of_its_own(server: Server) -> None:
    with sync_engine(server) as engine:
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1

        def work() -> int:
            engine.dispose(close=False)
            with engine.connect() as connection:
                return 0 if connection.scalar(text("SELECT 1")) == 1 else 2

        assert Child(work, 20).status() == 0
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1


def test_an_engine_that_is_forgotten_takes_its_thread_along() -> None:
    async def nothing() -> None:
        return None

    thread = LoopThread()
    thread.run(nothing())
    (serving,) = loop_threads()
    del thread
    gc.collect()
    serving.join(5)
    assert loop_threads() == []


def test_an_engine_whose_dialect_is_remembered(server: Server) -> None:
    """SQLAlchemy's caches of its queries for the inspector keep dialects, as Alembic finds out."""
    url = server.url("postgresql+pgflight").update_query_dict({"async_fallback": "true"})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*async_fallback dialect argument")
        engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 42")) == 42
    remembered = engine.dialect
    (serving,) = loop_threads()
    del engine, connection
    gc.collect()
    serving.join(5)
    assert loop_threads() == []
    assert remembered.is_async is False


class Derived(PGDialect_asyncpg):
    """What a third party does: overrides a hook."""

    supports_statement_cache = True
    calls: ClassVar[list[str]] = []

    async def setup_asyncpg_json_codec(self, conn: Any) -> None:
        self.calls.append("json")
        await super().setup_asyncpg_json_codec(conn)


def test_a_derived_dialect_stays_itself(server: Server) -> None:
    registry.register("postgresql.derived", __name__, "Derived")
    url = server.url("postgresql+derived").update_query_dict({"async_fallback": "true"})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*async_fallback dialect argument")
        engine = create_engine(url)
    assert isinstance(engine.dialect, Derived)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT '1'::json")) == 1
    assert Derived.calls == ["json"]
    engine.dispose()


def test_several_hosts_of_which_none_is_a_standby(server: Server) -> None:
    """Nobody looks for a standby beside a program without a loop; each checkout works."""
    url = server.url("postgresql+pgflight")
    hosts, port = str(url.host or url.query["host"]), str(url.port or url.query["port"])
    url = url.set(host=None, port=None).update_query_dict(
        {
            "host": f"{hosts},{hosts}",
            "port": f"{port},{port}",
            "target_session_attrs": "prefer-standby",
        }
    )
    with sync_engine(server, url) as engine:
        for pause in (standby_servers.PAUSE_SECONDS + 0.1, 0.0):
            with engine.connect() as connection:
                assert connection.scalar(text("SELECT 1")) == 1
            time.sleep(pause)
