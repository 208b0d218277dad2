"""Saying at INFO what steps aside for whom: once in a process, as methods are replaced for all."""

from __future__ import annotations

import logging

_log = logging.getLogger("pgflight")
_told: set[str] = set()


def tell_once(reason: str) -> None:
    """Log that what ``reason`` names is done as the built-in dialect does it."""
    if reason not in _told:
        _told.add(reason)
        _log.info("asyncpg is watched, and called as the built-in dialect calls it: %s", reason)
