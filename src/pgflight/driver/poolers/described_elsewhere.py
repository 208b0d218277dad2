"""The first statement of a connection that serves one unit of work, in one flight instead of two.

With ``NullPool`` each unit has a connection of its own, on which nothing has been prepared yet: a
statement would be described first, and executed in a second flight.  What another connection of
the engine has been told of the same text is used instead, and proven by the answer: the statement
is parsed and described in the same flight, its parameters have the types that the server finds for
them here, and rows are read only if the whole description is the same.  Else everything is
undone and the statement is prepared.  So only a statement without side effects goes this way, and
only the first of a transaction; only types of the server's own, with asyncpg's own codecs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import asyncpg

from ..contracts import Connection, Settings, Statement
from ..introspection.question import types_of_columns
from ..watching import Watch
from .described import FIRST_TYPE_OF_THE_CLUSTER, Comparing, DescribedStatement, Listening
from .messages import DESCRIBE, parse_message
from .route import Route


class DescribedElsewhere(NamedTuple):
    """What one connection of an engine was told of a statement, for the next ones."""

    entry: Any
    """The session's entry of it."""
    state: Any
    """asyncpg's: how parameters are encoded and rows are decoded."""
    attributes: Any
    heard: Listening
    codecs: tuple[tuple[int, object], ...]
    """The types of its parameters and columns, and asyncpg's codec of each."""
    text_codec: object
    generation: int
    """The engine's schema generation at that time."""

    def fits(self, settings: Settings, generation: int) -> bool:
        """Tell whether another connection encodes and decodes the same way."""
        find = settings.get_data_codec
        return (
            generation == self.generation
            and settings.get_text_codec() == self.text_codec
            and all(find(number) is codec for number, codec in self.codecs)
        )


class _Statement:
    """In place of asyncpg's statement, which would keep the connection that is gone."""

    __slots__ = ("_connection", "_state", "_attributes")

    def __init__(self, connection: Connection, known: DescribedElsewhere) -> None:
        self._connection = connection
        self._state = known.state
        self._attributes = known.attributes

    def get_name(self) -> str:
        return ""

    def get_attributes(self) -> Any:
        return self._attributes

    def _check_conn_validity(self, name: str) -> NoReturn:
        raise asyncpg.InterfaceError(f"cannot call PreparedStatement.{name}(): it is closed")


def note_description(
    connection: Connection, statement: Statement, heard: Listening, entry: Any, generation: int
) -> DescribedElsewhere | None:
    """Return what the next connections may know of an unnamed statement, None if that is nothing.

    ``entry`` is the session's; ``heard`` the description, just heard.
    """
    if statement.get_name() or not (
        heard.parameters and heard.columns and statement._state.prepared
    ):
        return None
    columns = types_of_columns(heard.columns) if heard.columns.startswith(b"T") else []
    types = (*heard.types(), *columns)
    if any(number >= FIRST_TYPE_OF_THE_CLUSTER for number in types):
        return None
    settings = connection._protocol.get_settings()
    codecs = tuple((number, settings.get_data_codec(number)) for number in sorted(set(types)))
    text_codec, attributes = settings.get_text_codec(), statement.get_attributes()
    state = statement._state
    return DescribedElsewhere(entry, state, attributes, heard, codecs, text_codec, generation)


class FirstStatement(DescribedStatement):
    """Executes a statement that another connection has had described; once.

    ``ask`` puts a question in front of it, if one is open.
    """

    __slots__ = ("statement", "_route", "_ask")

    def __init__(
        self,
        connection: Connection,
        route: Route,
        known: DescribedElsewhere,
        text: str,
        watch: Watch,
        ask: Callable[[], object],
    ) -> None:
        sender, receiver = route.sender, route.receiver
        assert sender is not None and receiver is not None
        stands_in: Any = _Statement(connection, known)
        self.statement = stands_in
        """What stands in asyncpg's place."""
        super().__init__(connection, sender, receiver, stands_in, text, known.heard, watch)
        self._messages = parse_message(text) + DESCRIBE  # the server finds the parameters' types
        self._route, self._ask = route, ask

    async def __call__(self, args: Sequence[Any]) -> Any:
        """Execute the statement; raise asyncpg's errors.

        Where it is described otherwise the route has ``refused`` it: it is to be executed again.
        """
        self._ask()
        try:
            return await super().__call__(args)
        except Exception:
            # the arguments were encoded for other types, or could not be: perhaps for those of here
            if self._differed or not self._was_sent:
                self._withdraw()
            self._route.unsent()
            raise
        except BaseException:
            self._route.unsent()
            raise

    async def _read_anew(self, comparing: Comparing, args: Sequence[Any]) -> NoReturn:
        self._withdraw()
        raise asyncpg.InvalidCachedStatementError("the statement means something else here")

    def _withdraw(self) -> None:
        self._route.known.descriptions.forget(self._text, refused=True)
        self._route.refused = True
