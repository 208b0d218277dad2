"""2,000 random cancellations and timeouts over mixed work: nothing half done, stuck or leaked.

The number is that of `PGFLIGHT_TEST_SCALE=1`.

The seed is printed; `PGFLIGHT_TEST_SEED` repeats it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
import traceback
from collections import Counter
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.adversity import storm_units
from tests.adversity.patience import Patience
from tests.adversity.server_view import Connections, View, check_flag, pool_of
from tests.adversity.storm_units import LARGE_TOO, MIXED, Unit, summary
from tests.fixtures.engines import Dialect
from tests.fixtures.scale import scaled
from tests.fixtures.tasks import run
from tests.parity.scratch import own

OLD_ASYNCPG = tuple(map(int, asyncpg.__version__.split(".")[:2])) < (0, 32)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        OLD_ASYNCPG, reason="asyncpg before 0.32 cannot bear to be cancelled while it connects"
    ),
]

UNITS, WORKERS, POOL = scaled(2_000, least=200), 16, 10
LONGEST_DELAY = 0.006
MOST_TURNS = 30
UNIT_SECONDS = 10.0  # a unit that takes longer, of a server that answers, hangs
# what may take long on a machine that stands still
POOL_SECONDS = 60.0
STORM_SECONDS = 600.0
CHECKOUTS, CHECKOUTS_SECONDS = 40, 60.0
ANSWER_TRIES = 20
CONNECT_CANCELLED = "unexpected connection_lost() call"

_storms = itertools.count()

EXPECTED = (asyncio.CancelledError, asyncio.TimeoutError, TimeoutError)

# With a command_timeout the built-in dialect now and then leaves a closed connection in its pool.
VARIANTS = {
    "builtin": ("builtin", {}, {}),
    "auto": ("pgflight", {"pipeline": "auto"}, {}),
    "begin": ("pgflight", {"pipeline": "begin"}, {}),
    "off": ("pgflight", {"pipeline": "off"}, {}),
    "command_timeout": ("pgflight", {}, {"command_timeout": 0.02}),
}


class Storm:
    """Workers that run units, and a hand that cancels them; `unhandled` is what the loop caught."""

    def __init__(
        self,
        engine: AsyncEngine,
        units: int,
        works: tuple[storm_units.Work, ...],
        patience: Patience,
    ) -> None:
        seed = int(os.environ.get("PGFLIGHT_TEST_SEED") or random.randrange(1 << 32))
        print(f"PGFLIGHT_TEST_SEED={seed}")
        self.random = random.Random(seed)
        self.engine = engine
        self.left = units
        self.works = works
        self.patience = patience
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.unhandled: list[str] = []

    async def run(self) -> None:
        """Run all units to their ends."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._record)
        before = asyncio.all_tasks()
        await asyncio.gather(*(self._worker(number) for number in range(WORKERS)))
        await self._end(before)

    async def _end(self, before: set[asyncio.Task[Any]]) -> None:
        """Wait for the tasks that units have left behind; `before` are those of others.

        Before Python 3.12 wait_for() runs a unit in a task of its own, cancels that when the time
        is up and waits for it: cancelled again there, it leaves the unit to itself, which still has
        its connection to give back. So do `async with` blocks of SQLAlchemy 2.0.
        """
        ending = asyncio.ensure_future(ended(before))
        if not await self.patience.wait({ending}, UNIT_SECONDS):
            left = asyncio.all_tasks() - before - {ending}
            self.wrong += [f"is left behind and hangs in {where(task)}" for task in left]
            ending.cancel()

    def _record(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "never retrieved" in str(context.get("message")):
            # asyncpg drops futures with errors in them where connect() is cancelled, before 0.32
            # also elsewhere: on the built-in dialect just as often
            if OLD_ASYNCPG or str(context.get("exception")) == CONNECT_CANCELLED:
                return
            # wait_for() before Python 3.12 drops its task's error when it is cancelled just then
            expected = isinstance(context.get("exception"), EXPECTED)
            if expected and "<Unit." in str(context.get("future")):
                return
        self.unhandled.append(str(context))

    async def _worker(self, number: int) -> None:
        while self.left > 0 and len(self.wrong) < 5:
            self.left -= 1
            unit = Unit(self.engine, number)
            work = self.random.choice(self.works)
            task = asyncio.ensure_future(self._bounded(work, unit))
            aim = self.random.choice(("at once", "connected", "connected", "none"))
            if aim == "connected":
                have = asyncio.ensure_future(unit.has_connection.wait())
                await self.patience.wait({task, have}, UNIT_SECONDS)
                have.cancel()
            if aim != "none":
                await self._pause()
                task.cancel()
            if not await self.patience.wait({task}, UNIT_SECONDS):
                self.wrong.append(f"{work.__name__}, {aim}: hangs in {where(task)}")
                self.left = 0
                task.cancel()
                return
            error = None if task.cancelled() else task.exception()
            if task.cancelled() or isinstance(error, EXPECTED):
                self.outcomes["cancelled" if task.cancelled() else "timeout"] += 1
            elif error is None:
                self.outcomes["done"] += 1
            else:
                told = "".join(traceback.format_exception(type(error), error, error.__traceback__))
                self.wrong.append(f"{work.__name__}, {aim}: {told}")

    async def _pause(self) -> None:
        if self.random.random() < 0.5:
            await asyncio.sleep(self.random.uniform(0, LONGEST_DELAY))
        else:
            for _ in range(self.random.randrange(MOST_TURNS)):
                await asyncio.sleep(0)

    async def _bounded(self, work: storm_units.Work, unit: Unit) -> None:
        kind = self.random.choice(("wait_for", "timeout", "none", "none", "none"))
        seconds = self.random.uniform(0.0005, 3 * LONGEST_DELAY)
        if kind == "wait_for":
            await asyncio.wait_for(work(unit), seconds)
        elif kind == "timeout" and sys.version_info >= (3, 11):
            async with asyncio.timeout(seconds):
                await work(unit)
        else:
            await work(unit)


async def ended(before: set[asyncio.Task[Any]]) -> None:
    """Wait until there are no other tasks than `before` and this one."""
    known = before | {asyncio.current_task()}
    while left := asyncio.all_tasks() - known:
        await asyncio.wait(left)


def where(task: asyncio.Task[Any]) -> str:
    """Return the places that a task waits in, from the outermost on."""
    places = []
    waits: Any = task.get_coro()
    while waits is not None:
        frame = getattr(waits, "cr_frame", None) or getattr(waits, "ag_frame", None)
        if frame is None:
            places.append(repr(waits))
        else:
            places.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        waits = getattr(waits, "cr_await", None)
    return "\n".join(places)


async def check(
    storm: Storm, opened: Connections, view: View, steady: AsyncEngine, application: str
) -> None:
    """Assert that the storm has left nothing behind; `steady` is an engine that it did not meet."""
    engine = storm.engine
    assert not storm.wrong, "\n".join(storm.wrong)
    assert pool_of(engine).checkedout() == 0
    assert await view.at_rest(application) == []
    assert await view.locks(application) == 0
    assert await storm_units.halves(steady) == []
    pooled = opened.alive()
    assert len(pooled) <= pool_of(engine).checkedin()  # records without a connection count, too
    for adapted in pooled:
        assert adapted._transaction is None
        await check_flag(adapted, view)
    bound = asyncio.Semaphore(CHECKOUTS)
    answers = asyncio.gather(*(answer(engine, bound, number) for number in range(CHECKOUTS)))
    assert await storm.patience.wait({answers}, CHECKOUTS_SECONDS), "a checkout hangs"
    await answers
    assert pool_of(engine).checkedout() == 0
    await engine.dispose()
    assert await view.gone(application) == []
    assert not storm.unhandled, "\n".join(storm.unhandled)


async def answer(engine: AsyncEngine, bound: asyncio.Semaphore, number: int) -> None:
    """Ask something, on a busy machine with a command_timeout more than once."""
    async with bound:
        for left in reversed(range(ANSWER_TRIES)):
            try:
                async with engine.connect() as connection:
                    assert await connection.scalar(sa.select(sa.literal(number))) == number
                    await asyncio.sleep(0.001)
                return
            except (TimeoutError, asyncio.TimeoutError):
                if not left:
                    raise


async def storm(dialect: Dialect, options: dict[str, Any], arguments: dict[str, Any]) -> None:
    """Run the storm on an engine of this test, and check what it left."""
    application = f"{own('cancel_storm')}_{next(_storms)}"  # what one leaves is not another's
    settings = {"application_name": application}
    engine = dialect.engine(
        pool_size=POOL,
        max_overflow=0,
        pool_timeout=POOL_SECONDS,
        connect_args={"server_settings": settings, **arguments},
        **options,
    )
    steady = dialect.engine()
    await storm_units.create(steady)
    opened = Connections(engine)
    # the built-in dialect hangs in a large executemany: test_poisoned_connections.py
    works = LARGE_TOO if dialect.ours else MIXED
    try:
        async with View.of(dialect.server) as view:
            async with Patience.of(dialect.server) as patience:
                running = Storm(engine, UNITS, works, patience)
                await running.run()
                print(summary(running.outcomes))
                await check(running, opened, view, steady, application)
    except BaseException:
        opened.terminate()  # locks must not keep the tables from being dropped
        raise
    finally:
        await storm_units.drop(steady)


def serving(request: pytest.FixtureRequest, name: str) -> Dialect:
    """Return the dialect of a variant."""
    fixture = "builtin" if name == "builtin" else "pgflight_dialect"
    dialect: Dialect = request.getfixturevalue(fixture)
    return dialect


@pytest.mark.parametrize("variant", VARIANTS)
def test_2000_units_cancelled_at_random(request: pytest.FixtureRequest, variant: str) -> None:
    name, options, arguments = VARIANTS[variant]
    run(storm(serving(request, name), options, arguments), timeout=STORM_SECONDS)


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop does not exist for Windows")
@pytest.mark.parametrize("name", ["builtin", "pgflight"])
def test_2000_units_in_uvloop(request: pytest.FixtureRequest, name: str) -> None:
    import uvloop

    dialect = serving(request, name)

    async def work() -> None:
        try:
            await storm(dialect, {}, {})
        finally:
            await dialect.close()

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(asyncio.wait_for(work(), STORM_SECONDS))
        assert asyncio.all_tasks(loop) == set()
    finally:
        loop.close()
