"""Making a session whose statement was interrupted as good as new, for another use.

asyncpg has asked the server to cancel what was running.  Once the server has answered, the
transaction is rolled back and everything that belongs to the session is discarded.

Used by :mod:`pgflight.dbapi.recovery.kept_connections`.  Errors are asyncpg's.
"""

from __future__ import annotations

from asyncpg import exceptions as driver_errors

from ... import driver
from ..session import Session

_TRIES = 3


def may_be_drained(session: Session) -> bool:
    """Tell whether nothing outside of the session would notice that it is used again.

    Nobody else has had asyncpg's connection, watches it or reads from it; the session is the
    connection's own, and no pooler's.
    """
    connection, transactions, route = (
        session.connection,
        session.transactions,
        session.statements.route,
    )
    return (
        transactions.pipeline is not None
        and not transactions.exposed
        and not driver.has_listeners(connection)
        and session.watch.by() is None
        and session.copying_out is None
        and not session.turn.taken
        and not session.turn.waiting
        and (route.direct or route.wanted == "session")
        and not route.keeps_nothing
        and connection.is_closed() is False
    )


async def drain(session: Session) -> None:
    """Wait for the server, roll back, and discard what the session has set."""
    connection, unit, pipeline = session.connection, session.unit, session.transactions.pipeline
    assert pipeline is not None
    await pipeline.settle()
    if connection.is_closed():
        raise driver_errors.ConnectionDoesNotExistError("the cancellation was not answered")
    await pipeline.synchronize()
    for transaction in (unit.transaction, unit.in_doubt):
        if transaction is not None:
            driver.forget_transaction(connection, transaction)
    pipeline.forget_transaction()
    unit.in_doubt = None
    unit.end()
    if connection.is_in_transaction():
        await _execute(connection, "ROLLBACK")
    await _execute(connection, "DISCARD ALL")
    await connection.reload_schema_state()
    if driver.has_transaction(connection):
        raise driver_errors.InterfaceError("the session is still in a transaction")


async def _execute(connection: driver.Connection, command: str) -> None:
    """Execute a command; again if a late request to cancel has struck it."""
    for left in reversed(range(_TRIES)):
        try:
            await connection.execute(command)
            return
        except driver_errors.QueryCanceledError:
            if not left:
                raise
