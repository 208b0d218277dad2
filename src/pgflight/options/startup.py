"""Settings that a connection pooler refuses at startup: set in each transaction instead.

pgbouncer accepts few startup parameters (its option ``track_extra_parameters`` adds some), and
ends the login with an error for any other.  Used by the DBAPI's ``connect()``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from asyncpg import exceptions as driver_errors

_log = logging.getLogger("pgflight")

_REFUSED = re.compile(r"unsupported startup parameter(?: in options)?: (?P<name>[^\s=]+)")

_QUOTED_LISTS = frozenset(("search_path", "temp_tablespaces"))
"""Settings whose value is a list of names, each of them a value of its own for SET."""
_ELEMENT = re.compile(r'\s*(?:"(?P<quoted>(?:[^"]|"")*)"|(?P<plain>[^,]*?))\s*(?:,|$)')


class RefusedSettings:
    """The settings that an engine's connections have been refused, by name."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    async def connect(
        self, creator: Callable[..., Awaitable[Any]], args: Any, arguments: Mapping[str, Any]
    ) -> tuple[Any, dict[str, str]]:
        """Return a connection, and the settings to be made in each of its transactions.

        Raises the errors of ``creator``, except for a setting that is refused.
        """
        while True:
            given = dict(arguments.get("server_settings") or {})
            left = {name: given.pop(name) for name in tuple(given) if name.lower() in self.names}
            options = {**arguments, "server_settings": given} if left else arguments
            try:
                return await creator(*args, **options), left
            except driver_errors.PostgresError as error:
                if not self._refuses(error, given):
                    raise

    def _refuses(self, error: Exception, given: Mapping[str, str]) -> bool:
        refused = _REFUSED.search(str(error))
        name = refused["name"].lower() if refused else ""
        if name not in {each.lower() for each in given}:
            return False
        self.names.add(name)
        _log.info(
            "a connection pooler refuses the startup parameter %s: it is set in each transaction,"
            " and not in AUTOCOMMIT",
            name,
        )
        return True


def local_settings(settings: Mapping[str, str]) -> tuple[str, ...]:
    """Return the statements that make settings for the open transaction, without being queries."""
    return tuple(
        f"SET LOCAL {'.'.join(map(_name, name.split('.')))} = {_value(name, value)}"
        for name, value in settings.items()
    )


def _name(name: str) -> str:
    return '"' + name.lower().replace('"', '""') + '"'


def _value(name: str, value: str) -> str:
    if name.lower() not in _QUOTED_LISTS:
        return _literal(value)
    elements = [
        each["plain"].lower() if each["quoted"] is None else each["quoted"].replace('""', '"')
        for each in _ELEMENT.finditer(value)
        if each["quoted"] is not None or each["plain"]
    ]
    return ", ".join(map(_literal, elements)) or "''"


def _literal(value: str) -> str:
    quoted = "'" + value.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in value else quoted
