"""Run the workload on both dialects in turn, time and count it, and compare the results.

`demo` calls compare(). Every pass has an engine of its own, because each pass begins and ends with
an empty schema: a statement prepared in one would refer to tables that the other has dropped.
"""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Sequence
from typing import Protocol

from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pgflight.cli.demo import model
from pgflight.cli.demo.core_steps import POOL_SIZE
from pgflight.cli.demo.dataset import Dataset
from pgflight.cli.demo.outcome import digest
from pgflight.cli.demo.report import BUILTIN, PGFLIGHT, SIDES, Measurement
from pgflight.cli.demo.workload import Step
from pgflight.cli.environment import is_ours
from pgflight.cli.own_schema import OwnSchema, made
from pgflight.cli.server.counted import counted, through
from pgflight.cli.server.round_trips import RoundTripProxy
from pgflight.cli.target import BUILTIN_DRIVER, OUR_DRIVER, CommandError, one_line

_DRIVERS = {BUILTIN: BUILTIN_DRIVER, PGFLIGHT: OUR_DRIVER}
_LABELS = {BUILTIN: "the built-in dialect", PGFLIGHT: "pgflight"}
SCHEMA = OwnSchema(model.SCHEMA, "demo", lock=0x66617374)


class Disagreement(Exception):
    """A step failed, or returned something else than on the built-in dialect."""


class Listener(Protocol):
    """Receives the progress of the comparison."""

    def begin(self, what: str) -> None: ...
    def advance(self, step: str) -> None: ...


@dataclasses.dataclass
class Plan:
    """What to run, and its results so far."""

    data: Dataset
    rounds: int
    steps: Sequence[Step]
    measured: list[Measurement] = dataclasses.field(default_factory=list)
    digests: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def passes(self) -> int:
        """Number of times that the whole workload runs."""
        return len(SIDES) * (1 + self.rounds)


async def compare(url: URL, plan: Plan, listener: Listener) -> tuple[str, str]:
    """Run `plan` on the server at `url`, filling in its `measured` and `digests`.

    Returns the server's version and the reason why round trips could not be counted ("" if they
    were). Raises Disagreement naming step and dialect; CommandError if the server is unusable.
    """
    async with made(SCHEMA, url) as version:
        plan.measured[:] = [Measurement(step.name, 0) for step in plan.steps]
        async with counted(url) as (proxy, not_counted):
            for side in SIDES:
                listener.begin(f"{side}: " + ("warming up" if proxy is None else "counting"))
                target = url if proxy is None else through(url, proxy)
                await _run_pass(target, side, plan, listener, proxy=proxy, timed=False)
        for number in range(plan.rounds):
            # The order alternates, so that neither side always runs on the warmer machine.
            for side in SIDES if number % 2 == 0 else reversed(SIDES):
                listener.begin(f"{side}: round {number + 1} of {plan.rounds}")
                await _run_pass(url, side, plan, listener, proxy=None, timed=True)
    return version, not_counted


async def _run_pass(
    url: URL,
    side: str,
    plan: Plan,
    listener: Listener,
    *,
    proxy: RoundTripProxy | None,
    timed: bool,
) -> None:
    engine = _engine(url, side)
    gc.collect()
    try:
        for step, measured in zip(plan.steps, plan.measured, strict=True):
            trips = proxy.trips if proxy else 0
            started, cpu = time.perf_counter(), time.process_time()
            try:
                outcome = await step.run(engine, plan.data)
            except Exception as error:
                raise Disagreement(
                    f"step {step.name!r} failed on {_LABELS[side]}: {one_line(error)}"
                ) from error
            seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
            measured.rows = outcome.rows
            if timed:
                measured.seconds[side].append(seconds)
                measured.cpu_seconds[side].append(cpu)
            if proxy:
                measured.round_trips[side] = proxy.trips - trips
            _check(step.name, side, digest(outcome.value), plan)
            listener.advance(step.name)
    finally:
        await engine.dispose()


def _check(step: str, side: str, found: str, plan: Plan) -> None:
    expected = plan.digests.setdefault(step, found)
    if found != expected:
        other = "did before" if side == BUILTIN else f"does on {_LABELS[BUILTIN]}"
        raise Disagreement(
            f"step {step!r} returned on {_LABELS[side]} something else than it {other} "
            f"(digest {found[:12]} instead of {expected[:12]})"
        )


def _engine(url: URL, side: str) -> AsyncEngine:
    engine = create_async_engine(
        url.set(drivername=_DRIVERS[side]), pool_size=POOL_SIZE, max_overflow=0
    )
    served_by = type(engine.dialect).__module__
    # The whole comparison depends on this: two names, two dialects.
    if is_ours(served_by) != (side == PGFLIGHT):
        raise CommandError(f"{_DRIVERS[side]} is served by {served_by}: remove what registers it")
    return engine
