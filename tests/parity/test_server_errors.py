"""Errors as the server raises them: class, SQLSTATE, fields and text, beside the built-in's."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest
import sqlalchemy.exc
from sqlalchemy import text

from pgflight.dbapi import errors
from tests.fixtures.engines import Dialect
from tests.fixtures.server import Server

SETUP = """
DROP TABLE IF EXISTS err_child, err_parent;
CREATE TABLE err_parent (
    id int PRIMARY KEY, name text NOT NULL, age int CONSTRAINT grown_up CHECK (age >= 18));
CREATE TABLE err_child (id int PRIMARY KEY, parent int REFERENCES err_parent);
INSERT INTO err_parent VALUES (1, 'one', 20)
"""

CASES = [
    ("INSERT INTO err_parent VALUES (1, 'again', 20)", "23505", "IntegrityError"),
    ("INSERT INTO err_parent VALUES (2, NULL, 20)", "23502", "IntegrityError"),
    ("INSERT INTO err_parent VALUES (2, 'two', 2)", "23514", "IntegrityError"),
    ("INSERT INTO err_child VALUES (1, 99)", "23503", "IntegrityError"),
    ("SELECT 1 / 0", "22012", "DataError"),
    ("SELECT 'x'::text::int", "22P02", "DataError"),
    ("SELECT * FROM err_missing", "42P01", "ProgrammingError"),
    ("SELEC 1", "42601", "ProgrammingError"),
    ("SELECT err_missing()", "42883", "ProgrammingError"),
    ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE READ WRITE; SELECT 1", "42601",
     "ProgrammingError"),
    ("ALTER TABLE err_parent ALTER COLUMN age TYPE int USING (SELECT 1)", "0A000",
     "NotSupportedError"),
    ("DO $$ BEGIN RAISE EXCEPTION 'by hand' USING HINT = 'look'; END $$", "P0001",
     "ProgrammingError"),
    ("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$", "40001", "OperationalError"),
    ("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$", "40P01", "OperationalError"),
    ("DO $$ BEGIN RAISE SQLSTATE '53300'; END $$", "53300", "OperationalError"),
    ("DO $$ BEGIN RAISE SQLSTATE 'XX000'; END $$", "XX000", "InternalError"),
]  # fmt: skip


async def failure(dialect: Dialect, statement: str, **options: Any) -> sqlalchemy.exc.DBAPIError:
    engine = dialect.engine(**options)
    async with engine.begin() as connection:
        for part in SETUP.split(";"):
            await connection.exec_driver_sql(part)
    async with engine.connect() as connection:
        with pytest.raises(sqlalchemy.exc.DBAPIError) as caught:
            await connection.exec_driver_sql(statement)
        await connection.rollback()
        assert await connection.scalar(text("SELECT 1")) == 1
    return caught.value


@pytest.mark.parametrize(("statement", "sqlstate", "pep249"), CASES)
def test_class_and_sqlstate(
    builtin: Dialect, pgflight_dialect: Dialect, statement: str, sqlstate: str, pep249: str
) -> None:
    async def work() -> Any:
        return await failure(builtin, statement), await failure(pgflight_dialect, statement)

    theirs, ours = asyncio.run(work())
    assert type(ours).__name__ == pep249
    assert isinstance(ours, type(theirs))
    assert isinstance(ours.orig, type(theirs.orig))
    assert ours.orig.pgcode == ours.orig.sqlstate == theirs.orig.pgcode == sqlstate
    assert ours.orig.args[0].startswith(theirs.orig.args[0])
    assert type(ours.orig.__cause__) is type(theirs.orig.__cause__)
    assert ours.statement == theirs.statement
    assert ours.connection_invalidated is theirs.connection_invalidated is False


def test_fields_and_text_of_a_unique_violation(pgflight_dialect: Dialect) -> None:
    error = asyncio.run(failure(pgflight_dialect, CASES[0][0]))
    orig: Any = error.orig
    assert type(orig) is errors.UniqueViolationError
    assert orig.constraint_name == "err_parent_pkey"
    assert (orig.schema_name, orig.table_name) == ("public", "err_parent")
    assert orig.detail == "Key (id)=(1) already exists."
    assert "DETAIL:  Key (id)=(1) already exists." in str(error)
    assert pickle.loads(pickle.dumps(error)).orig.constraint_name == "err_parent_pkey"


def test_the_column_of_a_not_null_violation(pgflight_dialect: Dialect) -> None:
    orig: Any = asyncio.run(failure(pgflight_dialect, CASES[1][0])).orig
    assert (orig.table_name, orig.column_name) == ("err_parent", "name")


def test_a_hint_is_in_the_text(pgflight_dialect: Dialect) -> None:
    error = asyncio.run(failure(pgflight_dialect, CASES[11][0]))
    assert getattr(error.orig, "hint", None) == "look"
    assert "HINT:  look" in str(error)


def test_a_serialization_failure_is_operational(
    builtin: Dialect, pgflight_dialect: Dialect
) -> None:
    """The one that every retry loop waits for; the built-in dialect raises a bare DBAPIError."""

    async def conflict(dialect: Dialect) -> sqlalchemy.exc.DBAPIError:
        engine = dialect.engine(isolation_level="SERIALIZABLE")
        async with engine.begin() as connection:
            await connection.exec_driver_sql("DROP TABLE IF EXISTS err_counter")
            await connection.exec_driver_sql("CREATE TABLE err_counter (n int)")
            await connection.exec_driver_sql("INSERT INTO err_counter VALUES (0)")
        async with engine.connect() as one, engine.connect() as two:
            for connection in (one, two):
                await connection.exec_driver_sql("SELECT n FROM err_counter")
            await one.exec_driver_sql("UPDATE err_counter SET n = n + 1")
            await one.commit()
            with pytest.raises(sqlalchemy.exc.DBAPIError) as caught:
                await two.exec_driver_sql("UPDATE err_counter SET n = n + 1")
            return caught.value

    async def work() -> Any:
        return await conflict(builtin), await conflict(pgflight_dialect)

    theirs, ours = asyncio.run(work())
    assert type(theirs) is sqlalchemy.exc.DBAPIError
    assert type(ours) is sqlalchemy.exc.OperationalError
    assert {getattr(e.orig, "pgcode", None) for e in (theirs, ours)} == {"40001"}


def test_a_statement_timeout_is_operational(pgflight_dialect: Dialect) -> None:
    options = {"connect_args": {"server_settings": {"statement_timeout": "50"}}}
    error = asyncio.run(failure(pgflight_dialect, "SELECT pg_sleep(10)", **options))
    assert type(error) is sqlalchemy.exc.OperationalError
    assert getattr(error.orig, "pgcode", None) == "57014"
    assert not error.connection_invalidated


def test_a_value_of_the_wrong_type(builtin: Dialect, pgflight_dialect: Dialect) -> None:
    async def refused(dialect: Dialect) -> sqlalchemy.exc.DBAPIError:
        async with dialect.engine().connect() as connection:
            with pytest.raises(sqlalchemy.exc.DBAPIError) as caught:
                await connection.exec_driver_sql("SELECT $1::int", ("one",))
            return caught.value

    async def work() -> Any:
        return await refused(builtin), await refused(pgflight_dialect)

    theirs, ours = asyncio.run(work())
    assert type(ours) is sqlalchemy.exc.DataError  # a bare DBAPIError on the built-in dialect
    assert isinstance(ours, type(theirs))
    assert ours.orig.args == theirs.orig.args
    assert ours.orig.pgcode == theirs.orig.pgcode == "22000"


@pytest.mark.parametrize("wrong", ["password", "database", "port"])
def test_errors_while_connecting(builtin: Dialect, pgflight_dialect: Dialect, wrong: str) -> None:
    changes_by_case: dict[str, dict[str, Any]] = {
        "password": {"password": "not it"},
        "database": {"database": "no_such_database"},
        "port": {"port": 1},
    }
    changes = changes_by_case[wrong]

    async def refused(dialect: Dialect) -> BaseException:
        engine = dialect.engine(dialect.url().set(**changes))
        with pytest.raises(Exception) as caught:
            await engine.connect()
        return caught.value

    async def work() -> Any:
        return await refused(builtin), await refused(pgflight_dialect)

    theirs, ours = asyncio.run(work())
    assert isinstance(ours, type(theirs))
    if isinstance(theirs, sqlalchemy.exc.DBAPIError):
        assert isinstance(ours.orig, type(theirs.orig))
        assert getattr(ours.orig, "pgcode", None) == getattr(theirs.orig, "pgcode", None)


def test_the_server_of_these_tests_is_new_enough(server: Server) -> None:
    assert server.version >= (13, 0)
