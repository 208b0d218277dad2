"""Time units of work: dialects take turns in short slices, so that a busy moment hits all alike."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from pgflight.cli.bench.dialects import PGFLIGHT
from pgflight.cli.bench.results import Key, Sample
from pgflight.cli.bench.units import Unit
from pgflight.cli.target import CommandError, one_line

Advance = Callable[[str, str], None]
"""Called after each slice, with the unit of work and who did it how."""
_WARM_UP = 5


class Turns:
    """Engines, by dialect, that take turns in slices of `seconds`, `rounds` of each.

    A dialect that fails in a unit is out from then on, and `out` has the reason: the built-in one
    does behind some poolers. Where ours fails, CommandError is raised.
    """

    def __init__(
        self, engines: dict[str, AsyncEngine], seconds: float, rounds: int, advance: Advance
    ) -> None:
        self.out: dict[str, str] = {}
        self._engines = dict(engines)
        self._seconds = seconds
        self._rounds = rounds
        self._advance = advance

    async def alone(self, units: Sequence[Unit]) -> dict[Key, Sample]:
        """Return what each unit took on each dialect, done by one task."""
        found = {(unit.name, dialect): Sample() for unit in units for dialect in self._engines}
        for number in range(self._rounds):
            for unit in units:
                for dialect in self._order(number):
                    await self._slice(dialect, unit, found[unit.name, dialect])
                    self._advance(unit.name, dialect)
        return found

    async def at_once(
        self, units: Sequence[Unit], levels: Sequence[int]
    ) -> dict[Key, dict[int, float]]:
        """Return how many units a second so many tasks do together, the best of the rounds."""
        found: dict[Key, dict[int, float]] = {}
        for number in range(self._rounds):
            for unit in units:
                for tasks in levels:
                    for dialect in self._order(number):
                        rates = found.setdefault((unit.name, dialect), {})
                        rate = await self._rate(dialect, unit, tasks)
                        rates[tasks] = max(rate, rates.get(tasks, 0.0))
                        self._advance(unit.name, f"{tasks} at once, {dialect}")
        return found

    def _order(self, number: int) -> list[str]:
        """Return the dialects in the order of a round: it alternates, as machines warm up."""
        order = list(self._engines)
        return order if number % 2 == 0 else order[::-1]

    async def _slice(self, dialect: str, unit: Unit, sample: Sample) -> None:
        engine = self._engines[dialect]
        try:
            for _ in range(_WARM_UP if not sample.seconds and unit.rows == 1 else 1):
                await unit.run(engine)
            gc.collect()
            end, cpu = time.perf_counter() + self._seconds, time.process_time()
            before = time.perf_counter()
            while True:  # once at least, on a machine that is busy with other things
                await unit.run(engine)
                after = time.perf_counter()
                sample.seconds.append(after - before)
                before = after
                if after >= end:
                    break
            sample.cpu_seconds += time.process_time() - cpu
        except Exception as error:
            self._failed(dialect, unit, error)

    async def _rate(self, dialect: str, unit: Unit, tasks: int) -> float:
        engine = self._engines[dialect]
        count = 0
        end = time.perf_counter() + self._seconds

        async def work() -> None:
            nonlocal count
            while True:
                await unit.run(engine)
                count += 1
                if time.perf_counter() >= end:
                    break

        gc.collect()
        began = time.perf_counter()
        running = [asyncio.ensure_future(work()) for _ in range(tasks)]
        try:
            await asyncio.gather(*running)
        except Exception as error:
            self._failed(dialect, unit, error)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return count / (time.perf_counter() - began)

    def _failed(self, dialect: str, unit: Unit, error: Exception) -> None:
        why = f"the unit of work {unit.name!r} failed on {dialect}: {one_line(error)}"
        if dialect == PGFLIGHT:
            raise CommandError(why) from error
        self.out[dialect] = why
        del self._engines[dialect]
