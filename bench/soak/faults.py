"""What breaks during the soak, each on the real server or on the wire."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg

from bench.soak.work import shape
from tests.fixtures.proxy import Proxy

APPLICATION = "soak"
HOLE_SECONDS = 1.0
CANCELLED_AT_ONCE = 5
_BLOWS = ("kill", "reset", "DDL")

_SIGNAL = (
    "SELECT {}(pid) FROM pg_stat_activity WHERE application_name = $1 AND {}"
    " ORDER BY random() LIMIT $2"
)


class Faults:
    """The hand that breaks things; `done` counts them.

    `blows` counts the beginnings and the ends of those that a first statement has to be sent again
    for: a unit that has seen three has met two of them.
    """

    def __init__(
        self, proxy: Proxy, admin: asyncpg.Connection, tasks: set[asyncio.Task[Any]], seed: int
    ) -> None:
        self.proxy, self.admin, self.tasks = proxy, admin, tasks
        self.chance = random.Random(seed)
        self.done: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.blows = 0
        self._types = itertools.cycle(("text", "integer"))

    async def one(self) -> None:
        """Break something, all kinds equally often."""
        name = self.chance.choice(list(KINDS))
        self.blows += name in _BLOWS
        await KINDS[name](self)
        self.blows += name in _BLOWS
        self.done[name] += 1

    async def kill(self) -> None:
        """End two sessions of the program's, whatever they do."""
        await self.admin.fetch(_SIGNAL.format("pg_terminate_backend", "true"), APPLICATION, 2)

    async def cancel_in_server(self) -> None:
        """Cancel two statements from another session."""
        kind = "state = 'active'"
        await self.admin.fetch(_SIGNAL.format("pg_cancel_backend", kind), APPLICATION, 2)

    async def cancel_tasks(self) -> None:
        """Cancel tasks of the program's."""
        running = sorted(self.tasks, key=id)
        for task in self.chance.sample(running, min(CANCELLED_AT_ONCE, len(running))):
            task.cancel()

    async def black_hole(self) -> None:
        """Forward nothing for a second."""
        await asyncio.to_thread(self.proxy.black_hole)
        try:
            await asyncio.sleep(HOLE_SECONDS)
        finally:
            await asyncio.to_thread(self.proxy.heal)

    async def reset(self) -> None:
        """Reset every connection."""
        await asyncio.to_thread(self.proxy.reset)

    async def change_type(self) -> None:
        """Change the type of a column that is read all the time."""
        kind = next(self._types)
        await self.admin.execute(
            f"ALTER TABLE {shape.name} ALTER v TYPE {kind} USING v::text::{kind}"
        )


KINDS: dict[str, Callable[[Faults], Coroutine[Any, Any, None]]] = {
    "kill": Faults.kill,
    "cancel in the server": Faults.cancel_in_server,
    "cancelled tasks": Faults.cancel_tasks,
    "black hole": Faults.black_hole,
    "reset": Faults.reset,
    "DDL": Faults.change_type,
}
