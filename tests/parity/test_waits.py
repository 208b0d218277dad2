"""How often a unit of work waits for the server, on both dialects and in each mode of ours.

Counted twice by other means: with all answers held back until nothing else is left to do, and by
the time that the unit takes where a round trip is far longer than the work.
"""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from pgflight import driver
from tests.fixtures.engines import Dialect
from tests.fixtures.waits import Waits
from tests.parity.units_of_work import OTHERS, TABLE, Unit, warm

UNITS = TABLE + OTHERS
WITHOUT_PRIVATE_NAMES = driver.capabilities().level == "public"
ASKS_FOR_TYPES = asyncpg.__version__.startswith("0.30.")
"""This asyncpg asks the server for the types of codecs; ours closes what is left of that later."""
MODES = ("auto", "begin", "off")
ROUND_TRIP = 0.3  # long, beside what a busy machine takes for the rest
"""Seconds: so long that the work itself does not count."""
GATHERED = 0.005
"""Seconds after which a burst of bytes is taken to be over."""
ROW_1 = TABLE[0]
IN_A_ROW = 20
MOST_IN_A_ROW = 25
"""Four ends are absorbed in a row, then one is collected: 1.25 round trips per unit."""

each_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name.replace(" ", "-"))
each_mode = pytest.mark.parametrize("pipeline", MODES)


def effective(pipeline: str) -> str:
    """Return the mode that a connection is in when `pipeline` is asked for."""
    return "off" if WITHOUT_PRIVATE_NAMES else pipeline


async def of_connecting(dialect: Dialect, waits: Waits) -> int:
    """Return what a physical connection costs beyond the two waits of a trusting server.

    A password does, and asyncpg 0.30, which asks for the types of the codecs that both dialects
    register and closes what it has prepared for that in front of the next statement.
    """
    url = dialect.server.url()

    async def connect() -> None:
        connection = await asyncpg.connect(
            host=waits.proxy.host, port=waits.proxy.port, user=url.username,
            password=url.password, database=url.database, ssl=False,
        )  # fmt: skip
        if ASKS_FOR_TYPES:
            for name in ("json", "jsonb"):
                await connection.set_type_codec(
                    name, schema="pg_catalog", encoder=str, decoder=str, format="binary"
                )
        await connection.fetchval("SELECT 1")
        await connection.close()

    return await waits.of(connect) - 4


async def check(dialect: Dialect, waits: Waits, unit: Unit, pipeline: str) -> None:
    allowed = unit.waits(dialect, effective(pipeline))
    async with warm(dialect, waits, unit, pipeline=pipeline) as work:
        counts = {await waits.of(work) for _ in range(3)}
    if unit.connects:
        allowed += await of_connecting(dialect, waits)
    if dialect.ours and (unit.at_most or (unit.connects and ASKS_FOR_TYPES)):
        assert max(counts) <= allowed
    else:
        assert counts == {allowed}


@each_unit
def test_the_built_in_dialect_waits_as_often_as_the_table_says(
    builtin: Dialect, waits: Waits, unit: Unit
) -> None:
    """Proves that the counting is right."""
    asyncio.run(check(builtin, waits, unit, "off"))


@each_mode
@each_unit
def test_ours_waits_no_more_than_the_table_says(
    pgflight_dialect: Dialect, waits: Waits, unit: Unit, pipeline: str
) -> None:
    asyncio.run(check(pgflight_dialect, waits, unit, pipeline))


each_row = pytest.mark.parametrize("unit", TABLE, ids=lambda unit: unit.name.replace(" ", "-"))


@each_row
def test_the_bursts_of_a_unit(dialect: Dialect, waits: Waits, unit: Unit) -> None:
    """How often the client sends after it has heard something; an end that nobody awaits may."""

    async def work() -> None:
        count = unit.waits(dialect, effective("auto"))
        if unit.connects:
            count += await of_connecting(dialect, waits)
        ours = {"pipeline": "auto"} if dialect.ours else {}
        async with warm(dialect, waits, unit, **ours) as run:
            waits.proxy.settle = GATHERED
            with waits.proxy.counting() as trips:
                await run()
                await waits.settled()
        if dialect.ours:
            assert trips.count <= count + (not WITHOUT_PRIVATE_NAMES)
        else:
            assert trips.count == count

    asyncio.run(work())


@each_row
def test_the_time_of_a_unit_is_that_of_its_waits(
    dialect: Dialect, waits: Waits, unit: Unit
) -> None:
    async def work() -> None:
        count = unit.waits(dialect, effective("auto"))
        if unit.connects:
            count += await of_connecting(dialect, waits)
        ours = {"pipeline": "auto"} if dialect.ours else {}
        # what connecting takes may differ by one from one time to the next
        allowed = (count + bool(unit.connects) + 0.9) * ROUND_TRIP
        async with warm(dialect, waits, unit, **ours) as run:
            seconds = await waits.seconds(run, ROUND_TRIP / 2, allowed)
        assert seconds < allowed
        assert unit.at_most or unit.connects or seconds >= count * ROUND_TRIP

    asyncio.run(work())


def test_units_in_a_row_on_one_connection(pgflight_dialect: Dialect, waits: Waits) -> None:
    """No pause in between: the next unit's first flight carries the end of the one before."""

    async def work() -> None:
        async with warm(pgflight_dialect, waits, ROW_1, pipeline="auto") as run:

            async def units() -> None:
                for _ in range(IN_A_ROW):
                    await run()

            allowed = 3 * IN_A_ROW if WITHOUT_PRIVATE_NAMES else MOST_IN_A_ROW
            assert IN_A_ROW <= await waits.of(units) <= allowed
            waits.proxy.latency = ROUND_TRIP / 2
            with waits.proxy.counting() as trips:
                await units()
                await waits.settled()
            waits.proxy.latency = 0.0
            assert trips.count <= allowed + 1  # the last end's own

    asyncio.run(work())


def test_a_counted_unit_returns_what_it_should(dialect: Dialect, waits: Waits) -> None:
    async def work() -> None:
        async with warm(dialect, waits, ROW_1) as run:
            assert await run() == "first"
            found: list[object] = []

            async def keep() -> None:
                found.append(await run())

            assert await waits.of(keep) > 0
            assert found == ["first"]

    asyncio.run(work())
