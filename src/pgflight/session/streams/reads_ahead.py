"""What a session reads ahead for its streams, beside the program, in tasks of their own.

Each one takes the session's turn, so that statements queue behind it.  The end of a transaction
does not take the turn; it waits for these here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractContextManager
from typing import Any

from ...driver import retrieve


class ReadsAhead:
    """The tasks of one session that are reading ahead; true while there are any."""

    __slots__ = ("tasks",)

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()

    def __bool__(self) -> bool:
        return bool(self.tasks)

    def start(self, reading: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begin to read in the running event loop."""
        task = asyncio.get_running_loop().create_task(reading)
        self.tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        retrieve(task)  # the stream may have been left by now

    async def settle(self, bound: AbstractContextManager[Any]) -> None:
        """Wait until nothing is being read ahead, within ``bound``."""
        with bound:
            while self.tasks:
                await asyncio.wait(set(self.tasks))
