"""Setting codecs of the server's own types by asyncpg, which may ask the server what they are.

asyncpg 0.30 does so for each codec and connection, by a statement that it prepares and executes in
two transactions. A pooler may run them in two sessions of the server: the second one does not know
the statement's name, or knows it for another one.
"""

from __future__ import annotations

from typing import Any

from asyncpg import exceptions as driver_errors

from ..contracts import Connection

_TRIES = 5
_OF_ANOTHER_SESSION = (
    driver_errors.InvalidSQLStatementNameError,
    driver_errors.DuplicatePreparedStatementError,
    driver_errors.ProtocolViolationError,
)


async def set_type_codec(connection: Connection, name: str, **options: Any) -> None:
    """Set the codec of the type ``name`` of the schema ``pg_catalog``, with asyncpg's options.

    Where the question goes to two sessions of the server, it is asked again in one transaction,
    which a pooler runs in one.  Raises asyncpg's errors.
    """
    try:
        await connection.set_type_codec(name, schema="pg_catalog", **options)
        return
    except _OF_ANOTHER_SESSION:
        if connection.is_in_transaction() or connection.is_closed():
            raise
    for left in reversed(range(_TRIES)):
        try:
            await connection.reload_schema_state()  # forgets the statement, and with it its name
            await _set_in_transaction(connection, name, options)
            return
        except _OF_ANOTHER_SESSION:  # the next name may be free
            if not left or connection.is_closed():
                raise


async def _set_in_transaction(connection: Connection, name: str, options: dict[str, Any]) -> None:
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.set_type_codec(name, schema="pg_catalog", **options)
    except Exception:  # nobody waits for a ROLLBACK once cancelled: the connection is given up
        if not connection.is_closed():
            await transaction.rollback()
        raise
    await transaction.commit()
