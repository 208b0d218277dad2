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
