"""Whether the program itself made a session read-only; kept by the adapted connection.

The dialect asks when a write is refused as read-only (25006): on a session that the program did
not make read-only, the server behind the connection is no primary any more.
"""

from __future__ import annotations

import re
from typing import Any

_READ_ONLY = re.compile(r"read[\s_]+only", re.IGNORECASE)
_WHOLE_SESSION = re.compile(r"\bsession\b|default_", re.IGNORECASE)
_SWITCHED_OFF = re.compile(r"(?:=|\bto\b)\s*'?(?:off|false|no|0)\b", re.IGNORECASE)

_SETTING_TAGS = frozenset({"SET", "BEGIN", "START TRANSACTION"})
_ENDING_TAGS = frozenset({"COMMIT", "ROLLBACK"})


class ReadOnlyChoice:
    """What is known of one session: by statements that it ran, and by how it was connected."""

    __slots__ = ("_session", "_standby", "_transaction")

    def __init__(self, connection: Any) -> None:
        self._session = False
        self._transaction = False
        # a program that connects to a standby reads there on purpose; PostgreSQL 14+ reports it
        self._standby = _reported(connection, "in_hot_standby")

    def note(self, status: str | None, operation: str) -> None:
        """Learn from a statement by its command tag and its text."""
        if status in _ENDING_TAGS:
            self._transaction = False
        elif status in _SETTING_TAGS and _READ_ONLY.search(operation):
            chosen = not _SWITCHED_OFF.search(operation)
            if status == "SET" and _WHOLE_SESSION.search(operation):
                self._session = chosen
            else:
                self._transaction = chosen

    def transaction_ended(self) -> None:
        """Forget what was chosen for the transaction alone."""
        self._transaction = False

    def stands(self, connection: Any) -> bool:
        """Tell whether writes are refused by the program's own choice.

        Also by the setting ``default_transaction_read_only``, which PostgreSQL 14+ reports.  A
        choice made by ``set_config()`` is not seen.
        """
        return (
            self._session
            or self._transaction
            or self._standby
            or _reported(connection, "default_transaction_read_only")
        )


def _reported(connection: Any, setting: str) -> bool:
    settings = connection.get_settings()
    return getattr(settings, setting, "off") == "on"
