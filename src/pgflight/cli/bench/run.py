"""One run of `bench`: the schema, the waits, the units of work, in this order."""

from __future__ import annotations

import asyncio
import datetime
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

import pgflight
from pgflight.cli import environment
from pgflight.cli.asking import round_trips
from pgflight.cli.bench.dialects import PGFLIGHT, engine_of, url_for, usable
from pgflight.cli.bench.measuring import Turns
from pgflight.cli.bench.progress import slices
from pgflight.cli.bench.results import Results, Setup
from pgflight.cli.bench.units import AT_ONCE, BULK, SCHEMA, UNITS, fill
from pgflight.cli.bench.waits import waits
from pgflight.cli.own_schema import OwnSchema, made
from pgflight.cli.running import run_to_its_end
from pgflight.cli.target import CommandError, one_line

if TYPE_CHECKING:
    from rich.console import Console
    from sqlalchemy.engine import URL
    from sqlalchemy.ext.asyncio import AsyncEngine

_FILL_SECONDS = 60.0
_ROUND_TRIPS = 100
_SCHEMA = OwnSchema(SCHEMA, "bench", lock=0x70676265)  # an arbitrary number of ours


@dataclass(frozen=True)
class Plan:
    """How long to measure what: `rounds` slices of `seconds` each, on `pool` connections."""

    seconds: float
    rounds: int
    pool: int
    tasks: list[int]
    """How many at once."""


def run(url: URL, plan: Plan, console: Console) -> Results:
    """Measure on the server at `url`.

    Raises CommandError if the server or a dialect does not do as it should, KeyboardInterrupt after
    Ctrl-C or SIGTERM. The schema is dropped in any case.
    """
    try:
        return run_to_its_end(_measured(url, plan, console))
    except (SQLAlchemyError, OSError, asyncio.TimeoutError) as error:
        raise CommandError(f"the server does not answer any more: {one_line(error)}") from error


async def _measured(url: URL, plan: Plan, console: Console) -> Results:
    dialects, refused = await usable(url)
    async with made(_SCHEMA, url_for(url, PGFLIGHT)) as version:
        results = Results(_setup(version, plan), dialects, refused)
        engines = {each: engine_of(url, each, pool_size=plan.pool) for each in dialects}
        try:
            await _filled(engines[PGFLIGHT])
            console.print("Counting waits ...")
            results.waits, results.not_counted = await waits(url, dialects, (*UNITS, *BULK))
            await _time(results, engines, plan, console)
        finally:
            for engine in engines.values():
                await engine.dispose()
    return results


async def _filled(engine: AsyncEngine) -> None:
    try:
        await asyncio.wait_for(fill(engine), _FILL_SECONDS)
    except asyncio.TimeoutError:
        raise CommandError(f"the tables were not made within {_FILL_SECONDS:g} s") from None
    except DBAPIError as error:
        raise CommandError(f"the tables cannot be made: {one_line(error)}") from error


async def _time(
    results: Results, engines: dict[str, AsyncEngine], plan: Plan, console: Console
) -> None:
    each = len(UNITS) + len(BULK) + len(AT_ONCE) * len(plan.tasks)
    trips = await round_trips(engines[PGFLIGHT], _ROUND_TRIPS, plan.seconds)
    results.round_trip = statistics.median(trips)
    with slices(console, each * plan.rounds * len(engines)) as advance:
        turns = Turns(engines, plan.seconds, plan.rounds, advance)
        results.alone = await turns.alone(UNITS)
        results.at_once = await turns.at_once(AT_ONCE, plan.tasks)
        results.bulk = await turns.alone(BULK)
    results.leave_out(turns.out)


def _setup(version: str, plan: Plan) -> Setup:
    return Setup(
        date=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        server=f"PostgreSQL {version}",
        cpu=environment.cpu_name(),
        versions=environment.versions(),
        implementation=pgflight.implementation().name,
        seconds=plan.seconds,
        rounds=plan.rounds,
        pool_size=plan.pool,
    )
