"""Asking a server for nothing in particular: whether it answers, and how long that takes."""

from __future__ import annotations

import asyncio
import time

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from pgflight.cli.target import one_line

_ONE = text("SELECT 1")


async def refusal(engine: AsyncEngine, seconds: float) -> str:
    """Ask the server for one, dispose of the engine, and return why there was no answer, or "".

    A driver may raise anything for an address, a password, a TLS file or an option.
    """

    async def asked() -> None:
        async with engine.connect() as connection:
            await connection.execute(_ONE)

    try:
        await asyncio.wait_for(asked(), seconds)
    except asyncio.TimeoutError as error:
        return one_line(error) if error.args else f"no answer within {seconds:g} s"
    except Exception as error:
        return one_line(error)
    finally:
        await engine.dispose()
    return ""


async def round_trips(engine: AsyncEngine, times: int, seconds: float) -> list[float]:
    """Return the seconds that statements in AUTOCOMMIT took, each of which is one wait.

    So many, or as many as are asked in `seconds`; one at least.
    """
    taken: list[float] = []
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(_ONE)  # prepares it
        end = time.perf_counter() + seconds
        while not taken or (len(taken) < times and time.perf_counter() < end):
            before = time.perf_counter()
            await connection.execute(_ONE)
            taken.append(time.perf_counter() - before)
    return taken
