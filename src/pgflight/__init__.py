"""pgflight: SQLAlchemy's ``postgresql+asyncpg`` dialect, faster and with fewer round trips.

``pgflight.install()`` makes ``postgresql+asyncpg://`` URLs use it in this process;
``postgresql+pgflight://`` uses it without being installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from ._warnings import PgflightWarning as PgflightWarning
from .activation.registration import install, installed, uninstall
from .copying.public import copy_in, copy_out
from .listening.public import listen, notify
from .listening.queue import Gap, Notification

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Executable
    from sqlalchemy.engine import Engine, Row
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.sql.selectable import TypedReturnsRows

    from ._greenlet_stacks import GreenletStacks
    from ._impl import Implementation
    from .copying.public import AsyncTarget
    from .observing.slow_statements import Hook
    from .session.statistics import Statistics
    from .streaming.stream import AsyncStream

    StreamParameters = Mapping[str, Any] | Sequence[Mapping[str, Any]]
    Columns = TypeVar("Columns")

__version__ = "0.1.0"

__all__ = [
    "Gap",
    "Notification",
    "PgflightWarning",
    "__version__",
    "copy_in",
    "copy_out",
    "implementation",
    "install",
    "installed",
    "keep_greenlet_stacks",
    "listen",
    "notify",
    "on_slow_statement",
    "stats",
    "stream",
    "uninstall",
]


def __dir__() -> list[str]:
    return sorted(__all__)


def implementation() -> Implementation:
    """Return which form of the hot paths this process uses, ``compiled`` or ``python``, and why.

    The reason also tells, once an engine has been made, whether the stacks of greenlets are kept
    (:func:`keep_greenlet_stacks`), and names who watches asyncpg, such as a tracer: what they watch
    is called as the built-in dialect calls it, and :func:`stats` counts what steps aside.  Raises
    ImportError when ``PGFLIGHT_IMPL=compiled`` cannot be served, ValueError when ``PGFLIGHT_IMPL``
    has a value that does not exist.
    """
    from . import _greenlet_stacks, _impl

    found = _impl.implementation()
    stacks = _greenlet_stacks.remark()
    if stacks:
        found = found._replace(reason=f"{found.reason}; {stacks}")
    try:
        from . import driver
    except (ImportError, ValueError):  # the first connection says what is wrong
        return found
    makers = ", ".join(dict.fromkeys(driver.watchers().values()))
    return (
        found._replace(reason=f"{found.reason}; asyncpg is watched by {makers}")
        if makers
        else found
    )


def stats(engine: Engine | AsyncEngine) -> Statistics:
    """Return what the connections of ``engine`` have done so far, closed ones included.

    A snapshot: a named tuple of whole numbers; some are counted by reason.  Raises TypeError for
    what is no engine, or one that pgflight does not serve.
    """
    from .session import statistics

    return statistics.stats(engine)


def on_slow_statement(
    engine: Engine | AsyncEngine, seconds: float = 1.0, hook: Hook | None = None
) -> Callable[[], None]:
    """Have ``hook`` called with each statement of ``engine`` that takes ``seconds`` or longer.

    It gets a :class:`~pgflight.observing.slow_statements.SlowStatement`: seconds, a digest, the
    text without values, whether there were several sets of parameters, and the class of the error.
    Without a hook a line is logged at WARNING.  The hook is called where the statement was
    executed, and must not wait; if it fails, that is logged, and the statement's result stays.
    Returns a function that ends it.  Works on engines of other dialects, too.  Raises TypeError and
    ValueError for arguments that are none.
    """
    from .observing import slow_statements

    return slow_statements.on_slow_statement(engine, seconds, hook)


def keep_greenlet_stacks(keep: bool) -> GreenletStacks:
    """Keep the stacks of ended greenlets for new ones in this process, or, with False, none.

    It begins by itself when the first engine is made, where pgflight is compiled, on Python 3.11 to
    3.14, unless ``PGFLIGHT_KEEP_STACKS`` is 0; then True does nothing, either.  False gives back
    what is kept.  Returns what :func:`stats` says of it; raises ValueError when the variable is
    neither 0 nor 1.
    """
    from . import _greenlet_stacks

    return _greenlet_stacks.switch(keep)


@overload
def stream(
    target: AsyncTarget,
    statement: TypedReturnsRows[Columns],
    parameters: StreamParameters | None = ...,
    *,
    batch: int = ...,
    max_bytes: int | None = ...,
) -> AsyncStream[Row[Columns]]: ...


@overload
def stream(
    target: AsyncTarget,
    statement: Executable,
    parameters: StreamParameters | None = ...,
    *,
    batch: int = ...,
    max_bytes: int | None = ...,
) -> AsyncStream[Any]: ...


def stream(
    target: AsyncTarget,
    statement: Executable,
    parameters: StreamParameters | None = None,
    *,
    batch: int = 1000,
    max_bytes: int | None = None,
) -> Any:
    """Return an asynchronous iterator over the rows that ``target.stream(statement)`` would give.

    Also over scalars, mappings or lists: call ``.scalars()``, ``.mappings()`` or ``.partitions()``
    on it.  It is executed when the first row is asked for, with ``yield_per=batch`` and all that
    this means for ORM collections; a ``yield_per`` of the statement or the connection takes the
    place of ``batch``.  The next ``batch`` of rows is read while the program works on the last.
    With ``max_bytes`` batches become as small as needed for about that many bytes of rows to be
    held at a time.  Other statements may run in between.

    ``aclose()``, or ``async with`` around the loop, ends it early and frees the connection.  Other
    dialects than pgflight's are read in batches as well, but not ahead.  Raises ArgumentError for
    a wrong ``batch`` or ``max_bytes``, TypeError for what is neither an AsyncConnection nor an
    AsyncSession (scoped or not), and SQLAlchemy's errors while it is read.
    """
    from .streaming import stream as streaming

    return streaming.stream(target, statement, parameters, batch=batch, max_bytes=max_bytes)
