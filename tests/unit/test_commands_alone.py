"""Commands sent without BEGIN after a textual COMMIT: it would not help, or be refused."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from pgflight.sqltext.commands import runs_alone
from tests.fixtures.server import Server

ENDS = (
    "COMMIT",
    "commit;",
    " \n; END",
    "Abort",
    "ROLLBACK TO s",
    "RELEASE s",
    "COMMIT PREPARED 'x'",
)
NEVER_IN_BLOCK = (
    "VACUUM",
    "vacuum (analyze) pg_class",
    "DISCARD ALL",
    "ALTER SYSTEM SET work_mem = '4MB'",
    "CREATE DATABASE never_made",
    "drop  database never_made",
    "DROP TABLESPACE never_made",
)
IN_BLOCK = (
    "SELECT 1",
    "BEGIN",
    "SAVEPOINT s",
    "PREPARE s AS SELECT 1",
    "DISCARD PLANS",
    "CREATE TABLE database_of (n int)",
    "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (connect = false)",
    "endless",
    "CALL p()",
    "-- COMMIT\nSELECT 1",
)


@pytest.mark.parametrize("sql", ENDS + NEVER_IN_BLOCK)
def test_runs_alone(sql: str) -> None:
    assert runs_alone(sql)


@pytest.mark.parametrize("sql", IN_BLOCK)
def test_gets_its_begin(sql: str) -> None:
    assert not runs_alone(sql)


@pytest.mark.parametrize("sql", NEVER_IN_BLOCK)
def test_the_server_refuses_it_in_a_transaction(server: Server, sql: str) -> None:
    """So that nothing that could have been rolled back is sent without BEGIN."""

    async def work() -> None:
        connection = await server.connect()
        try:
            await connection.execute("BEGIN")
            with pytest.raises(asyncpg.ActiveSQLTransactionError):
                await connection.fetch(sql)
        finally:
            await connection.close()

    asyncio.run(work())
