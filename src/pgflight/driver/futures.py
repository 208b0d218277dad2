"""Futures that nobody may be waiting for any more when they fail."""

from __future__ import annotations

import asyncio
from typing import Any


def retrieve(future: asyncio.Future[Any]) -> None:
    """Ask for the error of a future that is done, or its event loop would complain of it."""
    if not future.cancelled():
        future.exception()
