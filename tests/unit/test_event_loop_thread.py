"""The event loop's thread: what may interrupt its users, and where it cannot be waited for."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pgflight.dbapi import errors
from pgflight.dbapi.sync.event_loop_thread import LoopThread
from tests.fixtures.children import Child

SECONDS = 30
"""Bound on what takes a moment."""


@pytest.fixture
def loop_thread() -> Iterator[LoopThread]:
    made = LoopThread("of a test")
    yield made
    made.close()
    assert not made.running


async def nothing() -> int:
    return 7


def ends(function: Callable[[], object]) -> bool:
    """Call a function in a thread of its own and tell whether it returns, or raises."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    thread.join(SECONDS / 3)
    return not thread.is_alive()


def test_whoever_is_interrupted_with_the_lock_stops_nobody(loop_thread: LoopThread) -> None:
    """As by a signal handler that connects, while another thread has a connection of its own."""
    assert loop_thread.run(nothing()) == 7
    connection = object()

    async def connects() -> None:
        loop_thread.enter(connection)

    def handler() -> None:
        with loop_thread._lock:
            loop_thread.run(connects())
            assert ends(lambda: loop_thread.run(nothing()))
            done.append(True)

    done: list[bool] = []
    assert ends(handler)
    assert done
    loop_thread.leave(connection)


def test_a_forked_child_begins_anew(loop_thread: LoopThread) -> None:
    """Before anything is used: else its first two threads might each do so, and begin two loops."""
    loop_thread.run(nothing())
    held, forked = threading.Event(), threading.Event()

    def holds() -> None:
        with loop_thread._lock:
            held.set()
            forked.wait(SECONDS)

    threading.Thread(target=holds).start()
    assert held.wait(SECONDS)

    def work() -> int:
        if loop_thread.running:
            return 1
        return 0 if loop_thread.run(nothing()) == 7 else 2

    child = Child(work, SECONDS)
    forked.set()
    assert child.status() == 0
    assert loop_thread.run(nothing()) == 7


class Interrupts:
    """Raises KeyboardInterrupt when the next call is handed to a loop, before that or behind it."""

    def __init__(self, loop: Any, monkeypatch: pytest.MonkeyPatch, *, before: bool) -> None:
        hand_over = loop.call_soon_threadsafe

        def interrupted(*arguments: Any, **options: Any) -> None:
            monkeypatch.setattr(loop, "call_soon_threadsafe", hand_over)
            if not before:
                hand_over(*arguments, **options)
            raise KeyboardInterrupt

        monkeypatch.setattr(loop, "call_soon_threadsafe", interrupted)


@pytest.mark.parametrize("before", [False, True], ids=["handed over", "not handed over"])
@pytest.mark.parametrize("seconds", [0, SECONDS])
def test_an_interrupt_before_the_caller_waits(
    loop_thread: LoopThread, monkeypatch: pytest.MonkeyPatch, before: bool, seconds: float
) -> None:
    """Nothing goes on in the loop, and the interrupt is not delayed."""
    loop_thread.run(nothing())

    async def sleeps() -> None:
        await asyncio.sleep(SECONDS * 10)

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Interrupts(loop_thread._loop, monkeypatch, before=before)
        loop_thread.run(sleeps(), seconds)
    assert time.monotonic() - begun < SECONDS / 3

    async def others() -> int:
        await asyncio.sleep(0.05)
        return len(asyncio.all_tasks()) - 1

    assert loop_thread.run(others()) == 0


def test_a_thread_that_has_ended_is_not_waited_for() -> None:
    """And the next use begins another."""
    loop_thread = LoopThread("of a test")
    first = loop_thread.run(current_thread())
    loop = loop_thread._loop
    assert loop is not None

    async def stops() -> None:
        loop.stop()
        task: Any = asyncio.current_task()
        task._log_destroy_pending = False
        await asyncio.sleep(SECONDS * 10)

    with pytest.raises(errors.InterfaceError, match="thread has ended"):
        loop_thread.run(stops())
    second = loop_thread.run(current_thread())
    assert second is not first
    loop_thread.close()
    second.join(SECONDS)


async def current_thread() -> threading.Thread:
    return threading.current_thread()


def test_while_the_interpreter_is_finalized(
    loop_thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop_thread.run(nothing())
    monkeypatch.setattr(sys, "is_finalizing", lambda: True)
    with pytest.raises(errors.InterfaceError, match="the interpreter shuts down"):
        loop_thread.run(nothing())
    loop_thread.close()  # waits for nobody
    monkeypatch.undo()
    assert loop_thread.run(nothing()) == 7


def test_a_system_that_refuses_a_thread(
    loop_thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Python 3.12 does in a function of atexit."""

    def refuses(_thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuses)
        with pytest.raises(errors.OperationalError, match="cannot be started: can't create"):
            loop_thread.run(nothing())
    assert not loop_thread.running
    assert loop_thread.run(nothing()) == 7
