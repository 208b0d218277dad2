"""The DBAPI cursor that a program opens itself, and what else it finds behind SQLAlchemy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.fixtures.outcome import Both, Failure

SERIES = "SELECT n, n::text AS t FROM generate_series(1, 7) AS n"
Face = Callable[[Any], Any]


def _caught(call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except Exception as error:
        return Failure.of(error)


def _fetching(raw: Any) -> Any:
    cursor = raw.cursor()
    found = [cursor.description, cursor.rowcount, cursor.arraysize, cursor.fetchone()]
    cursor.execute(SERIES)
    found += [cursor.description, cursor.rowcount, cursor.fetchone(), cursor.fetchmany(2)]
    found += [cursor.fetchmany(), cursor.arraysize]
    cursor.arraysize = 2
    found += [cursor.fetchmany(), cursor.fetchall(), cursor.fetchall(), cursor.fetchone()]
    found.append(cursor.fetchmany(3))
    cursor.close()
    return [*found, cursor.fetchall(), cursor.rowcount]


def _iterating(raw: Any) -> Any:
    cursor = raw.cursor()
    cursor.execute(SERIES)
    found = [list(cursor), list(cursor)]
    cursor.execute(SERIES)
    found += [next(iter(cursor)), next(iter(cursor)), cursor.fetchall()]
    return found


def _parameters(raw: Any) -> Any:
    cursor = raw.cursor()
    cursor.execute("SELECT $1::int + 1 AS a, $2::text AS b", (1, "x"))
    found = [cursor.fetchall()]
    cursor.execute("SELECT $1::int", [None])
    found.append(cursor.fetchall())
    for wrong in ((), (1, 2), ("x",), None):
        found.append(_caught(cursor.execute, "SELECT $1::int", wrong))
        raw.rollback()
    return found


def _many(raw: Any) -> Any:
    cursor = raw.cursor()
    cursor.execute("CREATE TEMPORARY TABLE t_of_faces (n int PRIMARY KEY, t text) ON COMMIT DROP")
    found = [cursor.description, cursor.rowcount, cursor.fetchall()]
    result = cursor.executemany("INSERT INTO t_of_faces VALUES ($1, $2)", [(1, "a"), (2, None)])
    found += [result, cursor.description]  # its row count: test_row_counts_of_many.py
    cursor.execute("SELECT * FROM t_of_faces ORDER BY n")
    found += [cursor.fetchall(), cursor.rowcount]
    cursor.execute("UPDATE t_of_faces SET t = 'z' RETURNING n")
    found += [cursor.rowcount, cursor.fetchall()]
    found.append(_caught(cursor.executemany, "INSERT INTO t_of_faces VALUES ($1, $2)", [(1, "a")]))
    raw.rollback()
    return [*found, _caught(cursor.executemany, "SELECT 1", [])]


def _server_side(raw: Any) -> Any:
    cursor = raw.cursor(server_side=True)
    cursor.execute(SERIES)
    found = [cursor.description, cursor.rowcount, cursor.fetchone(), cursor.fetchmany(2)]
    found += [cursor.fetchall(), cursor.fetchone(), cursor.fetchmany(2)]
    cursor.close()
    cursor = raw.cursor(server_side=True)
    cursor.execute("SELECT n FROM generate_series(1, 120) AS n")
    found += [cursor.fetchmany(60), cursor.fetchmany(), cursor.fetchall()]
    cursor.close()
    return found


def _connection(raw: Any) -> Any:
    adapted = raw.dbapi_connection
    found: list[Any] = [adapted.autocommit, adapted.isolation_level, adapted.readonly]
    found += [type(raw.driver_connection).__name__, adapted.deferrable]
    cursor = adapted.cursor()
    cursor.execute("SELECT 1 AS one")
    found += [cursor.fetchall(), adapted.ping()]
    adapted.rollback()
    adapted.autocommit = True
    found += [adapted.autocommit, adapted.isolation_level, adapted.ping()]
    adapted.autocommit = False
    found.append(adapted.run_async(lambda connection: connection.fetchval("SELECT 5")))
    found += [adapted.autocommit, adapted.isolation_level, adapted.commit(), adapted.rollback()]
    return found


def _errors(raw: Any) -> Any:
    cursor = raw.cursor()
    found = []
    for sql in (
        "SELECT 1/0",
        "SELEC",
        "SELECT * FROM nowhere",
        "SELECT 'x'::int",
        "SELECT 1; SELECT 2",
    ):
        found.append(_caught(cursor.execute, sql))
        raw.rollback()
    found.append(_caught(cursor.setinputsizes, 1))
    return found


FACES = (_fetching, _iterating, _parameters, _many, _server_side, _connection, _errors)


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__.strip("_"))
def test_raw_cursor(both: Both, face: Face) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            found = await connection.run_sync(lambda sync: face(sync.connection))
            await connection.rollback()
            return found

    both(work)


def test_raw_connection_of_the_engine(both: Both) -> None:
    async def work(engine: AsyncEngine) -> Any:
        raw = await engine.raw_connection()
        driver: Any = raw.driver_connection
        found = [await driver.fetchval("SELECT 42"), await driver.fetch(SERIES)]
        dialect: Any = engine.dialect
        dbapi = dialect.loaded_dbapi
        found += [dialect.name, dialect.driver, dialect.is_async, dbapi.paramstyle]
        found += [dialect.server_version_info, dialect.default_schema_name]
        found += [dialect.supports_sane_rowcount, dialect.insert_returning]
        found += [dialect.use_insertmanyvalues, dialect.supports_statement_cache]
        raw.close()
        async with engine.connect() as connection:
            again = await connection.get_raw_connection()
            found.append(type(again.driver_connection).__name__)
        return found

    both(work)


@pytest.mark.parametrize("error", ["IntegrityError", "ProgrammingError", "InterfaceError"])
def test_driver_errors_behind_dbapi_errors(both: Both, error: str) -> None:
    statements = {
        "IntegrityError": "INSERT INTO t_of_errors VALUES (1), (1)",
        "ProgrammingError": "SELECT * FROM nowhere",
        "InterfaceError": "SELECT $1::int",
    }

    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            await connection.execute(sa.text("CREATE TEMPORARY TABLE t_of_errors (n int UNIQUE)"))
            with pytest.raises(getattr(sa.exc, error)) as caught:
                await connection.exec_driver_sql(statements[error])
            original: Any = caught.value.orig
            assert isinstance(original, getattr(engine.dialect.loaded_dbapi, error))
            found = [type(original.__cause__).__name__, original.pgcode, original.sqlstate]
            return [*found, str(original.__cause__), Failure.of(caught.value)]

    both(work)
