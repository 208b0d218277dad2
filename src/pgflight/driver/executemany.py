"""asyncpg's ``executemany()``, which can be cancelled at any moment, and its row counts."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

from .. import _impl
from .execution import receiver_of


async def executemany(connection: Any, statement: str, rows: Any) -> int:
    """Execute a statement once per row, atomically; return how many rows that affected in all.

    Returns -1 where nobody sees the command tags, which asyncpg throws away: at level ``public``,
    on a connection that is not asyncpg's own, behind a notification of which a part has come; and
    for commands whose tags have no number.  Raises asyncpg's errors.
    """
    receiver = receiver_of(connection)
    if receiver is None or not receiver.whole:
        await Cancellable(connection, connection.executemany(statement, rows))
        return -1
    tally = _impl.tags.Tally()
    receiver.overhear = tally.take
    try:
        await Cancellable(connection, connection.executemany(statement, rows))
    finally:
        receiver.overhear = None
    return tally.total


class Cancellable:
    """Awaits an operation of a connection; when it is cancelled, the connection is dropped.

    asyncpg sends the arguments of ``executemany()`` in parts of 128 KB.  Cancelled between two of
    them it never sends the Sync that the server waits for, takes no notice of the cancellation and
    waits for an answer, for ever.  With the connection gone it gives up at once.
    """

    __slots__ = ("_connection", "_operation")

    def __init__(self, connection: Any, operation: Any) -> None:
        self._connection = connection
        self._operation = operation

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._operation.__await__()
        try:
            waiting_for = next(steps)
            while True:
                try:
                    sent = yield waiting_for
                except (asyncio.CancelledError, GeneratorExit) as cancellation:
                    self._connection.terminate()
                    _close(steps, cancellation)
                    raise
                except BaseException as error:
                    waiting_for = steps.throw(error)
                else:
                    waiting_for = steps.send(sent)
        except StopIteration as end:
            return end.value


def _close(steps: Any, cancellation: BaseException) -> None:
    try:
        while True:
            # what it still waits for has ended with the connection
            steps.throw(cancellation)
    except BaseException:
        return
