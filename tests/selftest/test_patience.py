"""What the storms wait by gives up on a hang, and not on a server that stands still."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.adversity.patience import Patience

SECONDS = 0.2


class Answering:
    """A connection whose server answers as long as `answers` is set."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.answers.set()

    async def fetchval(self, query: str) -> int:
        await self.answers.wait()
        return 1


def test_what_never_ends_is_given_up() -> None:
    async def work() -> None:
        connection: Any = Answering()
        patience = Patience(connection)
        never: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        assert await patience.wait({never}, SECONDS) == set()
        await patience.end()

    asyncio.run(work())


def test_what_ends_is_returned_though_the_server_stood_still() -> None:
    async def work() -> None:
        connection: Any = Answering()
        patience = Patience(connection)
        connection.answers.clear()
        late = asyncio.ensure_future(asyncio.sleep(5 * SECONDS))
        assert await patience.wait({late}, SECONDS) == {late}
        await patience.end()

    asyncio.run(work())


def test_a_server_that_is_gone_is_no_reason_to_wait() -> None:
    class Gone:
        async def fetchval(self, query: str) -> int:
            raise ConnectionError(query)

    async def work() -> None:
        connection: Any = Gone()
        patience = Patience(connection)
        never: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        with pytest.raises(ConnectionError):
            await patience.wait({never}, SECONDS)

    asyncio.run(work())
