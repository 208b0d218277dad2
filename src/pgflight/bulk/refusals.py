"""Which tables an engine's changes of many rows have been refused for: they are not asked again.

Remembered until the engine's schema generation changes.  To remember too long costs time and never
changes an answer: the rows are sent one by one, as the built-in dialect sends them.
"""

from __future__ import annotations

from typing import Any

from .table_proof import SNAPSHOT, Proof

_MOST = 1000
"""Refusals kept, so that programs that make tables all the time do not fill the memory."""


class Refusals:
    """The refusals of one engine, by table and kind of change."""

    __slots__ = ("_reasons", "_generation")

    def __init__(self) -> None:
        self._reasons: dict[Any, str] = {}
        self._generation = -1

    def __reduce__(self) -> Any:
        return Refusals, ()  # a copied dialect may have another database

    def reason(self, proof: Proof, generation: int) -> str | None:
        """Return why the server has refused, None if it has not."""
        if not self._reasons:
            return None
        if generation != self._generation:
            self._reasons.clear()
            return None
        return self._reasons.get(proof.key)

    def add(self, proof: Proof, generation: int, reason: str) -> None:
        """Remember a refusal."""
        if reason == SNAPSHOT:
            return  # true of a transaction, not of the table
        if generation != self._generation or len(self._reasons) >= _MOST:
            self._reasons.clear()
            self._generation = generation
        self._reasons[proof.key] = reason
