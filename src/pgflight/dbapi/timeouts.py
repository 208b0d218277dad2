"""The error of a statement that has taken too long.

Raised by the cursors and the connection.  SQLAlchemy passes it on as it is, since it wraps no
TimeoutError.
"""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import exc

from .. import driver
from . import errors

# asyncio's is a class of its own on Python 3.10
_TIMEOUTS: Any = tuple(dict.fromkeys((asyncio.TimeoutError, TimeoutError)))


class StatementTimeoutError(exc.OperationalError, *_TIMEOUTS):  # type: ignore[misc]
    """A statement or a COMMIT took longer than it was given, and the connection was given up.

    Raised for the execution option ``timeout`` (or ``asyncpg_timeout``) and ``command_timeout``.
    The built-in dialect raises a bare ``TimeoutError``, of which this is a subclass.  ``orig`` is
    the DBAPI's OperationalError, without an SQLSTATE: it was not the server that gave up.  Its own
    ``statement_timeout`` raises an OperationalError with SQLSTATE 57014, and costs no connection.
    """


def timed_out(
    adapted: Any,
    error: BaseException,
    operation: str | None = None,
    parameters: Any = None,
    *,
    seconds: float | None = None,
    source: str = "execution option timeout",
    many: bool = False,
) -> StatementTimeoutError:
    """Return the error to raise for a statement of ``operation`` that asyncpg gave up.

    ``seconds`` is what ``source`` allowed, None if it was ``command_timeout``.
    """
    if seconds is None:
        seconds, source = driver.command_timeout(adapted.session.connection), "command_timeout"
    within = "in the time it was given" if seconds is None else f"within {seconds:g} seconds"
    if adapted.session.transactions.autocommit:
        outcome = "it may have been executed all the same"
    else:
        outcome = "its transaction is rolled back"
    text = f"the statement has not ended {within} ({source}), and is cancelled: {outcome}"
    return _error(adapted, text, error, operation, parameters, many=many)


def commit_timed_out(adapted: Any, error: BaseException) -> StatementTimeoutError:
    """Return the error to raise for a COMMIT that the server has not answered in time."""
    seconds = driver.command_timeout(adapted.session.connection)
    within = "" if seconds is None else f" within {seconds:g} seconds (command_timeout)"
    text = f"COMMIT has not been answered{within}: the transaction may have been committed"
    return _error(adapted, text, error)


def _error(
    adapted: Any,
    text: str,
    error: BaseException,
    operation: str | None = None,
    parameters: Any = None,
    *,
    many: bool = False,
) -> StatementTimeoutError:
    return StatementTimeoutError(
        operation,
        parameters,
        errors.OperationalError(text, error),
        hide_parameters=getattr(adapted.dbapi, "hide_parameters", True),
        connection_invalidated=True,
        ismulti=many,
    )
