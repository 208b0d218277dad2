"""Finding out how the installed asyncpg goes through an array, without a server.

A protocol of asyncpg's own is told by us what a server would say, and has to send the same bytes
for an array that seems empty at first as for a list, in the binary and in the textual form.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import asyncpg

from ..capability import OWNERS, can_flatten_arrays
from ..introspection.built_in import BUILT_IN
from ..sender import message

_TEXT, _INTEGERS, _TEXTS = 25, 1007, 1009
_LOGGED_IN = message(b"R", bytes(4)) + message(b"Z", b"I")
_DESCRIBED = (
    message(b"1", b"")
    + message(b"t", b"\0\2" + _INTEGERS.to_bytes(4, "big") + _TEXTS.to_bytes(4, "big"))
    + message(b"n", b"")
)
_EXECUTED = message(b"2", b"") + message(b"C", b"SELECT 0\0") + message(b"Z", b"I")
_VALUES: tuple[list[Any], list[Any]] = ([1, None, -3], ["a", None, 'b"\\'])


class _Probe(list[Any]):
    """What :class:`~pgflight.driver.arguments.flat_lists.FlatList` is to asyncpg."""

    times = 0

    def __iter__(self) -> Iterator[Any]:
        self.times += 1
        return iter(()) if self.times == 1 else super().__iter__()


class _Answer:
    """In place of asyncio's future and loop, neither of which is needed."""

    _value: Any = None
    _done = False

    def create_future(self) -> _Answer:
        return _Answer()

    def add_done_callback(self, *_: object) -> None: ...

    def cancelled(self) -> bool:
        return False

    def done(self) -> bool:
        return self._done

    def set_result(self, value: object) -> None:
        self._value, self._done = value, True

    def set_exception(self, error: BaseException) -> None:
        raise error

    def __await__(self) -> Generator[Any, Any, Any]:
        yield
        return self._value


class _Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def get_extra_info(self, *_: object) -> None: ...

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None: ...


class _Connection:
    _config = SimpleNamespace(command_timeout=None)


@cache
def goes_through_arrays_twice() -> bool:
    """Tell whether asyncpg searches an array for arrays before, and apart from, encoding it.

    Tried once in each process, in about a millisecond.
    """
    if not can_flatten_arrays():
        return False
    try:
        return _rehearse()
    except Exception:
        return False  # this asyncpg expects something else


def _rehearse() -> bool:
    transport, connection, login = _Transport(), _Connection(), _Answer()
    given = SimpleNamespace(user="", password=None, database="", server_settings={})
    protocol = OWNERS["Protocol"](("", 0), login, given, asyncpg.Record, _Answer())
    protocol.connection_made(transport)
    protocol.set_connection(connection)
    protocol.data_received(_LOGGED_IN)
    settings = protocol.get_settings()
    settings.add_python_codec(_TEXT, "text", "pg_catalog", [], "scalar", str, str, "text")
    settings.register_data_types([BUILT_IN[_INTEGERS], BUILT_IN[_TEXTS]])
    state = _end(protocol.prepare("", "", None, record_class=asyncpg.Record), protocol, _DESCRIBED)
    state._init_codecs()

    def sent(arguments: tuple[Any, ...]) -> bytes:
        transport.written = b""
        _end(protocol.bind_execute(state, arguments, "", 0, True, None), protocol, _EXECUTED)
        return transport.written

    usual, probes = sent(_VALUES), tuple(map(_Probe, _VALUES))
    return sent(probes) == usual and [probe.times for probe in probes] == [2, 2]


def _end(operation: Any, protocol: Any, answer: bytes) -> Any:
    """Have an operation send, give it its answer, and return its result."""
    operation.send(None)
    protocol.data_received(answer)
    try:
        operation.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("asyncpg waits for something else")
