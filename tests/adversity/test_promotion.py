"""A standby is promoted under a writing load: what the ledger on the new primary says afterwards.

Real replication, of which a commit that is acknowledged is part. Nothing is lost that was
acknowledged, nothing is there twice, and within seconds of the promotion nothing fails any more.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy
from tests.fixtures.replication import Replicated, connect, replicated

WORKERS = 8
WITHIN_SECONDS = 5.0
# What a server that starts or stops says to a login is asyncpg's error on both dialects; older
# asyncpg raises it without asking the next host.  Python 3.10's TimeoutError is no OSError.
FAILURES = (
    DBAPIError,
    OSError,
    asyncpg.PostgresError,
    asyncpg.InternalClientError,  # asyncpg 0.30 has found no host that may be written to
    asyncio.TimeoutError,
)
STATEMENT = sa.text("INSERT INTO ledger (unit, part) VALUES (:unit, :part)")
PORT = sa.text("SELECT current_setting('port')")


@pytest.fixture
def pair() -> Iterator[Replicated]:
    with replicated() as running:
        yield running


class Load:
    """Workers that write units of work, and what the program was told of each.

    No unit is tried again: a number that is there twice was sent again by the dialect.
    """

    def __init__(self, engine: AsyncEngine, autocommit: AsyncEngine) -> None:
        self.engine, self.autocommit = engine, autocommit
        self.numbers = itertools.count(1)
        self.acknowledged: dict[int, int] = {}
        """Units that the program was told have been committed, with their rows."""
        self.refused: set[int] = set()
        """Units that failed before their COMMIT was asked for."""
        self.ended: list[tuple[float, float, Exception | None]] = []
        """When each unit began and ended, and with which error."""
        self.stopped = False

    async def one_statement(self, unit: int) -> int:
        async with self.engine.begin() as connection:
            await connection.execute(STATEMENT, {"unit": unit, "part": 1})
            await self.to_commit(unit)
        return 1

    async def several_statements(self, unit: int) -> int:
        async with self.engine.begin() as connection:
            await connection.execute(sa.text("SELECT count(*) FROM ledger WHERE unit = 0"))
            for part in (1, 2):
                await connection.execute(STATEMENT, {"unit": unit, "part": part})
            await self.to_commit(unit)
        return 2

    async def many_rows(self, unit: int) -> int:
        async with self.engine.begin() as connection:
            rows = [{"unit": unit, "part": part} for part in range(1, 41)]
            await connection.execute(STATEMENT, rows)
            await self.to_commit(unit)
        return 40

    async def by_itself(self, unit: int) -> int:
        self.refused.discard(unit)  # its only statement commits
        async with self.autocommit.connect() as connection:
            await connection.execute(STATEMENT, {"unit": unit, "part": 1})
        return 1

    async def to_commit(self, unit: int) -> None:
        self.refused.discard(unit)

    async def work(self) -> None:
        kinds = itertools.cycle(
            (self.one_statement, self.several_statements, self.by_itself, self.many_rows)
        )
        while not self.stopped:
            unit, began, failed = next(self.numbers), time.monotonic(), None
            self.refused.add(unit)
            try:
                self.acknowledged[unit] = await next(kinds)(unit)
            except FAILURES as error:
                failed = error
            self.ended.append((began, time.monotonic(), failed))
            await asyncio.sleep(0.05 if failed else 0.005)

    def failures_since(self, moment: float) -> list[str]:
        """Return the errors of the units that began after a moment."""
        return [repr(error) for began, _, error in self.ended if error and began > moment]


async def make_the_ledger(pair: Replicated) -> None:
    connection = await connect(pair.old)
    # no key: what runs twice is to be seen
    await connection.execute("CREATE TABLE ledger (unit integer, part integer)")
    await connection.close()
    await pair.replicate_synchronously()


async def change_over(pair: Replicated, way: str, proxy: Proxy) -> None:
    """Make the standby the primary, in one of the ways in which that happens."""
    if way == "dies":
        await asyncio.to_thread(pair.old.pause, "immediate")
    elif way == "becomes a standby":
        await asyncio.to_thread(pair.old.pause, "fast")
    else:
        await pair.make_read_only()
    await pair.promote()
    proxy.lead_to(pair.server(pair.new))
    if way == "becomes a standby":
        await asyncio.to_thread(pair.old.resume_as_standby_of, pair.new)


@pytest.mark.parametrize(
    "address",
    ["several hosts", "one address", pytest.param("read-write", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("way", ["dies", "becomes a standby", "becomes read-only"])
def test_no_unit_is_lost_or_there_twice(
    pgflight_dialect: Dialect, pair: Replicated, way: str, address: str
) -> None:
    proxy = Proxy(pair.server(pair.old))
    proxy.start()

    async def work() -> None:
        await make_the_ledger(pair)
        query = {"target_session_attrs": "read-write"} if address == "read-write" else {}
        url = proxy.url() if address == "one address" else pair.url(**query)
        engine = pgflight_dialect.engine(url, pool_size=WORKERS, max_overflow=0)
        load = Load(engine, engine.execution_options(isolation_level="AUTOCOMMIT"))
        workers = [asyncio.ensure_future(load.work()) for _ in range(WORKERS)]
        while len(load.acknowledged) < 200:
            await asyncio.sleep(0.01)
        assert not load.failures_since(0)

        await change_over(pair, way, proxy)
        promoted, before = time.monotonic(), len(load.acknowledged)
        while time.monotonic() < promoted + WITHIN_SECONDS or len(load.acknowledged) < before + 200:
            await asyncio.sleep(0.05)
        load.stopped = True
        await asyncio.wait_for(asyncio.gather(*workers), 30)

        await compare(pair, load)
        late = load.failures_since(promoted + WITHIN_SECONDS)
        assert not late, late[:3]
        async with engine.connect() as connection:
            assert await connection.scalar(PORT) == str(pair.new.port)
        report(load, promoted, f"{way}, {address}")

    try:
        asyncio.run(work())
    finally:
        proxy.stop()


async def compare(pair: Replicated, load: Load) -> None:
    """Hold what the program was told against the ledger of the new primary."""
    connection = await connect(pair.new)
    rows = [tuple(row) for row in await connection.fetch("SELECT unit, part FROM ledger")]
    await connection.close()
    assert [row for row, times in Counter(rows).items() if times > 1] == []
    stored = Counter(unit for unit, _ in rows)
    lost = {unit for unit, count in load.acknowledged.items() if stored[unit] != count}
    assert not lost
    assert not load.refused & stored.keys()


def report(load: Load, promoted: float, what: str) -> None:
    """Print how long it took, for whoever runs this with `-s`."""
    errors = [each for each in load.ended if each[2]]
    last = max((ended - promoted for _, ended, _ in errors), default=0.0)
    print(f"\n{what}: {len(load.ended)} units, {len(errors)} errors, the last after {last:.1f} s")
    states = (getattr(getattr(error, "orig", error), "sqlstate", None) for *_, error in errors)
    print(Counter(states))
