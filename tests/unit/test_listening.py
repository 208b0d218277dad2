"""What `listen` and `notify` refuse before anything is sent, and the queue between."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncSession

import pgflight
from pgflight.listening.addresses import address_arguments, redirected
from pgflight.listening.names import checked_channel, checked_channels, checked_payload
from pgflight.listening.queue import Gap, Notification, Queue


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "cannot be empty"),
        ("x" * 64, "64 bytes"),
        ("é" * 32, "64 bytes"),
        ("a\0b", "NUL"),
        ("\ud800", "surrogate"),
        (b"jobs", "not bytes"),
        (None, "not NoneType"),
    ],
)
def test_channels_that_the_server_cannot_have(name: Any, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        checked_channel(name)
    # at once, and not when it is awaited
    with pytest.raises(ArgumentError, match=says):
        _ = pgflight.notify(AsyncSession(), name)


def test_channels_that_it_can() -> None:
    for name in ("x" * 63, "é" * 31, " ", '"', "SELECT"):
        assert checked_channel(name) == name
    assert checked_channels(("b", "a", "b")) == ("b", "a")
    with pytest.raises(ArgumentError, match="takes the channels"):
        checked_channels(())


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        ("x" * 8000, "this one has 8000"),
        ("é" * 4000, "this one has 8000"),
        ("a\0b", "NUL"),
        ("\udfff", "surrogate"),
        ({"a": 1}, "not dict"),
        (None, "not NoneType"),
    ],
)
def test_payloads_that_the_server_cannot_have(payload: Any, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        checked_payload(payload)
    with pytest.raises(ArgumentError, match=says):
        _ = pgflight.notify(AsyncSession(), "jobs", payload)


def test_payloads_that_it_can() -> None:
    for payload in ("", "x" * 7999, "é" * 3999 + "x"):
        assert checked_payload(payload) == payload


def note(payload: str) -> Notification:
    return Notification("jobs", payload, 1)


def taken(queue: Queue) -> list[Any]:
    found = []
    while queue:
        item = queue.take()
        found.append(item.payload if isinstance(item, Notification) else item.missed)
    return found


def test_a_queue_keeps_the_order_of_what_it_drops() -> None:
    queue = Queue(2)
    for payload in "abcde":
        queue.put(note(payload))
    assert queue.take() == note("a")
    queue.put(note("f"))  # the place of the gap is taken
    assert queue.take() == note("b")
    queue.put(note("g"))
    assert taken(queue) == [4, "g"]
    with pytest.raises(IndexError):
        queue.take()


def test_a_queue_is_bounded_whatever_the_program_does() -> None:
    queue, found = Queue(5), []
    for number in range(1000):
        queue.put(note(str(number)))
        if number % 3 == 0:
            found.append(queue.take())
        assert len(queue) <= 6
    while queue:
        found.append(queue.take())
    kept = [item for item in found if isinstance(item, Notification)]
    dropped = sum(item.missed or 0 for item in found if isinstance(item, Gap))
    assert dropped > 600
    assert len(kept) + dropped == 1000  # each is there, or counted


def test_a_queue_without_a_bound() -> None:
    queue = Queue(None)
    for number in range(20_000):
        queue.put(note(str(number)))
    assert taken(queue) == [str(number) for number in range(20_000)]


def test_gaps_one_after_the_other_are_one() -> None:
    queue = Queue(2)
    queue.put(note("a"))
    for seconds in (1.0, 2.0):
        queue.put_gap(Gap("the connection was lost", None, None, seconds))
    assert queue.take() == note("a")
    last = queue.take()
    assert isinstance(last, Gap)
    assert last.seconds == 2.0
    assert not queue


def test_another_address_keeps_what_it_does_not_say() -> None:
    def password() -> str:
        return ""

    given = {
        "host": "pooler",
        "port": 6543,
        "user": "scott",
        "password": password,
        "database": "shop",
        "sslmode": "verify-full",
        "sslrootcert": "root.crt",
        "server_settings": {"a": "b"},
        "load_balance_hosts": "random",
        "hostaddr": "10.0.0.1",
        "timeout": 5.0,
    }

    def to(url: str) -> dict[str, Any]:
        return redirected(given, address_arguments(make_url(url)))

    kept = {name: value for name, value in given.items() if name != "hostaddr"}
    assert to("postgresql+asyncpg://direct:5433") == {**kept, "host": "direct", "port": 5433}
    # without a port the server's own, and not the pooler's
    assert to("postgresql://direct").get("port") in (None, 5432)
    found = to("postgresql://ann:secret@direct:1/other?sslmode=require&connect_timeout=9")
    assert found["user"] == "ann" and found["database"] == "other"
    assert found["password"] == "secret" and found["timeout"] == 9.0
    assert found["sslmode"] == "require" and "sslrootcert" not in found
    address = address_arguments(make_url("postgresql://a?plugin=pgflight&in_array_threshold=3"))
    assert address == {"host": "a"}
