"""Requests: made by the cursors and sent by ``Session.run()`` when it has the turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .. import driver


class Begin(Enum):
    """How to begin a transaction if a request finds none open."""

    IN_FRONT = "in the flight of the request's first message"
    WITH_MANY = "in the flight of an executemany(), if the transport allows it"
    AWAITED = (
        "in a flight of its own: the server would go on reading a COPY behind a BEGIN that failed"
    )


@dataclass
class Request:
    """One statement, or an equivalent operation, to be sent when the turn is free.

    ``send`` sends it and returns the answer.  It raises asyncpg's errors, and is called a second
    time if the first was refused only because the end of an earlier transaction had been refused.
    """

    operation: str
    """The statement's text, or a description of what is sent instead."""
    send: Callable[[], Awaitable[Any]]
    begin: Begin = Begin.IN_FRONT
    notes_side_effects: bool = False
    """Whether ``send`` tells the unit of work itself, statement by statement."""
    bound: driver.TimeBound | None = None
    """The time that the program allows for all of it, None for the connection's own bound."""


def interrupts(error: BaseException) -> bool:
    """Tell whether an error left an operation while the server was still executing it."""
    return not isinstance(error, Exception) or isinstance(error, asyncio.TimeoutError)
