"""IN lists of a statement whose text somebody watches: written as SQLAlchemy writes them.

A tracer that wraps asyncpg's methods sees the statement's text.  Used by the execution context,
which knows the connection, for the compiler, which does not.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from .. import driver

_written_out: ContextVar[Any] = ContextVar("pgflight_written_out", default=None)
_STEPS_ASIDE = "a long IN list as an array"


def watch_of(connection: Any) -> driver.Watch | None:
    """Return the watch of a pool's connection whose texts somebody watches, None if nobody does."""
    try:
        watch: driver.Watch = connection.dbapi_connection.session.watch
    except AttributeError:  # not a connection of ours
        return None
    return None if watch.by() is None else watch


def written_out(make: Callable[..., Any], watch: driver.Watch) -> Callable[..., Any]:
    """Return ``make``, during which lists are not to be written as arrays."""

    def made(*arguments: Any, **options: Any) -> Any:
        token = _written_out.set(watch)
        try:
            return make(*arguments, **options)
        finally:
            _written_out.reset(token)

    return made


def are_written_out(lists: Any, parameters: Any) -> bool:
    """Tell whether the lists in a set of parameters, by name, must not become arrays."""
    watch: driver.Watch | None = _written_out.get()
    if watch is None:
        return False
    for each in lists:
        given = parameters.get(each.name)
        if each.limit and hasattr(given, "__len__") and len(given) >= each.limit:
            watch.steps_aside(_STEPS_ASIDE)
    return True
