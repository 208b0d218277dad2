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
from pgflight.dialect import PGDialect_asyncpg, first_connection
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
def test_another_server(
    both: Both, asked: str, monkeypatch: pytest.MonkeyPatch, pgflight_dialect: Dialect
) -> None:
    literal = "'" + YUGABYTE + "'"
    question = first_connection.QUESTION.replace("pg_catalog.version()", literal + "::text")
    if asked == "at once":
        monkeypatch.setattr(first_connection, "QUESTION", question)
    else:
        # the one statement fails; SQLAlchemy's own is rewritten on its way
        monkeypatch.setattr(first_connection, "QUESTION", "SELECT no_such_function()")

    async def served(engine: AsyncEngine) -> Any:
        if asked == "one by one":

            def rewritten(conn: Any, cursor: Any, text: str, given: Any, *rest: Any) -> Any:
                return text.replace("select pg_catalog.version()", f"SELECT {literal}"), given

            event.listen(engine.sync_engine, "before_cursor_execute", rewritten, retval=True)
        found = await work(engine)
        if isinstance(engine.dialect, PGDialect_asyncpg):
            assert pgflight.stats(engine).array_inserts == 0
            reasons = pgflight.stats(engine).array_fallbacks
            assert reasons == {"a server that is not PostgreSQL": 2}
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
