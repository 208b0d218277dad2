"""What is written besides asyncpg's own messages: in front of them, by itself, not at all."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from pgflight.driver import capability, sender
from pgflight.driver.sender import Sender, open_sender


class Writable:
    """A transport of asyncio's, as far as it matters: methods may be set on it."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def write(self, data: Any) -> None:
        self.sent.append(bytes(data))

    def writelines(self, buffers: list[Any]) -> None:
        self.sent.append(b"+".join(buffers))

    def is_closing(self) -> bool:
        return False


class Slotted:
    """A transport as uvloop's: nothing may be set on it."""

    __slots__ = ("sent",)

    __init__ = Writable.__init__
    write = Writable.write
    writelines = Writable.writelines


def test_what_was_put_leaves_in_front_of_the_next_write() -> None:
    transport: Any = Writable()
    ours = Sender(transport)
    ours.put(b"one,")
    ours.put(b"two,")
    assert (ours.has_unsent, transport.sent) == (True, [])
    transport.write(memoryview(b"theirs"))
    assert (ours.has_unsent, ours.drop_unsent()) == (False, False)
    transport.write(b"more")
    assert transport.sent == [b"one,two,theirs", b"more"]
    assert "write" not in vars(transport)


def test_a_large_message_is_not_copied() -> None:
    transport: Any = Writable()
    large = bytes(100_000)
    Sender(transport).put(b"ours")
    transport.write(large)
    assert transport.sent == [b"ours", large]


def test_several_buffers_are_not_joined() -> None:
    transport: Any = Writable()
    Sender(transport).put(b"ours", before_buffers=True)
    transport.writelines([b"a", b"b"])
    transport.writelines([b"c"])
    assert transport.sent == [b"ours+a+b", b"c"]
    assert not {"write", "writelines"} & set(vars(transport))


def test_what_is_sent_by_itself_leaves_what_waits_where_it_is() -> None:
    """A refused end is rolled back while the next BEGIN waits for its statement."""
    transport: Any = Writable()
    ours = Sender(transport)
    ours.put(b"BEGIN,")
    ours.send(b"ROLLBACK")
    transport.write(b"SELECT")
    assert transport.sent == [b"ROLLBACK", b"BEGIN,SELECT"]


def test_what_was_not_sent_can_be_dropped() -> None:
    transport: Any = Writable()
    ours = Sender(transport)
    assert not ours.drop_unsent()
    ours.put(b"ours", before_buffers=True)
    assert ours.drop_unsent()
    transport.write(b"theirs")
    assert transport.sent == [b"theirs"]
    assert not {"write", "writelines"} & set(vars(transport))


def test_what_asyncpg_writes_can_be_swallowed() -> None:
    transport: Any = Writable()
    ours = Sender(transport)
    ours.swallow()
    transport.write(b"theirs")
    ours.swallow_no_more()
    transport.write(b"later")
    assert transport.sent == [b"later"]


def test_bytes_are_counted_while_somebody_watches() -> None:
    transport: Any = Writable()
    counted: list[int] = []
    ours = Sender(transport)
    assert ours.watch(counted.append)
    transport.write(b"12345")
    ours.put(b"123")
    transport.write(b"45")
    transport.write(b"1")
    ours.unwatch()
    transport.write(b"more")
    assert counted == [5, 5, 1]
    assert transport.sent == [b"12345", b"12345", b"1", b"more"]
    assert "write" not in vars(transport)


@pytest.mark.parametrize("dropped", [False, True])
def test_a_watcher_that_goes_leaves_what_waits(dropped: bool) -> None:
    transport: Any = Writable()
    counted: list[int] = []
    ours = Sender(transport)
    ours.put(b"12")
    assert ours.watch(counted.append)
    ours.unwatch()
    ours.unwatch()
    if dropped:
        ours.drop_unsent()
    transport.write(b"345")
    assert (counted, transport.sent) == ([], [b"345" if dropped else b"12345"])
    assert "write" not in vars(transport)


def test_where_nothing_can_be_set_messages_leave_at_once_and_nobody_watches() -> None:
    transport: Any = Slotted()
    counted: list[int] = []
    ours = Sender(transport)
    assert not ours.can_hold_back
    ours.put(b"ours", before_buffers=True)
    assert not ours.has_unsent
    assert not ours.drop_unsent()
    assert not ours.watch(counted.append)
    ours.unwatch()
    transport.write(b"theirs")
    ours.send(b"now")
    assert (transport.sent, counted) == ([b"ours", b"theirs", b"now"], [])


class Connection:
    def __init__(self) -> None:
        self._transport: Any = Writable()


def test_a_connection_has_one_sender_and_is_not_kept_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(capability, "_chosen", capability._choose("auto", ()))
    connection: Any = Connection()
    ours = open_sender(connection)
    assert ours is open_sender(connection)
    another: Any = Connection()
    assert ours is not open_sender(another)
    known = weakref.ref(connection)
    del connection
    gc.collect()
    assert known() is None
    assert ours not in list(sender._senders.values())


def test_the_public_level_has_no_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capability, "_chosen", capability._choose("public", ()))
    connection: Any = Connection()
    assert open_sender(connection) is None


def test_what_is_written_behind_an_unanswered_end_is_kept() -> None:
    transport: Any = Writable()
    ours = Sender(transport)
    transport.write(b"ROLLBACK")
    ours.keep()
    ours.put(b"BEGIN,", before_buffers=True)
    transport.write(memoryview(b"SELECT"))
    transport.write(b"raw")
    transport.writelines([b"a", b"b"])
    ours.put(b"BEGIN,", before_buffers=True)
    transport.writelines([b"c", b"d"])
    assert transport.sent == [b"ROLLBACK"]
    ours.send(b"again")
    ours.release()
    transport.write(b"more")
    assert transport.sent == [b"ROLLBACK", b"again", b"BEGIN,SELECTrawabBEGIN,cd", b"more"]
    assert not {"write", "writelines"} & set(vars(transport))
    ours.release()
    assert transport.sent[-1] == b"more"


def test_what_still_waits_leaves_in_front_of_the_next_write_after_a_release() -> None:
    transport: Any = Writable()
    ours = Sender(transport)
    ours.keep()
    ours.put(b"BEGIN,")
    ours.release()
    assert transport.sent == []
    transport.write(b"SELECT")
    assert transport.sent == [b"BEGIN,SELECT"]
    ours.keep()
    ours.swallow()
    transport.write(b"nothing")
    ours.swallow_no_more()
    transport.write(b"later")
    ours.release()
    assert transport.sent == [b"BEGIN,SELECT", b"later"]
    assert not {"write", "writelines"} & set(vars(transport))
