"""Ending a transaction by asyncpg's own methods, and waiting for the answer."""

from __future__ import annotations

import asyncio
from typing import Any

from asyncpg import exceptions as driver_errors

from ..copying.copying import command_timeout


async def end(connection: Any, transaction: Any, *, commit: bool) -> None:
    """End an asyncpg transaction by its own methods, and wait; errors are asyncpg's."""
    was_open = not connection.is_closed()
    try:
        await (transaction.commit() if commit else transaction.rollback())
    except driver_errors.InterfaceError as error:
        if was_open:
            raise_if_given_up(connection, error)
        raise


def raise_if_given_up(connection: Any, error: Exception) -> None:
    """Raise TimeoutError if an end has waited longer than ``command_timeout`` for a cancellation.

    asyncpg then closes the connection by one of two timers that were set at almost the same moment,
    and reports the closed connection, for which SQLAlchemy would invalidate the pool, if the end's
    own is second.  ``error`` is what an end raised that found the connection open.
    """
    # asyncpg drops its protocol if this side closed the connection, but not if the server did
    if command_timeout(connection) is not None and connection._protocol is None:
        raise asyncio.TimeoutError(
            "the server did not cancel the preceding statement within command_timeout"
        ) from error
