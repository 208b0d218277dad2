"""What a worker knows of a workload: open, run a batch, look at a result, close.

bench/peers/worker.py drives it; core.py, bulk.py, lists.py, orm.py, streams.py, raw.py, units.py,
raw_units.py and documents.py beside this file hold the workloads themselves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

_SAMPLED = 2_000


class Workload:
    """One piece of work that is repeated, most often on an open connection.

    `idle` grows by the seconds in which a batch has done nothing on purpose: they are not measured.
    """

    idle = 0.0

    async def open(self) -> None:
        """Connect and prepare; not measured."""

    def restart(self) -> None:
        """Go back to the start of what changes from step to step by chance."""

    async def step(self) -> Any:
        """Do the work once and return its result as the user gets it."""
        raise NotImplementedError

    async def batch(self, count: int) -> None:
        """Do the work `count` times, dropping the results."""
        for _ in range(count):
            await self.step()

    async def reset(self) -> None:
        """Undo what a batch has left on the server; not measured."""

    async def rows(self, result: Any) -> Iterable[Any]:
        """Return what `step` achieved as rows, to be compared between peers."""
        return list(result)

    async def server_memory(self) -> int:
        """Return how many bytes the connection's process on the server has allocated."""
        raise NotImplementedError

    async def close(self) -> None:
        """Give the connection back."""

    async def digest(self) -> str:
        """Do the work once, and return its number of rows and a hash of their values."""
        rows = list(await self.rows(await self.step()))
        await self.reset()
        stride = len(rows) // _SAMPLED + 1
        text = json.dumps([_plain(row) for row in rows[::stride]], sort_keys=True, default=repr)
        return f"{len(rows)}:{hashlib.sha256(text.encode()).hexdigest()}"


def _plain(value: Any) -> Any:
    """Return `value` in terms that do not depend on the driver's own classes."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Mapping):
        return [_plain(item) for item in value.values()]
    if hasattr(value, "hex") and hasattr(value, "int"):  # a UUID, of uuid or of asyncpg
        return str(value)
    return [_plain(item) for item in value]
