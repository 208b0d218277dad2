"""Whether a pooled connection still lives, found out without a round trip where that is possible.

The dialect has the pool call :func:`refuse_lost` at each checkout, asks
:func:`was_used_recently` before it pings, and has :func:`close_unfit` close what was refused.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from time import monotonic
from typing import Any

from sqlalchemy.exc import DisconnectionError

from .. import driver
from ..dbapi.connection import AsyncAdapt_asyncpg_connection

IDLE_SECONDS = 0.01
"""A connection that was used this recently is not asked whether its socket has something to say."""

TURNS = 10
"""Turns of the event loop in which it reads a farewell and closes the connection."""


def refuse_lost(dbapi_connection: Any, record: Any, proxy: Any) -> None:
    """Raise DisconnectionError for a connection that is closed: the pool then makes another.

    A listener of SQLAlchemy's pool event ``checkout``.
    """
    if isinstance(dbapi_connection, AsyncAdapt_asyncpg_connection) and _is_lost(dbapi_connection):
        raise DisconnectionError("the connection was closed while it was not in use")


def close_unfit(dbapi_connection: Any) -> None:
    """Terminate a connection; without a farewell if that is because of an error, or closed already.

    SQLAlchemy's pool closes so what a checkout has refused, or what could not be reset.  A task
    that is cancelled while it waits there keeps the connection's place in the pool until garbage
    is collected.
    """
    if isinstance(dbapi_connection, AsyncAdapt_asyncpg_connection) and (
        _is_unfit(sys.exc_info()[1]) or dbapi_connection._connection.is_closed() is True
    ):
        dbapi_connection.drop()
    else:
        dbapi_connection.terminate()


def _is_unfit(error: BaseException | None) -> bool:
    # at level public asyncpg may be waiting for the cancellation of a statement that took too
    # long: dropped then, it leaves an error that nobody retrieves
    kind = Exception if driver.can_pipeline() else DisconnectionError
    return isinstance(error, kind)


def was_used_recently(adapted: Any) -> bool:
    """Tell whether the server answered within the ping's bypass window, and nobody hung up since.

    False for what is no connection of ours, and where the pipeline is off.
    """
    if (
        isinstance(adapted, AsyncAdapt_asyncpg_connection)
        and adapted.pipeline != "off"
        and monotonic() - adapted._last_used < adapted.ping_bypass_window
        # compared with False: an object in asyncpg's place may answer with anything
        and adapted._connection.is_closed() is False
        and not adapted.is_leaving()
    ):
        adapted._work.pings_saved += 1
        return True
    return False


def _is_lost(adapted: AsyncAdapt_asyncpg_connection) -> bool:
    connection = adapted._connection
    if connection.is_closed() is True or adapted.is_leaving():
        return True
    if monotonic() - adapted._last_used < IDLE_SECONDS:
        return False
    arrived = adapted._arrived
    if arrived is None:
        arrived = adapted._arrived = driver.pending_input(connection)
    # also where a notice has arrived, which the loop takes in as well
    return bool(arrived()) and adapted._can_wait() and adapted.await_(_take_in(adapted, arrived))


async def _take_in(adapted: AsyncAdapt_asyncpg_connection, arrived: Callable[[], Any]) -> bool:
    """Have the loop read what has arrived; tell whether it was the end."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
        if adapted._connection.is_closed() or adapted.is_leaving():
            return True
        if not arrived():
            return False
    return False
