"""What a program iterates over: :func:`pgflight.listen`."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import Any

from sqlalchemy.exc import ArgumentError, InvalidRequestError

from .connecting import Address
from .keeping import Keeper, Keeping
from .names import checked_channels
from .queue import Gap, Notification, Queue


class Listener:
    """An asynchronous iterator over the notifications of some channels, and the gaps in them.

    It listens from ``async with`` on, or from the first item that is asked for, on a connection of
    its own, which a task keeps: giving up waiting for an item costs nothing.  ``aclose()``, the end
    of ``async with``, or letting go of it ends the task and the connection.
    """

    def __init__(
        self, address: Address, channels: tuple[str, ...], size: int | None, keeping: Keeping
    ) -> None:
        self._address = address
        self._keeping = keeping
        self._queue = Queue(size)
        self._keeper: Keeper | None = None
        self._closed = False
        self._pid = os.getpid()
        self.channels = channels
        """The channels, in the order in which they were given."""

    @property
    def listening(self) -> bool:
        """Whether notifications are being received now."""
        return self._keeper is not None and self._keeper.listening

    def __len__(self) -> int:
        """Return how many items wait to be read."""
        return len(self._queue)

    def __bool__(self) -> bool:
        return True

    def __aiter__(self) -> Listener:
        return self

    async def __anext__(self) -> Notification | Gap:
        if self._closed:
            raise StopAsyncIteration
        keeper = self._started()
        while not self._closed:
            if self._queue:
                return self._queue.take()
            if keeper.failure is not None:
                raise keeper.failure
            await self._wait(keeper)
        raise StopAsyncIteration

    async def __aenter__(self) -> Listener:
        self._refuse_closed()
        keeper = self._started()
        try:
            while not keeper.listening and not self._queue:
                if keeper.failure is not None:
                    raise keeper.failure
                self._refuse_closed()  # by another task, meanwhile
                await self._wait(keeper)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop listening and close the connection; what waits to be read is dropped.

        Raises InvalidRequestError in another event loop, or process, than the one that listens.
        """
        keeper = self._keeper
        if keeper is not None:
            self._refuse_others(keeper)
        self._closed = True
        self._queue.clear()
        if keeper is not None:
            keeper.changed.set()  # somebody may wait for the next item
            await keeper.stopped()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise InvalidRequestError("this listener is closed: call listen() again")

    def _started(self) -> Keeper:
        """Return the keeper of the connection, which begins now if it has not begun yet."""
        if self._keeper is None:
            self._keeper = Keeper(self._address, self._keeping, self._queue)
        self._refuse_others(self._keeper)
        return self._keeper

    def _refuse_others(self, keeper: Keeper) -> None:
        if os.getpid() != self._pid:
            raise InvalidRequestError(
                "this listener belongs to the process that this one was forked from: call listen() "
                "in each process"
            )
        if keeper.loop is not asyncio.get_running_loop():
            raise InvalidRequestError(
                "this listener belongs to another event loop: call listen() in each"
            )

    async def _wait(self, keeper: Keeper) -> None:
        keeper.changed.clear()
        await keeper.changed.wait()

    def __del__(self) -> None:
        keeper = getattr(self, "_keeper", None)
        if keeper is None or os.getpid() != self._pid or keeper.task.done():
            return
        with suppress(RuntimeError):  # the loop is closed, and the task with it
            keeper.loop.call_soon_threadsafe(keeper.stop)


def listen(
    engine: Any,
    channels: tuple[Any, ...],
    *,
    url: Any = None,
    queue_size: int | None = 10_000,
    check_every: float | None = 60.0,
    give_up_after: float | None = None,
) -> Listener:
    """Listen for notifications: see :func:`pgflight.listen`."""
    if queue_size is not None and (not isinstance(queue_size, int) or queue_size < 1):
        raise ArgumentError("queue_size is a number of notifications, 1 or more, or None")
    for name, seconds in (("check_every", check_every), ("give_up_after", give_up_after)):
        if seconds is not None and not seconds > 0:
            raise ArgumentError(f"{name} is a number of seconds greater than 0, or None")
    names = checked_channels(channels)
    keeping = Keeping(names, check_every, give_up_after)
    return Listener(Address(engine, url), names, queue_size, keeping)
