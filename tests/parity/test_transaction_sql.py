"""What a unit of work looks like from outside: events, echoed log lines, SQL on the wire."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pgflight import driver
from pgflight.dialect.first_connection import QUESTION
from tests.fixtures.outcome import Both, attempt
from tests.fixtures.proxy import Proxy
from tests.fixtures.statements import Statements
from tests.parity.scratch import committed, own

Unit = Callable[[AsyncEngine], Coroutine[Any, Any, None]]

_TIMING = re.compile(r"\[(generated in|cached since|no key|caching disabled)[^\]]*\]")
_EVENTS = (
    "begin",
    "commit",
    "rollback",
    "savepoint",
    "rollback_savepoint",
    "release_savepoint",
    "set_connection_execution_options",
    "engine_connect",
)
_POOL_EVENTS = ("connect", "first_connect", "checkout", "checkin", "reset", "close", "invalidate")


class Base(DeclarativeBase):
    """The tables of these tests."""


class Item(Base):
    """One row with a key that the server makes."""

    __tablename__ = own("items_of_sql")

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


async def select(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(sa.select(sa.literal(1)))


async def insert(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(sa.insert(Item), {"name": "a"})
        await connection.execute(sa.insert(Item), [{"name": "b"}, {"name": "c"}])


async def get(engine: AsyncEngine) -> None:
    async with AsyncSession(engine, expire_on_commit=False) as session:
        item = Item(name="new")
        session.add(item)
        await session.commit()
        await session.get(Item, item.id + 1000)
        await session.refresh(item)
        await session.rollback()


async def nothing(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.commit()
        await connection.rollback()


async def fails(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await attempt(connection.execute(sa.text("SELECT 1/0")))
        await connection.rollback()
        await attempt(connection.execute(sa.text("SELECT nothing FROM nowhere")))


async def nested(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        async with connection.begin_nested():
            await connection.execute(sa.insert(Item), {"name": "d"})
        savepoint = await connection.begin_nested()
        await connection.execute(sa.insert(Item), {"name": "e"})
        await savepoint.rollback()


async def levels(engine: AsyncEngine) -> None:
    for level in ("AUTOCOMMIT", "SERIALIZABLE"):
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level=level)
            await connection.execute(sa.select(sa.literal(1)))
    async with engine.connect() as connection:
        await connection.execution_options(postgresql_readonly=True, postgresql_deferrable=True)
        await connection.execute(sa.select(sa.literal(1)))


async def streams(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        result = await connection.stream(sa.text("SELECT generate_series(1, 120)"))
        async for _ in result:
            pass


async def invalidates(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(sa.select(sa.literal(1)))
        await connection.invalidate()
        await attempt(connection.execute(sa.select(sa.literal(1))))
        await connection.rollback()
        await connection.execute(sa.select(sa.literal(1)))


async def creates(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(sa.text("CREATE TEMPORARY TABLE t_of_sql (id int)"))


UNITS = (select, insert, get, nothing, fails, nested, levels, streams, invalidates, creates)
units = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.__name__)


@units
def test_events(both: Both, unit: Unit) -> None:
    async def work(engine: AsyncEngine) -> Any:
        seen: list[Any] = []
        async with committed(engine, Base.metadata):
            for name in _EVENTS + _POOL_EVENTS:
                target: Any = engine.sync_engine if name in _EVENTS else engine.sync_engine.pool
                event.listen(target, name, lambda *args, _name=name: seen.append(_name))

            @event.listens_for(engine.sync_engine, "before_cursor_execute")
            def before(*args: Any) -> None:
                seen.append(("before", args[2], args[3], args[5]))

            @event.listens_for(engine.sync_engine, "after_cursor_execute")
            def after(*args: Any) -> None:
                seen.append(("after", args[2], args[3], args[5]))

            @event.listens_for(engine.sync_engine, "handle_error")
            def failed(context: Any) -> None:
                kinds = [c.__name__ for c in type(context.sqlalchemy_exception).mro()]
                known = "ProgrammingError" in kinds, "DBAPIError" in kinds
                seen.append(("error", known, context.is_disconnect, context.statement))

            await unit(engine)
        return seen

    both(work)


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = _TIMING.sub(r"[\1]", record.getMessage())
        self.lines.append(f"{record.levelname} {line}")


@units
@pytest.mark.parametrize("echo", [True, "debug"], ids=["echo", "debug"])
def test_echoed_lines(
    both: Both, unit: Unit, echo: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    async def work(engine: AsyncEngine) -> Any:
        logger = logging.getLogger("sqlalchemy.engine.Engine")
        handler = _Lines()
        async with committed(engine, Base.metadata):
            logger.addHandler(handler)
            try:
                await unit(engine)
            finally:
                logger.removeHandler(handler)
        return handler.lines

    lines = both(work, echo=echo)
    assert lines or unit is nothing
    capsys.readouterr()


@units
def test_no_hidden_sql(both: Both, unit: Unit, proxy: Proxy, statements: Statements) -> None:
    async def work(engine: AsyncEngine) -> list[list[str]]:
        statements.clear()
        await select(engine)  # the first connection
        sent = [statements.take()]
        async with committed(engine, Base.metadata):
            statements.clear()
            # Twice, and counted together: nobody waits for the end of the first one, and the proxy
            # may read it when the second has begun.
            for _ in range(2):
                await unit(engine)
            sent.append(statements.take())
        return sent

    expected = both.run(both.builtin, work, via=proxy)
    found = both.run(both.ours, work, via=proxy)
    assert found[0].count(QUESTION) == 1  # in place of the four that the first connection asks
    found[0].remove(QUESTION)
    for theirs, ours in zip(expected, found):
        asked = Counter(ours) - Counter(theirs)
        del asked[f"SELECT {driver.PROCESS}"]  # in the flight of a new connection's first query
        assert not asked, f"built-in: {theirs}\npgflight: {ours}"
        assert QUESTION not in ours
    assert any("SELECT $1" in sql for sql in found[0])


def test_ping_sends_no_hidden_sql(both: Both, proxy: Proxy, statements: Statements) -> None:
    async def work(engine: AsyncEngine) -> list[str]:
        await select(engine)
        statements.clear()
        await select(engine)
        return statements.take()

    expected = both.run(both.builtin, work, via=proxy, pool_pre_ping=True)
    found = both.run(both.ours, work, via=proxy, pool_pre_ping=True)
    assert not Counter(found) - Counter(expected), f"built-in: {expected}\npgflight: {found}"
    assert (";" in found) != driver.can_pipeline()  # ours is no SQL at all


# DDL is the exception: ours also re-prepares after DDL that was sent as plain text.
@pytest.mark.parametrize("unit", UNITS[:-1], ids=lambda unit: unit.__name__)
def test_no_more_round_trips(both: Both, unit: Unit, proxy: Proxy) -> None:
    async def work(engine: AsyncEngine) -> list[int]:
        trips = []
        async with committed(engine, Base.metadata):
            await unit(engine)  # closes what was prepared before the tables were made
            for _ in range(2):
                with proxy.counting() as counted:
                    await unit(engine)
                trips.append(counted.count)
        return trips

    expected = both.run(both.builtin, work, via=proxy)
    found = both.run(both.ours, work, via=proxy)
    assert all(ours <= theirs for ours, theirs in zip(found, expected)), (found, expected)
