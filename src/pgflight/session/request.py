"""What a session is asked to do in its turn; made by the cursors, taken by ``Session.run()``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Begin(Enum):
    """How the transaction begins that a request finds missing."""

    IN_FRONT = "in the flight of the request's first message"
    WITH_MANY = "in that of an executemany(), where one can have it"
    AWAITED = "in a flight of its own: what failed behind it would be read on for ever"


@dataclass
class Request:
    """One statement, or what stands for one, to be sent when it is its turn.

    ``send`` sends it and returns the answer.  It raises asyncpg's errors, and is called a second
    time where the session tells that the first was refused by what an earlier transaction had left.
    """

    operation: str
    """The statement's text, or a description of what is sent instead."""
    send: Callable[[], Awaitable[Any]]
    begin: Begin = Begin.IN_FRONT
    side_effect_free: bool = False
    """Whether ``send`` itself finds out what side effects there are."""
