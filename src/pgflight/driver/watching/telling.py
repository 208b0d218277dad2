"""Saying at INFO what steps aside for whom: once in a process, as methods are replaced for all.

It is found out in the middle of things, such as an engine's first connection, where a handler of
the program's that uses the same engine would wait for itself: so it is said at the next checkout.
"""

from __future__ import annotations

import logging
from contextlib import suppress

_log = logging.getLogger("pgflight")
_told: set[str] = set()
pending_lines: list[str] = []
"""What has been found out and not been said."""


def tell_later(reason: str) -> None:
    """Note that what ``reason`` names is done as the built-in dialect does it."""
    if reason not in _told and _log.isEnabledFor(logging.INFO):
        _told.add(reason)
        pending_lines.append(reason)


def tell_pending() -> None:
    """Say what has been noted; an error of a handler is nobody's here."""
    while pending_lines:
        with suppress(Exception):
            _log.info(
                "asyncpg is watched, and called as the built-in dialect calls it: %s",
                pending_lines.pop(0),
            )
