"""How many operations a connection has made: asyncpg's own count of them."""

from __future__ import annotations

from typing import Any

from .capability import pipelines


def counter(connection: Any) -> Any:
    """Return what counts the operations of ``connection``, ``None`` where nothing does.

    It goes on to answer when the connection is closed.
    """
    return connection._protocol if pipelines(connection) else None


def operations(counter: Any) -> int:
    """Return how often something was executed, 0 where there is no counter.

    One for each round trip of a simple query, of Bind with Execute, of an executemany, and of
    Execute on an open portal.  Not in it: Parse with Describe, Bind alone, Close.
    """
    count: int = 0 if counter is None else counter.queries_count
    return count
