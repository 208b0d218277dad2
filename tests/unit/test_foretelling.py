"""Answers that asyncpg's protocol gets before the server has given them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures.impl import Impl

ROLLED_BACK = b"C\0\0\0\x0dROLLBACK\0Z\0\0\0\x05I"
COMMITTED = b"C\0\0\0\x0bCOMMIT\0Z\0\0\0\x05I"
NOTICE = b"N\0\0\0\x0cSNOTE\0\0\0"
SETTING = b"S\0\0\0\x08a\0b\0"
NOTIFIED = b"A\0\0\0\x0c\0\0\0\x07c\0p\0"
ROW = b"D\0\0\0\x06\0\0"
READY = b"Z\0\0\0\x05T"
ERROR = b"E\0\0\0\x16SERROR\0VERROR\0M\0\0\0"
FATAL = b"E\0\0\0\x17SFATAL\0VFATAL\0M\0\0\0\0"


class Protocol:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.ended: list[Any] = []

    def data_received(self, data: bytes) -> None:
        self.got.append(bytes(data))

    def abort(self) -> None:
        self.ended.append("aborted")

    def connection_lost(self, error: Exception | None) -> None:
        self.ended.append(error)


def made(impl: Impl, *answers: bytes) -> tuple[Any, Protocol]:
    protocol = Protocol()
    receiver = impl.receiving.Receiver(protocol)
    for answer in answers:
        receiver.foretell(answer)
    assert protocol.got == list(answers)
    assert receiver.owed == len(answers)
    protocol.got.clear()
    return receiver, protocol


def test_the_answer_comes_once(impl: Impl) -> None:
    receiver, protocol = made(impl, ROLLED_BACK)
    receiver.data_received(ROLLED_BACK)
    assert (protocol.got, receiver.owed) == ([], 0)
    receiver.data_received(ROLLED_BACK)
    assert protocol.got == [ROLLED_BACK]


def test_what_comes_behind_it_is_passed_on(impl: Impl) -> None:
    receiver, protocol = made(impl, ROLLED_BACK)
    receiver.data_received(ROLLED_BACK + ROW + READY)
    assert (protocol.got, receiver.owed) == ([ROW + READY], 0)


@pytest.mark.parametrize("size", range(1, 24))
def test_in_pieces(impl: Impl, size: int) -> None:
    receiver, protocol = made(impl, ROLLED_BACK, COMMITTED)
    stream = NOTICE + ROLLED_BACK + SETTING + COMMITTED[:12] + NOTIFIED + COMMITTED[12:] + ROW
    for at in range(0, len(stream), size):
        receiver.data_received(stream[at : at + size])
    assert b"".join(protocol.got) == NOTICE + SETTING + NOTIFIED + ROW
    assert (receiver.owed, protocol.ended) == (0, [])


def test_a_setting_between_the_tag_and_ready_is_passed_on(impl: Impl) -> None:
    receiver, protocol = made(impl, ROLLED_BACK)
    receiver.data_received(ROLLED_BACK[:14] + SETTING + ROLLED_BACK[14:])
    assert (protocol.got, receiver.owed, protocol.ended) == ([SETTING], 0, [])


@pytest.mark.parametrize(
    "other", [ERROR + ROLLED_BACK[14:], COMMITTED, ROLLED_BACK[:-1] + b"E", ROW, READY]
)
def test_another_answer_ends_the_connection(impl: Impl, other: bytes) -> None:
    receiver, protocol = made(impl, ROLLED_BACK)
    receiver.data_received(other + b"....")
    assert (protocol.got, protocol.ended, receiver.owed) == ([], ["aborted"], 0)


@pytest.mark.parametrize("size", [1, 5, 17, 1000])
def test_an_error_in_its_place_is_told_to_whoever_asks(impl: Impl, size: int) -> None:
    receiver, protocol = made(impl, ROLLED_BACK)
    calls: list[int] = []

    def again() -> None:
        calls.append(receiver.owed)
        receiver.owe(ROLLED_BACK)

    receiver.when_refused = again
    stream = NOTICE + ERROR + SETTING + b"Z\0\0\0\x05E" + ROLLED_BACK + ROW
    for at in range(0, len(stream), size):
        receiver.data_received(stream[at : at + size])
    assert b"".join(protocol.got) == NOTICE + SETTING + ROW
    assert (calls, receiver.owed, protocol.ended) == ([0], 0, [])


def test_what_follows_an_error_in_its_place_is_passed_on(impl: Impl) -> None:
    receiver, protocol = made(impl, ROLLED_BACK)
    receiver.when_refused = lambda: None
    receiver.data_received(ERROR + b"Z\0\0\0\x05E" + ERROR)
    assert (protocol.got, receiver.owed, protocol.ended) == ([ERROR], 0, [])


def test_why_the_server_ends_the_connection_is_passed_on(impl: Impl) -> None:
    receiver, protocol = made(impl, ROLLED_BACK)
    receiver.data_received(FATAL)
    assert (protocol.got, protocol.ended, receiver.owed) == ([FATAL], [], 0)
    assert receiver.farewell


@pytest.mark.parametrize("data", [FATAL, FATAL.replace(b"FATAL", b"PANIC"), bytearray(FATAL)])
def test_a_farewell_is_noticed(impl: Impl, data: bytes) -> None:
    receiver = impl.receiving.Receiver(Protocol())
    receiver.data_received(ERROR)
    assert not receiver.farewell
    receiver.data_received(data)
    assert receiver.farewell


def test_nothing_is_owed_by_a_connection_that_is_lost(impl: Impl) -> None:
    receiver, protocol = made(impl, ROLLED_BACK)
    calls: list[int] = []
    receiver.when_collected = lambda: calls.append(receiver.owed)
    receiver.data_received(ROLLED_BACK[:3])
    receiver.connection_lost(None)
    assert (protocol.got, protocol.ended, receiver.owed, calls) == ([], [None], 0, [0])


def test_whoever_waits_is_told_when_all_has_come(impl: Impl) -> None:
    receiver, _ = made(impl, ROLLED_BACK, COMMITTED)
    calls: list[int] = []
    receiver.when_collected = lambda: calls.append(receiver.owed)
    receiver.data_received(ROLLED_BACK)
    assert calls == []
    receiver.data_received(COMMITTED)
    assert calls == [0]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (READY, ord("T")),
        (ROW + b"Z\0\0\0\x05E", ord("E")),
        (b"Z\0\0\0\x05I" + NOTICE, 0),
        (READY[1:], 0),
        (ROW, 0),
        (b"", 0),
        (bytearray(ROW + READY), ord("T")),
        (bytes(20_000) + READY, ord("T")),
    ],
)
def test_the_status_is_that_of_the_end(impl: Impl, data: bytes, status: int) -> None:
    receiver = impl.receiving.Receiver(Protocol())
    assert receiver.status == 0
    receiver.data_received(data)
    assert receiver.status == status


def test_the_status_of_what_was_foretold(impl: Impl) -> None:
    receiver, _ = made(impl, ROLLED_BACK)
    assert receiver.status == ord("I")
    receiver.data_received(ROLLED_BACK)
    assert receiver.status == ord("I")
