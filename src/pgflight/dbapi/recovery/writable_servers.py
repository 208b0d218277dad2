"""Keeping away from a server that was the primary and has become read-only.

A write that is refused as read-only (25006), on a session that nobody made read-only, empties the
pool; but the address in the URL may still lead to the old primary.  So the engine's next
connections ask for a server that can write: among several hosts asyncpg finds it, and one host that
is read-only is tried again after a pause, as its name or its address may come to mean another
server.  If none is found in time, a server that can only be read from is better than none, until
the next write is refused.  An engine that has never had a session that could write is one for
reading.

One object per engine, held by its DBAPI module.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from asyncpg import exceptions as driver_errors

from .standby_servers import ASKS_FOR_STANDBY

PAUSE_SECONDS = 0.2
"""Between two tries to connect."""

LOOK_SECONDS = 5.0
"""How long to look for a server that can write."""

REST_SECONDS = 60.0
"""For how long after a search in vain to ask once only, so that readers do not wait each time."""

_ANY = frozenset({None, "any"})
_SETTING = "default_transaction_read_only"
_ON = frozenset({"on", "true", "yes", "1"})


def chooses_to_read(arguments: dict[str, Any]) -> bool:
    """Tell whether a program asks for connections that cannot write."""
    settings: dict[str, str] = arguments.get("server_settings") or {}
    return (
        asked_for(arguments) in ASKS_FOR_STANDBY
        or str(settings.get(_SETTING, "")).lower() in _ON
        or _SETTING in settings.get("options", "")
    )


def asked_for(arguments: dict[str, Any]) -> str | None:
    """Return which of several servers a program asks for, None if it does not say."""
    given: str | None = arguments.get("target_session_attrs")
    return given or os.environ.get("PGTARGETSESSIONATTRS") or None


class WritableServers:
    """Whether one engine's connections have to lead to a server that can write."""

    def __init__(self) -> None:
        self.wanted = False
        self.have_been_met = False
        """Whether a session of the engine has led to a server that can write."""
        self._in_vain: float | None = None

    def meet(self, *, read_only: bool) -> None:
        """Note what a new connection leads to."""
        self.have_been_met = self.have_been_met or not read_only

    def want(self) -> None:
        """Look for a server that can write from now on, if there has been one."""
        self.wanted = self.have_been_met

    def arguments_for(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of the next connection, if the program leaves the choice to us."""
        if not self.wanted or asked_for(arguments) not in _ANY:
            return arguments
        if chooses_to_read(arguments):
            return arguments
        return {**arguments, "target_session_attrs": "read-write"}

    async def connect(
        self, log_in: Callable[[dict[str, Any]], Awaitable[Any]], arguments: dict[str, Any]
    ) -> Any:
        """Log in with ``arguments``, again and again while none of the servers can write."""
        asked = self.arguments_for(arguments)
        loop = asyncio.get_running_loop()
        rests = self._in_vain is not None and 0 <= loop.time() - self._in_vain < REST_SECONDS
        end = loop.time() + (0.0 if rests else LOOK_SECONDS)
        while True:
            try:
                return await log_in(asked)
            except driver_errors.TargetServerAttributeNotMatched:
                if asked is arguments:
                    raise
            if loop.time() + PAUSE_SECONDS < end:
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                self.wanted = False
                self._in_vain = loop.time()
                asked = arguments
