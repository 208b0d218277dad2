"""Tally: both forms follow one plain reading of any stream, however it is cut."""

from __future__ import annotations

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fixtures.impl import load

FORMS = (load("compiled").tags, load("python").tags)
_TAG = re.compile(rb"(?:.* )([0-9]{1,18})\0", re.DOTALL)


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body


def _tagged(text: str) -> bytes:
    return message(b"C", text.encode() + b"\0")


COUNTS = st.one_of(st.integers(0, 1), st.integers(0, 10**12))
TAGS = st.one_of(
    COUNTS.map("INSERT 0 {}".format),
    st.tuples(st.sampled_from(["UPDATE", "DELETE", "MERGE", "SELECT"]), COUNTS).map(
        lambda pair: f"{pair[0]} {pair[1]}"
    ),
    st.sampled_from(["BEGIN", "CREATE TABLE", "INSERT", "UPDATE 1x", "UPDATE 1 ", ""]),
).map(_tagged)
PAIRS = TAGS.map(lambda found: b"2\0\0\0\x04" + found)
# none of them in a row: the kinds that matter here are those of other messages' bodies, too
NESTED = st.lists(st.one_of(PAIRS, st.binary(max_size=30), st.just(b"Z\0\0\0\x05I")), max_size=4)
ROWS = st.tuples(st.sampled_from([b"D", b"N", b"T", b"E", b"1"]), NESTED.map(b"".join)).map(
    lambda pair: message(*pair)
)
ALIKE = st.tuples(PAIRS, st.integers(1, 40)).map(lambda pair: pair[0] * pair[1])
MESSAGES = st.lists(
    st.one_of(PAIRS, ALIKE, TAGS, ROWS, st.sampled_from([b"Z\0\0\0\x05T", b"Z\0\0\0\x05E"])),
    max_size=20,
)


def plainly(stream: bytes) -> int:
    """Return what the last ReadyForQuery in whole messages ends."""
    found = total = -1
    while stream:
        size = 1 + int.from_bytes(stream[1:5], "big")
        kind, body, stream = stream[:1], stream[5:size], stream[size:]
        if kind == b"Z":
            total, found = found, -1
        elif kind == b"C" and (tag := _TAG.fullmatch(body)) is not None and len(body) <= 96:
            found = max(found, 0) + int(tag[1])
    return total


def totals(pieces: list[bytes]) -> list[int]:
    tallies = [form.Tally() for form in FORMS]
    for piece in pieces:
        for tally in tallies:
            tally.take(piece)
    return [tally.total for tally in tallies]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    ends = [*sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in zip([0, *ends], ends)]


@given(MESSAGES, st.lists(st.integers(0, 10_000), max_size=12))
@example([_tagged("UPDATE 1"), b"Z\0\0\0\x05T"], [3, 7, 16])
@settings(max_examples=400, deadline=None)
def test_messages_however_they_are_cut(messages: list[bytes], places: list[int]) -> None:
    stream = b"".join(messages)
    pieces = cut(stream, places)
    assert b"".join(pieces) == stream
    assert totals(pieces) == [plainly(stream)] * 2


@given(st.lists(st.one_of(st.binary(max_size=60), PAIRS, TAGS), max_size=20))
@settings(max_examples=400, deadline=None)
def test_any_bytes(pieces: list[bytes]) -> None:
    compiled, python = totals(pieces)
    assert compiled == python
