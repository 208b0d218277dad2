"""What the program chose for a session's transactions: isolation level, READ ONLY, DEFERRABLE.

:class:`Characteristics` holds what goes into the next BEGIN; :class:`ReadOnlyChoice` holds what the
program's own statements have set.  The dialect asks for the latter when a write is refused as
read-only (25006): if the program did not make the session read-only, the server is no longer a
primary.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

AUTOCOMMIT = "autocommit"

_READ_ONLY = re.compile(r"read[\s_]+only", re.IGNORECASE)
_WHOLE_SESSION = re.compile(r"\bsession\b|default_", re.IGNORECASE)
_SWITCHED_OFF = re.compile(r"(?:=|\bto\b)\s*'?(?:off|false|no|0)\b", re.IGNORECASE)

_SETTING_TAGS = frozenset({"SET", "BEGIN", "START TRANSACTION"})
_ENDING_TAGS = frozenset({"COMMIT", "ROLLBACK"})


def nobody_knows() -> None:
    """Leave the session's default isolation level unknown."""
    return None


class Characteristics:
    """What goes into BEGIN, set by the program through the dialect.

    ``isolation_level`` is ``None`` (the server's default), ``"autocommit"`` or one of asyncpg's
    names such as ``"repeatable_read"``.
    """

    __slots__ = (
        "isolation_level",
        "readonly",
        "deferrable",
        "default_isolation",
        "default_unknown",
        "_setting",
    )

    isolation_level: str | None
    readonly: bool
    deferrable: bool
    _setting: str | None
    default_isolation: Callable[[], str | None]
    """Returns SQLAlchemy's name for the session's default level, None if unknown."""
    default_unknown: bool
    """Whether the program may have changed that default unseen."""

    def __init__(self) -> None:
        self.isolation_level = self._setting = None
        self.readonly = self.deferrable = False
        self.default_isolation = nobody_knows
        self.default_unknown = False

    def take_over(self, other: Characteristics) -> None:
        """Begin as the program chose for a connection that this one replaces."""
        self.isolation_level, self._setting = other.isolation_level, other._setting
        self.readonly, self.deferrable = other.readonly, other.deferrable

    def set_isolation_level(self, level: str | None) -> None:
        """Use ``level`` from the next transaction on."""
        self.isolation_level = self._setting = level

    @property
    def autocommit(self) -> bool:
        """Whether each statement commits by itself; switching it off restores the last level."""
        return self.isolation_level == AUTOCOMMIT

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self.isolation_level = AUTOCOMMIT if value else self._setting

    def is_read_committed(self, default_touched: bool) -> bool:
        """Tell whether a transaction is certain to see what others commit while it runs.

        ``default_touched`` is that of :meth:`never_serializable`.
        """
        if self.isolation_level is not None:
            return self.isolation_level in ("read_committed", "read_uncommitted")
        if self.default_unknown or default_touched:
            return False
        return self.default_isolation() in ("READ COMMITTED", "READ UNCOMMITTED")

    def never_serializable(self, default_touched: bool) -> bool:
        """Tell whether a transaction that begins now is certain not to be SERIALIZABLE.

        ``default_touched`` is whether a statement may have changed the session's default level.
        """
        if self.isolation_level is not None:
            return self.isolation_level != "serializable"
        if self.default_unknown or default_touched:
            return False
        return self.default_isolation() not in (None, "SERIALIZABLE")


class ReadOnlyChoice:
    """Whether the program made one session read-only: by its options or its statements.

    What the server says of itself is no choice of the program's: it may be a primary no more.
    """

    __slots__ = (
        "chosen",
        "began_read_only",
        "wants_standby",
        "_settings",
        "_session",
        "_transaction",
        "_before",
    )

    def __init__(self, connection: Any) -> None:
        self.chosen = False
        """Whether the program asked for a session that cannot write when it connected."""
        self.wants_standby = False
        """Whether the program asked for a standby, and there was or may be one."""
        self._session = self._transaction = False
        self._before: bool | None = None
        # asyncpg keeps it up to date; looked at for every checkout
        self._settings = connection.get_settings()
        self.began_read_only = self._reports_read_only()
        """Whether the server said so of itself, as PostgreSQL 14 and newer do."""

    def note(self, status: str | None, operation: str) -> None:
        """Learn from a statement's command tag and text."""
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

    def stands(self) -> bool:
        """Tell whether writes are refused because of the program's own choice.

        One made with ``set_config()`` is not seen.
        """
        return self.chosen or self._session or self._transaction

    def has_turned(self) -> bool:
        """Tell whether the server has become read-only since the session was first asked for.

        PostgreSQL 14 and newer say so with whatever they answer next.  What the program has set as
        it connected is no change.
        """
        if self._before is None:
            self._before = self._reports_read_only()
            return False
        return not self._before and self._reports_read_only() and not self.stands()

    def on_standby(self) -> bool | None:
        """Tell whether the session leads to a standby; None if the server does not say."""
        reported = getattr(self._settings, "in_hot_standby", None)
        return None if reported is None else bool(reported == "on")

    def _reports_read_only(self) -> bool:
        settings = self._settings
        return (
            getattr(settings, "in_hot_standby", "off") == "on"
            or getattr(settings, "default_transaction_read_only", "off") == "on"
        )
