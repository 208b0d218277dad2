"""The server cancels whatever runs, every fraction of a millisecond, over more than 1,000 units.

A cancel request may hit any statement: BEGIN, the unit's own, COMMIT, ROLLBACK, what a new connection
asks first. A statement must never run in autocommit while the program believes in a transaction, and
no connection may come back from it unusable.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.adversity import storm_units
from tests.adversity.server_view import Connections, View, check_flag, pool_of
from tests.adversity.storm_units import ROWS_PER_UNIT, Unit
from tests.fixtures.engines import Dialect
from tests.parity.scratch import own

UNITS, WORKERS, POOL = 1_200, 8, 5
LONGEST_PAUSE = 0.001
HANG_SECONDS = 15.0
CANCELLED = "57014"
CANCEL_ALL = (
    "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE application_name = $1"
)
READS: tuple[storm_units.Work, ...] = (Unit.plain, Unit.two_reads, Unit.uncached, Unit.stream)
WRITES: tuple[storm_units.Work, ...] = (*storm_units.PAIRS, Unit.raw_read)


class Canceller:
    """A task that cancels everything of one application, for the length of a block."""

    def __init__(self, dialect: Dialect, application: str, chance: random.Random) -> None:
        self.requests = 0
        self._dialect = dialect
        self._application = application
        self._random = chance
        self._stop = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Canceller:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._stop = True
        assert self._task is not None
        await self._task

    async def _run(self) -> None:
        connection = await self._dialect.server.connect()
        try:
            while not self._stop:
                self.requests += await connection.fetchval(CANCEL_ALL, self._application)
                await asyncio.sleep(self._random.uniform(0, LONGEST_PAUSE))
        finally:
            await connection.close()


class Outcomes:
    """What became of the units, by number and in sum."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.pairs: dict[int, str] = {}  # "done", "raised", "commit raised"
        self.strange: list[Any] = []

    def note(self, work: storm_units.Work, unit: Unit, error: BaseException | None) -> None:
        """Remember how a unit ended; only a cancelled statement may end one."""
        if error is None:
            self.counts["done"] += 1
        elif isinstance(error, DBAPIError) and getattr(error.orig, "pgcode", "") == CANCELLED:
            self.counts["cancelled"] += 1
        elif getattr(error, "sqlstate", "") == CANCELLED:  # asyncpg's own, from connect or raw use
            self.counts["cancelled in the driver"] += 1
        else:
            self.strange.append((work.__name__, unit.at, error))
        if work in storm_units.PAIRS:
            raised = "commit raised" if unit.at == "commit" else "raised"
            self.pairs[unit.number] = "done" if error is None else raised


async def storm(engine: AsyncEngine, chance: random.Random, units: int) -> Outcomes:
    """Run `units` units on all workers."""
    outcomes = Outcomes()
    left = units

    async def worker(number: int) -> None:
        nonlocal left
        while left > 0 and len(outcomes.strange) < 10:
            left -= 1
            unit = Unit(engine, number)
            work = chance.choice(WRITES if chance.random() < 0.6 else READS)
            task = asyncio.ensure_future(work(unit))
            _, pending = await asyncio.wait({task}, timeout=HANG_SECONDS)
            assert not pending, f"{work.__name__} hangs"
            outcomes.note(work, unit, task.exception())

    await asyncio.gather(*(worker(number) for number in range(WORKERS)))
    return outcomes


@pytest.mark.parametrize("mode", ["auto", "begin", "off"])
def test_1200_units_under_pg_cancel_backend(fastpg_dialect: Dialect, mode: str) -> None:
    seed = int(os.environ.get("FASTPG_TEST_SEED") or random.randrange(1 << 32))
    print(f"FASTPG_TEST_SEED={seed}")
    asyncio.run(cancelled(fastpg_dialect, {"pipeline": mode}, random.Random(seed)))


async def cancelled(dialect: Dialect, options: dict[str, Any], chance: random.Random) -> None:
    application = own("server_cancels")
    engine = dialect.engine(
        pool_size=POOL,
        max_overflow=0,
        connect_args={"server_settings": {"application_name": application}},
        **options,
    )
    connections = Connections(engine)
    steady = dialect.engine()
    await storm_units.create(steady)
    try:
        async with View.of(dialect.server) as view:
            async with Canceller(dialect, application, chance) as canceller:
                outcomes = await storm(engine, chance, UNITS)
            print(dict(outcomes.counts), canceller.requests, "requests")
            assert outcomes.strange == []
            await check_rows(steady, outcomes)
            assert pool_of(engine).checkedout() == 0
            assert await view.at_rest(application) == []
            assert await view.locks(application) == 0
            for adapted in connections.alive():
                await check_flag(adapted, view)
            # what is left in the pool serves
            after = await storm(engine, chance, 20 * POOL)
            assert (after.strange, dict(after.counts)) == ([], {"done": 20 * POOL})
            await check_rows(steady, after)
            assert await view.at_rest(application) == []
            await engine.dispose()
            assert await view.gone(application) == []
    finally:
        await storm_units.drop(steady)


async def check_rows(engine: AsyncEngine, outcomes: Outcomes) -> None:
    """Compare the rows of each pair with what its program was told."""
    found = await storm_units.rows_of_pairs(engine)
    allowed = {
        "done": {ROWS_PER_UNIT},
        "raised": {0},
        "commit raised": {0, ROWS_PER_UNIT},
    }
    wrong = [
        (number, end, found.get(number, 0))
        for number, end in outcomes.pairs.items()
        if found.get(number, 0) not in allowed[end]
    ]
    assert wrong == []


def test_the_same_storm_ruins_connections_of_the_builtin_dialect(builtin: Dialect) -> None:
    """It is strong enough to find what it looks for: until one unit fails for another's sake."""
    seed = int(os.environ.get("FASTPG_TEST_SEED") or random.randrange(1 << 32))
    print(f"FASTPG_TEST_SEED={seed}")

    async def work() -> list[str]:
        chance = random.Random(seed)
        application = own("server_cancels")
        engine = builtin.engine(
            pool_size=POOL,
            max_overflow=0,
            connect_args={"server_settings": {"application_name": application}},
        )
        steady = builtin.engine()
        await storm_units.create(steady)
        try:
            async with Canceller(builtin, application, chance):
                outcomes = await storm(engine, chance, 10 * UNITS)
            return [str(error) for _, _, error in outcomes.strange]
        finally:
            await storm_units.drop(steady)

    reasons = asyncio.run(work())
    assert [r for r in reasons if "transaction block" in r or "manually started" in r]
