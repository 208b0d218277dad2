"""Having the server prepare statements: under which name, and what travels in the same flight.

A base of the session's prepared statements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asyncpg

from ..capability import can_tell_types
from ..contracts import Connection
from ..execution import check_text, executemany, name_of
from ..introspection.introducer import Introducer
from ..introspection.introduction import Introduction
from ..known_types import register_array_types
from ..sender import Closing, take_dropped
from ..watching import CALLS, Watch
from .described import DescribedStatement, Listening, describes_in_flight
from .followed_names import shared_text
from .proof import is_query
from .route import Route, unique_name

_TELLS_TYPES = can_tell_types()


class Preparer:
    """Has statements prepared over one connection.

    ``name_func`` returns the name of the next one, None for asyncpg's choice.
    """

    __slots__ = (
        "_connection",
        "_sender",
        "_watch",
        "route",
        "_name_func",
        "_dropped",
        "_heard",
        "_told",
        "introducer",
        "described_at_once",
        "prepares",
    )

    def __init__(
        self,
        connection: Connection,
        route: Route,
        name_func: Callable[[], str | None],
        watch: Watch,
    ) -> None:
        self._watch = watch
        self._connection = connection
        self._sender = route.sender
        self.route = route
        """What the connection leads to."""
        self._name_func = name_func
        self._dropped: set[Any] = set()  # their Close goes with the next Parse
        self._heard: Listening | None = None
        self._told: Listening | None = None
        self.introducer = Introducer(connection, route, watch)
        self.described_at_once = False
        """Whether asyncpg is known to have asked for no types since the last description."""
        self.prepares = 0
        """How many statements the server has prepared."""

    def prove(self, operation: str) -> bool:
        """Have it proven what the connection leads to, in front of ``operation``, if it is unknown.

        Tells whether the question has been put there, which takes a query.
        """
        route = self.route
        return route.asks and is_query(operation) and route.ask()

    async def left_to_asyncpg(self, operation: str, parameter_sets: object) -> int:
        """Have asyncpg execute a statement for each set, with our questions in front of it.

        Returns the number of rows, or -1, and raises what
        :func:`~pgflight.driver.execution.executemany` does.
        """
        route = self.route
        if route.asks:
            self.prove(operation)
        route.note_parse()
        introduction = None
        if not self._is_asyncpgs(operation):
            introduction = self.introducer.begin(operation)
        succeeded = False
        try:
            changed = await executemany(self._connection, operation, parameter_sets, route.pooled)
            succeeded = True
            return changed
        finally:
            route.unsent()
            if introduction is not None:
                self.introducer.end(operation, introduction, succeeded=succeeded)

    def _is_asyncpgs(self, operation: str) -> bool:
        """Tell whether asyncpg has prepared a statement for itself, so that it sends no Parse.

        False where that cannot be told.
        """
        kept = getattr(self._connection, "_stmt_cache", None) if _TELLS_TYPES else None
        # its key for what is executed without other classes of rows or codecs
        return kept is not None and kept.has((operation, asyncpg.Record, False)) is True

    async def prepare_unnamed(self, operation: str) -> Any:
        """Return asyncpg's statement for ``operation``, valid until the next one is prepared."""
        check_text(operation)
        return await self._send(operation, "")

    async def _ask(self, operation: str) -> Any:
        """Have the server prepare a statement, under a name where its session keeps it."""
        check_text(operation)
        self._heard = None
        route = self.route
        if route.asks:
            return await self._ask_and_prove(operation)
        if self.describes_each_time(operation):
            return await self._ask_and_listen(operation)
        if not route.pooled or self.is_shared(operation):
            return await self._send(operation, self._name_func() or self._own_name())
        if route.begins_now() and self._ask_for_names(operation, route.begins):
            if self._is_likely_shared(operation):
                return await self._ask_by_name(operation)
        return await self._ask_and_listen(operation)

    def is_shared(self, operation: str) -> bool:
        """Tell whether a statement has a name that a pooler follows, and so shares with others."""
        return self.route.names.followed and operation not in self.route.known.unshared

    def _is_likely_shared(self, operation: str) -> bool:
        """Tell whether it would be if the pooler did what another connection has found."""
        known = self.route.known
        return bool(known.follows_names) and operation not in known.unshared

    def schema_generation(self) -> int:
        """Return how often the schema has changed, as far as is known."""
        return 0

    def _own_name(self) -> str | None:
        """Return a name where it may have to be nobody else's, None for asyncpg's choice."""
        return unique_name() if self.route.pooled else None

    def keeps_statements(self) -> bool:
        """Tell whether statements are kept, so that names pay."""
        return True

    def _ask_for_names(self, operation: str, begins: int) -> bool:
        """Ask whether a pooler follows names, in front of ``operation``, the first statement.

        Tells whether the question has been put there.
        """
        if not (self.keeps_statements() and is_query(operation)):
            return False
        return self.route.ask_for_names(begins)

    def goes_without_name(self, operation: str) -> bool:
        """Tell whether a statement had better be parsed anew in each of its executions."""
        return False

    def has_moving_names(self) -> bool:
        """Tell whether the same text may mean other tables in the next execution."""
        return False

    def forget_asyncpgs(self) -> None:
        """Have asyncpg prepare anew what it has prepared for itself."""
        if can_tell_types() and self._sender is not None:
            self._connection._drop_local_statement_cache()

    def describes_each_time(self, operation: str) -> bool:
        """Tell whether a statement goes without a name, though its session would keep one."""
        return (
            (self.has_moving_names() or self.goes_without_name(operation))
            and self._sender is not None
            and self.route.receiver is not None
            and self._watch.by(CALLS) is None
            and self._connection._stmt_cache_enabled
        )

    async def _ask_and_prove(self, operation: str) -> Any:
        """Prepare a statement over a connection of which one does not know what it leads to.

        The proof travels with it.  Its name is nobody else's until then, whoever gets to see it.
        """
        route = self.route
        first, begins, named = route.begins_now(), route.begins, False
        if self.prove(operation):
            named = not route.pooled
            if route.pooled and first:
                named = self._ask_for_names(operation, begins) and self._is_likely_shared(operation)
        if not named:
            return await self._ask_with(operation, "")
        return await self._ask_by_name(operation, first=first)

    async def _ask_by_name(self, operation: str, *, first: bool = False) -> Any:
        """Prepare a statement under a name, while it is asked what becomes of names.

        ``first``: it is the first one of a transaction, which may be executed again.
        """
        route = self.route
        statement = await self._ask_with(operation, self._name_func() or unique_name())
        if not route.forgets_names or not name_of(statement):
            return statement
        route.disown(statement)
        if first:
            self._ask_for_names(operation, 0)  # BEGIN has been answered
        return await self._ask_and_listen(operation)

    async def _ask_with(self, operation: str, name: str) -> Any:
        """Prepare a statement with a question in front of it."""
        try:
            return await self._send(operation, name)
        except BaseException:
            self.route.unsent()
            raise

    async def _ask_and_listen(self, operation: str) -> Any:
        """Prepare a statement without a name; note how the server describes it."""
        introduction = self.introducer.begin(operation)
        heard = introduction or self.route.listen()
        statement = await self._send(operation, "", introduction)
        if heard is not None and introduction is None:
            heard.remove()
        self._heard = heard
        return statement

    def _described(
        self, statement: Any, operation: str, *, side_effect_free: bool
    ) -> DescribedStatement | None:
        """Return what executes the statement just prepared in one flight, None if nothing can."""
        heard, sender, receiver = self._heard, self._sender, self.route.receiver
        if heard is None or sender is None or receiver is None:
            return None
        if self._watch.by(CALLS) is not None:
            return None
        own, free = not (self.route.pooled or self.has_moving_names()), side_effect_free
        if not describes_in_flight(sender, statement, heard, own=own, side_effect_free=free):
            return None
        return DescribedStatement(
            self._connection, sender, receiver, statement, operation, heard, self._watch
        )

    async def _send(
        self, operation: str, name: str | None, introduction: Introduction | None = None
    ) -> Any:
        """Have the server prepare a statement and close those that are no longer needed."""
        if name:
            check_text(name)
            if self.route.pooled:
                operation = shared_text(operation, self.schema_generation())
        self.route.note_parse()
        take_dropped(self._connection, self._dropped, self._watch)
        self._told = introduction = introduction or self.introducer.begin(operation)
        if introduction is not None:
            statement = await self._introduced(operation, name, introduction)
        else:
            if "[]" in operation and self._watch.by() is None:
                register_array_types(self._connection)
            statement = await self._parse(operation, name)
            self.described_at_once = False
        self.prepares += 1
        return statement

    async def _introduced(
        self, operation: str, name: str | None, introduction: Introduction
    ) -> Any:
        """Have a statement prepared while its types are introduced to asyncpg."""
        succeeded = False
        try:
            statement = await self._parse(operation, name)
            succeeded = True
        finally:
            if introduction.asks:  # not sent, or not answered yet
                self.route.unsent()
            self.introducer.end(operation, introduction, succeeded=succeeded)
        self.described_at_once = not introduction.missing
        return statement

    async def _parse(self, operation: str, name: str | None) -> Any:
        connection = self._connection
        if self._dropped and self._sender is not None:
            with Closing(connection, self._sender, self._dropped):
                return await connection.prepare(operation, name=name)
        return await connection.prepare(operation, name=name)
