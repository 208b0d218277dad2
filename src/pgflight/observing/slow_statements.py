"""Telling the program which of its statements take long: :func:`pgflight.on_slow_statement`.

Listens to SQLAlchemy's events of one engine, so that it works on any dialect, and costs a look at
the clock before and after each statement of that engine, of no other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from ..compat.connections import engine_behind
from ..sqltext.digests import digest, without_values
from .statement_timer import StatementTimer, TimedStatement, listen

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

_log = logging.getLogger("pgflight")
_MOST_LOGGED = 300


class SlowStatement(NamedTuple):
    """A statement that took long."""

    seconds: float
    """From when the dialect was given it until its rows, or the first of a stream's, were there.

    What else the event loop did meanwhile is part of it.
    """
    digest: str
    """16 hexadecimal digits: the same for the same statement with other values."""
    statement: str
    """Its text, with ``?`` for constants and parameters: no value is in it."""
    executemany: bool
    """Whether it was executed for several sets of parameters."""
    error: str | None
    """The name of the class of the driver's error, None if it succeeded."""


Hook = Callable[[SlowStatement], object]


def log_slow_statement(slow: SlowStatement) -> None:
    """Write a slow statement to the logger ``pgflight``, at WARNING."""
    text = slow.statement
    shown = text if len(text) <= _MOST_LOGGED else f"{text[:_MOST_LOGGED]}…"
    failed = f", {slow.error}" if slow.error else ""
    _log.warning("slow statement %s: %.3f s%s: %s", slow.digest, slow.seconds, failed, shown)


def on_slow_statement(
    engine: Engine | AsyncEngine, seconds: float = 1.0, hook: Hook | None = None
) -> Callable[[], None]:
    """Implement :func:`pgflight.on_slow_statement`."""
    found = engine_behind(engine, "pgflight.on_slow_statement()")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"seconds={seconds!r} is not a number of seconds, such as 0.5")
    if not (isfinite(seconds) and seconds >= 0):
        raise ValueError(f"seconds={seconds!r} is not a number of seconds, such as 0.5")
    if hook is not None and not callable(hook):
        raise TypeError(f"hook={hook!r} cannot be called: give a function of one SlowStatement")
    watch = _Watch(float(seconds), hook or log_slow_statement)
    return listen(found, StatementTimer(watch.look).listeners())


class _Watch:
    """What looks at the statements of one engine."""

    def __init__(self, seconds: float, hook: Hook) -> None:
        self._seconds = seconds
        self._hook = hook

    def look(self, timed: TimedStatement) -> None:
        """Tell of a statement if it took long."""
        if timed.seconds < self._seconds:
            return
        statement = without_values(timed.text)
        error = None if timed.error is None else type(timed.error).__name__
        slow = SlowStatement(timed.seconds, digest(statement), statement, timed.executemany, error)
        try:
            self._hook(slow)
        except Exception:
            # the statement has succeeded or failed by itself; its values are in no frame of this
            _log.exception("the hook for slow statements failed")
