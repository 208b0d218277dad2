"""Which part of asyncpg is used: levels, their choice, socket options."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from typing import Any

import asyncpg
import pytest

from pgflight import driver
from pgflight.driver import capability, known_types


def in_process(level: str, code: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PGFLIGHT_DRIVER": level},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("level", "expected"),
    [("public", "public"), ("private", "private"), ("auto", "private"), ("", "private")],
)
def test_the_environment_chooses(level: str, expected: str) -> None:
    code = "from pgflight import driver; print(driver.capabilities().level, driver.fetch.__name__)"
    done = in_process(level, code)
    assert done.stdout.split() == [expected, f"_fetch_{expected}"], done.stderr


def test_another_value_is_an_error_that_names_the_three() -> None:
    done = in_process("privat", "import pgflight.driver")
    assert done.returncode != 0
    assert "PGFLIGHT_DRIVER is 'privat'; set it to one of auto, private or public" in done.stderr


def test_a_missing_name_leads_to_the_public_level() -> None:
    chosen = capability._choose("auto", ("Connection._protocol",))
    assert chosen.level == "public"
    assert "lacks Connection._protocol" in chosen.reason
    with pytest.raises(ImportError, match=r"lacks Connection\._protocol; set it to auto"):
        capability._choose("private", ("Connection._protocol",))


WITHOUT = """
import asyncpg
from asyncpg import prepared_stmt, pgproto
%s
from pgflight import driver
print(driver.capabilities().level, sorted(driver.stepped_aside()), len(driver.UUID_CLASSES))
print(*driver.stepped_aside().values())
"""


@pytest.mark.parametrize(
    ("lost", "level", "aside"),
    [
        ("pass", "private", "[] 2"),
        ("del asyncpg.prepared_stmt.PreparedStatement._state", "public", "[] 2"),
        ("del asyncpg.connection.Connection._query_loggers", "private", "['pipeline'] 2"),
        (
            "del asyncpg.connect_utils._ClientConfiguration",
            "private",
            "['COPY', 'pipeline', 'poolers', 'time bounds'] 2",
        ),
        (
            "del asyncpg.connection.Connection._drop_local_statement_cache",
            "private",
            "['poolers', 'types'] 2",
        ),
        ("del asyncpg.pgproto.pgproto.UUID", "private", "[] 1"),
    ],
)
def test_what_steps_aside_where_a_name_is_missing(lost: str, level: str, aside: str) -> None:
    done = in_process("auto", WITHOUT % lost)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"{level} {aside}"
    assert all(
        f"asyncpg {asyncpg.__version__} lacks " in x for x in done.stdout.splitlines()[1:2] if x
    )


def test_a_name_that_does_not_exist_is_found_missing() -> None:
    with pytest.raises(KeyError):
        capability._missing_names((("Connection", "_no_such"), ("Nowhere", "x")))
    names = (("Connection", "_no_such"), ("Connection", "_protocol"))
    assert capability._missing_names(names) == ("Connection._no_such",)


class Transport:
    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def get_extra_info(self, name: str) -> Any:
        assert name == "socket"
        return self._sock


class Connection:
    def __init__(self, sock: Any) -> None:
        self._transport = Transport(sock)


def connection_of(sock: Any) -> Any:
    return Connection(sock)


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capability, "_chosen", capability._choose("auto", ()))


@pytest.mark.usefixtures("private")
def test_options_reach_the_socket() -> None:
    with socket.socket() as sock:
        driver.apply_socket_options(
            connection_of(sock),
            {"keepalives": 1, "keepalives_idle": 33, "keepalives_interval": 7,
             "keepalives_count": 4, "tcp_user_timeout": 9000},
        )  # fmt: skip
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
        if sys.platform == "linux":
            tcp = socket.IPPROTO_TCP
            assert sock.getsockopt(tcp, socket.TCP_KEEPIDLE) == 33
            assert sock.getsockopt(tcp, socket.TCP_KEEPINTVL) == 7
            assert sock.getsockopt(tcp, socket.TCP_KEEPCNT) == 4
            assert sock.getsockopt(tcp, socket.TCP_USER_TIMEOUT) == 9000


@pytest.mark.usefixtures("private")
def test_keepalives_can_be_turned_off() -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        driver.apply_socket_options(connection_of(sock), {"keepalives": 0, "keepalives_idle": 33})
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


@pytest.mark.usefixtures("private")
def test_a_unix_socket_is_left_alone() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        driver.apply_socket_options(connection_of(sock), {"keepalives_idle": 33})
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


class Writable:
    """A transport of asyncio's, as far as it matters: methods may be set on it."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: Any) -> None:
        self.sent.append(bytes(data))


