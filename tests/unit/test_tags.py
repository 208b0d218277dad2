"""Adding up the row counts in command tags."""

from __future__ import annotations

import pytest

from tests.fixtures.impl import Impl

BOUND = b"2\0\0\0\x04"
READY = b"Z\0\0\0\x05T"
PARSED = b"1\0\0\0\x04t\0\0\0\x06\0\0n\0\0\0\x04"
ERROR = b"E\0\0\0\x16SERROR\0VERROR\0M\0\0\0"


def tag(text: str) -> bytes:
    body = text.encode() + b"\0"
    return b"C" + (len(body) + 4).to_bytes(4, "big") + body


def row(value: bytes) -> bytes:
    body = b"\0\x01" + len(value).to_bytes(4, "big") + value
    return b"D" + (len(body) + 4).to_bytes(4, "big") + body


def total(impl: Impl, *parts: bytes) -> int:
    tally = impl.tags.Tally()
    for part in parts:
        tally.take(part)
    return tally.total


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("INSERT 0 1", 1),
        ("INSERT 0 0", 0),
        ("INSERT 16384 1", 1),
        ("INSERT 0 12345678901", 12345678901),
        ("UPDATE 7", 7),
        ("DELETE 10", 10),
        ("MERGE 3", 3),
        ("SELECT 4", 4),
        ("UPDATE 999999999999999999", 999999999999999999),
        ("UPDATE 1000000000000000000", -1),  # more than there can be
        ("BEGIN", -1),
        ("CREATE TABLE", -1),
        ("UPDATE", -1),
        ("UPDATE ", -1),
        ("UPDATE x1", -1),
        ("7", -1),
        (" 7", 7),
        ("", -1),
        ("UPDATE 7 and " + "x" * 200 + " 9", -1),  # no server's
    ],
)
def test_what_one_tag_counts(impl: Impl, text: str, count: int) -> None:
    assert total(impl, BOUND + tag(text) + READY) == count
    assert total(impl, BOUND + tag(text) + BOUND + tag("UPDATE 1") + READY) == max(count, 0) + 1


def test_nothing_is_told_before_the_end(impl: Impl) -> None:
    tally = impl.tags.Tally()
    assert tally.total == -1
    tally.take(BOUND + tag("UPDATE 7"))
    assert tally.total == -1
    tally.take(READY)
    assert tally.total == 7


@pytest.mark.parametrize("before", [tag("SELECT 3") + READY, tag("UPDATE 5") + ERROR + READY])
def test_only_what_the_last_ready_ended_counts(impl: Impl, before: bytes) -> None:
    after = PARSED + BOUND + tag("BEGIN") + BOUND + tag("UPDATE 1") + BOUND + tag("UPDATE 0")
    assert total(impl, before, after + READY) == 1
    assert total(impl, before, tag("CREATE TABLE") + READY) == -1


def test_rows_may_hold_anything(impl: Impl) -> None:
    value = BOUND + tag("UPDATE 5") + READY
    assert total(impl, BOUND + row(value) + tag("UPDATE 1") + READY) == 1
    assert total(impl, BOUND + row(value * 1000) + tag("UPDATE 1") + READY) == 1


STREAM = (
    PARSED + BOUND + tag("BEGIN") + BOUND + tag("INSERT 0 1") + BOUND + tag("INSERT 0 1")
    + BOUND + tag("INSERT 0 0") + BOUND + row(b"x" * 9 + tag("DELETE 3")) + tag("INSERT 0 12")
    + BOUND + tag("UPDATE 2") + BOUND + tag("UPDATE 1") + READY
)  # fmt: skip


@pytest.mark.parametrize("size", range(1, 40))
def test_in_pieces(impl: Impl, size: int) -> None:
    pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    assert total(impl, *pieces) == 17


@pytest.mark.parametrize("at", range(len(STREAM) + 1))
def test_in_two(impl: Impl, at: int) -> None:
    assert total(impl, STREAM[:at], b"", STREAM[at:]) == 17


@pytest.mark.parametrize("text", ["INSERT 0 1", "UPDATE 0", "DELETE 12", "MERGE 1"])
def test_many_that_are_the_same(impl: Impl, text: str) -> None:
    stream = (BOUND + tag(text)) * 5000 + READY
    pieces = [stream[at : at + 8192] for at in range(0, len(stream), 8192)]
    assert total(impl, *pieces) == 5000 * int(text.split()[-1])


def test_other_kinds_of_bytes(impl: Impl) -> None:
    assert total(impl, bytearray(STREAM)) == total(impl, memoryview(STREAM)) == 17  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [0, 3, 0x80000000, 0xFFFFFFFF])
def test_what_is_no_message_makes_the_sum_unknown(impl: Impl, length: int) -> None:
    tally = impl.tags.Tally()
    tally.take(BOUND + tag("UPDATE 1") + READY + tag("UPDATE 1"))
    assert tally.total == 1
    tally.take(b"D" + length.to_bytes(4, "big") + STREAM)
    assert tally.total == -1
    tally.take(STREAM)
    assert tally.total == -1
