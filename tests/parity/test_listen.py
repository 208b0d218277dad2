"""`pgflight.listen` and `pgflight.notify`: what is sent arrives, once and in order.

One body on both dialects, as both work with an engine of either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool, StaticPool

import pgflight
from pgflight import Gap, Notification
from pgflight.listening.listener import Listener
from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy
from tests.parity.scratch import own

CHANNEL = own("jobs")
NAME = own("listener")
SESSIONS = sa.text("SELECT count(*) FROM pg_stat_activity WHERE application_name = :name")
COUNT = 5_000


async def sends(engine: AsyncEngine, *payloads: str, channel: str = CHANNEL) -> None:
    async with engine.begin() as connection:
        for payload in payloads:
            await pgflight.notify(connection, channel, payload)


async def take(listener: Listener, number: int) -> list[str]:
    """Return the payloads of the next notifications; a gap fails."""
    found = []
    for _ in range(number):
        item = await asyncio.wait_for(anext(listener), 60)
        assert isinstance(item, Notification), item
        found.append(item.payload)
    return found


async def sessions(engine: AsyncEngine, name: str = NAME) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(SESSIONS, {"name": name}) or 0)


async def is_gone(engine: AsyncEngine, name: str = NAME) -> None:
    """Wait until the server has no session of this name."""
    for _ in range(2_000):
        if not await sessions(engine, name):
            return
        await asyncio.sleep(0.01)
    pytest.fail("the connection that listened is still there")


def named(dialect: Dialect, **options: Any) -> AsyncEngine:
    """Return an engine whose connections the server can be asked for."""
    settings = {"server_settings": {"application_name": NAME}}
    return dialect.engine(connect_args=settings, **options)


def test_what_is_sent_arrives_in_order(dialect: Dialect) -> None:
    async def work() -> None:
        engine = dialect.engine()
        async with pgflight.listen(engine, CHANNEL, own("other")) as listener:
            assert listener.listening and listener.channels == (CHANNEL, own("other"))
            await sends(engine, "a", "b", "")
            await sends(engine, "c", channel=own("other"))
            async with engine.connect() as connection:
                pid = await connection.scalar(sa.text("SELECT pg_backend_pid()"))
            items = [await anext(listener) for _ in range(4)]
            assert items == [
                Notification(CHANNEL, "a", pid),
                Notification(CHANNEL, "b", pid),
                Notification(CHANNEL, "", pid),
                Notification(own("other"), "c", pid),
            ]

    asyncio.run(work())


def test_it_is_part_of_the_transaction(dialect: Dialect) -> None:
    async def work() -> None:
        engine = dialect.engine()
        async with pgflight.listen(engine, CHANNEL) as listener:
            async with AsyncSession(engine) as session:
                await pgflight.notify(session, CHANNEL, "rolled back")
                await session.rollback()
                await pgflight.notify(session, CHANNEL, "committed")
                await session.commit()
            async with engine.connect() as connection:
                await connection.run_sync(lambda sync: pgflight.notify(sync, CHANNEL, "undone"))
            async with AsyncSession(engine) as session:
                await session.run_sync(lambda sync: pgflight.notify(sync, CHANNEL))
                await session.commit()
            assert await take(listener, 2) == ["committed", ""]

    asyncio.run(work())


@pytest.mark.parametrize("options", [{"stream_results": True}, {"yield_per": 10}])
def test_where_results_are_streamed(dialect: Dialect, options: dict[str, Any]) -> None:
    """By the connection, the engine and the session: there is nothing to stream here."""

    async def work() -> None:
        plain = dialect.engine()
        async with pgflight.listen(plain, CHANNEL) as listener:
            streaming = plain.execution_options(**options)
            await sends(streaming, "engine")
            async with plain.connect() as connection:
                await connection.execution_options(**options)
                await pgflight.notify(connection, CHANNEL, "connection")
                await connection.run_sync(lambda sync: pgflight.notify(sync, CHANNEL, "sync"))
                await connection.commit()
            async with AsyncSession(streaming) as session:
                await pgflight.notify(session, CHANNEL, "session")
                await session.commit()
            async with AsyncSession(plain) as session:
                await session.connection(execution_options=options)
                await pgflight.notify(session, CHANNEL, "session's connection")
                await session.run_sync(lambda sync: pgflight.notify(sync, CHANNEL, "synchronous"))
                await session.commit()
            sent = ["engine", "connection", "sync", "session", "session's connection"]
            assert await take(listener, 6) == [*sent, "synchronous"]

    asyncio.run(work())


def test_names_and_payloads_are_taken_as_they_are(dialect: Dialect) -> None:
    names = ["Jobs", 'a"b', "with space", "é" * 31 + "x", "x" * 63, "$1 :name %s", "drop table;--"]

    async def work() -> None:
        engine = dialect.engine()
        async with pgflight.listen(engine, *names) as listener:
            for name in names:
                await sends(engine, name + "☃", channel=name)
            await sends(engine, "another name", channel="jobs")
            await sends(engine, "é" * 3999 + "x", channel="Jobs")
            for name in names:
                item = await anext(listener)
                assert isinstance(item, Notification)
                assert (item.channel, item.payload) == (name, name + "☃")
            assert await take(listener, 1) == ["é" * 3999 + "x"]

    asyncio.run(work())


@pytest.mark.parametrize("pool", [None, NullPool, StaticPool])
def test_the_pool_is_left_alone(dialect: Dialect, pool: Any) -> None:
    """A connection of its own: also where the pool is used up."""

    async def work() -> None:
        how: dict[str, Any] = {"poolclass": pool} if pool else {"pool_size": 1, "max_overflow": 0}
        engine = dialect.engine(**how)
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
            async with pgflight.listen(engine, CHANNEL) as listener:
                await pgflight.notify(connection, CHANNEL, "x")
                await connection.commit()
                assert await take(listener, 1) == ["x"]
            assert await connection.scalar(sa.text("SELECT 42")) == 42
        assert getattr(engine.pool, "checkedout", lambda: 0)() == 0

    asyncio.run(work())


def test_connections_are_made_as_the_engine_makes_them(dialect: Dialect) -> None:
    """With its arguments, its password function and its events; by OptionEngine, too."""
    asked = []

    def password() -> str:
        asked.append(1)
        return dialect.server.address.password or ""

    async def work() -> None:
        settings = {"application_name": NAME}
        engine = dialect.engine(connect_args={"password": password, "server_settings": settings})
        connected = []

        @event.listens_for(engine.sync_engine, "connect")
        def connect(connection: Any, record: Any) -> None:
            connected.append(connection)

        await sends(engine, "before")
        before = len(asked), len(connected)
        derived = engine.execution_options(isolation_level="AUTOCOMMIT")
        async with pgflight.listen(derived, CHANNEL) as listener:
            assert (len(asked), len(connected)) == (before[0] + 1, before[1] + 1)
            assert await sessions(engine) == 2
            await sends(engine, "x")
            assert await take(listener, 1) == ["x"]
        assert engine.sync_engine.pool is derived.sync_engine.pool

    asyncio.run(work())


@pytest.mark.parametrize("name", ["connect", "checkout"])
def test_events_that_execute_something(dialect: Dialect, name: str) -> None:
    """They begin a transaction, which the engine's first unit of work would end."""

    async def work() -> None:
        engine = named(dialect)

        @event.listens_for(engine.sync_engine, name)
        def executes(connection: Any, *_others: Any) -> None:
            cursor = connection.cursor()
            cursor.execute("SET search_path TO pg_catalog")
            cursor.close()

        async with pgflight.listen(engine, CHANNEL) as listener:
            await sends(dialect.engine(), "x")
            assert await take(listener, 1) == ["x"]

    asyncio.run(work())


