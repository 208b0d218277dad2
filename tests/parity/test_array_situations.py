"""INSERTs of many rows into tables whose triggers, policies or functions look at the table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import registry

import pgflight
from pgflight.bulk.array_changes import BulkDialect
from tests.fixtures.outcome import Both, Failure, attempt
from tests.fixtures.scale import scaled
from tests.parity.scratch import apart, own
from tests.parity.situations import SITUATIONS, make, rows_of

target = sa.Table(
    "target",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("n", sa.Integer),
    sa.Column("up", sa.Integer),
)


class Target:
    """A row, for the ORM."""

    def __init__(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self, name, value)


registry().map_imperatively(Target, target)


async def send(connection: AsyncConnection, rows: list[dict[str, Any]], style: str) -> None:
    if style == "core":
        await connection.execute(target.insert(), rows)
        return
    async with AsyncSession(connection, join_transaction_mode="rollback_only") as session:
        session.add_all([Target(**row) for row in rows])
        await session.flush()
        await session.commit()


READ = (
    "SELECT id, n, up, to_jsonb(target) ->> 'seen' FROM target ORDER BY id",
    "SELECT count(DISTINCT to_jsonb(target) ->> 'at') > 1 FROM target",
    "SELECT to_jsonb(target) - '{made,late,u,today,at}'::text[] FROM target ORDER BY id",
)


async def contents(connection: AsyncConnection) -> Any:
    found = [(await connection.execute(sa.text(read))).all() for read in READ]
    if await connection.scalar(sa.text("SELECT to_regclass('log') IS NOT NULL")):
        found.append((await connection.execute(sa.text("SELECT what FROM log"))).all())
    return found


@pytest.mark.parametrize(
    ("style", "number", "auto"),
    [
        ("core", 5, False),
        ("core", 25, False),
        ("core", scaled(1500, least=1100), False),  # more than a page of 1,000
        ("orm", 25, False),
        ("core", 25, True),
    ],
)
@pytest.mark.parametrize("name", SITUATIONS)
def test_the_rows_are_those_of_single_inserts(
    both: Both, name: str, style: str, number: int, auto: bool
) -> None:
    situation = SITUATIONS[name]
    schema = own("situations")

    async def work(engine: AsyncEngine) -> Any:
        options: Any = {"isolation_level": "AUTOCOMMIT"} if auto else {}
        async with engine.connect() as connection:
            connection = await connection.execution_options(**options)
            await make(connection, schema, situation.ddl)
            rows = rows_of(situation, number)
            if auto:
                answers = [shown(await attempt(send(connection, rows, style)))]
            else:
                answers = [shown(await apart(connection, lambda: send(connection, rows, style)))]
                if not any(answers):
                    await connection.execute(sa.text("SET CONSTRAINTS ALL IMMEDIATE"))
            await connection.execute(sa.text("RESET ROLE"))
            answers.append(await contents(connection))
            await connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))
            await connection.rollback()
        if isinstance(engine.dialect, BulkDialect) and number >= 20:
            counted = pgflight.stats(engine)
            if situation.reason is None:
                assert set(counted.array_fallbacks) == set()
            else:
                assert counted.array_fallbacks == {situation.reason: 1}
        return answers

    both(work)


def shown(answer: Any) -> Any:
    """Return an outcome; parameters are a list, and one of our own classes with pgflight."""
    if isinstance(answer, Failure):
        given = answer.params[1] if isinstance(answer.params, tuple) else answer.params
        return replace(answer, params=len(given))
    return answer
