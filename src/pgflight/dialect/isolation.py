"""How a connection's transactions begin: isolation level, READ ONLY, DEFERRABLE.

A base of the dialect; what is set here goes into the connection's next BEGIN.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.postgresql.base import PGDialect

ISOLATION_LEVELS = {
    "AUTOCOMMIT": "autocommit",
    "READ UNCOMMITTED": "read_uncommitted",
    "READ COMMITTED": "read_committed",
    "REPEATABLE READ": "repeatable_read",
    "SERIALIZABLE": "serializable",
}
"""SQLAlchemy's names of the isolation levels -> the adapted connection's."""


class IsolationDialect(PGDialect):
    """The part of the dialect that reads and sets the characteristics of transactions."""

    supports_statement_cache = True

    @property
    def _isolation_lookup(self) -> dict[str, str]:
        return ISOLATION_LEVELS

    def get_isolation_level_values(self, dbapi_conn: object) -> Any:
        """Return the names that ``isolation_level`` accepts."""
        return list(self._isolation_lookup)

    def set_isolation_level(self, dbapi_connection: Any, level: str) -> None:
        """Use ``level``, a name of :data:`ISOLATION_LEVELS`, from the next transaction on."""
        dbapi_connection.set_isolation_level(self._isolation_lookup[level])

    def detect_autocommit_setting(self, dbapi_conn: Any) -> bool:
        """Tell whether the connection is in AUTOCOMMIT, with no transaction begun by text."""
        # asked by skip_autocommit_rollback, which would leave that one open
        return bool(dbapi_conn.autocommit) and not dbapi_conn.session.ends.begun_by_program

    def set_readonly(self, connection: Any, value: bool) -> None:
        """Begin transactions READ ONLY from now on."""
        connection.readonly = value

    def get_readonly(self, connection: Any) -> bool:
        """Tell whether transactions begin READ ONLY."""
        return bool(connection.readonly)

    def set_deferrable(self, connection: Any, value: bool) -> None:
        """Begin transactions DEFERRABLE from now on."""
        connection.deferrable = value

    def get_deferrable(self, connection: Any) -> bool:
        """Tell whether transactions begin DEFERRABLE."""
        return bool(connection.deferrable)