async def by_break(listener: Listener) -> None:
    async for item in listener:
        assert isinstance(item, Notification)
        break


async def by_error(listener: Listener) -> None:
    with pytest.raises(ZeroDivisionError):
        async with listener:
            1 / 0  # noqa: B018


async def by_aclose(listener: Listener) -> None:
    assert isinstance(await anext(listener), Notification)
    waits = asyncio.ensure_future(anext(listener))
    await asyncio.sleep(0)
    await listener.aclose()
    with pytest.raises(StopAsyncIteration):
        await waits
    assert [item async for item in listener] == []
    await listener.aclose()
    with pytest.raises(InvalidRequestError, match="closed"):
        async with listener:
            pass


async def by_cancelling(listener: Listener) -> None:
    async def listens() -> None:
        async for _ in listener:
            heard.set()

    heard = asyncio.Event()
    task = asyncio.create_task(listens())
    await heard.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("leaves", [by_break, by_error, by_aclose, by_cancelling])
def test_leaving_closes_the_connection(dialect: Dialect, leaves: Callable[..., Any]) -> None:
    async def work() -> None:
        engine = dialect.engine()

        async def listens() -> None:
            listener = pgflight.listen(named(dialect, poolclass=NullPool), CHANNEL)
            sending = asyncio.create_task(goes_on_sending())
            try:
                await leaves(listener)
            finally:
                sending.cancel()
                await asyncio.wait({sending})

        async def goes_on_sending() -> None:
            while True:
                await sends(engine, "x")
                await asyncio.sleep(0.01)

        await listens()
        await is_gone(engine)

    asyncio.run(work())


