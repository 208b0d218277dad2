"""Isolation levels, wherever they are set, and what the server makes of them."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.fixtures.outcome import Both, attempt, refused
from tests.parity.test_transactions import shown

LEVELS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")


async def isolation(connection: AsyncConnection) -> list[Any]:
    """Return the level as the server and as SQLAlchemy sees it."""
    state = await shown(connection, "transaction_isolation", "transaction_read_only")
    current = await connection.get_isolation_level()
    return [*state, current, connection.sync_connection.default_isolation_level]  # type: ignore[union-attr]


@pytest.mark.parametrize("level", [*LEVELS, "AUTOCOMMIT"])
def test_isolation_level(both: Both, level: str) -> None:
    async def on_engine(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            first = await isolation(connection)
        async with engine.connect() as connection:
            return [first, await isolation(connection)]

    async def on_connection(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level=level)
            seen = [await isolation(connection)]
            await connection.rollback()
            seen.append(await isolation(connection))
        async with engine.connect() as connection:
            return [seen, await isolation(connection)]

    async def on_engine_option(engine: AsyncEngine) -> Any:
        async with engine.execution_options(isolation_level=level).connect() as connection:
            return await isolation(connection)

    async def within_a_transaction(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            await connection.execute(sa.select(sa.literal(1)))
            late = await refused(attempt_options(connection, isolation_level=level))
            return [late, await isolation(connection)]

    assert both(on_engine, isolation_level=level)[0][2] in (level, "READ COMMITTED")
    for body in (on_connection, on_engine_option, within_a_transaction):
        both(body)


async def attempt_options(connection: AsyncConnection, **options: Any) -> None:
    """Set execution options; a coroutine, so that the error comes when it is awaited."""
    await connection.execution_options(**options)


@pytest.mark.parametrize("level", ["NO SUCH LEVEL", "read committed", "READ_COMMITTED"])
def test_unknown_or_oddly_written_level(both: Both, level: str) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level=level)
            return await isolation(connection)

    async def outcome(engine: AsyncEngine) -> Any:
        found = await attempt(work(engine))
        # The built-in dialect's list of levels lacks one that ours has.
        text = getattr(found, "text", None)
        return found if text is None else [type(found).__name__, text.split(" are ")[0]]

    both(outcome)


def test_read_uncommitted_is_accepted_by_ours_alone(both: Both) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="READ UNCOMMITTED")
            return await shown(connection, "transaction_isolation")

    async def guarded(engine: AsyncEngine) -> Any:
        return await attempt(work(engine))

    assert both.run(both.builtin, guarded).kind == "ArgumentError"
    assert both.run(both.ours, guarded) == ["read uncommitted"]
    assert both.run(both.ours, work, isolation_level="READ UNCOMMITTED") == ["read uncommitted"]
