"""What waits to be read by the program, in the order in which it came: bounded, and never silent.

Filled by the callbacks of asyncpg's connection, emptied by the listener, in one event loop.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import Any

_log = logging.getLogger("pgflight")


@dataclass(frozen=True)
class Notification:
    """One notification, as the server has sent it."""

    channel: str
    payload: str
    """What was sent with it, the empty string if nothing was."""
    pid: int
    """The number of the server process that has sent it."""


@dataclass(frozen=True)
class Gap:
    """Notifications may be missing here: what the program knows by them is to be read again.

    By the time that it is handed out, later notifications are being received, so nothing is missed
    between what the program reads then and the next item.
    """

    reason: str
    """Why, in words."""
    missed: int | None
    """How many were dropped from a full queue; None where the connection was lost: nobody knows."""
    error: BaseException | None = None
    """Why it took more than one attempt to listen again: the last error, if there was one."""
    seconds: float = 0.0
    """How long nobody was listening."""


class _Dropped:
    """Stands in the queue where notifications were dropped."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 1


class Queue:
    """Notifications and gaps in their order; ``size`` notifications at most, None for no bound.

    When it is full, what comes is dropped and counted, and a :class:`Gap` stands in its place.
    """

    __slots__ = ("_items", "_size", "_has_said")

    def __init__(self, size: int | None) -> None:
        self._items: deque[Notification | Gap | _Dropped] = deque()
        self._size = size
        self._has_said = False

    def __len__(self) -> int:
        return len(self._items)

    def put(self, notification: Notification) -> None:
        """Add a notification, or count it as dropped."""
        items = self._items
        if self._size is None or len(items) < self._size:
            items.append(notification)
        elif isinstance(last := items[-1], _Dropped):
            last.number += 1
        else:
            items.append(_Dropped())
            self._say()

    def _say(self) -> None:
        if not self._has_said:
            self._has_said = True
            _log.warning(
                "%d notifications wait to be read, and the next ones are dropped: read faster, or "
                "give listen() a larger queue_size",
                self._size,
            )

    def put_gap(self, gap: Gap) -> None:
        """Add a gap, whatever the size; of several without a notification between, the last."""
        if self._items and isinstance(self._items[-1], Gap):
            self._items.pop()
        self._items.append(gap)

    def take(self) -> Notification | Gap:
        """Remove and return the oldest item; raise IndexError if there is none."""
        item: Any = self._items.popleft()
        if isinstance(item, _Dropped):
            return Gap("the queue was full", item.number)
        found: Notification | Gap = item
        return found

    def clear(self) -> None:
        """Forget what waits."""
        self._items.clear()
