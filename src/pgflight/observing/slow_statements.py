"""Telling the program which of its statements take long: :func:`pgflight.on_slow_statement`.

Listens to SQLAlchemy's events of one engine, so that it works on any dialect, and costs a look at
the clock before and after each statement of that engine, of no other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import isfinite
from time import perf_counter
from typing import Any, NamedTuple

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from ..sqltext.digests import digest, without_values

_log = logging.getLogger("pgflight")
_BEGAN = "_pgflight_began"
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
    if isinstance(engine, AsyncEngine):
        engine = engine.sync_engine
    if not isinstance(engine, Engine):
        raise TypeError(
            "pgflight.on_slow_statement() takes an Engine or an AsyncEngine, not "
            f"{type(engine).__name__}"
        )
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"seconds={seconds!r} is not a number of seconds, such as 0.5")
    if not (isfinite(seconds) and seconds >= 0):
        raise ValueError(f"seconds={seconds!r} is not a number of seconds, such as 0.5")
    if hook is not None and not callable(hook):
        raise TypeError(f"hook={hook!r} cannot be called: give a function of one SlowStatement")
    return _Watch(float(seconds), hook or log_slow_statement).begin(engine)


class _Watch:
    """What listens to one engine."""

    def __init__(self, seconds: float, hook: Hook) -> None:
        self._seconds = seconds
        self._hook = hook

    def begin(self, engine: Engine) -> Callable[[], None]:
        """Listen, and return what ends that."""
        listeners = (
            ("before_cursor_execute", self.began),
            ("after_cursor_execute", self.ended),
            ("handle_error", self.failed),
        )
        for name, listener in listeners:
            event.listen(engine, name, listener)

        def end() -> None:
            for name, listener in listeners:
                if event.contains(engine, name, listener):
                    event.remove(engine, name, listener)

        return end

    def began(self, *arguments: Any) -> None:
        """Note the time; `before_cursor_execute`."""
        context = arguments[4]
        if context is not None:
            setattr(context, _BEGAN, perf_counter())

    def ended(self, *arguments: Any) -> None:
        """Tell of a statement that took long; `after_cursor_execute`."""
        _, _, statement, _, context, executemany = arguments
        self._look(context, statement, executemany, None)

    def failed(self, failure: Any) -> None:
        """Tell of a statement that took long and failed; `handle_error`."""
        context = failure.execution_context
        name = type(failure.original_exception).__name__
        many = context is not None and bool(context.executemany)
        self._look(context, failure.statement, many, name)

    def _look(self, context: Any, text: Any, many: bool, error: str | None) -> None:
        began = getattr(context, _BEGAN, None)
        if began is None:
            return
        setattr(context, _BEGAN, None)
        seconds = perf_counter() - began
        if seconds < self._seconds or not isinstance(text, str):
            return
        statement = without_values(text)
        try:
            self._hook(SlowStatement(seconds, digest(statement), statement, bool(many), error))
        except Exception:
            # the statement has succeeded or failed by itself; its values are in no frame of this
            _log.exception("the hook for slow statements failed")
