"""Connections that died in the pool are replaced before anybody meets them; pings are cheap."""

from __future__ import annotations

import asyncio
import gc
import select
import sys
import threading
import time
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
import pytest
import sqlalchemy.exc
from sqlalchemy import create_engine, event, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import StaticPool

from pgflight import driver
from pgflight.dialect import pool_health
from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy
from tests.fixtures.server import Server
from tests.fixtures.statements import Statements
from tests.fixtures.tasks import run as asyncio_run
from tests.parity.test_disconnects import BUILTIN_TRANSLATES, PID, kill, pid_of, raises_like

ONE = text("SELECT 1")
private = pytest.mark.skipif(
    driver.capabilities().level != "private", reason="asyncpg's socket is private"
)


def uvloop_run(work: Coroutine[Any, Any, Any]) -> None:
    import uvloop

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(asyncio.wait_for(work, 60))
    finally:
        loop.close()


LOOPS = [
    asyncio_run,
    pytest.param(
        uvloop_run, marks=pytest.mark.skipif(sys.platform == "win32", reason="uvloop needs POSIX")
    ),
]
any_loop = pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])


def kill_while_blocked(server: Server, pid: int, sock: Any) -> None:
    """Terminate a backend while this thread, and so its loop, stands still."""

    async def work() -> None:
        connection = await asyncpg.connect(server.url("postgresql").render_as_string(False))
        await connection.fetchval("SELECT pg_terminate_backend($1)", pid)
        await connection.close()

    in_a_thread(work)
    until_hung_up(sock)


def in_a_thread(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine to its end on another thread's loop; this one stands still."""

    def target() -> None:
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(work())
        finally:
            loop.close()

    thread = threading.Thread(target=target)
    thread.start()
    thread.join(20)


def until_hung_up(sock: Any) -> None:
    """Block until the peer has closed its end; what it sent before may lie unread."""
    if hasattr(select, "POLLRDHUP"):
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLRDHUP)
        assert poll.poll(10_000)
    else:
        time.sleep(0.5)


async def socket_of(engine: AsyncEngine) -> Any:
    async with engine.connect() as connection:
        raw: Any = await connection.get_raw_connection()
        return raw.driver_connection._transport.get_extra_info("socket")


# found at checkout


def test_terminated_while_idle(dialect: Dialect) -> None:
    async def work() -> None:
        engine = dialect.engine(pool_size=1, max_overflow=0)
        pid = await pid_of(engine)
        await kill(dialect, pid)
        await asyncio.sleep(0.05)  # the backend's process ends after its last word
        if dialect.ours:
            assert await pid_of(engine) != pid
        else:
            with raises_like(dialect):
                await pid_of(engine)

    asyncio.run(work())


def test_reset_while_idle(dialect: Dialect, proxy: Proxy) -> None:
    async def work() -> None:
        engine = dialect.engine(via=proxy, pool_size=2, max_overflow=0)
        async with engine.connect() as one, engine.connect() as two:
            await one.execute(ONE)
            await two.execute(ONE)
        proxy.reset()
        await asyncio.sleep(0.05)
        for _ in range(2):
            if dialect.ours:
                await pid_of(engine)
            else:
                with raises_like(dialect):
                    await pid_of(engine)
                await asyncio.sleep(0.01)
                break
        assert await pid_of(engine)

    asyncio.run(work())


def test_a_server_that_is_gone_for_good(dialect: Dialect, proxy: Proxy) -> None:
    """The error of the attempt to reach it again, as with an empty pool."""

    async def work() -> None:
        engine = dialect.engine(via=proxy, pool_size=1, max_overflow=0)
        await pid_of(engine)
        proxy.refuse()
        await asyncio.sleep(0.05)
        with pytest.raises((sqlalchemy.exc.DBAPIError, OSError, asyncpg.InternalClientError)):
            await pid_of(engine)
        with pytest.raises((sqlalchemy.exc.DBAPIError, OSError)):
            await pid_of(engine)
        proxy.heal()
        assert await pid_of(engine)
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]

    asyncio.run(work())


