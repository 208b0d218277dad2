"""The pool's queue for several loops: within one as SQLAlchemy's; across them nobody is lost."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from sqlalchemy.util import greenlet_spawn
from sqlalchemy.util.queue import AsyncAdaptedQueue, Empty, Full

from pgflight.compat.loops.pool_queue import PoolQueue

QUEUES: list[Any] = [AsyncAdaptedQueue, PoolQueue]


@pytest.mark.parametrize("kind", QUEUES)
@pytest.mark.parametrize("use_lifo", [False, True])
def test_one_loop_is_served_as_by_sqlalchemy_s(kind: Any, use_lifo: bool) -> None:
    async def work() -> None:
        queue = kind(3, use_lifo=use_lifo)
        for item in "abc":
            queue.put_nowait(item)
        with pytest.raises(Full):
            queue.put(item, False)
        taken = [queue.get(False), await greenlet_spawn(queue.get, True, 1), queue.get_nowait()]
        assert taken == (list("cba") if use_lifo else list("abc"))
        with pytest.raises(Empty):
            queue.get(False)
        with pytest.raises(Empty):
            await greenlet_spawn(queue.get, True, 0.01)
        got: list[tuple[int, str]] = []

        async def take(number: int) -> None:
            got.append((number, await greenlet_spawn(queue.get, True, 60)))

        tasks = [asyncio.ensure_future(take(number)) for number in range(4)]
        await asyncio.sleep(0.01)
        tasks[0].cancel()
        await asyncio.sleep(0)
        for item in "xyz":
            queue.put_nowait(item)
            await asyncio.sleep(0.01)
        await asyncio.wait(tasks)
        assert got == [(1, "x"), (2, "y"), (3, "z")]
        assert (queue.qsize(), queue.empty(), queue.full(), queue.maxsize) == (0, True, False, 3)

    asyncio.run(work())


def test_who_is_woken_and_cancelled_wakes_the_next() -> None:
    """With SQLAlchemy 2.0 and Python 3.11, its own lets the task go on that was cancelled."""

    async def work() -> None:
        queue: Any = PoolQueue(3)
        first, second = (
            asyncio.ensure_future(greenlet_spawn(queue.get, True, 60)) for _ in range(2)
        )
        await asyncio.sleep(0.01)
        queue.put_nowait("a")
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await asyncio.wait_for(second, 60) == "a"

    asyncio.run(work())


def test_who_has_waited_longest_keeps_his_turn() -> None:
    """Also where another has taken what he was woken for: SQLAlchemy's puts him at the end."""

    async def work() -> None:
        queue: Any = PoolQueue(3)
        first, second = (
            asyncio.ensure_future(greenlet_spawn(queue.get, True, 60)) for _ in range(2)
        )
        await asyncio.sleep(0.01)
        for _ in range(3):
            queue.put_nowait("stolen")
            assert queue.get_nowait() == "stolen"  # before the first runs
            await asyncio.sleep(0.01)
        queue.put_nowait("a")
        await asyncio.sleep(0.01)
        assert first.done() and first.result() == "a" and not second.done()
        queue.put_nowait("b")
        assert await asyncio.wait_for(second, 60) == "b"

    asyncio.run(work())


def test_several_whose_items_were_taken_keep_their_order() -> None:
    async def work() -> list[int]:
        queue: Any = PoolQueue(3)
        served: list[int] = []

        async def take(number: int) -> None:
            await greenlet_spawn(queue.get, True, 60)
            served.append(number)

        tasks = [asyncio.ensure_future(take(number)) for number in range(4)]
        await asyncio.sleep(0.01)
        for _ in range(2):
            queue.put_nowait("stolen")
        for _ in range(2):
            queue.get_nowait()  # before the first two run
        await asyncio.sleep(0.01)
        for _ in range(4):
            queue.put_nowait("a")
            await asyncio.sleep(0.01)
        await asyncio.gather(*tasks)
        return served

    assert asyncio.run(work()) == [0, 1, 2, 3]


def test_a_task_of_another_loop_is_woken() -> None:
    queue: Any = PoolQueue(3)
    got: list[str] = []
    waits = threading.Event()

    async def take() -> None:
        asyncio.get_running_loop().call_later(0.01, waits.set)
        got.append(await greenlet_spawn(queue.get, True, 60))

    thread = threading.Thread(target=lambda: asyncio.run(take()))
    thread.start()
    waits.wait()
    queue.put_nowait("a")  # no loop runs in this thread
    thread.join()
    assert got == ["a"]


def test_a_task_of_a_loop_that_stands_still_keeps_nobody_waiting() -> None:
    """It is woken, and so is the next, since nobody knows whether that loop will run again."""
    queue: Any = PoolQueue(3)
    still = asyncio.new_event_loop()
    forgotten = still.create_task(greenlet_spawn(queue.get, True, None))
    still.run_until_complete(asyncio.sleep(0.01))

    async def work() -> None:
        task = asyncio.ensure_future(greenlet_spawn(queue.get, True, 60))
        await asyncio.sleep(0.01)
        queue.put_nowait("a")
        assert await task == "a"

    asyncio.run(work())
    queue.put_nowait("b")
    assert still.run_until_complete(forgotten) == "b"
    closed = asyncio.new_event_loop()
    lost = closed.create_task(greenlet_spawn(queue.get, True, None))
    closed.run_until_complete(asyncio.sleep(0.01))
    lost.cancel()
    closed.run_until_complete(asyncio.wait({lost}))
    closed.close()
    still.close()
    queue.put_nowait("c")
    assert queue.get_nowait() == "c"


@pytest.mark.parametrize("use_lifo", [False, True])
def test_a_loop_takes_its_own_first(use_lifo: bool) -> None:
    queue: Any = PoolQueue(9, use_lifo, wanted_elsewhere=str.isupper)
    queue.put_nowait("z")
    assert queue.get_nowait() == "z"

    async def first() -> None:
        with pytest.raises(Empty):
            queue.get_nowait()

    async def work() -> str:
        for item in "AbCdE":
            queue.put_nowait(item)
        return "".join(queue.get_nowait() for _ in range(5))

    asyncio.run(first())
    assert asyncio.run(work()) == ("dbECA" if use_lifo else "bdACE")


def test_a_child_process_begins_without_its_parent_s_tasks() -> None:
    async def work() -> None:
        queue: Any = PoolQueue(3)
        task = asyncio.ensure_future(greenlet_spawn(queue.get, True, 60))
        await asyncio.sleep(0.01)
        guard, waiting = queue.guard, queue.waiting
        queue.forked()  # in the child
        assert not queue.waiting
        assert queue.guard is not guard
        queue.guard, queue.waiting = guard, waiting  # in the parent
        queue.put_nowait("a")
        assert await task == "a"

    asyncio.run(work())
