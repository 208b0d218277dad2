"""A bound on what a task awaits, in which no cancellation gets lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pgflight.driver import within


@pytest.mark.parametrize("seconds", [None, 60.0])
def test_a_cancellation_together_with_the_result(seconds: float | None) -> None:
    """Before Python 3.12, `asyncio.wait_for` returns the result here."""

    async def work() -> None:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        went_on = False

        async def program() -> None:
            nonlocal went_on
            await within(seconds, future)
            went_on = True

        task = asyncio.ensure_future(program())
        await asyncio.sleep(0)
        future.set_result("answer")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not went_on

    asyncio.run(work())


def test_results_and_errors_are_passed_on() -> None:
    async def answer() -> str:
        await asyncio.sleep(0)
        return "answer"

    async def fail() -> Any:
        raise LookupError("why")

    async def work() -> None:
        assert await within(60.0, answer()) == await within(None, answer()) == "answer"
        with pytest.raises(LookupError, match="why"):
            await within(60.0, fail())

    asyncio.run(work())


def test_past_the_bound() -> None:
    ended: list[type[BaseException] | None] = []

    async def late() -> None:
        try:
            await asyncio.sleep(60)
        except BaseException as error:
            ended.append(type(error))
            raise

    async def work() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await within(0.01, late())
        assert ended == [asyncio.CancelledError]

    asyncio.run(work())
