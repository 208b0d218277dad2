"""Tables for the length of a test: rolled back, or created and dropped where a test commits."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.fixtures.outcome import attempt


def own(name: str) -> str:
    """Return `name` for a table that only this process uses: workers may share a database."""
    return f"{name}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"


@asynccontextmanager
async def scratch(
    engine: AsyncEngine, metadata: MetaData | None = None, *before: str
) -> AsyncIterator[AsyncConnection]:
    """Yield a connection with the tables of `metadata`, all in a transaction that is rolled back.

    `before`: SQL that runs first. No other test sees anything of it.
    """
    async with engine.connect() as connection:
        for statement in before:
            await connection.execute(text(statement))
        if metadata is not None:
            await connection.run_sync(metadata.create_all, checkfirst=False)
        yield connection
        await connection.rollback()


@asynccontextmanager
async def committed(engine: AsyncEngine, metadata: MetaData) -> AsyncIterator[None]:
    """Create the tables of `metadata` for every connection; drop them at the end.

    Their names must be those of one test module alone, and made with `own()`.
    """
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.run_sync(metadata.create_all)
    try:
        yield
    finally:
        async with engine.begin() as connection:
            await connection.run_sync(metadata.drop_all)


async def apart(connection: AsyncConnection, work: Callable[[], Awaitable[Any]]) -> Any:
    """Return what `work` returns or its Failure, leaving the transaction usable either way."""

    async def inside() -> Any:
        async with connection.begin_nested():
            return await work()

    return await attempt(inside())
