"""Executing a statement without a name in one flight: Parse, Describe, Bind, Execute and Sync.

Behind a pooler a statement cannot be kept on the server, and one that has to be planned for its
values should not be.  Its description may be out of date by the next execution: another process may
have changed the types of its columns.  So it is parsed and described each time, and the rows are
decoded only if the description that came with them is the one that asyncpg's codecs were chosen
for.  Otherwise they are decoded by the new one.

The types of the parameters, which have to be known before, are those that the server chose the
first time, and are given to Parse: for a named statement the server keeps them likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import asyncpg

from ..._contracts import Receiver
from ..arguments.flat_lists import flat_lists, places_of_arrays
from ..contracts import Connection, Statement
from ..copying.copying import custom_codec_format
from ..execution import check_text
from ..given_answers import complete_unsent
from ..sender import Sender
from ..sockets import is_idle
from ..watching import CALLS, Watch
from .messages import DESCRIBE, Screen, parse_message

_FIRST_TYPE_OF_THE_CLUSTER = 10000
"""Types with smaller numbers are the same on every server (``FirstGenbkiObjectId``)."""

_BINARY = 1
PARSED = b"1\0\0\0\x04"
BEGUN = PARSED + b"2\0\0\0\x04C\0\0\0\nBEGIN\0"


class Listening(Screen):
    """Notes how the server describes the statement that is being prepared."""

    __slots__ = ("parameters", "columns")

    def __init__(self, receiver: Receiver) -> None:
        super().__init__(receiver)
        self.parameters = b""
        """ParameterDescription."""
        self.columns = b""
        """RowDescription or NoData."""

    def passes(self, kind: bytes, whole: bytes) -> bool:
        """Pass everything on."""
        if kind == b"t":
            self.parameters = whole
        elif kind in b"TnE":
            self.columns = whole
            self.remove()
        return True

    def types(self) -> tuple[int, ...]:
        """Return the types of the statement's parameters."""
        numbers = self.parameters[7:]
        return tuple(
            int.from_bytes(numbers[at : at + 4], "big") for at in range(0, len(numbers), 4)
        )


class Comparing(Screen):
    """Passes rows on if they are described as expected; else keeps them."""

    __slots__ = ("_expected", "_parameters", "_columns", "_last", "differs", "rows")

    def __init__(self, receiver: Receiver, parameters: bytes, columns: bytes) -> None:
        super().__init__(receiver)
        self._parameters = parameters
        self._columns = columns
        self._expected = PARSED + parameters + columns
        self.differs = False
        self.rows: list[bytes] = []
        """What asyncpg did not get: the rows, and the end of the answer once more."""

    def __call__(self, data: bytes) -> bytes:
        if not self._part and not self._done:
            start = len(BEGUN) if data.startswith(BEGUN) else 0
            if data.startswith(self._expected, start):
                self.remove()
                return data
        return super().__call__(data)

    def passes(self, kind: bytes, whole: bytes) -> bool:
        """Tell whether asyncpg gets a message."""
        if self.differs:
            if kind in b"DCZ":
                self.rows.append(whole)
            if kind in b"ZE":
                self.remove()
            return kind != b"D"
        if kind == b"E":
            self.remove()
        elif kind == b"t":
            self.differs = whole != self._parameters
        elif kind in b"Tn":
            self.differs = whole != self._columns
            if not self.differs:
                self.remove()
        return True


