"""The proof that a connection leads to one server session of its own.

The process number that the server gave when the connection was made is compared with that of the
process which executes its statements.  A pooler makes up the first one.  The question travels in
front of a statement, as BEGIN does, so that nobody waits for it; asyncpg does not see its answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..._contracts import Receiver
from ..pipeline import statement_messages
from .messages import Screen

PROCESS = "pg_catalog.pg_backend_pid()"
"""The process that executes the statement which says this."""

QUESTION = statement_messages(f"SELECT {PROCESS}")
"""The messages that ask for it."""

_UNKNOWN = (b"\0C42", b"\0C0A", b"\0C3F")
"""In an ErrorResponse: the server does not have the function (or the schema) at all."""
_NUMBER_AT = 11  # in a row of one value: kind, length, number of values, length of the value


_QUERY = re.compile(
    r"(?:\s|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/|\()*"
    r"(?:SELECT|INSERT|UPDATE|DELETE|MERGE|VALUES|TABLE|WITH|DECLARE)\b",
    re.IGNORECASE,
)
"""The beginning of a statement that takes a snapshot as it begins, as the question in front does.

Unlike SET TRANSACTION and LOCK, which may have to precede the first query of a transaction, and
VACUUM or CREATE DATABASE, which have to be alone.
"""


def is_query(operation: str) -> bool:
    """Tell whether a question may be put in front of a statement."""
    return _QUERY.match(operation) is not None


async def is_direct(connection: Any) -> bool:
    """Ask in a round trip of its own; for a connection in a transaction.  Raises asyncpg's errors.

    By asyncpg's documented API alone, so it may be asked at every driver level.
    """
    process = await connection.fetchval(f"SELECT {PROCESS}")
    return bool(process == connection.get_server_pid())


def is_refusal(error: bytes) -> bool:
    """Tell whether an ErrorResponse says that the server cannot answer a question."""
    return any(code in error for code in _UNKNOWN)


class Proof(Screen):
    """Takes the answer to :data:`QUESTION` out of what the server sends."""

    __slots__ = ("_begins", "_withheld", "_answered")

    def __init__(
        self, receiver: Receiver, begins: int, answered: Callable[[int | None], None]
    ) -> None:
        """Wait for the answer, behind those to BEGIN and settings, ``begins`` of them.

        ``answered`` is called with the number of the process, None if the server refused to answer.
        """
        super().__init__(receiver)
        self._begins = begins
        self._withheld = b""
        self._answered = answered

    def passes(self, kind: bytes, whole: bytes) -> bool:
        """Tell whether asyncpg gets a message, which it does up to the answer to BEGIN."""
        if kind == b"E" or kind == b"Z":
            self.remove()
            # before the answer to BEGIN the error is BEGIN's, and the question was not executed
            if not self._begins and is_refusal(whole):
                self._answered(None)
            return True
        if self._begins:
            self._begins -= kind == b"C"
            return True
        if kind == b"D":
            self._withheld = whole[_NUMBER_AT:]
        elif kind == b"C":
            self.remove()
            self._answered(int(self._withheld) if self._withheld.isdigit() else None)
        return False
