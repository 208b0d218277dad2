"""Whether a pooler follows the names of prepared statements from one server session to the next.

pgbouncer does from 1.21 on (by default from 1.24), and so do others: they give a client's statement
a name of their own, prepare it in whatever server session a transaction gets, and put that name
into the client's Bind.  There a statement may have a name, and the server keeps its plan.

The proof is such a name: a statement that looks for itself among those of its server session finds
nothing, because it has got another name on the way.  A pooler that passes names on, and so leaves
them behind in one of its server sessions, is found out by the same question.  It travels in front
of another statement, so that nobody waits for it, and is asked once for each connection.
"""

from __future__ import annotations

from collections.abc import Callable

from ..._contracts import Receiver
from ..sender import close_message, message
from .known import Known
from .proof import Proof

_NAME = "__pgflight_followed__"
# The same for every client: the pooler keeps it once for all of them.
_TEXT = (
    "SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_statements"
    f" WHERE name OPERATOR(pg_catalog.=) '{_NAME}'"
)
NAMES_QUESTION = (
    close_message(_NAME)  # of somebody whose connection was lost in the middle of the question
    + message(b"P", f"{_NAME}\0{_TEXT}\0".encode() + b"\0\0")
    + message(b"B", f"\0{_NAME}\0".encode() + bytes(6))
    + message(b"E", bytes(5))
    + close_message(_NAME)
)
"""The messages that ask."""


class _NamesProof(Proof):
    """Takes the answer to :data:`NAMES_QUESTION` out of what the server sends."""

    __slots__ = ()

    def passes(self, kind: bytes, whole: bytes) -> bool:
        """Tell whether asyncpg gets a message, which it does up to the answer to BEGIN."""
        if self._begins or kind not in b"C3":
            return super().passes(kind, whole)
        if kind == b"3" and self._withheld:  # the second of the two
            self.remove()
            self._answered(int(self._withheld) if self._withheld.isdigit() else None)
        return False


class FollowedNames:
    """What one connection has found out about names; ``known`` is its engine's."""

    __slots__ = ("followed", "_asked")

    def __init__(self) -> None:
        self.followed = False
        """Whether the connection leads to a pooler that follows them."""
        self._asked = False

    def is_worth_asking(self, known: Known) -> bool:
        """Tell whether the question is open, and names would pay.

        A connection that serves one unit of work asks until one was told that they are not.
        """
        if self._asked or not known.may_follow_names:
            return False
        return known.follows_names is not False or not known.short_lived

    def expect(
        self, receiver: Receiver, known: Known, begins: int, refused: Callable[[], None]
    ) -> None:
        """Expect the answer to the question, which has been put in front of asyncpg's next Parse.

        ``begins`` answers, to BEGIN and settings, precede that to the next message; ``refused`` is
        called if the server does not know the question.
        """
        self._asked = True

        def answered(found: int | None) -> None:
            if found is None:
                known.give_up_names()
                refused()
            else:
                self.followed = not found
                known.found_names(followed=self.followed)

        screen = receiver.screen  # a proof, which sees the answers to BEGIN
        _NamesProof(receiver, begins if screen is None else 0, answered).install_behind(screen)

    def failed(self, known: Known) -> None:
        """Give no statement of the engine a name any more: one was unknown."""
        if self.followed:
            self.followed = False
            known.give_up_names()


def shared_text(text: str, generation: int) -> str:
    """Return a text to prepare by name behind a pooler, once the schema has changed.

    A pooler keeps a statement by its text, for all clients: what is prepared anew would be the
    same stale one in its server sessions.
    """
    return f"{text} /* {generation} */" if generation else text
