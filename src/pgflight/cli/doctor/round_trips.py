"""How long the server takes to answer, and what fewer waits are worth at that time.

Measured, not computed: units of work that read, with the options of the URL and with
`pipeline=off`, which waits as often as the built-in dialect does, in turns.
"""

from __future__ import annotations

import statistics
import time

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pgflight.cli.asking import round_trips
from pgflight.cli.doctor.checking import Answer
from pgflight.session.statistics import stats

_TIMES = 20
_SECONDS = 2.0
"""After which a slow server has been asked often enough."""
_READ = text("SELECT 1")


async def _unit(engine: AsyncEngine) -> float:
    """Return the seconds that a unit of work which reads takes, from checkout to return."""
    before = time.perf_counter()
    async with engine.connect() as connection:
        await connection.execute(_READ)
    return time.perf_counter() - before


async def measured(engine: AsyncEngine) -> Answer:
    """Measure a round trip, and a unit of work that reads in both ways."""
    url = engine.url.difference_update_query(["pipeline"])
    waiting = create_async_engine(
        url.update_query_dict({"pipeline": "off"}), pool_size=1, max_overflow=0
    )
    ours: list[float] = []
    theirs: list[float] = []
    try:
        trips = await round_trips(engine, _TIMES, _SECONDS)
        for each in (engine, waiting):
            await _unit(each)  # connects, and prepares
            await _unit(each)
        before = stats(engine).round_trips, stats(waiting).round_trips
        began = time.perf_counter()
        while len(ours) < _TIMES and time.perf_counter() - began < _SECONDS:
            ours.append(await _unit(engine))
            theirs.append(await _unit(waiting))
        after = stats(engine).round_trips, stats(waiting).round_trips
    finally:
        await waiting.dispose()
    trip, one, many = (_milliseconds(times) for times in (trips, ours or trips, theirs or trips))
    units = max(len(ours), 1)
    waits = (after[0] - before[0]) / units, (after[1] - before[1]) / units
    data = {
        "round_trip_ms": trip,
        "unit_ms": one,
        "unit_ms_without_pipeline": many,
        "waits": round(waits[0], 2),
        "waits_without_pipeline": round(waits[1], 2),
        "measurements": units,
    }
    return Answer(_told(trip, one, many, waits), data)


def _milliseconds(times: list[float]) -> float:
    return round(statistics.median(times) * 1000, 3)


def _told(trip: float, one: float, many: float, waits: tuple[float, float]) -> str:
    ours, theirs = (f"{number:.2g} wait{'' if number == 1 else 's'}" for number in waits)
    said = (
        f"{trip:g} ms each (median); a unit of work that reads takes {ours} and {one:g} ms, with"
        f" pipeline=off, which waits as the built-in dialect does, {theirs} and {many:g} ms"
    )
    saved = many - one
    if waits[0] >= waits[1]:
        return f"{said}: nothing is saved here"
    if saved <= 0:
        return f"{said}: the server is too near for that to save time"
    return f"{said}: {saved:.3g} ms less ({saved / many:.0%})"
