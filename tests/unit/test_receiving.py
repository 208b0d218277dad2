"""What stands before asyncpg's protocol: passes everything on, and holds the collector."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from tests.fixtures.impl import Impl


class Protocol:
    """Notes what it is told, and whether the collector was on."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.failing = False

    def data_received(self, data: bytes) -> None:
        if self.failing:
            raise ConnectionError("no more")
        self.heard.append((len(data), gc.isenabled()))

    def connection_lost(self, error: Exception | None) -> None:
        self.heard.append(error)


@pytest.fixture(params=[True, False], ids=["collecting", "not collecting"])
def collecting(request: pytest.FixtureRequest) -> Any:
    was = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if was else gc.disable)()


def test_the_collector_is_held_for_many_bytes_only(impl: Impl, collecting: bool) -> None:
    protocol = Protocol()
    receiver = impl.receiving.Receiver(protocol)
    few, many = impl.receiving.WORTH_HOLDING - 1, impl.receiving.WORTH_HOLDING
    receiver.data_received(bytes(few))
    receiver.data_received(bytes(many))
    assert protocol.heard == [(few, collecting), (many, False)]
    assert gc.isenabled() is collecting


def test_an_error_releases_the_collector(impl: Impl, collecting: bool) -> None:
    protocol = Protocol()
    protocol.failing = True
    receiver = impl.receiving.Receiver(protocol)
    for size in (1, impl.receiving.WORTH_HOLDING):
        with pytest.raises(ConnectionError, match="no more"):
            receiver.data_received(bytes(size))
        assert gc.isenabled() is collecting


def test_everything_else_is_the_protocols(impl: Impl) -> None:
    protocol = Protocol()
    receiver: Any = impl.receiving.Receiver(protocol)
    lost = OSError("lost")
    receiver.connection_lost(lost)
    assert protocol.heard == [lost]
    assert receiver.protocol is protocol
    with pytest.raises(AttributeError):
        receiver.eof_received  # noqa: B018


READY = b"Z\0\0\0\x05I"
NOTIFIED = b"A\0\0\0\x0c\0\0\0\x07c\0p\0"
PREPARED = b"1\0\0\0\x04t\0\0\0\x06\0\0n\0\0\0\x04"


def test_whoever_listens_in_hears_everything_first(impl: Impl) -> None:
    protocol = Protocol()
    receiver: Any = impl.receiving.Receiver(protocol)
    heard: list[Any] = []
    receiver.data_received(b"before")
    receiver.overhear = lambda data: heard.append((data, len(protocol.heard)))
    large = bytes(impl.receiving.WORTH_HOLDING)
    for data in (b"during", large):
        receiver.data_received(data)
    receiver.overhear = None
    receiver.data_received(b"after")
    assert heard == [(b"during", 1), (large, 2)]
    assert [size for size, _ in protocol.heard] == [6, 6, len(large), 5]


def test_whoever_listens_in_does_not_hear_what_is_kept_from_the_protocol(impl: Impl) -> None:
    receiver: Any = impl.receiving.Receiver(Protocol())
    answer = b"C\0\0\0\x0dROLLBACK\0" + READY
    receiver.foretell(answer)
    heard: list[bytes] = []
    receiver.overhear = heard.append
    for data in (answer[:7], answer[7:] + PREPARED, READY):
        receiver.data_received(data)
    assert heard == [PREPARED, READY]


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        ([], True),
        ([READY], True),
        ([READY, NOTIFIED], True),
        ([READY, NOTIFIED + NOTIFIED], True),
        ([READY, NOTIFIED[:3]], False),
        ([READY, NOTIFIED[:7]], False),
        ([READY, NOTIFIED + NOTIFIED[:1]], False),
        ([READY, NOTIFIED[:7], NOTIFIED[7:]], False),  # nobody remembers the first part
        ([READY, NOTIFIED[:7], NOTIFIED[7:], PREPARED + READY], True),
        ([READY + NOTIFIED[:7]], False),
        ([READY + NOTIFIED], True),
        ([PREPARED], True),
        ([PREPARED, PREPARED], True),
        ([b"D\0\0\0\x03"], False),
        ([b"D\xff\xff\xff\xff" + bytes(100)], False),
        ([b"D\0\0\x20\0" + bytes(0x2000 - 4)], False),  # may be: large results are not looked at
        ([b"D\0\0\x20\0" + bytes(0x2000 - 4), READY], True),
        ([bytearray(NOTIFIED)], True),
    ],
)
def test_whether_what_has_come_ends_with_a_whole_message(
    impl: Impl, pieces: list[bytes], whole: bool
) -> None:
    receiver = impl.receiving.Receiver(Protocol())
    for piece in pieces:
        receiver.data_received(piece)
    assert receiver.whole is whole
