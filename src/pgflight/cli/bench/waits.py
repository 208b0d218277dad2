"""Count the round trips of units of work, through a proxy of our own in front of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sqlalchemy.engine import URL

from pgflight.cli.bench.dialects import PGFLIGHT, engine_of, url_for
from pgflight.cli.bench.results import Key
from pgflight.cli.bench.units import Unit
from pgflight.cli.server.counted import counted, through
from pgflight.cli.server.round_trips import RoundTripProxy
from pgflight.cli.target import one_line

_COUNTED = 10
_SETTLED_SECONDS = 0.02
"""After which an answer that nobody waits for has come."""


async def waits(
    url: URL, dialects: Sequence[str], units: Sequence[Unit]
) -> tuple[dict[Key, float], str]:
    """Return the round trips of each unit on each dialect, or the reason why there are none.

    They are those of a warm engine: connected, and the statement used before. A dialect that fails
    has none.
    """
    found: dict[Key, float] = {}
    async with counted(url_for(url, PGFLIGHT)) as (proxy, reason):
        if proxy is None:
            return found, reason
        for dialect in dialects:
            try:
                for unit in units:
                    count = await _of_unit(url, dialect, unit, proxy)
                    found[unit.name, dialect] = count
            except Exception as error:
                if dialect == PGFLIGHT:
                    return {}, f"pgflight does not work through a proxy ({one_line(error)})"
    return found, ""


async def _of_unit(url: URL, dialect: str, unit: Unit, proxy: RoundTripProxy) -> float:
    engine = engine_of(through(url, proxy), dialect)
    # psycopg prepares a statement at its sixth execution, bulk work has one statement or two
    times = _COUNTED if unit.rows <= _COUNTED * 10 else 2
    try:
        for _ in range(times):
            await unit.run(engine)
        await asyncio.sleep(_SETTLED_SECONDS)
        before = proxy.trips
        for _ in range(times):
            await unit.run(engine)
        return (proxy.trips - before) / times  # without an end that nobody waits for
    finally:
        await engine.dispose()