def test_giving_up_waiting_costs_nothing(dialect: Dialect) -> None:
    async def work() -> None:
        engine = dialect.engine()
        async with pgflight.listen(engine, CHANNEL) as listener:
            for number in range(20):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(anext(listener), 0.001)
                await sends(engine, str(number))
                assert await take(listener, 1) == [str(number)]

    asyncio.run(work())


def test_nothing_is_lost_while_it_begins(dialect: Dialect) -> None:
    """What is sent as soon as the server listens comes together with its answer."""

    async def work() -> None:
        engine = dialect.engine()
        going = True

        async def goes_on_sending() -> int:
            number = 0
            while going:
                await sends(engine, *(str(number + n) for n in range(20)))
                number += 20
            return number

        sending = asyncio.create_task(goes_on_sending())
        for _ in range(30):
            async with pgflight.listen(engine, CHANNEL) as listener:
                first = int((await take(listener, 1))[0])
                rest = [int(each) for each in await take(listener, 40)]
                assert rest == list(range(first + 1, first + 41))
                # from a transaction's first one on: none of those before it is missing
                assert first % 20 == 0
        going = False
        assert await sending > 600

    asyncio.run(work())


def test_what_comes_together_with_the_answer_is_not_lost(dialect: Dialect, proxy: Proxy) -> None:
    """The server listens from COMMIT on: its answer is held back until a notification is behind it.

    asyncpg alone, which learns of a channel after LISTEN has been answered, drops such a one.
    """
    held = bytearray()
    committing: set[int] = set()
    done: list[bool] = []

    def hold(link: int, side: str, data: bytes) -> bytes:
        if side == "client":
            if b"LISTEN" in data:
                committing.add(link)
            if b"COMMIT" in data and link in committing:
                done.append(False)
            return data
        if not done or done[0] or link not in committing:
            return data
        held.extend(data)
        if b"A\0\0\0" not in held:
            return b""
        done[0] = True
        return bytes(held)

    async def work() -> None:
        direct, engine = dialect.engine(), dialect.engine(via=proxy)
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
        proxy.filters.append(hold)
        listener = pgflight.listen(engine, CHANNEL)
        begins = asyncio.create_task(listener.__aenter__())
        while not held:
            await asyncio.sleep(0.001)
        await sends(direct, "early")
        await begins
        assert await take(listener, 1) == ["early"]
        await listener.aclose()

    asyncio.run(work())
    assert done == [True]


def test_none_of_many_is_lost(dialect: Dialect) -> None:
    async def work() -> None:
        engine = dialect.engine()
        async with pgflight.listen(engine, CHANNEL) as listener:
            statement = sa.text(
                "SELECT pg_notify(:channel, n::text) FROM generate_series(1, :last) AS n"
            )
            async with engine.begin() as connection:
                await connection.execute(statement, {"channel": CHANNEL, "last": COUNT})
            assert await take(listener, COUNT) == [str(n) for n in range(1, COUNT + 1)]

    asyncio.run(work())


def test_a_full_queue_says_what_it_drops(dialect: Dialect, caplog: Any) -> None:
    async def work() -> None:
        engine = dialect.engine()
        async with pgflight.listen(engine, CHANNEL, queue_size=3) as listener:
            await sends(engine, *"abcdefg")
            while len(listener) < 4:
                await asyncio.sleep(0.001)
            await sends(engine, *"hi")
            # the order of what one connection is told: once this has arrived, so have the others
            async with pgflight.listen(engine, own("done")) as done:
                await sends(engine, "x", channel=own("done"))
                await take(done, 1)
            assert await take(listener, 3) == ["a", "b", "c"]
            gap = await anext(listener)
            assert gap == Gap("the queue was full", 6)
            await sends(engine, "later")
            assert await take(listener, 1) == ["later"]

    asyncio.run(work())
    assert "3 notifications wait to be read" in caplog.text


