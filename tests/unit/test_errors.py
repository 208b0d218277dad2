"""The table from SQLSTATE to PEP 249 class, for every exception that asyncpg has."""

from __future__ import annotations

import pickle
from typing import Any

import asyncpg
import pytest
import sqlalchemy.exc
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi as BuiltinDBAPI

from pgflight.dbapi import errors

POSTGRES_ERRORS = sorted(
    {
        cls
        for cls in vars(asyncpg.exceptions).values()
        if isinstance(cls, type) and issubclass(cls, asyncpg.PostgresError)
    },
    key=lambda cls: cls.__name__,
)
CLIENT_ERRORS = [
    asyncpg.InterfaceError("message"),
    asyncpg.exceptions.DataError("message"),
    asyncpg.InternalClientError("message"),
    asyncpg.exceptions.OutdatedSchemaCacheError("message", schema="s", data_type="t"),
]


def server_error(sqlstate: str, **fields: str) -> asyncpg.PostgresError:
    """Return the exception that asyncpg makes of an ErrorResponse message."""
    codes = {"detail": "D", "hint": "H", "constraint_name": "n", "table_name": "t"}
    codes |= {"column_name": "c", "schema_name": "s", "data_type_name": "d"}
    message = {"C": sqlstate, "M": "it failed", "S": "ERROR"}
    message |= {codes[name]: value for name, value in fields.items()}
    made: asyncpg.PostgresError = asyncpg.PostgresError.new(message)
    return made


def builtin_class(error: BaseException) -> type[Any]:
    """Return the class that the built-in dialect of this SQLAlchemy raises for `error`."""
    dbapi: Any = BuiltinDBAPI(asyncpg)  # type: ignore[no-untyped-call]
    for cls in type(error).__mro__:
        if cls in dbapi._asyncpg_error_translate:
            found: type[Any] = dbapi._asyncpg_error_translate[cls]
            return found
    return type(error)


@pytest.mark.parametrize("cls", POSTGRES_ERRORS, ids=lambda cls: cls.__name__)
def test_every_server_error_is_what_the_builtin_dialect_raises_or_narrower(cls: Any) -> None:
    error = cls("it failed")
    translated = errors.translate(error)
    assert translated is not None
    assert isinstance(translated, builtin_class(error))
    assert isinstance(translated, errors.Error)
    assert translated.pgcode == translated.sqlstate == error.sqlstate
    assert translated.orig is translated.driver_exception is error


@pytest.mark.parametrize("error", CLIENT_ERRORS, ids=lambda error: type(error).__name__)
def test_client_errors(error: Exception) -> None:
    translated = errors.translate(error)
    assert translated is not None
    expected = builtin_class(error)
    if issubclass(expected, BuiltinDBAPI.Error):  # SQLAlchemy 2.0.40 lets some through as they are
        assert isinstance(translated, expected)
    assert "message" in str(translated)


def test_what_is_not_asyncpgs_is_left_alone() -> None:
    assert errors.translate(OSError("gone")) is None
    assert errors.translate(TimeoutError()) is None


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("40001", "OperationalError"),
        ("40P01", "OperationalError"),
        ("57014", "OperationalError"),
        ("53300", "OperationalError"),
        ("08006", "OperationalError"),
        ("57P01", "OperationalError"),
        ("57P02", "OperationalError"),
        ("57P03", "OperationalError"),
        ("22012", "DataError"),
        ("22P02", "DataError"),
        ("23000", "IntegrityError"),
        ("23505", "UniqueViolationError"),
        ("23503", "ForeignKeyViolationError"),
        ("23502", "NotNullViolationError"),
        ("23514", "CheckViolationError"),
        ("23P01", "ExclusionViolationError"),
        ("23001", "RestrictViolationError"),
        ("42601", "ProgrammingError"),
        ("42P01", "ProgrammingError"),
        ("42501", "ProgrammingError"),
        ("0A000", "NotSupportedError"),
        ("XX000", "InternalServerError"),
        ("XX001", "InternalServerError"),
        ("25006", "InternalError"),
        ("P0001", "ProgrammingError"),
        ("ZZ999", "DatabaseError"),
    ],
)
def test_the_class_follows_the_sqlstate(sqlstate: str, expected: str) -> None:
    translated = errors.translate(server_error(sqlstate))
    assert translated is not None
    assert type(translated).__name__ == expected
    assert getattr(translated, "pgcode", None) == sqlstate
    wrapped = sqlalchemy.exc.DBAPIError.instance("SELECT 1", {}, translated, errors.Error)
    pep249 = next(
        cls.__name__ for cls in type(translated).__mro__ if hasattr(sqlalchemy.exc, cls.__name__)
    )
    assert type(wrapped).__name__ == pep249


def test_all_fields_and_the_whole_text_are_kept() -> None:
    error = errors.translate(
        server_error(
            "23505", detail="Key (id)=(1) already exists.", hint="Try another.",
            constraint_name="t_pkey", table_name="t", column_name="id", schema_name="public",
            data_type_name="int4",
        )
    )  # fmt: skip
    assert error is not None
    assert error.detail == "Key (id)=(1) already exists."
    assert error.hint == "Try another."
    assert (error.constraint_name, error.table_name, error.column_name) == ("t_pkey", "t", "id")
    assert (error.schema_name, error.data_type_name) == ("public", "int4")
    assert "DETAIL:  Key (id)=(1) already exists." in str(error)
    assert "HINT:  Try another." in str(error)


def test_invalid_cached_statement_keeps_what_the_builtin_one_loses() -> None:
    source = asyncpg.exceptions.InvalidCachedStatementError("the plan is invalid")
    error = errors.translate(source)
    assert type(error) is errors.InvalidCachedStatementError
    assert isinstance(error, BuiltinDBAPI.InvalidCachedStatementError)
    assert error.pgcode == "0A000"
    assert error.driver_exception is source
    assert "will now invalidate all prepared caches" in str(error)


@pytest.mark.parametrize("sqlstate", ["23505", "40001", "XX000", "42601", "ZZ999"])
def test_errors_pickle(sqlstate: str) -> None:
    error = errors.translate(server_error(sqlstate, detail="because"))
    assert error is not None
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert (copy.pgcode, copy.detail, str(copy.orig)) == (sqlstate, "because", str(error.orig))
    wrapped = sqlalchemy.exc.DBAPIError.instance("SELECT 1", {"a": 1}, error, errors.Error)
    again = pickle.loads(pickle.dumps(wrapped))
    assert type(again) is type(wrapped)
    assert getattr(again.orig, "pgcode", None) == sqlstate


def test_the_invalidation_note_is_not_doubled_by_pickling() -> None:
    error = errors.translate(asyncpg.exceptions.InvalidCachedStatementError("stale"))
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_an_error_made_by_hand() -> None:
    error = errors.InterfaceError("by hand")
    assert error.pgcode is None and error.detail is None
    with pytest.raises(ValueError, match="without an asyncpg exception"):
        _ = error.driver_exception
