"""The task behind a listener: keeps a connection to the server that listens, and fills the queue.

It knows the queue and not the listener, so that a listener that the program lets go of can end it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy.exc import ArgumentError, InvalidRequestError

from .connecting import Address, ListeningConnection
from .queue import Gap, Notification, Queue

_log = logging.getLogger("pgflight")

_FIRST_DELAY = 0.1
_LARGEST_DELAY = 30.0
_LASTED_SECONDS = 10.0
"""How long a connection has to last for the next loss not to be one of a series."""
_LASTING = (ArgumentError, InvalidRequestError, TypeError)
"""Errors that another attempt would meet again."""


@dataclass(frozen=True)
class Keeping:
    """How a connection is kept; times are in seconds, None for none."""

    channels: tuple[str, ...]
    check_every: float | None
    give_up_after: float | None


class Keeper:
    """Keeps a connection in the running event loop until :attr:`task` is cancelled."""

    def __init__(self, address: Address, keeping: Keeping, queue: Queue) -> None:
        self._address = address
        self._keeping = keeping
        self._queue = queue
        self.changed = asyncio.Event()
        """Set when there is something to read, or the state has changed."""
        self.listening = False
        self.failure: BaseException | None = None
        """Why it has ended by itself."""
        self._times_lost = 0
        self.loop = asyncio.get_running_loop()
        self.task = self.loop.create_task(self._run(), name="pgflight.listen")

    async def _run(self) -> None:
        try:
            connection = await self._connected()
            while True:
                await self._stay(connection)
                connection = await self._connected_again()
        except Exception as error:
            self.failure = error
        finally:
            self.listening = False
            self.changed.set()

    async def _connected(self) -> ListeningConnection:
        """Return a connection that listens."""
        connection = await self._address.connect()
        try:
            await connection.subscribe(self._keeping.channels, self._heard)
        except BaseException:
            connection.terminate()  # it may be in a transaction, or not its own
            with suppress(Exception):
                await connection.close()
            raise
        return connection

    def _heard(self, channel: str, payload: str, pid: int) -> None:
        self._queue.put(Notification(channel, payload, pid))
        self.changed.set()

    async def _stay(self, connection: ListeningConnection) -> None:
        """Wait until the connection is lost; close it."""
        began = self.loop.time()
        self.listening = True
        self.changed.set()
        try:
            while not await self._is_lost(connection):
                pass
        finally:
            self.listening = False
            with suppress(Exception):
                await connection.close()
        if self.loop.time() - began > _LASTED_SECONDS:
            self._times_lost = 0

    async def _is_lost(self, connection: ListeningConnection) -> bool:
        """Wait until the connection has ended or is to be checked; tell whether it has ended."""
        try:
            await asyncio.wait_for(connection.lost.wait(), self._keeping.check_every)
        except asyncio.TimeoutError:
            try:
                await connection.check()
            except Exception as error:
                _log.debug("the connection that listens did not answer: %s", type(error).__name__)
                connection.terminate()
        return connection.lost.is_set() or connection.is_closed()

    async def _connected_again(self) -> ListeningConnection:
        """Return a new connection that listens, and tell the program of the gap.

        Raises the last error when it gives up.
        """
        lost_at = self.loop.time()
        _log.warning("the connection that listens for notifications was lost; it is made again")
        last: Exception | None = None
        attempts = 0
        while True:
            await asyncio.sleep(self._delay())
            attempts += 1
            try:
                connection = await self._connected()
            except Exception as error:
                last = error
                patience = self._keeping.give_up_after
                given_up = patience is not None and self.loop.time() - lost_at >= patience
                if given_up or isinstance(error, _LASTING):
                    raise
                _log.info("listening again has failed (%s); trying again", type(error).__name__)
                continue
            seconds = self.loop.time() - lost_at
            self._queue.put_gap(Gap("the connection was lost", None, last, seconds))
            self.changed.set()
            _log.warning(
                "listening again after %.1f seconds and %d attempts; notifications that were sent "
                "in between are missing",
                seconds,
                attempts,
            )
            return connection

    def _delay(self) -> float:
        """Return the seconds before the next attempt: twice the last, and some chance."""
        delay: float = min(_FIRST_DELAY * 2 ** min(self._times_lost, 20), _LARGEST_DELAY)
        self._times_lost += 1
        return delay * random.uniform(0.5, 1)