def test_an_engine_of_another_kind(dialect: Dialect) -> None:
    async def work() -> None:
        engine = dialect.engine()
        async with engine.connect() as connection:
            with pytest.raises(TypeError, match="not AsyncConnection"):
                pgflight.listen(connection, CHANNEL)  # type: ignore[arg-type]
        other = create_async_engine("postgresql+psycopg://", module=_module())
        with pytest.raises(TypeError, match=r"of postgresql\+psycopg"):
            pgflight.listen(other, CHANNEL)
        with pytest.raises(TypeError, match="not AsyncEngine"):
            pgflight.notify(engine, CHANNEL)  # type: ignore[call-overload]

    asyncio.run(work())


def _module() -> Any:
    return pytest.importorskip("psycopg")


def test_what_the_first_connection_meets_is_raised(dialect: Dialect) -> None:
    async def work() -> None:
        wrong = dialect.engine(dialect.url(database=own("missing")))
        with pytest.raises(Exception, match="does not exist") as expected:
            async with wrong.connect():
                pass
        for _ in range(2):
            with pytest.raises(type(expected.value), match="does not exist"):
                async with pgflight.listen(wrong, CHANNEL):
                    pass
        listener = pgflight.listen(wrong, CHANNEL)
        with pytest.raises(type(expected.value), match="does not exist"):
            await anext(listener)

    asyncio.run(work())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"queue_size": 0}, "queue_size"),
        ({"check_every": 0}, "check_every"),
        ({"give_up_after": -1.0}, "give_up_after"),
    ],
)
def test_options_that_are_wrong(dialect: Dialect, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        pgflight.listen(dialect.engine(), CHANNEL, **options)


def test_another_loop(dialect: Dialect) -> None:
    engine = dialect.engine()
    kept = []

    async def begins() -> None:
        listener = pgflight.listen(engine, CHANNEL)
        await listener.__aenter__()
        kept.append(listener)
        asyncio.get_running_loop().call_soon(ends.set)
        await ends.wait()
        await listener.aclose()

    async def goes_on() -> None:
        with pytest.raises(StopAsyncIteration):
            await anext(kept[0])
        async with pgflight.listen(engine, CHANNEL) as listener:
            other = asyncio.new_event_loop()
            try:
                refused = asyncio.to_thread(other.run_until_complete, listener.__anext__())
                with pytest.raises(InvalidRequestError, match="another event loop"):
                    await refused
            finally:
                other.close()
            await sends(dialect.engine(), "x")
            assert await take(listener, 1) == ["x"]

    ends = asyncio.Event()
    asyncio.run(begins())
    asyncio.run(goes_on())


def test_a_synchronous_engine(pgflight_dialect: Dialect) -> None:
    """`async_fallback`: its pool keeps connections of its own event loop, before and after."""
    engine = sa.create_engine(pgflight_dialect.url(query={"async_fallback": "true"}))

    def sends_synchronously(payload: str) -> None:
        with engine.begin() as connection:
            pgflight.notify(connection, CHANNEL, payload)

    async def work() -> None:
        for payload in ("first", "second"):
            async with pgflight.listen(engine, CHANNEL) as listener:
                await asyncio.to_thread(sends_synchronously, payload)
                assert await take(listener, 1) == [payload]

    asyncio.run(work())
    sends_synchronously("nobody listens")
    assert pgflight.stats(engine).units_of_work >= 3
    engine.dispose()


def test_what_it_costs(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    """A login, BEGIN, the proof and COMMIT, and asyncpg's two round trips for each channel."""

    async def work() -> None:
        engine = pgflight_dialect.engine(via=proxy)
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
        async with pgflight.listen(engine, own("login")):
            pass
        with proxy.counting() as one:
            async with pgflight.listen(engine, CHANNEL):
                one.freeze()
        with proxy.counting() as two:
            async with pgflight.listen(engine, CHANNEL, own("second")):
                two.freeze()
        assert two.count == one.count + 2

    asyncio.run(work())
