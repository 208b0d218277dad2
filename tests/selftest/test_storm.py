"""A storm has ended when the tasks have ended that its units left behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.adversity import test_cancel_storm
from tests.adversity.patience import Patience
from tests.adversity.test_cancel_storm import WORKERS, Storm
from tests.selftest.test_patience import Answering


class Leaving(Storm):
    """A storm whose workers each leave a task behind, which ends in the background or never."""

    def __init__(self, patience: Patience, *, ends: bool) -> None:
        engine: Any = None
        super().__init__(engine, 0, (), patience)
        self.ends = ends
        self.given_back = 0
        self.tasks: list[asyncio.Task[None]] = []

    async def _worker(self, number: int) -> None:
        self.tasks.append(asyncio.ensure_future(self._give_back()))

    async def _give_back(self) -> None:
        while not self.ends:
            await asyncio.sleep(1)
        await asyncio.sleep(0.01)
        # as SQLAlchemy's `async with` and asyncpg's cancellations do, go on in another task
        self.tasks.append(asyncio.ensure_future(self._last()))

    async def _last(self) -> None:
        await asyncio.sleep(0.01)
        self.given_back += 1


async def run(ends: bool) -> Leaving:
    connection: Any = Answering()
    patience = Patience(connection)
    storm = Leaving(patience, ends=ends)
    await storm.run()
    await patience.end()
    return storm


def test_what_ends_in_the_background_is_waited_for() -> None:
    async def work() -> None:
        storm = await run(ends=True)
        assert storm.given_back == WORKERS
        assert not storm.wrong

    asyncio.run(work())


def test_what_never_ends_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_cancel_storm, "UNIT_SECONDS", 0.2)

    async def work() -> None:
        storm = await run(ends=False)
        assert len(storm.wrong) == WORKERS
        assert all("test_storm.py" in told for told in storm.wrong)
        for task in storm.tasks:
            task.cancel()
        await asyncio.wait(storm.tasks)

    asyncio.run(work())