class DescribedStatement:
    """Executes one statement that has no name; an executor like the driver's others.

    ``statement`` is asyncpg's, as it has just been prepared, and ``heard`` its description.
    Where the server describes it otherwise meanwhile, what ``renewed`` refers to weakly is called
    with a new one.
    """

    __slots__ = (
        "_connection",
        "_sender",
        "_receiver",
        "_statement",
        "_text",
        "_messages",
        "_heard",
        "_arrays",
        "_watch",
        "renewed",
    )

    def __init__(
        self,
        connection: Connection,
        sender: Sender,
        receiver: Receiver,
        statement: Statement,
        text: str,
        heard: Listening,
        watch: Watch,
    ) -> None:
        self._connection = connection
        self._sender = sender
        self._receiver = receiver
        self._statement = statement
        self._text = text
        self._heard = heard
        self._messages = parse_message(text, heard.types()) + DESCRIBE
        self._arrays = places_of_arrays(statement._state._get_parameters())
        self._watch = watch
        self.renewed: Callable[[], Callable[[Statement], None] | None] | None = None

    def with_text(self, text: str) -> DescribedStatement:
        """Return what executes ``text``, which the server is expected to describe likewise.

        Raises the errors of :func:`~pgflight.driver.execution.check_text`.
        """
        check_text(text)
        return DescribedStatement(
            self._connection,
            self._sender,
            self._receiver,
            self._statement,
            text,
            self._heard,
            self._watch,
        )

    async def __call__(self, args: Sequence[Any]) -> Any:
        """Execute the statement; raise asyncpg's errors."""
        connection, sender, state = self._connection, self._sender, self._statement._state
        if connection.is_closed():
            self._statement._check_conn_validity("fetch")
        protocol = connection._protocol
        if not sender.can_hold_back and not is_idle(protocol, state):
            await protocol.close_portal("", None)  # waits, or raises the appropriate error
        values = args
        if self._arrays and self._watch.by(CALLS) is None:
            values = flat_lists(args, self._arrays)
        before, alone = protocol.queries_count, not sender.has_unsent
        heard = self._heard
        comparing = Comparing(self._receiver, heard.parameters, heard.columns)
        comparing.install_behind(self._in_front())
        sender.put(self._messages)
        try:
            reply = await protocol.bind_execute(state, values, "", 0, True, None)
        except BaseException as error:
            sent = protocol.queries_count != before
            if not sent:
                comparing.remove()
                if sender.can_hold_back:
                    if alone:
                        sender.drop_unsent()  # else the session does, together with BEGIN
                elif isinstance(error, Exception):
                    with suppress(asyncpg.PostgresError):
                        await protocol.close_portal("", None)
            if isinstance(error, Exception):
                self._failed(sent=sent, differs=comparing.differs)
            raise
        return await self._read_anew(comparing, args) if comparing.differs else reply

    def _in_front(self) -> Screen | None:
        """Put in front of the statement what has to be there; return what sees its answer."""
        return None

    def _failed(self, *, sent: bool, differs: bool) -> None:
        """Take note of an error; ``differs``: the server describes the statement otherwise."""

    async def _read_anew(self, comparing: Comparing, args: Sequence[Any]) -> Any:
        """Decode the rows that were kept by the description that the server gives now."""
        connection, sender = self._connection, self._sender
        statement = await connection.prepare(self._text, name="")
        try:
            renewed = self.renewed and self.renewed()
            if renewed:
                renewed(statement)
            if not sender.can_hold_back:
                # only for a statement without side effects, see describes_in_flight()
                return await connection._protocol.bind_execute(
                    statement._state, args, "", 0, True, None
                )
            if any(self._as_text(each) for each in (self._statement, statement)):
                raise asyncpg.InvalidCachedStatementError(
                    "the types of the columns have changed since the statement was last described"
                )
            return self._decoded(statement, args, b"".join(comparing.rows))
        finally:
            if not connection.is_closed():
                await connection._protocol.close_portal("", None)  # a Sync was still missing

    def _decoded(self, statement: Statement, args: Sequence[Any], rows: bytes) -> Any:
        """Have asyncpg decode an answer as if it had asked for it now; send nothing."""
        protocol = self._connection._protocol
        operation = protocol.bind_execute(statement._state, args, "", 0, True, None)
        return complete_unsent(protocol, self._sender, operation, rows)

    def _as_text(self, statement: Statement) -> bool:
        """Tell whether asyncpg asks for a column of a statement as text."""
        connection = self._connection
        settings = connection._protocol.get_settings()
        return any(
            settings.get_data_codec(each.type.oid, _BINARY) is None
            or custom_codec_format(connection, each.type.oid) == "text"
            for each in statement.get_attributes()
        )


def describes_in_flight(
    sender: Sender, statement: Statement, heard: Listening, *, own: bool, side_effect_free: bool
) -> bool:
    """Tell whether a statement that has just been prepared may be executed in one flight.

    ``own``: the connection leads to one server session, where a type's number stays the same.
    """
    state = statement._state
    return (
        bool(state.prepared)  # else asyncpg parses it itself
        and not statement.get_name()
        and bool(heard.parameters and heard.columns)
        and (own or all(number < _FIRST_TYPE_OF_THE_CLUSTER for number in heard.types()))
        and (sender.can_hold_back or side_effect_free or heard.columns.startswith(b"n"))
    )
