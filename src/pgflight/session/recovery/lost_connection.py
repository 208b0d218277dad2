"""What of a unit of work may be executed again on a new connection, because the first is lost.

Only the first statement since the connection was checked out.  Before that, the program has set
nothing in the session that another one would lack: what its listeners of the pool did at checkout,
they do again.  In a transaction BEGIN travelled with the statement and no COMMIT was sent, so that
nothing it did can last, apart from what no transaction undoes, such as a sequence's next value.  In
AUTOCOMMIT it must have been refused before it ran, or be free of side effects.

:mod:`pgflight.dbapi.recovery.lost_connections` makes the new connection.
"""

from __future__ import annotations

from asyncpg import exceptions as driver_errors

from ... import driver
from ...sqltext.commands import runs_alone
from ...sqltext.side_effects import is_side_effect_free

LOST = "connection that the server had closed"

USED, CHECKED_OUT, BEGUN = range(3)
"""What is known of a connection: nothing; the pool has handed it out; then SQLAlchemy has begun a
transaction, or would have, and nothing has been executed since."""

_TERMINATED = "57P01"
_ENDING = frozenset({_TERMINATED, "57P02", "57P03"})
"""admin_shutdown, crash_shutdown, cannot_connect_now."""


def is_lost(connection: driver.Connection, error: BaseException) -> bool:
    """Tell whether an error is the end of the connection."""
    return connection.is_closed() is True or last_word(error) in _ENDING


def may_run_again(operation: str, error: BaseException, *, autocommit: bool) -> bool:
    """Tell whether nothing of a first statement can last that was lost with its connection."""
    if runs_alone(operation):
        return False
    if not autocommit or is_side_effect_free(operation):
        return True
    # a server that is told to end rolls back, if it had not committed and said so; one that ends
    # because another has crashed may do so in the middle of a commit
    unsent = isinstance(error, driver_errors.InterfaceError)
    return last_word(error) == _TERMINATED or (unsent and driver.says_connection_is_closed(error))


def last_word(error: BaseException) -> str:
    """Return the SQLSTATE with which the server ended a connection, empty if it said nothing."""
    for each in (error.__cause__, error):
        state: str | None = getattr(each, "sqlstate", None)
        if state and (each is not error or state in _ENDING):
            return state
    return ""
