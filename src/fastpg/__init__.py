"""fastpg: SQLAlchemy's ``postgresql+asyncpg`` dialect, faster and with fewer round trips.

``fastpg.install()`` makes ``postgresql+asyncpg://`` URLs use it in this process;
``postgresql+fastpg://`` uses it without being installed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ._registration import install, installed, uninstall

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from ._impl import Implementation
    from .statistics import Statistics

__version__ = "0.1.0"

__all__ = ["__version__", "copy_in", "implementation", "install", "installed", "stats", "uninstall"]


def implementation() -> Implementation:
    """Return which form of the hot paths this process uses, ``compiled`` or ``python``, and why.

    Raises ImportError when ``FASTPG_IMPL=compiled`` cannot be served, ValueError when
    ``FASTPG_IMPL`` has a value that does not exist.
    """
    from . import _impl

    return _impl.implementation()


def stats(engine: Engine | AsyncEngine) -> Statistics:
    """Return what the connections of ``engine`` have done so far, closed ones included.

    A snapshot: a named tuple of whole numbers.  Raises TypeError for what is no engine, or one
    that fastpg does not serve.
    """
    from . import statistics

    return statistics.stats(engine)


def copy_in(
    target: Any,
    table: Any,
    rows: Any,
    columns: Sequence[Any] | None = None,
    *,
    progress: Callable[[int, int | None], Any] | None = None,
    timeout: float | None = None,
) -> Any:
    """Copy."""
    from . import copying

    return copying.copy_in(target, table, rows, columns, progress=progress, timeout=timeout)
