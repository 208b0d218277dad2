"""A program whose statements are interrupted as its event loop ends: run by test_kept_connections.

python -X dev -m tests.adversity.interrupted_program URL leftover|timeout|kept
"""

from __future__ import annotations

import asyncio
import gc
import sys

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


async def unit(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(sa.text("SELECT pg_sleep(30)"))


async def main(engine: AsyncEngine, way: str) -> None:
    if way == "leftover":  # asyncio.run() cancels them
        tasks = [asyncio.ensure_future(unit(engine)) for _ in range(3)]
        await asyncio.wait(tasks, timeout=1)
        return
    try:
        await asyncio.wait_for(unit(engine), 1)
    except asyncio.TimeoutError:
        if way == "kept":
            await asyncio.sleep(0.5)


if __name__ == "__main__":
    engine = create_async_engine(sys.argv[1])
    asyncio.run(main(engine, sys.argv[2]))
    gc.collect()
    print("ended")
