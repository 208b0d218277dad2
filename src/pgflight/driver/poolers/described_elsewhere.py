"""The first statement of a connection that serves one unit of work, in one flight instead of two.

With ``NullPool`` each unit has a connection of its own, on which nothing has been prepared yet: a
statement would be described first, and executed in a second flight.  How the server described the
same text to another connection of the engine is used instead: asyncpg is given that description as
if it had asked for it, so that values go by this connection's own codecs.  It is proven
by the answer: the statement is parsed and described in the flight in which it is executed, with
parameters of the types that the server finds for them here, and rows are read only if the whole
description is the same.  Else the transaction is rolled back and the statement prepared.

So only a statement without side effects goes this way, and only behind our own BEGIN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import asyncpg

from ..contracts import Connection, Statement
from ..given_answers import complete_unsent
from ..introspection.question import types_of_columns
from ..sender import Sender
from ..watching import Watch
from .described import PARSED, Comparing, DescribedStatement, Listening
from .messages import DESCRIBE, Screen, parse_message
from .route import Route


class DescribedElsewhere(NamedTuple):
    """How the server described a statement to one connection of an engine, for the next ones."""

    parameters: bytes
    """ParameterDescription."""
    columns: bytes
    """RowDescription or NoData."""
    types: frozenset[int]
    """Of the parameters and columns."""
    generation: int
    """The engine's schema generation at that time."""


def note_description(heard: Listening, generation: int) -> DescribedElsewhere | None:
    """Return what the next connections may know of a statement, None if too little was heard."""
    if not (heard.parameters and heard.columns) or heard.columns.startswith(b"E"):
        return None
    columns = types_of_columns(heard.columns) if heard.columns.startswith(b"T") else []
    types = frozenset((*heard.types(), *columns))
    return DescribedElsewhere(heard.parameters, heard.columns, types, generation)


def prepared_unsent(
    connection: Connection, sender: Sender, text: str, known: DescribedElsewhere
) -> Statement | None:
    """Return asyncpg's statement without a name, described by what is known; send nothing.

    None if asyncpg does not know all types yet, and would ask for them.
    """
    protocol = connection._protocol
    find = protocol.get_settings().get_data_codec
    if any(find(number) is None for number in known.types):
        return None
    answer = PARSED + known.parameters + known.columns
    waiting, closing = sender.take_unsent(), connection._stmts_to_close  # the former is BEGIN
    connection._stmts_to_close = later = _Later()
    try:
        prepare: Any = connection.prepare(text, name="")
        statement: Statement = complete_unsent(protocol, sender, prepare, answer)
        return statement
    finally:
        connection._stmts_to_close = closing
        closing.update(later)
        if waiting:
            sender.put(waiting)


class _Later(set[Any]):
    """Statements that asyncpg is not to close now; a garbage collection may add some."""

    def __bool__(self) -> bool:
        return False


class FirstStatement(DescribedStatement):
    """Executes a statement that another connection has had described; once.

    ``statement`` is that of :func:`prepared_unsent`; ``ask`` puts a question in front, if one is
    open, and tells whether it has.
    """

    __slots__ = ("_route", "_ask")

    def __init__(
        self,
        connection: Connection,
        route: Route,
        statement: Statement,
        text: str,
        known: DescribedElsewhere,
        watch: Watch,
        ask: Callable[[], bool],
    ) -> None:
        sender, receiver = route.sender, route.receiver
        assert sender is not None and receiver is not None
        heard = Listening(receiver)
        heard.parameters, heard.columns = known.parameters, known.columns
        super().__init__(connection, sender, receiver, statement, text, heard, watch)
        self._messages = parse_message(text) + DESCRIBE  # the server finds the parameters' types
        self._route, self._ask = route, ask

    async def __call__(self, args: Sequence[Any]) -> Any:
        """Execute the statement; raise asyncpg's errors.

        Where it is described otherwise the route has ``refused`` it: it is to be executed again.
        """
        try:
            return await super().__call__(args)
        except BaseException:
            self._route.unsent()
            raise

    def _in_front(self) -> Screen | None:
        return self._receiver.screen if self._ask() else None

    def _failed(self, *, sent: bool, differs: bool) -> None:
        # the arguments were encoded for other types, or could not be: perhaps for those of here
        if differs or not sent:
            self._withdraw(refused=differs)

    async def _read_anew(self, comparing: Comparing, args: Sequence[Any]) -> NoReturn:
        self._withdraw(refused=True)
        raise asyncpg.InvalidCachedStatementError("the statement means something else here")

    def _withdraw(self, *, refused: bool) -> None:
        self._route.known.descriptions.forget(self._text, refused=refused)
        self._route.refused = True
