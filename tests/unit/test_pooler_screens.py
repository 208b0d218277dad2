"""What is kept from asyncpg: the answer about the process, and rows described otherwise.

Whatever the pieces in which the server's bytes come.
"""

from __future__ import annotations

from typing import Any

import pytest

from pgflight.driver.poolers.described import Comparing, Listening
from pgflight.driver.poolers.messages import Screen, parse_message
from pgflight.driver.poolers.proof import Proof
from pgflight.driver.sender import message
from tests.fixtures.impl import Impl

BEGUN = message(b"1", b"") + message(b"2", b"") + message(b"C", b"BEGIN\0")
ROW = message(b"D", b"\0\x01\0\0\0\x044711")
ANSWER = message(b"1", b"") + message(b"2", b"") + ROW + message(b"C", b"SELECT 1\0")
NOTICE = message(b"N", b"SNOTICE\0\0")
PARSED = message(b"1", b"")
TYPES = message(b"t", b"\0\x02\0\0\0\x17\0\0\0\x19")
COLUMNS = message(b"T", b"\0\x01v\0" + bytes(18))
OTHERS = message(b"T", b"\0\x01w\0" + bytes(18))
ROWS = message(b"2", b"") + message(b"D", b"\0\x01\0\0\0\x01x")
END = message(b"C", b"SELECT 1\0") + message(b"Z", b"T")


def error(code: str) -> bytes:
    return message(b"E", b"SERROR\0C" + code.encode() + b"\0Mno\0\0") + message(b"Z", b"E")


class Protocol:
    def __init__(self) -> None:
        self.got = b""

    def data_received(self, data: bytes) -> None:
        self.got += data


def pieces(data: bytes) -> list[list[bytes]]:
    """Return `data` whole, cut in two at each place, and byte by byte."""
    cut = [[data[:at], data[at:]] for at in range(1, len(data))]
    return [[data], *cut, [data[at : at + 1] for at in range(len(data))]]


def received(impl: Impl, make: Any, parts: list[bytes]) -> tuple[bytes, Any, Any]:
    """Return what asyncpg got, the receiver and the screen."""
    protocol = Protocol()
    receiver = impl.receiving.Receiver(protocol)
    screen: Screen = make(receiver)
    screen.install()
    for part in parts:
        receiver.data_received(part)
    return protocol.got, receiver, screen


@pytest.mark.parametrize("begins", [True, False])
def test_the_number_of_the_process_is_taken_out(impl: Impl, begins: bool) -> None:
    before, after = (BEGUN if begins else b""), PARSED + TYPES + COLUMNS
    for parts in pieces(before + NOTICE + ANSWER + after):
        told: list[int | None] = []
        got, receiver, _ = received(
            impl, lambda each, to=told: Proof(each, begins, to.append), parts
        )
        assert got == before + NOTICE + after
        assert told == [4711]
        assert receiver.screen is None


@pytest.mark.parametrize(
    ("begins", "data", "expected"),
    [
        pytest.param(True, error("25006"), [], id="BEGIN fails"),
        pytest.param(True, BEGUN + error("42883"), [None], id="no such function"),
        pytest.param(False, error("3F000"), [None], id="no such schema"),
        pytest.param(True, BEGUN + error("57014"), [], id="cancelled"),
    ],
)
def test_an_error_is_passed_on(
    impl: Impl, begins: bool, data: bytes, expected: list[int | None]
) -> None:
    for parts in pieces(data + ANSWER):
        told: list[int | None] = []
        got, receiver, _ = received(
            impl, lambda each, to=told: Proof(each, begins, to.append), parts
        )
        assert (got, told, receiver.screen) == (data + ANSWER, expected, None)


@pytest.mark.parametrize("before", [b"", BEGUN, NOTICE, BEGUN + NOTICE])
def test_rows_that_are_described_as_expected_are_passed_on(impl: Impl, before: bytes) -> None:
    data = before + PARSED + TYPES + COLUMNS + ROWS + END
    for parts in pieces(data):
        got, receiver, screen = received(impl, lambda each: Comparing(each, TYPES, COLUMNS), parts)
        assert (got, screen.differs, screen.rows, receiver.screen) == (data, False, [], None)


def test_rows_that_are_described_otherwise_are_kept(impl: Impl) -> None:
    start, bound = BEGUN + PARSED + TYPES + OTHERS, message(b"2", b"")
    for parts in pieces(start + ROWS + END + NOTICE):
        got, receiver, screen = received(impl, lambda each: Comparing(each, TYPES, COLUMNS), parts)
        assert got == start + bound + END + NOTICE
        assert b"".join(screen.rows) == ROWS[len(bound) :] + END
        assert screen.differs
        assert receiver.screen is None


def test_an_error_ends_the_comparison(impl: Impl) -> None:
    data = BEGUN + error("42P01") + PARSED + TYPES + OTHERS + ROWS
    got, receiver, screen = received(impl, lambda each: Comparing(each, TYPES, COLUMNS), [data])
    assert (got, screen.differs, receiver.screen) == (data, False, None)


def test_a_description_is_noted(impl: Impl) -> None:
    data = BEGUN + PARSED + TYPES + COLUMNS
    for parts in pieces(data):
        got, receiver, heard = received(impl, Listening, parts)
        assert (got, receiver.screen) == (data, None)
        assert (heard.parameters, heard.columns, heard.types()) == (TYPES, COLUMNS, (23, 25))


def test_types_are_given_to_parse() -> None:
    expected = b"P\0\0\0\x14\0SELECT\0\0\x02\0\0\0\x17\0\0\0\x19"
    assert parse_message("SELECT", (23, 25))[5:] == expected[5:]
    assert parse_message("SELECT") == message(b"P", b"\0SELECT\0\0\0")