class Slotted:
    """A transport as uvloop's: nothing may be set on it."""

    __slots__ = ("sent", "closing")

    __init__ = Writable.__init__
    is_closing = Writable.is_closing
    write = Writable.write


class Protocol:
    """asyncpg's protocol: busy, cancelling, or idle."""

    def __init__(self, state: str) -> None:
        self.state = state

    def _is_cancelling(self) -> bool:
        return self.state == "cancelling"

    async def bind_execute(self, state: Any, args: Any, *rest: Any) -> None:
        if self.state == "late":
            await asyncio.sleep(1)
        if self.state == "busy":
            raise asyncpg.InterfaceError("another operation is in progress")
        len(args)
        raise AssertionError("nothing may be sent")


class Wired:
    def __init__(self, transport: Any, state: str = "idle") -> None:
        self._transport = transport
        self._protocol = Protocol(state)
        self._stmts_to_close: set[Any] = set()


def closing(connection: Any, states: set[Any]) -> driver.Closing:
    return driver.Closing(connection, driver.Sender(connection._transport), states)


class State:
    def __init__(self, name: str) -> None:
        self.name = name


CLOSE = b"C\0\0\0\x09Sone\0"


def test_close_is_glued_to_what_is_sent_next() -> None:
    transport, states = Writable(), {State("one")}
    with closing(Wired(transport), states):
        transport.write(memoryview(b"Parse"))
        transport.write(b"more")
    assert not states
    transport.write(b"later")
    assert transport.sent == [CLOSE + b"Parse", b"more", b"later"]
    assert "write" not in vars(transport)


def test_close_waits_where_nothing_is_sent() -> None:
    transport, states = Writable(), {State("one")}
    with pytest.raises(ZeroDivisionError), closing(Wired(transport), states):
        raise ZeroDivisionError
    transport.write(b"later")
    assert transport.sent == [b"later"]
    assert len(states) == 1


def test_close_is_sent_at_once_where_it_cannot_be_glued() -> None:
    transport, states = Slotted(), {State("one")}
    with closing(Wired(transport), states):
        transport.write(b"Parse")
    assert transport.sent == [CLOSE, b"Parse"]
    assert not states


@pytest.mark.parametrize("kind", [Writable, Slotted])
@pytest.mark.parametrize("state", ["cancelling", "busy", "late", "closing"])
def test_close_waits_while_the_connection_cannot_take_it(kind: Any, state: str) -> None:
    transport, states = kind(), {State("one")}
    transport.closing = state == "closing"
    with closing(Wired(transport, state), states):
        pass  # asyncpg raises here, or waits, and sends nothing
    assert transport.sent == []
    assert len(states) == 1


def test_dropped_statements_are_taken_from_asyncpg(monkeypatch: pytest.MonkeyPatch) -> None:
    connection: Any = Wired(Writable())
    taken: set[Any] = set()
    connection._stmts_to_close |= {1, 2}
    monkeypatch.setattr(capability, "_chosen", capability._choose("public", ()))
    driver.take_dropped(connection, taken)
    assert (connection._stmts_to_close, taken) == ({1, 2}, set())
    monkeypatch.setattr(capability, "_chosen", capability._choose("auto", ()))
    driver.take_dropped(connection, taken)
    assert (connection._stmts_to_close, taken) == (set(), {1, 2})


def test_the_public_level_refuses_socket_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capability, "_chosen", capability._choose("public", ()))
    with pytest.raises(ValueError, match="keepalives_idle cannot be set"):
        driver.check_socket_options({"keepalives_idle": 33})
    driver.check_socket_options({})


@pytest.mark.parametrize(
    ("version", "level", "expected"),
    [
        ("0.32.0", "private", known_types._set_codec_private),
        ("0.32.0", "public", known_types._set_codec_public),
        ("0.31.0", "public", known_types._set_codec_public),
        ("1.0.0.dev0", "public", known_types._set_codec_public),
        ("0.30.0", "private", known_types._set_codec_private),
        ("0.30.0", "public", None),
    ],
)
def test_codecs_are_set_without_a_round_trip_or_not_at_all(
    version: str, level: str, expected: Any
) -> None:
    assert known_types._codec_setter(version, level == "private") is expected
