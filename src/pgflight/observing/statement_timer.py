"""How long the statements of an engine take, by SQLAlchemy's events: the clock of this room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from time import perf_counter
from typing import Any, NamedTuple

from sqlalchemy import event
from sqlalchemy.engine import Engine

_numbers = count(1)


class TimedStatement(NamedTuple):
    """A statement that has ended."""

    seconds: float
    """From when the dialect was given it until its rows, or the first of a stream's, were there."""
    text: str
    executemany: bool
    error: BaseException | None


class StatementTimer:
    """Has a function called with each statement when it has ended; several may watch one engine."""

    def __init__(self, record: Callable[[TimedStatement], object]) -> None:
        self._record = record
        # an attribute of the execution context, and of nobody else who watches the engine
        self._began = f"_pgflight_began_{next(_numbers)}"

    def listeners(self) -> dict[str, Callable[..., None]]:
        """Return what listens, by the names of an engine's events."""
        return {
            "before_cursor_execute": self._note,
            "after_cursor_execute": self._succeeded,
            "handle_error": self._failed,
        }

    def _note(self, *arguments: Any) -> None:
        context = arguments[4]
        if context is not None:
            setattr(context, self._began, perf_counter())

    def _succeeded(self, *arguments: Any) -> None:
        _, _, text, _, context, executemany = arguments
        self._ended(context, text, executemany, None)

    def _failed(self, failure: Any) -> None:
        context = failure.execution_context
        many = context is not None and context.executemany
        self._ended(context, failure.statement, many, failure.original_exception)

    def _ended(self, context: Any, text: Any, many: Any, error: BaseException | None) -> None:
        began = getattr(context, self._began, None)
        if began is not None:
            setattr(context, self._began, None)  # what fails later is not its execution
            self._record(TimedStatement(perf_counter() - began, text or "", bool(many), error))


def listen(engine: Engine, listeners: Mapping[str, Callable[..., None]]) -> Callable[[], None]:
    """Have functions called at an engine's events; return what ends that.

    Those of the pool go on where the engine has been disposed of meanwhile: it has another pool.
    """
    for name, listener in listeners.items():
        event.listen(engine, name, listener)

    def end() -> None:
        for name, listener in listeners.items():
            if event.contains(engine, name, listener):
                event.remove(engine, name, listener)

    return end
