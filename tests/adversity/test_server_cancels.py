"""The server cancels whatever runs, every fraction of a millisecond, over more than 1,000 units.

A cancel request may hit any statement: BEGIN, the unit's own, COMMIT, ROLLBACK, what a new
connection asks first. A statement must never run in autocommit while the program believes in a
transaction, and no connection may come back from it unusable.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from typing import Any

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from pgflight.compat.versions import SQLALCHEMY_2_1
from tests.adversity import storm_units
from tests.adversity.server_view import Connections, View, check_flag, pool_of
from tests.adversity.storm_units import ROWS_PER_UNIT, Unit
from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy
from tests.fixtures.sabotage import Sabotage
from tests.fixtures.scale import scaled
from tests.parity.scratch import own

pytestmark = pytest.mark.slow

UNITS, WORKERS, POOL = scaled(1_200, least=300), 8, 5
MOST_UNITS = 12_000
PAUSE = 0.0002
HANG_SECONDS = 15.0
CANCELLED = "57014"
CANCEL_ALL = """DO $$ BEGIN LOOP
    PERFORM pg_stat_clear_snapshot();
    PERFORM pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = '{application}';
    PERFORM pg_sleep({pause} * random());
END LOOP; END $$"""
APPLICATION = own("server_cancels")
READS: tuple[storm_units.Work, ...] = (Unit.plain, Unit.two_reads, Unit.uncached, Unit.stream)
RAW = (Unit.raw_read, Unit.raw_pair)
WRITES: tuple[storm_units.Work, ...] = (*storm_units.PAIRS, Unit.raw_read)


class Canceller:
    """A session that cancels everything of one application, for the length of a block.

    The loop runs in the server, beside the sessions that it aims at: a client's requests would
    arrive when the client itself has nothing going on.
    """

    def __init__(self, dialect: Dialect, application: str) -> None:
        self._server = dialect.server
        self._loop = CANCEL_ALL.format(application=application, pause=PAUSE)
        self._connection: Any = None
        self._task: asyncio.Task[Any] | None = None

    async def __aenter__(self) -> Canceller:
        self._connection = await self._server.connect()
        self._task = asyncio.create_task(self._connection.execute(self._loop))
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._task is not None
        async with View.of(self._server) as view:
            pid = self._connection.get_server_pid()
            await view.connection.fetchval("SELECT pg_cancel_backend($1)", pid)
            with pytest.raises(asyncpg.QueryCanceledError):
                await self._task
        await self._connection.close()


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
        elif work in RAW and "current transaction is aborted" in str(error):
            # an end that was cancelled, met by what the program itself does with asyncpg first
            self.counts["refused in the driver"] += 1
        else:
            self.strange.append((work.__name__, unit.at, error))
        if work in storm_units.PAIRS:
            raised = "commit raised" if unit.at == "commit" else "raised"
            self.pairs[unit.number] = "done" if error is None else raised


async def storm(
    engine: AsyncEngine, chance: random.Random, units: int, outcomes: Outcomes | None = None
) -> Outcomes:
    """Run `units` units on all workers; their outcomes come to those of `outcomes`."""
    outcomes = outcomes or Outcomes()
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


MODES = pytest.mark.parametrize("mode", ["auto", "begin", "off"])


def dice() -> random.Random:
    """Return the storm's chance; the seed is printed, `PGFLIGHT_TEST_SEED` repeats it."""
    seed = int(os.environ.get("PGFLIGHT_TEST_SEED") or random.randrange(1 << 32))
    print(f"PGFLIGHT_TEST_SEED={seed}")
    return random.Random(seed)


@MODES
def test_1200_units_under_pg_cancel_backend(pgflight_dialect: Dialect, mode: str) -> None:
    requests = Canceller(pgflight_dialect, APPLICATION)
    asyncio.run(cancelled(pgflight_dialect, requests, pipeline=mode))


@MODES
def test_1200_units_whose_begins_and_ends_are_cancelled(
    pgflight_dialect: Dialect, sabotage: Sabotage, mode: str
) -> None:
    """What a request hits by chance once in a thousand times, here in one of ten."""
    sabotage.proxy.settle = 0
    cut = Cut(sabotage, dice())
    asyncio.run(cancelled(pgflight_dialect, cut, sabotage.proxy, pipeline=mode))
    assert {sql.split()[0].strip(";") for sql in sabotage.done} == set(Cut.VERBS)


class Cut:
    """Has one of ten BEGINs, COMMITs and ROLLBACKs cancelled before it runs, in a block."""

    VERBS = ("BEGIN", "COMMIT", "ROLLBACK")
    ONE_OF = 10

    def __init__(self, sabotage: Sabotage, chance: random.Random) -> None:
        self._sabotage = sabotage
        self._random = chance

    async def __aenter__(self) -> Cut:
        self._sabotage.chosen = lambda sql: (
            sql.startswith(self.VERBS) and self._random.randrange(self.ONE_OF) == 0
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._sabotage.chosen = lambda sql: False


async def cancelled(
    dialect: Dialect, storming: Canceller | Cut, via: Proxy | None = None, **options: Any
) -> None:
    """Run units while `storming` lasts and some more behind it; check what they leave."""
    chance = dice()
    engine = dialect.engine(
        via=via,
        pool_size=POOL,
        max_overflow=0,
        connect_args={"server_settings": {"application_name": APPLICATION}},
        **options,
    )
    connections = Connections(engine)
    steady = dialect.engine()
    await storm_units.create(steady)
    try:
        async with View.of(dialect.server) as view:
            async with storming:
                outcomes = await storm(engine, chance, UNITS)
                done = UNITS
                while outcomes.counts["done"] == done < MOST_UNITS:
                    # a busy machine may give the canceller its turns when nothing runs
                    await storm(engine, chance, UNITS, outcomes)
                    done += UNITS
            print(dict(outcomes.counts))
            assert outcomes.strange == []
            await check_rows(steady, outcomes)
            assert outcomes.counts["done"] < done
            assert pool_of(engine).checkedout() == 0
            assert await view.at_rest(APPLICATION) == []
            assert await view.locks(APPLICATION) == 0
            for adapted in connections.alive():
                await check_flag(adapted, view)
            # what is left in the pool serves
            after = await storm(engine, chance, 20 * POOL)
            assert (after.strange, dict(after.counts)) == ([], {"done": 20 * POOL})
            await check_rows(steady, after)
            assert await view.at_rest(APPLICATION) == []
            await engine.dispose()
            assert await view.gone(APPLICATION) == []
    except BaseException:
        connections.terminate()  # locks must not keep the tables from being dropped
        raise
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


@pytest.mark.skipif(
    not SQLALCHEMY_2_1,
    reason="SQLAlchemy 2.0 keeps a connection checked out when its ROLLBACK fails in close()",
)
def test_the_same_storm_ruins_connections_of_the_builtin_dialect(builtin: Dialect) -> None:
    """It is strong enough to find what it looks for: until one unit fails for another's sake."""

    async def work() -> list[str]:
        chance = dice()
        engine = builtin.engine(
            pool_size=POOL,
            max_overflow=0,
            connect_args={"server_settings": {"application_name": APPLICATION}},
        )
        steady = builtin.engine()
        await storm_units.create(steady)
        try:
            async with Canceller(builtin, APPLICATION):
                outcomes = await storm(engine, chance, MOST_UNITS)
            return [str(error) for _, _, error in outcomes.strange]
        finally:
            await storm_units.drop(steady)

    reasons = asyncio.run(work())
    assert [r for r in reasons if "transaction block" in r or "manually started" in r]
