"""asyncpg exception -> PEP 249 class by SQLSTATE: one table, read by the connection and the DBAPI.

Each class derives from the class of the same name that the built-in dialect raises, so that code
which catches or tests for that class keeps working.  SQLSTATE classes are those of appendix A of
the PostgreSQL manual.
"""

from __future__ import annotations

import asyncio
from typing import Any

from asyncpg import exceptions as driver_errors

from .. import driver
from ..compat.builtin import theirs
from ..compat.versions import SQLALCHEMY_2_1

builtin_dbapi: Any = theirs.AsyncAdapt_asyncpg_dbapi

FIELDS = (
    "detail",
    "hint",
    "constraint_name",
    "table_name",
    "column_name",
    "schema_name",
    "data_type_name",
)
"""Error fields of the PostgreSQL protocol that every DBAPI error carries, ``None`` when unset."""


def _restore(cls: type[Error], args: tuple[Any, ...], state: dict[str, Any]) -> Error:
    """Rebuild a pickled error without running its constructor a second time."""
    error: Error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class Error(builtin_dbapi.Error):  # type: ignore[misc]
    """Base of all errors; carries the fields of the server's error.

    ``pgcode`` and ``sqlstate`` are the five-character SQLSTATE or ``None``; the names in
    :data:`FIELDS` are strings or ``None``; ``orig`` is asyncpg's exception or ``None``.
    """

    pgcode: str | None
    sqlstate: str | None
    detail: str | None
    hint: str | None
    constraint_name: str | None
    table_name: str | None
    column_name: str | None
    schema_name: str | None
    data_type_name: str | None
    orig: BaseException | None
    row: int | None = None
    """Number of the row at which a COPY failed, counted from 1; ``None`` if unknown."""

    def __init__(self, message: str, error: BaseException | None = None) -> None:
        Exception.__init__(self, message)
        self.orig = error
        self.pgcode = self.sqlstate = getattr(error, "sqlstate", None)
        for name in FIELDS:
            setattr(self, name, getattr(error, name, None))

    @property
    def driver_exception(self) -> BaseException:
        """asyncpg's own exception; raises ValueError if the error was made without one."""
        if self.orig is None:
            raise ValueError("this error was made without an asyncpg exception")
        return self.orig

    def __reduce__(self) -> Any:
        return _restore, (type(self), self.args, self.__dict__.copy())


class Warning(builtin_dbapi.Warning):  # type: ignore[misc]
    """PEP 249 Warning; never raised by this dialect."""


class InterfaceError(Error, builtin_dbapi.InterfaceError):  # type: ignore[misc]
    """asyncpg refused a call or an argument on the client's side."""


class DatabaseError(Error, builtin_dbapi.DatabaseError):  # type: ignore[misc]
    """The server reported an error that no narrower class describes."""


class InternalError(DatabaseError, builtin_dbapi.InternalError):  # type: ignore[misc]
    """The server or the session is in an invalid state."""


class OperationalError(DatabaseError, builtin_dbapi.OperationalError):  # type: ignore[misc]
    """The operation failed for a reason outside the statement: connection, resources, conflict."""


class ProgrammingError(DatabaseError, builtin_dbapi.ProgrammingError):  # type: ignore[misc]
    """The statement is wrong: syntax, missing object, missing privilege."""


class IntegrityError(DatabaseError, builtin_dbapi.IntegrityError):  # type: ignore[misc]
    """A constraint refused the rows."""


class DataError(DatabaseError, builtin_dbapi.DataError):  # type: ignore[misc]
    """A value is out of range or of the wrong shape for the server."""


class NotSupportedError(DatabaseError, builtin_dbapi.NotSupportedError):  # type: ignore[misc]
    """The server does not support what the statement asks for."""


def _narrower(name: str, base: type[Error], meaning: str) -> type[Error]:
    # SQLAlchemy 2.0.40 lacks some of these names; later lines have them all
    bases: tuple[type, ...] = (base,)
    builtin = getattr(builtin_dbapi, name, None)
    if builtin is not None:
        bases = (base, builtin)
    return type(name, bases, {"__doc__": meaning, "__module__": __name__})


RestrictViolationError = _narrower(
    "RestrictViolationError", IntegrityError, "23001: a RESTRICT action refused the change."
)
NotNullViolationError = _narrower(
    "NotNullViolationError", IntegrityError, "23502: NULL in a NOT NULL column."
)
ForeignKeyViolationError = _narrower(
    "ForeignKeyViolationError", IntegrityError, "23503: the referenced row is missing or in use."
)
UniqueViolationError = _narrower(
    "UniqueViolationError", IntegrityError, "23505: the key exists already."
)
CheckViolationError = _narrower(
    "CheckViolationError", IntegrityError, "23514: a CHECK constraint is violated."
)
ExclusionViolationError = _narrower(
    "ExclusionViolationError", IntegrityError, "23P01: an exclusion constraint is violated."
)
InternalServerError = _narrower(
    "InternalServerError", InternalError, "XX: an internal error of the server, or a stale type."
)
InternalClientError = _narrower(
    "InternalClientError", InternalError, "asyncpg met a state that it did not expect."
)

_INVALIDATION_NOTE = (
    " (SQLAlchemy asyncpg dialect will now invalidate all prepared caches"
    " in response to this exception)"
)


