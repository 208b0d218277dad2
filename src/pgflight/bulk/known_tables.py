"""What an engine has been told of the tables whose rows it sends: whether they are plain, and how.

Remembered until the engine's schema generation changes.  To remember a refusal too long costs time
and never changes an answer: the rows are sent one by one, as the built-in dialect sends them.  That
a table was plain when it was asked is no proof: each statement has the server look for anything
that did not exist then.  It only permits to send such a statement, which by itself fires the
triggers ``FOR EACH STATEMENT``.
"""

from __future__ import annotations

from typing import Any

from .table_proof import SNAPSHOT, Proof


class Plain:
    """A table that was plain: the condition under which it still is."""

    __slots__ = ("condition",)

    def __init__(self, condition: str) -> None:
        self.condition = condition


_MOST = 1000
"""Tables kept, so that programs that make tables all the time do not fill the memory."""


class KnownTables:
    """What is known of one engine's tables, by name and kind of change."""

    __slots__ = ("_answers", "_generation")

    def __init__(self) -> None:
        self._answers: dict[Any, str | Plain] = {}
        self._generation = -1

    def __reduce__(self) -> Any:
        return KnownTables, ()  # a copied dialect may have another database

    def answer(self, proof: Proof, generation: int) -> str | Plain | None:
        """Return why the server would refuse, or what it said; None if it was not asked."""
        return None if generation != self._generation else self._answers.get(proof.key)

    def add(self, proof: Proof, generation: int, rows: list[Any]) -> str | Plain:
        """Remember and return the server's answer to the proof's question."""
        if not rows:
            return CHANGED  # dropped in between
        reason, *facts = rows[0]
        if reason == SNAPSHOT:
            return SNAPSHOT  # true of a transaction, not of the table
        answer = Plain(proof.condition(*facts)) if reason is None else str(reason)
        if generation != self._generation or len(self._answers) >= _MOST:
            self._answers.clear()
            self._generation = generation
        self._answers[proof.key] = answer
        return answer


CHANGED = "a table that has changed meanwhile"
