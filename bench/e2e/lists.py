"""SELECTs with an IN list, of another length and with other elements each time."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import URL

from bench.e2e import schema
from bench.e2e.core import OnConnection
from bench.e2e.workload import Workload

LENGTHS = {
    "in_2": (1, 3),
    "in_100": (50, 150),
    "in_1000": (500, 1_500),
    "in_10000": (9_000, 11_000),
}
"""Name of a workload -> its shortest and its longest list."""


class Listed(OnConnection):
    """Looks rows up by a list of keys, which is built anew for each statement."""

    def __init__(self, url: URL, schema_name: str, lengths: tuple[int, int]) -> None:
        super().__init__(url)
        self._columns = schema.Tables(schema_name).big.c
        self._lengths = lengths
        self._keys = list(range(1, schema.BIG_ROWS + 1))
        Random(1).shuffle(self._keys)
        self.restart()

    def restart(self) -> None:
        self._random = Random(1)

    async def step(self) -> Any:
        number = self._random.randint(*self._lengths)
        first = self._random.randrange(len(self._keys) - number)
        chosen = self._keys[first : first + number]
        statement = select(self._columns.id).where(self._columns.id.in_(chosen))
        return (await self.connection.execute(statement)).all()

    async def rows(self, result: Any) -> Iterable[Any]:
        return sorted(result)


def make(name: str, url: URL, schema_name: str) -> Workload | None:
    """Return the workload of that name, None if it has no list."""
    return Listed(url, schema_name, LENGTHS[name]) if name in LENGTHS else None
