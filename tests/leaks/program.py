"""The process that `test_leaks.py` starts: do units of work, print a snapshot now and then.

Prints one JSON object per line: first who serves, then the snapshots, the first after warm-up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict

from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

import pgflight
from tests.leaks.measure import snapshot
from tests.leaks.units import clean_up, perform, prepare

APPLICATION = "pgflight-leaks"
CONCURRENCY = 5
POOL_SIZE = 5
# Small, so that the caches are full at every snapshot and their filling is no growth.
STATEMENT_CACHE = 8

_kept: list[object] = []
_TO_MALLOC = 2_000  # bytes; Python asks malloc() for what is larger than 512


async def main(options: argparse.Namespace) -> None:
    """Warm up with a part of the units, then take a snapshot after each of the other parts."""
    pgflight.install()
    url = make_url(options.url)
    connect_args = {
        "server_settings": {"application_name": APPLICATION},
        "prepared_statement_cache_size": STATEMENT_CACHE,
        "statement_cache_size": STATEMENT_CACHE,
    }

    def engine() -> AsyncEngine:
        return create_async_engine(
            url, pool_size=POOL_SIZE, max_overflow=0, connect_args=connect_args
        )

    serving = engine()
    show(
        dialect=type(serving.dialect).__module__,
        implementation=pgflight.implementation().name,
    )
    await prepare(serving)
    rounds = {"units": in_one_engine, "engines": in_many_engines}[options.kind]
    part = options.count // options.parts
    for number in range(options.parts + 1):
        await rounds(engine, serving, number * part, part, options.leak)
        show(**asdict(await snapshot(serving, APPLICATION)))
    await clean_up(serving)
    await serving.dispose()


MakeEngine = Callable[[], AsyncEngine]


async def in_one_engine(
    make: MakeEngine, engine: AsyncEngine, first: int, count: int, leak: bool
) -> None:
    """Do `count` units of work in one engine, some of them at a time."""
    numbers = iter(range(first + 1, first + count + 1))

    async def worker() -> None:
        for number in numbers:
            await perform(engine, number)
            if leak:
                keep(str(number) * 10)

    await gather(worker)


async def in_many_engines(
    make: MakeEngine, engine: AsyncEngine, first: int, count: int, leak: bool
) -> None:
    """Do `count` units of work, each in an engine that is made and disposed for it."""
    for number in range(first + 1, first + count + 1):
        own = make()
        await perform(own, number)
        await own.dispose()
        if leak:
            keep(own)


def keep(left: object) -> None:
    """Leak what a unit of work leaves, and memory of malloc()'s beside it."""
    _kept.extend((left, bytes(_TO_MALLOC)))


async def gather(worker: Callable[[], Awaitable[None]]) -> None:
    """Run as many workers as the pool has connections."""
    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))


def show(**line: object) -> None:
    """Print one line of JSON."""
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("kind", choices=["units", "engines"])
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--parts", type=int, default=4)
    parser.add_argument("--leak", action="store_true")
    asyncio.run(main(parser.parse_args()))
