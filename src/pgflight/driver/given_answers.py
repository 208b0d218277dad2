"""Giving asyncpg an answer to an operation without waiting for the server's.

Its state is then the same as if the server had answered.  What is done with the server's own
answer, if one comes, is up to the caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from .contracts import Operation, ProtocolOfAsyncpg
from .sender import Sender


def complete(
    protocol: ProtocolOfAsyncpg,
    operation: Operation,
    answered: asyncio.Future[Any],
    give: Callable[[bytes], None],
    answer: bytes,
) -> Any:
    """Complete the operation that waits for ``answered`` at once; return its result.

    ``give`` hands ``answer`` to asyncpg.
    """
    # left to the next loop iteration, it would cancel the timeout of the next operation
    answered.remove_done_callback(protocol._on_waiter_completed)
    give(answer)
    try:
        operation.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("asyncpg did not accept the answer that it was given")


def complete_unsent(
    protocol: ProtocolOfAsyncpg, sender: Sender, operation: Operation, answer: bytes
) -> Any:
    """Complete an operation as :func:`complete` does, and send nothing of it.

    Raises asyncpg's InterfaceError if the connection is closed or busy.
    """
    sender.swallow()
    try:
        answered = operation.send(None)
    finally:
        sender.swallow_no_more()
    return complete(protocol, operation, answered, protocol.data_received, answer)
