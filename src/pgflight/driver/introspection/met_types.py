"""What an engine remembers of types: which of them its statements name.

That is a guess at what the next statement needs, and cannot make an answer wrong: what the types
are is not remembered, and asyncpg asks for those that were not guessed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

FIRST_OF_THE_CLUSTER = 10000
"""Types with smaller numbers are the same on every server (``FirstGenbkiObjectId``)."""
MOST_TYPES = 500
MOST_TEXTS = 2000
MOST_OF_A_TEXT = 16
MOST_GUESSED = 64
"""How many types are asked for in front of a statement that is new to the engine."""


class MetTypes:
    """The types that the connections of one engine have met; used by several threads.

    Filled up, it begins anew: that takes no lock.
    """

    __slots__ = ("answers", "kinds", "_parts", "_named")

    def __init__(self) -> None:
        self.answers: bool | None = None
        """Whether the servers answer the question; None before the first answer."""
        self.kinds: frozenset[bytes] = frozenset()
        """The kinds of the types met."""
        self._parts: dict[int, tuple[int, ...]] = {}
        self._named: dict[int, tuple[int, ...]] = {}  # by the hash of the statement's text

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self._parts)

    def needed(self, operation: str) -> tuple[int, ...] | None:
        """Return the types that a statement needs, None if it is new to the engine."""
        named = self._named.get(hash(operation))
        return None if named is None else self._with_parts(named)

    def latest(self) -> tuple[int, ...]:
        """Return the types met last."""
        return self._with_parts(list(self._parts)[-MOST_GUESSED:])[:MOST_GUESSED]

    def _with_parts(self, types: Iterable[int]) -> tuple[int, ...]:
        found: dict[int, None] = {}
        for each in types:
            found.update(dict.fromkeys((each, *self._parts.get(each, ()))))
        return tuple(found)

    def learn(self, operation: str, named: Collection[int], lacking: Collection[int]) -> None:
        """Note the types that a statement names, and those that asyncpg had to ask for."""
        parts, unknown = self._parts, tuple(filter(None, lacking))
        if not (parts or unknown) and max(named, default=0) < FIRST_OF_THE_CLUSTER:
            return
        own = [
            each
            for each in named
            if each >= FIRST_OF_THE_CLUSTER or each in parts or each in unknown
        ]
        for each in own:
            if each not in parts or unknown:
                found = dict.fromkeys((*parts.get(each, ()), *unknown))
                found.pop(each, None)
                if len(parts) >= MOST_TYPES:
                    parts.clear()
                parts[each] = tuple(found)
        if not parts:
            return
        if len(self._named) >= MOST_TEXTS:
            self._named.clear()
        text = hash(operation)
        # what it named before, too: names mean other types under another search_path
        before = self._named.get(text, ())
        self._named[text] = tuple(dict.fromkeys((*own, *before)))[:MOST_OF_A_TEXT]
