"""Runs the tasks and the faults, and finds out what is left of both."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import random
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from bench.soak.faults import APPLICATION, Faults
from bench.soak.work import WORKS, Told, Unit, WrongValue, create, run_bounded
from tests.fixtures.proxy import Proxy
from tests.fixtures.server import Server

DRIVERS = {"builtin": "postgresql+asyncpg", "ours": "postgresql+pgflight"}
TASKS, POOL, OVERFLOW = 50, 20, 5
SECONDS_BETWEEN = 1.0
SAMPLE_SECONDS = 2.0
UNIT_SECONDS = 60.0
"""A unit that takes longer hangs: no fault lasts for more than a second."""
SETTLE_SECONDS = 30.0
_CANCELLED = "57014"
_BY_THE_PROGRAM = (asyncio.CancelledError, asyncio.TimeoutError, TimeoutError)


@dataclass
class Outcome:
    """What came of a soak."""

    units: int = 0
    done: int = 0
    stopped: int = 0
    """Cancelled or timed out by the program itself."""
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By where and what."""
    avoidable: int = 0
    """Of a unit's first statement, or before it: nothing was lost, and it could be sent again."""
    struck_twice: int = 0
    """The same, where another fault came while the first statement was being sent again."""
    wrong: list[str] = field(default_factory=list)
    hangs: int = 0
    lost: int = 0
    halves: int = 0
    undead: int = 0
    """There although the program was told that they had failed before COMMIT."""
    checked_out: int = 0
    refused_checkouts: int = 0
    sessions: int = 0
    unhandled: Counter[str] = field(default_factory=Counter)
    faults: dict[str, int] = field(default_factory=dict)
    megabytes: list[tuple[float, float]] = field(default_factory=list)
    """Seconds since the beginning, resident memory."""

    @property
    def whole(self) -> bool:
        """Whether every place of the pool serves, and no session is left over."""
        return not self.checked_out and not self.refused_checkouts and self.sessions <= POOL

    def megabytes_a_minute(self) -> float:
        """Return how fast the memory grows in the second half: by the least squares."""
        samples = self.megabytes[len(self.megabytes) // 2 :]
        if len(samples) < 2:
            return 0.0
        mean = [sum(column) / len(samples) for column in zip(*samples, strict=True)]
        spread = sum((at - mean[0]) ** 2 for at, _ in samples)
        return float(60 * sum((at - mean[0]) * (size - mean[1]) for at, size in samples) / spread)


class Soak:
    """One run on one dialect."""

    def __init__(self, driver: str, server: Server, proxy: Proxy, seed: int) -> None:
        self.server, self.proxy, self.seed = server, proxy, seed
        arguments = {"server_settings": {"application_name": APPLICATION}}
        self.engine = create_async_engine(
            proxy.url(driver),
            pool_size=POOL,
            max_overflow=OVERFLOW,
            pool_timeout=UNIT_SECONDS,
            connect_args=arguments,
        )
        self.steady = create_async_engine(server.url(driver))
        self.told, self.outcome = Told(), Outcome()
        self.tasks: set[asyncio.Task[Any]] = set()
        self.chance = random.Random(seed)

    async def run(self, seconds: float) -> Outcome:
        """Work and break things for so long, then look at what is left."""
        asyncio.get_running_loop().set_exception_handler(self._unhandled)
        await create(self.steady)
        admin = await self.server.connect()
        self.faults = faults = Faults(self.proxy, admin, self.tasks, self.seed)
        began = time.monotonic()
        others = [
            asyncio.ensure_future(self._break(faults)),
            asyncio.ensure_future(self._weigh(began)),
        ]
        workers = [self._worker(number, began + seconds) for number in range(TASKS)]
        try:
            await asyncio.gather(*workers)
        finally:
            for task in others:
                task.cancel()
            await asyncio.wait(others)
            await asyncio.to_thread(self.proxy.heal)
        self.outcome.faults = faults.done
        await self._look(admin)
        await admin.close()
        return self.outcome

    def _unhandled(self, _: Any, context: dict[str, Any]) -> None:
        self.outcome.unhandled[f"{context.get('message')}: {context.get('exception')!r:.120}"] += 1

    async def _break(self, faults: Faults) -> None:
        while True:
            began = time.monotonic()
            await faults.one()
            await asyncio.sleep(max(0.0, began + SECONDS_BETWEEN - time.monotonic()))

    async def _weigh(self, began: float) -> None:
        while True:
            gc.collect()
            self.outcome.megabytes.append((time.monotonic() - began, resident()))
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _worker(self, number: int, end: float) -> None:
        while time.monotonic() < end:
            unit, blows = Unit(self.engine, number, self.told), self.faults.blows
            task = asyncio.ensure_future(run_bounded(self.chance.choice(WORKS), unit, self.chance))
            self.tasks.add(task)
            done, _ = await asyncio.wait({task}, timeout=UNIT_SECONDS)
            self.tasks.discard(task)
            self.outcome.units += 1
            if not done:
                self.outcome.hangs += 1
                task.cancel()
            elif task.cancelled():
                unit.failed()
                self.outcome.stopped += 1
            else:
                self._note(unit, task.exception(), self.faults.blows - blows)
            await asyncio.sleep(self.chance.uniform(0, 0.05))

    def _note(self, unit: Unit, error: BaseException | None, blows: int) -> None:
        if error is None:
            self.outcome.done += 1
            return
        unit.failed()
        if isinstance(error, WrongValue):
            self.outcome.wrong.append(str(error))
            return
        original = getattr(error, "orig", None)
        state = getattr(original, "sqlstate", None)
        if isinstance(error, _BY_THE_PROGRAM) and not isinstance(error, DBAPIError):
            self.outcome.stopped += 1
            return
        self.outcome.errors[unit.at, f"{type(error).__name__} {state or ''}".rstrip()] += 1
        if unit.at in ("checkout", "first statement") and state != _CANCELLED:
            self.outcome.avoidable += blows < 3
            self.outcome.struck_twice += blows >= 3

    async def _look(self, admin: Any) -> None:
        """Find out what is left of the units, of the pool and of the sessions."""
        outcome, pool = self.outcome, self.engine.sync_engine.pool
        outcome.lost, outcome.halves, outcome.undead = await self.told.compare(self.steady)
        await settled(lambda: getattr(pool, "checkedout")() == 0)  # noqa: B009
        outcome.checked_out = getattr(pool, "checkedout")()  # noqa: B009
        await asyncio.gather(*(self._checkout(number) for number in range(POOL + OVERFLOW)))
        count = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{APPLICATION}'"
        for _ in range(int(SETTLE_SECONDS)):
            outcome.sessions = await admin.fetchval(count)
            if outcome.sessions <= POOL:
                break
            await asyncio.sleep(1)
        await self.engine.dispose()
        await self.steady.dispose()

    async def _checkout(self, number: int) -> None:
        # the last faults may have struck what lies in the pool: each may be renewed once
        for _ in itertools.repeat(None, 2):
            try:
                async with self.engine.connect() as connection:
                    if await connection.scalar(sa.select(sa.literal(number))) != number:
                        self.outcome.wrong.append("the answer to another question")
                    await asyncio.sleep(0.5)
                return
            except DBAPIError:
                pass
        self.outcome.refused_checkouts += 1


async def settled(condition: Any) -> None:
    """Wait until a condition holds, for a while."""
    end = time.monotonic() + SETTLE_SECONDS
    while not condition() and time.monotonic() < end:
        await asyncio.sleep(0.05)


def resident() -> float:
    """Return the resident memory of this process in megabytes, 0 where /proc does not tell it."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return 0.0


def soak(dialect: str, server: Server, seconds: float, seed: int = 1) -> Outcome:
    """Run a soak of `dialect`, a key of DRIVERS, in a loop of its own; return what came of it."""
    warnings.simplefilter("ignore")
    proxy = Proxy(server, settle=0)
    proxy.start()
    try:
        return asyncio.run(Soak(DRIVERS[dialect], server, proxy, seed).run(seconds))
    finally:
        proxy.stop()
