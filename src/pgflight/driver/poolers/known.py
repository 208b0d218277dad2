"""What the connections of one engine have found out for each other, one :class:`Known` for all."""

from __future__ import annotations

import logging
from typing import Any

from ..introspection.met_types import MetTypes

_log = logging.getLogger("pgflight")

ONE_ASKS_OF = 32
"""How many connections that each serve one unit of work are made for one that asks."""


MOST_UNSHARED = 1000
MOST_DESCRIPTIONS = 100
MOST_REFUSALS = 3
"""How often the server may describe a text otherwise until it is not remembered any more."""


class Descriptions:
    """What the connections of one engine were told of statements, by text, for the next ones.

    The oldest goes when there are too many.
    """

    __slots__ = ("_found", "_refused")

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}
        self._refused: dict[str, int] = {}

    def get(self, text: str) -> Any:
        """Return what is known of a text, None if nothing is."""
        return self._found.get(text)

    def are_wanted(self, text: str) -> bool:
        """Tell whether the next connection that has a text described is to say how."""
        return text not in self._found and self._refused.get(text, 0) < MOST_REFUSALS

    def put(self, text: str, found: object) -> None:
        """Remember how a text was described."""
        if len(self._found) >= MOST_DESCRIPTIONS:
            for oldest in tuple(self._found)[:1]:  # another thread may be at it
                self._found.pop(oldest, None)
        self._found[text] = found

    def forget(self, text: str, *, refused: bool) -> None:
        """Remember it no more; ``refused``: because the server has described it otherwise."""
        self._found.pop(text, None)
        if refused:
            if len(self._refused) >= MOST_DESCRIPTIONS:
                self._refused.clear()
            self._refused[text] = self._refused.get(text, 0) + 1


class Known:
    """What the connections of one engine have found out for each other."""

    __slots__ = (
        "pooler",
        "answers",
        "may_follow_names",
        "follows_names",
        "unshared",
        "types",
        "short_lived",
        "descriptions",
        "config",
        "_said",
        "_unasked",
    )

    def __init__(self) -> None:
        self.pooler = False
        """Whether one of them leads to a pooler: the next are treated alike until proven direct."""
        self.answers = True
        """Whether the servers know the question."""
        self.may_follow_names = True
        """Whether a pooler may be asked if it follows names."""
        self.follows_names: bool | None = None
        """Whether it does, as the last connection found."""
        self.unshared: set[str] = set()
        """Texts that go without a name there: their parameters may have had other types once."""
        self.types = MetTypes()
        """Which types their statements name."""
        self.short_lived = False
        """Whether each serves one unit of work."""
        self.descriptions = Descriptions()
        """Of statements, for connections that serve one unit of work."""
        self.config: tuple[Any, Any] | None = None
        """A configuration of asyncpg's, and what is made of it behind a pooler."""
        self._said: set[str] = set()
        self._unasked = 0

    def is_worth_asking(self) -> bool:
        """Tell whether a new connection is to find out what it leads to.

        What is done behind a pooler is right on a direct connection as well, only slower.  So a
        connection that is closed after its unit of work is taken for a pooler's as the last one
        was, and only one in 32 asks, so that the engine notices when the pooler has gone.
        """
        if not (self.pooler and self.short_lived):
            return True
        self._unasked = (self._unasked + 1) % ONE_ASKS_OF
        return not self._unasked

    def found_direct(self) -> None:
        """Note that a connection leads to the server itself."""
        if self.short_lived:
            self.pooler = False  # or hardly any of the next would ask

    def found_pooler(self) -> None:
        """Note that a connection leads to a pooler; say so once."""
        self.pooler = True
        self._say_once(
            "a connection pooler is between this engine and the server: statements go without"
            " names unless it follows them, and nothing is sent before a transaction's end is"
            " answered. pooler=transaction says the same at once; pooler=session is for a pooler in"
            " session mode, and faster there"
        )

    def found_names(self, *, followed: bool) -> None:
        """Note whether a pooler follows the names of statements; if it does, say so once."""
        self.follows_names = followed
        if followed:
            self._say_once("the pooler follows the names of prepared statements: they are used")

    def give_up_names(self) -> None:
        """Give no statement a name behind a pooler any more, and ask no more."""
        self.may_follow_names = self.follows_names = False

    def unshare(self, text: str) -> None:
        """Give a text no name any more behind a pooler that follows names."""
        if len(self.unshared) >= MOST_UNSHARED:
            self.unshared.clear()
        self.unshared.add(text)

    def _say_once(self, what: str) -> None:
        if what not in self._said:
            self._said.add(what)
            _log.info(what)
