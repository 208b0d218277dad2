"""What of a unit of work may be executed again on a new connection, because the first is lost.

Only the first statement since the connection was checked out.  Before that, the program has set
nothing in the session that another one would lack.  In a transaction BEGIN travelled with the
statement and no COMMIT was sent, so that nothing it did can last, apart from what no transaction
undoes, such as a sequence's next value.  In AUTOCOMMIT it must have been refused before it ran, or
be free of side effects.

:mod:`pgflight.dbapi.recovery.lost_connections` makes the new connection.
"""

from __future__ import annotations

import re

from asyncpg import exceptions as driver_errors

from ... import driver
from ...sqltext.commands import runs_alone
from ...sqltext.side_effects import is_side_effect_free

LOST = "connection that the server had closed"

USED, CHECKED_OUT, BEGUN = range(3)
"""What is known of a connection: nothing; the pool has handed it out; then SQLAlchemy has begun a
transaction, or would have, and nothing has been executed since."""

_TERMINATED = "57P01"
SHUTDOWN_STATES = frozenset({_TERMINATED, "57P02", "57P03"})
"""admin_shutdown, crash_shutdown, cannot_connect_now."""
_ENDS_SESSION = frozenset({"FATAL", "PANIC"})
_LOSSES = (
    driver_errors.PostgresConnectionError,
    driver_errors.InterfaceError,
    driver_errors.InternalClientError,
    OSError,
)
"""What asyncpg raises where a connection has ended."""

_ONE_TRANSACTION = re.compile(
    r"\s*(?:SELECT|INSERT|UPDATE|DELETE|MERGE|VALUES|TABLE|WITH)\b", re.IGNORECASE
)
"""The beginning of a statement that cannot commit a part of what it does, as CALL can."""


def is_lost(connection: driver.Connection, error: BaseException, *, leaving: bool) -> bool:
    """Tell whether an error is the end of the connection; ``leaving``: the server has announced it.

    Not an error of the statement alone, whatever its SQLSTATE and whatever has been done about the
    connection since.
    """
    if isinstance(error, TimeoutError):
        return False
    severity = driver.server_severity(error)
    if severity is not None:
        return severity in _ENDS_SESSION and getattr(error, "sqlstate", None) in SHUTDOWN_STATES
    closed = connection.is_closed() is True or leaving
    return closed and isinstance(error, _LOSSES)


def may_run_again(operation: str, error: BaseException, *, autocommit: bool) -> bool:
    """Tell whether nothing of a first statement can last that was lost with its connection."""
    if runs_alone(operation):
        return False
    if not autocommit or is_side_effect_free(operation):
        return True
    # a server that is told to end rolls back a single statement that had not been committed; one
    # that ends because another has crashed may do so in the middle of a commit
    unsent = isinstance(error, driver_errors.InterfaceError)
    if unsent and driver.says_connection_is_closed(error):
        return True
    return _last_word(error) == _TERMINATED and _ONE_TRANSACTION.match(operation) is not None


def _last_word(error: BaseException) -> str | None:
    """Return the SQLSTATE with which the server ended a connection, None if it said nothing."""
    cause = error.__cause__
    said = cause if driver.server_severity(error) is None else error
    return getattr(said, "sqlstate", None)
