"""A round trip that means nothing: what it costs to hear from the server."""

from __future__ import annotations

from typing import Any

import asyncpg

from .capability import is_private


async def neutral_sync(connection: Any) -> None:
    """Wait until the server has answered everything that was sent; raise when it is gone.

    Closes the unnamed portal, which nothing of ours needs, and syncs: one write and one wait,
    no query, no transaction.  Works in an aborted transaction, too.  asyncpg's ``command_timeout``
    holds.  Level ``private`` only.  Raises asyncpg's errors, of a closed connection InterfaceError.
    """
    if connection.is_closed():
        # asyncpg 0.30 would miss its protocol
        raise asyncpg.InterfaceError("connection is closed")
    await connection._protocol.close_portal("", None)


def drop(connection: Any) -> None:
    """Close a connection without a farewell and without waiting."""
    known = is_private() and isinstance(connection, asyncpg.Connection)
    transport = connection._transport if known else None
    connection.terminate()
    if transport is not None:
        transport.abort()  # asyncpg before 0.32 leaves it open when close() has been called
