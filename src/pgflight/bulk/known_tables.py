"""What an engine has been told of the tables whose rows it sends: whether they are plain.

Remembered until the engine's schema generation changes.  To remember a refusal too long costs time
and never changes an answer: the rows are sent one by one, as the built-in dialect sends them.  That
a table was plain when it was asked is no proof, and nothing relies on it except that a statement
which carries the proof may be sent: that alone fires the triggers ``FOR EACH STATEMENT``.
"""

from __future__ import annotations

from typing import Any

from .table_proof import SNAPSHOT, Proof

UNKNOWN = ""
"""Stands for the reason where the server has not been asked."""
_MOST = 1000
"""Tables kept, so that programs that make tables all the time do not fill the memory."""


class KnownTables:
    """What is known of one engine's tables, by name and kind of change."""

    __slots__ = ("_reasons", "_generation")

    def __init__(self) -> None:
        self._reasons: dict[Any, str | None] = {}
        self._generation = -1

    def __reduce__(self) -> Any:
        return KnownTables, ()  # a copied dialect may have another database

    def reason(self, proof: Proof, generation: int) -> str | None:
        """Return why the server has refused, None if it has not, UNKNOWN if it was not asked."""
        if generation != self._generation:
            return UNKNOWN
        return self._reasons.get(proof.key, UNKNOWN)

    def add(self, proof: Proof, generation: int, reason: str | None) -> None:
        """Remember the server's answer."""
        if reason == SNAPSHOT:
            return  # true of a transaction, not of the table
        if generation != self._generation or len(self._reasons) >= _MOST:
            self._reasons.clear()
            self._generation = generation
        self._reasons[proof.key] = reason
