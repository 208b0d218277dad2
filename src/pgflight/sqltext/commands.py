"""What a command did to a session's statements, by its command tag and its text."""

from __future__ import annotations

import re

_DDL_TAGS = frozenset({"ALTER", "DROP"})
_REPLACING = re.compile(r"\bor\s+replace\b", re.IGNORECASE)


def is_ddl(status: str | None, operation: str) -> bool:
    """Tell by its command tag whether a statement changed or dropped what others may use.

    What it created anew, nobody has prepared a statement for.
    """
    if status is None:
        return False
    kind = status.split(" ", 1)[0]
    return kind in _DDL_TAGS or (kind == "CREATE" and _REPLACING.search(operation) is not None)


def drops_statements(status: str | None) -> bool:
    """Tell by its command tag whether a statement dropped the session's prepared statements."""
    return status in ("DEALLOCATE ALL", "DISCARD ALL", "DISCARD PLANS")
