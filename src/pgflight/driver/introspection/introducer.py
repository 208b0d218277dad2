"""Asking what types are in front of the statement that names them, as far as one can guess.

One :class:`Introducer` per connection, used by :mod:`pgflight.driver.poolers.preparing`.
"""

from __future__ import annotations

from ..capability import can_tell_types
from ..contracts import Connection, Settings
from ..poolers.proof import Proof, is_query
from ..poolers.route import Route
from ..watching import Watch
from .introduction import Introduction
from .question import question_messages

MOST_IN_VAIN = 10
"""How often a connection asks in front of statements that are new to its engine and turn out to
name none of the types."""


class Introducer:
    """Introduces the types of statements to asyncpg as one connection has them prepared."""

    __slots__ = ("looked_up", "saved", "_connection", "_route", "_watch", "_in_vain")

    def __init__(self, connection: Connection, route: Route, watch: Watch) -> None:
        self._connection = connection
        self._route = route
        self._watch = watch
        self._in_vain = 0
        self.looked_up = 0
        """How many statements named types that asyncpg had to ask for."""
        self.saved = 0
        """How many named types that asyncpg would have asked for."""

    def begin(self, operation: str) -> Introduction | None:
        """Introduce the types of what asyncpg prepares next, until :meth:`end`.

        None if that is not possible, or asyncpg's questions have to be seen.
        """
        route, connection = self._route, self._connection
        receiver = route.receiver
        if (
            receiver is None
            or not receiver.whole
            or not route.can_ask
            or not can_tell_types()
            or connection.is_closed()
            or connection._protocol._is_cancelling()  # what comes next belongs to something else
            or self._watch.by() is not None
        ):
            return None
        screen = receiver.screen
        if screen is not None and not isinstance(screen, Proof):
            return None
        settings: Settings = connection._protocol.get_settings()
        # a proof sees its own answer and those to BEGIN
        introduction = Introduction(receiver, settings, route.begins if screen is None else 0)
        types = self._guessed(operation, settings) if route.known.types.any else ()
        if types:
            version: tuple[int, ...] = connection.get_server_version()
            kinds = route.known.types.kinds
            if route.put_in_front(question_messages(types, version, kinds)):
                introduction.expect(self._refused)
        introduction.install_behind(screen)
        return introduction

    def _guessed(self, operation: str, settings: Settings) -> tuple[int, ...]:
        """Return the types that asyncpg does not know and that a statement may name."""
        met = self._route.known.types
        if met.answers is False or not is_query(operation):
            return ()
        types = met.needed(operation)
        if types is None or met.answers is None:
            # in the middle of a transaction, the program would suffer if the server refused
            if not self._route.begins_now():
                return ()
        if types is None:
            types = met.latest() if self._in_vain < MOST_IN_VAIN else ()
        return tuple(each for each in types if settings.get_data_codec(each) is None)

    def _refused(self) -> None:
        self._route.known.types.answers = False
        self._route.refused = True

    def end(self, operation: str, introduction: Introduction, *, succeeded: bool) -> None:
        """Take note of what the introduction has brought."""
        introduction.finish()
        if not succeeded or not introduction.named:
            return
        met = self._route.known.types
        if introduction.answered:
            met.answers = True
            self._in_vain += not introduction.told
        if introduction.missing:
            self.looked_up += 1
        elif introduction.told:
            self.saved += 1
        if not introduction.kinds <= met.kinds:
            met.kinds |= introduction.kinds
        met.learn(operation, introduction.named, introduction.lacking)
