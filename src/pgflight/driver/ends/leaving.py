"""Leaving a server without waiting until its process has ended, as libpq does.

asyncpg's ``close()`` waits until the server has closed the socket, for as long as logging in takes.
Nothing is gained by that once the server has answered everything.
"""

from __future__ import annotations

import asyncio

import asyncpg

from ..capability import is_private
from ..contracts import Connection

_TERMINATE = b"X\0\0\0\x04"
_ROUNDS = 5
"""Of the event loop, in which a transport that writes later than it is told to has written."""

_STOCK = {name: getattr(asyncpg.Connection, name) for name in ("close", "terminate")}


def can_leave(connection: Connection) -> bool:
    """Tell whether :func:`leave` may take the place of ``close()``, as nobody watches that.

    And whether nothing is unsent or being cancelled.  What else is under way, the caller knows.
    """
    kind = type(connection)
    if not is_private() or not all(
        getattr(kind, name, None) is method for name, method in _STOCK.items()
    ):
        return False  # what stands in for asyncpg's connection may note each call
    if connection.is_closed():
        return False
    asyncio_transport = connection._transport
    return (
        asyncio_transport is not None
        and not asyncio_transport.is_closing()
        and not asyncio_transport.get_write_buffer_size()
        and not connection._protocol._is_cancelling()
    )


async def leave(connection: Connection) -> None:
    """Send Terminate and close the socket; wait for nobody."""
    asyncio_transport = connection._transport
    assert asyncio_transport is not None
    asyncio_transport.write(_TERMINATE)
    for _ in range(_ROUNDS):
        if not asyncio_transport.get_write_buffer_size():
            break
        await asyncio.sleep(0)
    asyncio_transport.close()  # TLS says goodbye, too
    connection.terminate()
    await asyncio.sleep(0)  # the loop closes the socket
