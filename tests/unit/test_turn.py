"""The turn at one connection: first come, first served, whoever is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from pgflight.session.turn import Turn


def test_first_come_first_served() -> None:
    async def work() -> list[int]:
        mutex, order = Turn(), []

        async def one(number: int) -> None:
            async with mutex:
                order.append(number)
                await asyncio.sleep(0)
                assert order[-1] == number, "somebody else was let in"

        await asyncio.gather(*(one(number) for number in range(10)))
        assert not mutex.locked()
        return order

    assert asyncio.run(work()) == list(range(10))


def test_nobody_overtakes_the_one_who_was_handed_the_turn() -> None:
    async def work() -> None:
        mutex = Turn()
        assert mutex.take()
        waiting = asyncio.create_task(mutex.acquire())
        await asyncio.sleep(0)
        mutex.release()  # handed over, but the task has not run yet
        assert not mutex.take()
        assert await waiting
        mutex.release()
        assert mutex.take()

    asyncio.run(work())


@pytest.mark.parametrize("handed_over", [False, True])
def test_a_cancelled_waiter_leaves_the_line(handed_over: bool) -> None:
    async def work() -> None:
        mutex = Turn()
        await mutex.acquire()
        first, second = (asyncio.create_task(mutex.acquire()) for _ in range(2))
        await asyncio.sleep(0)
        if handed_over:
            mutex.release()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        if not handed_over:
            mutex.release()
        assert await asyncio.wait_for(second, 5)
        mutex.release()
        assert not mutex.locked()
        assert not mutex.waiting

    asyncio.run(work())


def test_an_error_inside_gives_it_back() -> None:
    async def work() -> None:
        mutex = Turn()
        with pytest.raises(ValueError, match="inside"):
            async with mutex:
                raise ValueError("inside")
        assert not mutex.locked()

    asyncio.run(work())