@private
@any_loop
def test_a_death_that_the_loop_has_not_seen(
    pgflight_dialect: Dialect, loop: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Because the program kept it busy: the farewell and the end still lie in the socket."""
    taken_in: list[bool] = []
    take_in = pool_health._take_in

    async def watched(*args: Any) -> bool:
        taken_in.append(await take_in(*args))
        return taken_in[-1]

    monkeypatch.setattr(pool_health, "_take_in", watched)

    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        pid = await pid_of(engine)
        try:
            kill_while_blocked(pgflight_dialect.server, pid, await socket_of(engine))
            time.sleep(pool_health.IDLE_SECONDS)
            assert await pid_of(engine) != pid
            # uvloop, and Python 3.10, may have come to read it before the pool was asked
            early = loop is uvloop_run or sys.version_info < (3, 11)
            assert taken_in == [True] or (early and not taken_in)
        finally:
            await engine.dispose()  # uvloop's close() would wait for its connections

    loop(work())


@private
def test_news_that_are_no_death(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    """A notification waits in the socket: the loop takes it in, and the connection stays."""

    async def work() -> None:
        engine = pgflight_dialect.engine(via=proxy, pool_size=1, max_overflow=0)
        heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def hear(*args: Any) -> None:
            heard.set_result(args[-1])

        async with engine.connect() as connection:
            pid = await connection.scalar(PID)
            raw: Any = await connection.get_raw_connection()
            listening = raw.driver_connection
            await listening.add_listener("news", hear)
            await connection.commit()
        poll = select.poll()
        poll.register(listening._transport.get_extra_info("socket").fileno(), select.POLLIN)
        in_a_thread(lambda: notify(pgflight_dialect))
        assert poll.poll(10_000)
        time.sleep(pool_health.IDLE_SECONDS)
        with proxy.counting() as trips:
            async with engine.connect():
                assert not poll.poll(0)
        assert trips.count == 0
        assert await heard == "x"
        await listening.remove_listener("news", hear)
        assert await pid_of(engine) == pid

    asyncio.run(work())


async def notify(dialect: Dialect) -> None:
    connection = await asyncpg.connect(dialect.server.url("postgresql").render_as_string(False))
    await connection.execute("NOTIFY news, 'x'")
    await connection.close()


def test_a_static_pool(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(poolclass=StaticPool)
        pid = await pid_of(engine)
        assert await pid_of(engine) == pid
        await kill(pgflight_dialect, pid)
        await asyncio.sleep(0.05)
        assert await pid_of(engine) != pid

    asyncio.run(work())


def test_synchronous_use(server: Server, proxy: Proxy) -> None:
    target = proxy.url("postgresql+pgflight").update_query_string("async_fallback=true")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*async_fallback dialect argument")
        engine = create_engine(target, pool_size=1, max_overflow=0)
    with engine.connect() as connection:
        pid = connection.scalar(PID)
    with engine.connect() as connection:
        assert connection.scalar(PID) == pid
    proxy.reset()
    time.sleep(0.1)
    with engine.connect() as connection:
        assert connection.scalar(PID) != pid
    engine.dispose()
    gc.collect()


def test_it_survives_dispose(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(via=proxy, pool_size=1, max_overflow=0)
        await pid_of(engine)
        await engine.dispose()
        await pid_of(engine)
        proxy.reset()
        await asyncio.sleep(0.05)
        assert await pid_of(engine)

    asyncio.run(work())


# events

EVENTS = ("connect", "checkout", "checkin", "reset", "invalidate", "close", "soft_invalidate")


def listen(engine: AsyncEngine) -> list[str]:
    seen: list[str] = []
    for name in EVENTS:
        event.listen(engine.sync_engine, name, lambda *a, name=name, **k: seen.append(name))
    return seen


def test_events_of_healthy_connections(dialect: Dialect) -> None:
    async def work() -> None:
        engine = dialect.engine(pool_size=1, max_overflow=0)
        seen = listen(engine)
        await pid_of(engine)
        assert seen == ["connect", "checkout", "reset", "checkin"]
        await asyncio.sleep(2 * pool_health.IDLE_SECONDS)
        await pid_of(engine)
        assert seen[4:] == ["checkout", "reset", "checkin"]

    asyncio.run(work())


def test_a_listener_sees_the_living_connection_only(
    pgflight_dialect: Dialect, proxy: Proxy
) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(via=proxy, pool_size=1, max_overflow=0)
        await pid_of(engine)
        seen = listen(engine)
        closed: list[bool] = []
        event.listen(
            engine.sync_engine,
            "checkout",
            lambda connection, *a: closed.append(connection.driver_connection.is_closed()),
        )
        proxy.reset()
        await asyncio.sleep(0.05)
        await pid_of(engine)
        assert closed == [False]
        assert seen == ["invalidate", "close", "connect", "checkout", "reset", "checkin"]

    asyncio.run(work())


def refuse_once(engine: AsyncEngine) -> None:
    """Have a listener of the program refuse the next connection."""
    refusals = [sqlalchemy.exc.DisconnectionError("not this one")]

    @event.listens_for(engine.sync_engine, "checkout")
    def refuse(*args: Any) -> None:
        if refusals:
            raise refusals.pop()


def test_a_listener_that_refuses_connections(dialect: Dialect) -> None:
    async def work() -> None:
        engine = dialect.engine(pool_size=1, max_overflow=0)
        pid = await pid_of(engine)
        refuse_once(engine)
        assert await pid_of(engine) != pid

    asyncio.run(work())


# pings


def test_a_ping_costs_a_wait(dialect: Dialect, proxy: Proxy) -> None:
    async def work() -> None:
        for mode, expected in (("auto", 1), ("begin", 1), ("off", 3)):
            options: dict[str, Any] = (
                {"pipeline": mode, "ping_bypass_window": 0} if dialect.ours else {}
            )
            engine = dialect.engine(via=proxy, pool_pre_ping=True, **options)
            for _ in range(2):  # the first of the built-in kind prepares its statement as well
                async with engine.connect():
                    pass
            with proxy.counting() as trips:
                async with engine.connect():
                    pass
            possible = dialect.ours and driver.can_pipeline()
            assert trips.count == (expected if possible else 3)

    asyncio.run(work())


@pytest.mark.skipif(not driver.can_pipeline(), reason="the pipeline is off: every checkout pings")
def test_no_ping_within_the_window(
    pgflight_dialect: Dialect, proxy: Proxy, statements: Statements
) -> None:
    async def work() -> None:
        for level in ("READ COMMITTED", "AUTOCOMMIT"):
            engine = pgflight_dialect.engine(
                via=proxy, pool_pre_ping=True, ping_bypass_window=60, isolation_level=level
            )
            await pid_of(engine)
            with proxy.counting() as trips:
                async with engine.connect():
                    pass
            assert trips.count == 0

    asyncio.run(work())


async def last_used(engine: AsyncEngine, *statements: str, commit: bool = False) -> bool:
    """Tell whether a unit of work of these statements counts as a use."""
    async with engine.connect() as connection:
        raw: Any = await connection.get_raw_connection()
        adapted = raw.dbapi_connection
        adapted.session.transactions.last_used = 0.0
        for statement in statements:
            try:
                await connection.exec_driver_sql(statement)
            except sqlalchemy.exc.DBAPIError:
                assert "/" in statement
        if commit:
            await connection.commit()
    return bool(adapted.session.transactions.last_used)


def test_what_counts_as_a_use(pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        assert not await last_used(engine)
        assert await last_used(engine, "SELECT 1")
        assert await last_used(engine, "SELECT 1", commit=True)
        engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        assert not await last_used(engine)
        assert await last_used(engine, "SELECT 1")
        assert not await last_used(engine, "SELECT 1/0")

    asyncio.run(work())


@pytest.mark.skipif(not driver.can_pipeline(), reason="the pipeline is off: every checkout pings")
def test_a_ping_is_a_use(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(via=proxy, pool_pre_ping=True, ping_bypass_window=60)
        assert not await last_used(engine)
        with proxy.counting() as trips:
            async with engine.connect():  # pinged: its last use is long ago
                pass
            first = trips.count
            async with engine.connect():
                pass
        assert (first > 0, trips.count) == (True, first)

    asyncio.run(work())


@pytest.mark.parametrize("window", [0, 60])
def test_a_ping_of_the_dead(dialect: Dialect, proxy: Proxy, window: float) -> None:
    async def work() -> None:
        options: dict[str, Any] = {"ping_bypass_window": window} if dialect.ours else {}
        engine = dialect.engine(
            via=proxy, pool_size=2, max_overflow=0, pool_pre_ping=True, **options
        )
        async with engine.connect() as one, engine.connect() as two:
            pids = [await one.scalar(PID), await two.scalar(PID)]
        proxy.reset()
        await asyncio.sleep(0.05)
        for _ in range(2):
            assert await pid_of(engine) not in pids

    asyncio.run(work())


def test_a_ping_meets_the_end(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    """The reset comes while the ping is on its way."""

    async def work() -> None:
        engine = pgflight_dialect.engine(
            via=proxy, pool_size=1, max_overflow=0, pool_pre_ping=True, ping_bypass_window=0
        )
        pid = await pid_of(engine)
        proxy.black_hole()
        waiting = asyncio.ensure_future(pid_of(engine))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        proxy.reset()
        proxy.heal()
        assert await waiting != pid

    asyncio.run(work())


def test_a_ping_that_times_out(dialect: Dialect, proxy: Proxy) -> None:
    """asyncpg's command_timeout holds for a ping, too; its error goes to the caller."""
    if not (dialect.ours or BUILTIN_TRANSLATES):
        pytest.skip("the built-in dialect of SQLAlchemy 2.0.40 hangs")

    async def work() -> None:
        options: dict[str, Any] = {"ping_bypass_window": 0} if dialect.ours else {}
        engine = dialect.engine(
            via=proxy,
            pool_size=1,
            max_overflow=0,
            pool_pre_ping=True,
            connect_args={"command_timeout": 2},
            **options,
        )
        for _ in range(2):
            await pid_of(engine)
        proxy.black_hole()
        with pytest.raises(asyncio.TimeoutError):
            await pid_of(engine)
        proxy.heal()
        assert await pid_of(engine)

    asyncio.run(work())


def test_a_ping_within_a_transaction(dialect: Dialect) -> None:
    """By the program: it leaves the transaction as it is."""

    async def work() -> None:
        engine = dialect.engine(pool_size=1, max_overflow=0)
        async with engine.connect() as connection:
            await connection.exec_driver_sql("SET LOCAL application_name = 'pinged'")
            raw: Any = await connection.get_raw_connection()
            await connection.run_sync(lambda _: raw.dbapi_connection.ping())
            assert await connection.scalar(text("SHOW application_name")) == "pinged"
            assert raw.driver_connection.is_in_transaction()

    asyncio.run(work())
