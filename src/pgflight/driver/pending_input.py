"""Whether something waits in a connection's socket that its event loop has not read yet."""

from __future__ import annotations

import select
from collections.abc import Callable
from functools import partial
from typing import Any

import asyncpg

from .capability import is_private


def _nothing() -> bool:
    return False


def arrivals(connection: Any) -> Callable[[], Any]:
    """Return a function that tells, without waiting, whether bytes or the end have arrived.

    To be asked only while the connection is open.  At level ``public``, or where the transport
    has no socket to be asked, the function always says no.
    """
    if not is_private() or not isinstance(connection, asyncpg.Connection):
        return _nothing
    transport = connection._transport
    sock = None if transport is None else transport.get_extra_info("socket")
    number = -1 if sock is None else sock.fileno()
    if number < 0:
        return _nothing
    if not hasattr(select, "poll"):  # Windows
        return lambda: bool(select.select([number], [], [], 0)[0])
    poll = select.poll()
    poll.register(number, select.POLLIN)  # the end and errors are always reported
    return partial(poll.poll, 0)
