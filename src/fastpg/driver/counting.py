"""How many operations a connection has made: asyncpg's own count of them."""

from __future__ import annotations

from typing import Any

from .capability import pipelines


def counts_operations(connection: Any) -> bool:
    """Tell whether :func:`operations` counts for ``connection``."""
    return pipelines(connection)


def operations(connection: Any) -> int:
    """Return how often ``connection`` has executed something, 0 where that cannot be known.

    One for each round trip of a simple query, of Bind with Execute, of an executemany, and of
    Execute on an open portal.  Not in it: Parse with Describe, Bind alone, Close.
    """
    if not pipelines(connection):
        return 0
    count: int = connection._protocol.queries_count
    return count
