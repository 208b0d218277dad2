"""The task behind a listener: keeps a connection to the server that listens, and fills the queue.

It knows the queue and not the listener, so that a listener that the program lets go of can end it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy.exc import InvalidRequestError

from .connecting import Address, ForeignConnection, ListeningConnection, PoolerRefused
from .queue import Gap, Notification, Queue

_log = logging.getLogger("pgflight")

_FIRST_DELAY = 0.1
_LARGEST_DELAY = 30.0
_LASTED_SECONDS = 10.0
"""How long a connection has to last for the next loss not to be one of a series."""
_LASTING = (PoolerRefused, ForeignConnection)
"""Errors that another attempt would meet again.

No wider classes: SQLAlchemy's pool raises InvalidRequestError where the server is away, and a TLS
file or a password that is wrong for a moment is an ArgumentError.  The first attempt has shown that
the engine's arguments will do.
"""
_END_SECONDS = 5.0
"""After which a task that has not ended is cancelled again; more than a farewell takes."""
_TIMES_CANCELLED = 3
_NAME = "pgflight.listen"
_CANCELLED = (
    f"the task {_NAME!r}, which keeps this listener's connection, was cancelled, and not by the "
    "listener: leave it out where the program cancels asyncio.all_tasks(), or call listen() again"
)


@dataclass(frozen=True)
class Keeping:
    """How a connection is kept; times are in seconds, None for none."""

    channels: tuple[str, ...]
    check_every: float | None
    give_up_after: float | None


class Keeper:
    """Keeps a connection in the running event loop until it is told to :meth:`stop`."""

    def __init__(self, address: Address, keeping: Keeping, queue: Queue) -> None:
        self._address = address
        self._keeping = keeping
        self._queue = queue
        self.changed = asyncio.Event()
        """Set when there is something to read, or the state has changed."""
        self.listening = False
        self.failure: BaseException | None = None
        """Why it has ended, if nobody has told it to stop."""
        self._times_lost = 0
        self._stopping = False
        self.loop = asyncio.get_running_loop()
        self.task = self.loop.create_task(self._run(), name=_NAME)
        # not in the task, which may be cancelled before it has begun
        self.task.add_done_callback(self._ended)

    def stop(self) -> None:
        """Have the task close the connection and end."""
        self._stopping = True
        self.task.cancel()

    async def stopped(self) -> None:
        """Stop, and wait for the task; not for ever, whatever a program's functions do in it."""
        for _ in range(_TIMES_CANCELLED):
            self.stop()
            done, _pending = await asyncio.wait({self.task}, timeout=_END_SECONDS)
            if done:
                return
        _log.warning(
            "the task %r has not ended after %d seconds: what the engine connects with (creator, "
            "password function, events) swallows its cancellation",
            _NAME,
            _TIMES_CANCELLED * _END_SECONDS,
        )

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.listening = False
        if not task.cancelled():
            self.failure = task.exception()
        elif not self._stopping:
            self.failure = InvalidRequestError(_CANCELLED)
        self.changed.set()

    async def _run(self) -> None:
        connection = await self._connected()
        while True:
            await self._stay(connection)
            connection = await self._connected_again()

    def _go_on(self) -> None:
        """Raise CancelledError if the task is to end, and something has swallowed that.

        asyncio.wait_for() does before Python 3.12, and a program's own functions may.
        """
        if self._stopping:
            raise asyncio.CancelledError

    async def _connected(self) -> ListeningConnection:
        """Return a connection that listens."""
        connection = await self._address.connect()
        try:
            self._go_on()
            await connection.subscribe(self._keeping.channels, self._heard)
            self._go_on()
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
        done, _pending = await asyncio.wait({connection.lost}, timeout=self._keeping.check_every)
        if not done:
            try:
                await connection.check()
            except Exception as error:
                _log.debug("the connection that listens did not answer: %s", type(error).__name__)
                connection.terminate()
            self._go_on()
        return connection.lost.done() or connection.is_closed()

    async def _connected_again(self) -> ListeningConnection:
        """Return a new connection that listens, and tell the program of the gap.

        Raises the last error when it gives up.
        """
        lost_at = self.loop.time()
        _log.warning("the connection that listens for notifications was lost; it is made again")
        last: Exception | None = None
        attempts = 0
        while True:
            self._go_on()
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
