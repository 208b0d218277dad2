"""Wrappers of asyncpg's methods, such as tracers make, that record each call in order."""

from __future__ import annotations

import contextvars
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import asyncpg
import asyncpg.cursor
import asyncpg.prepared_stmt
import asyncpg.protocol
import asyncpg.transaction
from sqlalchemy.ext.asyncio import AsyncEngine

from pgflight import driver
from pgflight.driver.watching import names
from tests.tracing import units

Call = tuple[str, str, str]
Wrap = Callable[[str, Any, list[Call]], Any]

_NUMBERED = re.compile(r"__(?:asyncpg|pgflight)_\w+?__")

CALLER = contextvars.ContextVar("CALLER", default="nobody")
"""Set around a unit of work: a wrapper sees the context of the task that runs it."""

METHODS: dict[str, tuple[type, str]] = {
    f"{cls.__name__}.{name}": (cls, name)
    for cls, listed in (
        (asyncpg.Connection, names.CONNECTION),
        (asyncpg.transaction.Transaction, names.TRANSACTION),
        (asyncpg.prepared_stmt.PreparedStatement, names.STATEMENT),
        (asyncpg.cursor.CursorFactory, names.FACTORY),
        (asyncpg.cursor.Cursor, names.CURSOR),
        (asyncpg.protocol.Protocol, names.PROTOCOL),
    )
    for name in listed
    # asyncpg's own check, which at level public our look at a statement's name calls, too
    if hasattr(cls, name) and (driver.is_private() or name != "_check_conn_validity")
}
"""The methods that a shortcut may go past, by name."""


def text_of(arguments: Any) -> str:
    """Return the first text among the arguments of a call, or the text of its statement."""
    for each in arguments:
        query = each if isinstance(each, str) else getattr(each, "query", None)
        if isinstance(query, str):
            return _NUMBERED.sub("a name", query)
    return ""


def plain(name: str, wrapped: Any, calls: list[Call]) -> Any:
    """Wrap a method in a function, as most tracers do."""
    synchronous = not inspect.iscoroutinefunction(inspect.unwrap(wrapped))

    def note(arguments: tuple[Any, ...], more: dict[str, Any]) -> None:
        calls.append((name, text_of((*arguments[1:], *more.values())), CALLER.get()))

    if synchronous:

        def function(*arguments: Any, **more: Any) -> Any:
            note(arguments, more)
            return wrapped(*arguments, **more)

        return function

    async def coroutine(*arguments: Any, **more: Any) -> Any:
        note(arguments, more)
        return await wrapped(*arguments, **more)

    return coroutine


class Transparent:
    """An object around a method that pretends to be it, as wrapt's do."""

    def __init__(self, name: str, wrapped: Any, calls: list[Call]) -> None:
        self._function = plain(name, wrapped, calls)
        self.__wrapped__ = wrapped

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        return self._function.__get__(instance, owner)

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        return self._function(*arguments, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    def __eq__(self, other: object) -> bool:
        return bool(self.__wrapped__ == other)

    def __hash__(self) -> int:
        return hash(self.__wrapped__)


@contextmanager
def wrapped(
    calls: list[Call], chosen: Iterator[str] | list[str], wrap: Wrap = plain
) -> Iterator[None]:
    """Replace the methods `chosen` on their classes."""
    undo: list[Callable[[], object]] = []
    for key in chosen:
        cls, name = METHODS[key]
        own = cls.__dict__.get(name)
        setattr(cls, name, wrap(key, getattr(cls, name), calls))
        undo.append(
            partial(delattr, cls, name) if own is None else partial(setattr, cls, name, own)
        )
    try:
        yield
    finally:
        for each in reversed(undo):
            each()


async def traced(engine: AsyncEngine, calls: list[Call], chosen: list[str]) -> dict[str, Any]:
    """Return, for each unit, what it returned and the calls that it made."""
    found: dict[str, Any] = {}
    for name in chosen:
        calls.clear()
        token = CALLER.set(name)
        try:
            answer = await units.UNITS[name](engine)
        finally:
            CALLER.reset(token)
        found[name] = (answer, list(calls))
    calls.clear()
    return found