class InvalidCachedStatementError(
    NotSupportedError,
    builtin_dbapi.InvalidCachedStatementError,  # type: ignore[misc]
):
    """A prepared statement's result type changed on the server; the caches are dropped."""

    def __init__(self, message: str, error: BaseException | None = None) -> None:
        # programs (and SQLAlchemy's own tests) look for the wording of this note
        Error.__init__(self, message + _INVALIDATION_NOTE, error)


BY_SQLSTATE: dict[str, type[Error]] = {
    "23001": RestrictViolationError,
    "23502": NotNullViolationError,
    "23503": ForeignKeyViolationError,
    "23505": UniqueViolationError,
    "23514": CheckViolationError,
    "23P01": ExclusionViolationError,
}
"""Whole SQLSTATE -> class; looked up before :data:`BY_SQLSTATE_CLASS`."""

BY_SQLSTATE_CLASS: dict[str, type[Error]] = {
    "08": OperationalError,  # connection exception
    "0A": NotSupportedError,
    "20": ProgrammingError,  # case not found
    "21": ProgrammingError,  # cardinality violation
    "22": DataError,
    "23": IntegrityError,
    "24": InternalError,  # invalid cursor state
    "25": InternalError,  # invalid transaction state
    "26": ProgrammingError,  # invalid SQL statement name
    "27": OperationalError,  # triggered data change violation
    "28": OperationalError,  # invalid authorization specification
    "2B": InternalError,  # dependent privilege descriptors still exist
    "2D": InternalError,  # invalid transaction termination
    "2F": OperationalError,  # SQL routine exception
    "34": ProgrammingError,  # invalid cursor name
    "38": OperationalError,  # external routine exception
    "39": OperationalError,  # external routine invocation exception
    "3B": OperationalError,  # savepoint exception
    "3D": ProgrammingError,  # invalid catalog name
    "3F": ProgrammingError,  # invalid schema name
    "40": OperationalError,  # transaction rollback: serialization failure, deadlock
    "42": ProgrammingError,  # syntax error or access rule violation
    "44": ProgrammingError,  # WITH CHECK OPTION violation
    "53": OperationalError,  # insufficient resources
    "54": OperationalError,  # program limit exceeded
    "55": OperationalError,  # object not in prerequisite state, lock not available
    "57": OperationalError,  # operator intervention: cancelled, shutdown
    "58": OperationalError,  # system error
    "72": OperationalError,  # snapshot too old
    "F0": OperationalError,  # configuration file error
    "HV": OperationalError,  # foreign data wrapper error
    "P0": ProgrammingError,  # PL/pgSQL error, RAISE
    "XX": InternalServerError,
}
"""First two characters of the SQLSTATE -> class."""


def error_class(error: BaseException) -> type[Error] | None:
    """Return the PEP 249 class for an asyncpg exception, ``None`` for anything else."""
    if isinstance(error, driver_errors.InvalidCachedStatementError):
        return InvalidCachedStatementError
    if isinstance(error, driver_errors.PostgresError):
        state: str = getattr(error, "sqlstate", None) or ""
        return BY_SQLSTATE.get(state) or BY_SQLSTATE_CLASS.get(state[:2]) or DatabaseError
    if isinstance(error, driver_errors.InterfaceError):
        return InterfaceError
    if isinstance(error, driver_errors.InternalClientError):
        return InternalClientError
    return None


_NO_ANSWER = driver_errors.ConnectionDoesNotExistError, OSError
_TOOK_TOO_LONG = asyncio.TimeoutError  # an OSError, too, from Python 3.11 on
MAY_HAVE_RUN = "no answer has come: the statement may have been executed"
MAY_HAVE_COMMITTED = "no answer has come: the transaction may have been committed"
_REFUSES_TO_SEND = "cannot switch to state"
NOT_SENT = "the server has closed the connection, and the statement was not sent"


def translate_loss(error: BaseException, meaning: str) -> Error | None:
    """Return the error to raise for one with which a connection has ended, ``None`` for others.

    ``meaning`` says what the program has to expect where the server has not answered; where it is
    empty, nothing of what was under way lasts.
    """
    if isinstance(error, driver_errors.InternalClientError):
        if _REFUSES_TO_SEND in str(error):
            meaning = NOT_SENT  # asyncpg has read the server's last message, and goes on no more
        else:
            meaning = meaning or "the connection has ended"
    elif not (meaning and isinstance(error, _NO_ANSWER)) or isinstance(error, _TOOK_TOO_LONG):
        return None
    return OperationalError(f"{meaning} ({str(error) or type(error).__name__})", error)


def translate(error: BaseException) -> Error | None:
    """Return the PEP 249 error to raise instead of an asyncpg exception, ``None`` to raise as is.

    The text is asyncpg's, including DETAIL and HINT, except that a hint about poolers names our
    option.  On SQLAlchemy 2.0 it starts with the exception's class, as in the built-in dialect.
    """
    cls = error_class(error)
    if cls is None:
        return None
    text = driver.with_our_pool_hint(str(error)) if error.args else type(error).__name__
    return cls(text if SQLALCHEMY_2_1 else f"{type(error)}: {text}", error)
