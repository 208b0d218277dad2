"""asyncpg's ``executemany()``, which can be cancelled at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any


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
