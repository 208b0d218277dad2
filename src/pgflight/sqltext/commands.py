"""What a command did to a session's statements, by its command tag and its text."""

from __future__ import annotations

import re

_DDL_TAGS = frozenset({"ALTER", "DROP"})
# where no transaction is open PostgreSQL warns of these or refuses them, as it does without us ...
_ENDS = r"COMMIT|END|ABORT|ROLLBACK|RELEASE|PREPARE\s+TRANSACTION"
# ... and in one it refuses these, whatever their options
_NEVER_IN_BLOCK = r"VACUUM|DISCARD\s+ALL|ALTER\s+SYSTEM|(?:CREATE|DROP)\s+(?:DATABASE|TABLESPACE)"
_ALONE = re.compile(rf"[\s;]*(?:{_ENDS}|{_NEVER_IN_BLOCK})\b", re.IGNORECASE)
_GAP = r"(?:\s|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/)+"
_MOVES_PATH = re.compile(
    r"\bsearch_path\b|\bset_config\b"
    rf"|\bset{_GAP}(?:(?:session|local){_GAP})?(?:role|schema|authorization)\b"
    rf"|\bset{_GAP}(?:local{_GAP})?session{_GAP}authorization\b"
    rf"|\breset{_GAP}(?:role|all|session{_GAP}authorization)\b|\bdiscard{_GAP}all\b",
    re.IGNORECASE,
)
_RESETS = re.compile(r"[\s;]*(?:reset|discard)\b", re.IGNORECASE)
_REPLACING = re.compile(r"\bor\s+replace\b", re.IGNORECASE)


def is_ddl(status: str | None, operation: str) -> bool:
    """Tell by its command tag whether a statement changed or dropped what others may use.

    What it created anew, nobody has prepared a statement for.
    """
    if status is None:
        return False
    kind = status.split(" ", 1)[0]
    return kind in _DDL_TAGS or (kind == "CREATE" and _REPLACING.search(operation) is not None)


def runs_alone(operation: str) -> bool:
    """Tell whether BEGIN in front of a command helps nothing, or makes the server refuse it.

    Only a saving, for a program that has ended its transaction by text: a command that is not
    listed here gets its BEGIN, and is executed again without it if the server refuses it in one.
    """
    return _ALONE.match(operation) is not None


def may_move_search_path(operation: str) -> bool:
    """Tell whether unqualified names may mean other tables behind a statement, by its text.

    The role counts, too: the search path may name its schema. What a function does in its body is
    not seen.
    """
    return _MOVES_PATH.search(operation) is not None


def resets(operation: str) -> bool:
    """Tell whether a statement puts settings back to what the session began with."""
    return _RESETS.match(operation) is not None


def drops_statements(status: str | None) -> bool:
    """Tell by its command tag whether a statement dropped the session's prepared statements."""
    return status in ("DEALLOCATE ALL", "DISCARD ALL", "DISCARD PLANS")
