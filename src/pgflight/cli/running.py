"""What a command that works on a server for a while needs: signals that let it clean up, and both
dialects under names of their own."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pgflight

T = TypeVar("T")


def run_to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` in a loop of its own; Ctrl-C and SIGTERM cancel it, so that it can clean up.

    Raises KeyboardInterrupt after those, and what `work` raises.
    """

    async def interruptible() -> T:
        _cancel_on_signals()
        try:
            return await work
        except (asyncio.CancelledError, asyncio.TimeoutError):
            # Whatever a driver was waiting for at that moment fails now; that is expected.
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
            raise

    try:
        return asyncio.run(interruptible())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _cancel_on_signals() -> None:
    # asyncio.run() does that for Ctrl-C from Python 3.11 on, and for SIGTERM never. Before 3.11,
    # KeyboardInterrupt is raised wherever the interpreter is, and may get lost there.
    if sys.platform == "win32":
        return
    task = asyncio.current_task()
    assert task is not None, "called inside a coroutine"
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    if sys.version_info < (3, 11):
        loop.add_signal_handler(signal.SIGINT, task.cancel)


@contextlib.contextmanager
def builtin_dialect_in_place() -> Iterator[None]:
    """Let postgresql+asyncpg mean the built-in dialect, whatever the environment is set to."""
    before = pgflight.installed()
    pgflight.uninstall()
    try:
        yield
    finally:
        if before:
            pgflight.install()
