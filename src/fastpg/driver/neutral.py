"""A round trip that means nothing: what it costs to hear from the server."""

from __future__ import annotations

from typing import Any


async def neutral_sync(connection: Any) -> None:
    """Wait until the server has answered everything that was sent; raise when it is gone.

    Closes the unnamed portal, which nothing of ours needs, and syncs: one write and one wait,
    no query, no transaction.  Works in an aborted transaction, too.  asyncpg's ``command_timeout``
    holds.  Level ``private`` only.
    """
    await connection._protocol.close_portal("", None)
