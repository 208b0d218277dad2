"""Servers that speak the protocol and are not PostgreSQL: no arrays are sent to them.

The stand-in is PostgreSQL with another server's answer put into the question.
"""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

import pgflight
from pgflight.dialect import AsyncAdapt_asyncpg_cursor, PGDialect_asyncpg, first_connection
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both
from tests.fixtures.tasks import run
from tests.parity.scratch import scratch

YUGABYTE = "PostgreSQL 11.2-YB-2.19.3.0-b0 on x86_64-pc-linux-gnu, compiled by clang 16.0.6, 64-bit"
metadata = sa.MetaData()
table = sa.Table(
    "of_another_server",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("n", sa.Integer),
)


async def work(engine: AsyncEngine) -> Any:
    texts: list[str] = []
    async with scratch(engine, metadata) as connection:
        given = [{"n": n} for n in range(25)]
        await connection.execute(table.insert(), given)
        await connection.execute(table.insert().returning(table.c.id), given)
        event.listen(
            engine.sync_engine, "before_cursor_execute", lambda *seen: texts.append(seen[2])
        )
        found = sa.select(table).where(table.c.n.in_(range(20)))
        return [(await connection.execute(found)).all(), texts]


@pytest.mark.parametrize("asked", ["at once", "one by one"])
def test_another_server(both: Both, asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = first_connection.QUESTION.replace("pg_catalog.version()", f"'{YUGABYTE}'::text")
    question = at_once if asked == "at once" else "SELECT no_such_function()"
    monkeypatch.setattr(first_connection, "QUESTION", question)
    execute = AsyncAdapt_asyncpg_cursor.execute

    def answered(cursor: Any, text: str, parameters: Any = None) -> None:
        execute(
            cursor, text.replace("select pg_catalog.version()", f"SELECT '{YUGABYTE}'"), parameters
        )

    monkeypatch.setattr(AsyncAdapt_asyncpg_cursor, "execute", answered)

    async def served(engine: AsyncEngine) -> Any:
        found, texts = await work(engine)
        if isinstance(engine.dialect, PGDialect_asyncpg):
            counted = pgflight.stats(engine)
            assert counted.array_inserts == 0
            assert counted.array_fallbacks == {"a server that is not PostgreSQL": 2}
            assert "ANY" not in texts[0]
        return found

    both(served)


def test_a_dialect_of_another_name(pgflight_dialect: Dialect) -> None:
    async def derived() -> None:
        engine = pgflight_dialect.engine()
        engine.dialect.name = "newsql"
        await work(engine)
        assert pgflight.stats(engine).array_inserts == 0

    run(derived())


def test_postgresql(pgflight_dialect: Dialect) -> None:
    async def itself() -> None:
        engine = pgflight_dialect.engine()
        [_, texts] = await work(engine)
        assert pgflight.stats(engine).array_inserts == 2
        assert "ANY" in texts[0]

    run(itself())
