"""Types that asyncpg is told of while a statement is prepared, in whatever pieces bytes come."""

from __future__ import annotations

import codecs
from typing import Any

import pytest

from pgflight.driver.introspection.introduction import Introduction
from pgflight.driver.introspection.met_types import (
    MOST_GUESSED,
    MOST_OF_A_TEXT,
    MOST_TEXTS,
    MOST_TYPES,
    MetTypes,
)
from pgflight.driver.introspection.question import ALL_KINDS, question_text, read_type, values_of
from pgflight.driver.poolers.messages import Screen
from pgflight.driver.poolers.proof import Proof
from pgflight.driver.sender import message
from tests.fixtures.impl import Impl
from tests.unit.test_pooler_screens import ANSWER, BEGUN, NOTICE, PARSED, Protocol, error, pieces

ENUM, PAIR, PAIRS, UNKNOWN = 20001, 20002, 20003, 20004
BOUND = message(b"2", b"")
DONE = message(b"C", b"SELECT 3\0")


def number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def row(*values: bytes | None) -> bytes:
    """Return a DataRow."""
    each = (b"\xff" * 4 if value is None else number(len(value)) + value for value in values)
    return message(b"D", len(values).to_bytes(2, "big") + b"".join(each))


def array(*elements: bytes) -> bytes:
    """Return an array's binary form."""
    if not elements:
        return bytes(12)
    parts = b"".join(number(len(each)) + each for each in elements)
    return number(1) + number(0) + number(25) + number(len(elements)) + number(1) + parts


def told(oid: int, name: str, kind: bytes, element: int = 0, types: Any = None) -> bytes:
    """Return a row of the answer."""
    attributes = [None, None]
    if types is not None:
        attributes = [array(*map(number, types)), array(*(b"a%d" % n for n in range(len(types))))]  # type: ignore[list-item]
    delimiter = b"," if element else None
    return row(
        number(oid), b"own", name.encode(), kind, number(0), number(element), delimiter, None,
        *attributes,
    )  # fmt: skip


TYPES = message(b"t", b"\0\2" + number(23) + number(ENUM))
COLUMNS = message(
    b"T", b"\0\2" + b"".join(b"v\0" + bytes(6) + number(n) + bytes(8) for n in (PAIRS, 25))
)
NO_TYPES = message(b"t", b"\0\0")
NO_COLUMNS = message(b"n", b"")
TOLD = (
    told(ENUM, "mood", b"e") + told(PAIR, "pair", b"c", types=(23, ENUM))
    + told(PAIRS, "_pair", b"b", PAIR)
)  # fmt: skip
QUESTION = PARSED + BOUND + TOLD + DONE
DESCRIBED = PARSED + TYPES + COLUMNS


class Settings:
    """asyncpg's, as far as it is used."""

    def __init__(self, *known: int) -> None:
        self.known = {16, 20, 23, 25, *known}
        self.rows: list[Any] = []

    def get_data_codec(self, oid: int) -> object:
        return self if oid in self.known else None

    def get_text_codec(self) -> Any:
        return codecs.lookup("utf-8")

    def register_data_types(self, rows: Any) -> None:
        for each in rows:
            if each["name"] == "odd":
                raise ValueError("not supported")
            self.rows.append(each)
            self.known.add(each["oid"])


def seen(
    impl: Impl, parts: list[bytes], settings: Settings, *, asks: bool = True, begins: int = 0
) -> tuple[bytes, Introduction, Any, list[str]]:
    """Return what asyncpg got, the introduction, the receiver, and whether it was refused."""
    protocol = Protocol()
    receiver = impl.receiving.Receiver(protocol)
    introduction = Introduction(receiver, settings, begins)  # type: ignore[arg-type]
    refused: list[str] = []
    if asks:
        introduction.expect(lambda: refused.append("refused"))
    introduction.install()
    for part in parts:
        receiver.data_received(part)
    return protocol.got, introduction, receiver, refused


def left_of(data: bytes) -> bytes:
    """Return what asyncpg gets of the question's answer."""
    return data.replace(TOLD + DONE, b"")


@pytest.mark.parametrize("begins", [0, 1])
def test_types_are_told_before_the_description_arrives(impl: Impl, begins: int) -> None:
    data = BEGUN * begins + NOTICE + QUESTION + DESCRIBED
    for parts in pieces(data + NOTICE):
        settings = Settings()
        got, introduction, receiver, refused = seen(impl, parts, settings, begins=begins)
        assert got == left_of(data) + NOTICE
        assert [each["oid"] for each in settings.rows] in ([ENUM, PAIR, PAIRS], [PAIR, PAIRS])
        assert introduction.told == {ENUM, PAIR, PAIRS}
        assert not introduction.missing
        assert introduction.named == {23, 25, ENUM, PAIRS}
        assert introduction.answered
        assert introduction.kinds == {b"b", b"c", b"e"}
        assert (receiver.screen, refused) == (None, [])


def test_behind_a_proof(impl: Impl) -> None:
    data = BEGUN + ANSWER + QUESTION + DESCRIBED + NOTICE
    for parts in pieces(data):
        protocol = Protocol()
        receiver = impl.receiving.Receiver(protocol)
        processes: list[int | None] = []
        proof = Proof(receiver, 1, processes.append)
        proof.install()
        settings: Any = Settings()
        introduction = Introduction(receiver, settings, 0)
        introduction.expect(lambda: None)
        introduction.install_behind(proof)
        for part in parts:
            receiver.data_received(part)
        assert protocol.got == left_of(data.replace(ANSWER, b""))
        assert (processes, introduction.told) == ([4711], {ENUM, PAIR, PAIRS})
        assert receiver.screen is None


def test_what_a_program_has_set_stays(impl: Impl) -> None:
    settings = Settings(ENUM, PAIR)
    _, introduction, _, _ = seen(impl, [QUESTION + DESCRIBED], settings)
    assert (introduction.told, [each["oid"] for each in settings.rows]) == ({PAIRS}, [PAIRS])


def test_a_begin_that_was_answered_before_is_not_waited_for(impl: Impl) -> None:
    """The session may not know that it was."""
    settings = Settings()
    got, introduction, _, _ = seen(impl, [QUESTION + DESCRIBED], settings, begins=1)
    assert (got, introduction.told) == (left_of(QUESTION) + DESCRIBED, {ENUM, PAIR, PAIRS})


def test_what_asyncpg_asks_for_is_noted(impl: Impl) -> None:
    own = [number(UNKNOWN), b"own", b"new", b"c", *[None] * 10]
    others = [row(number(1), None), row(number(23), *[None] * 13), row(*[b"12345678"] * 14)]
    asked = PARSED + b"".join(others) + row(*own) + DONE
    for parts in pieces(DESCRIBED + asked):
        got, introduction, receiver, _ = seen(impl, parts, Settings(), asks=False)
        assert got == DESCRIBED + asked
        assert introduction.missing == {ENUM, PAIRS}
        assert introduction.lacking == {ENUM, PAIRS, UNKNOWN}
        assert introduction.kinds == {b"c"}
        introduction.finish()
        assert receiver.screen is None


@pytest.mark.parametrize(
    ("begins", "data", "expected"),
    [
        pytest.param(1, error("0A000"), [], id="BEGIN fails"),
        pytest.param(1, BEGUN + error("42703"), ["refused"], id="no such column"),
        pytest.param(0, error("42501"), ["refused"], id="not allowed"),
        pytest.param(0, PARSED + error("57014"), [], id="cancelled"),
    ],
)
def test_a_question_that_is_refused(
    impl: Impl, begins: int, data: bytes, expected: list[str]
) -> None:
    for parts in pieces(data + DESCRIBED):
        got, introduction, receiver, refused = seen(impl, parts, Settings(), begins=begins)
        assert (got, refused, receiver.screen) == (data + DESCRIBED, expected, None)
        assert not introduction.answered


def test_a_statement_that_is_refused(impl: Impl) -> None:
    data = PARSED + error("42P01")
    got, introduction, receiver, _ = seen(impl, [QUESTION, data], Settings())
    assert (got, receiver.screen) == (left_of(QUESTION) + data, None)
    assert not introduction.named


def test_a_statement_that_asyncpg_has_prepared_before(impl: Impl) -> None:
    """It looks at no more than the first message."""
    data = BEGUN + BOUND + DONE
    got, introduction, receiver, _ = seen(impl, [data], Settings(), asks=False, begins=1)
    assert (got, receiver.screen, introduction.named) == (data, None, set())


def test_an_end_before_the_answer(impl: Impl) -> None:
    """After a cancellation the answer is still taken out."""
    protocol = Protocol()
    receiver = impl.receiving.Receiver(protocol)
    settings: Any = Settings()
    introduction = Introduction(receiver, settings, 0)
    introduction.expect(lambda: None)
    introduction.install()
    introduction.finish()
    receiver.data_received(QUESTION + DESCRIBED)
    assert (protocol.got, receiver.screen) == (left_of(QUESTION) + DESCRIBED, None)
    assert settings.rows == []


def test_an_end_within_a_message(impl: Impl) -> None:
    """Nothing of it is lost."""
    protocol = Protocol()
    receiver = impl.receiving.Receiver(protocol)
    settings: Any = Settings()
    introduction = Introduction(receiver, settings, 0)
    introduction.install()
    receiver.data_received(DESCRIBED + NOTICE[:4])
    introduction.finish()
    receiver.data_received(NOTICE[4:])
    receiver.data_received(NOTICE)
    assert (protocol.got, receiver.screen) == (DESCRIBED + NOTICE * 2, None)


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(told(PAIRS, "_pair", b"b", UNKNOWN), id="an element that is gone"),
        pytest.param(told(PAIRS, "_pair", b"b", PAIRS), id="a circle"),
        pytest.param(told(PAIRS, "odd", b"b"), id="a type that asyncpg refuses"),
        pytest.param(row(b"12", b"own", b"n", b"b", *[None] * 6), id="no number"),
        pytest.param(row(None, *[b""] * 9), id="no type"),
        pytest.param(row(number(PAIRS), b"own", b"\xff", b"b", *[None] * 6), id="no text"),
        pytest.param(row(number(PAIRS)), id="another number of columns"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_asyncpg_asks_for_what_was_not_told(impl: Impl, rows: bytes) -> None:
    columns = message(b"T", b"\0\1v\0" + bytes(6) + number(PAIRS) + bytes(8))
    data = PARSED + BOUND + rows + DONE + PARSED + NO_TYPES + columns
    got, introduction, _, _ = seen(impl, [data], Settings())
    assert got == data.replace(rows + DONE, b"")
    assert introduction.missing == {PAIRS}


def test_a_statement_without_types(impl: Impl) -> None:
    data = PARSED + NO_TYPES + NO_COLUMNS
    got, introduction, receiver, _ = seen(impl, [data], Settings(), asks=False)
    assert (got, receiver.screen, introduction.missing) == (data, None, set())


def test_rows_are_read() -> None:
    found = read_type(told(PAIR, "pär", b"c", types=(23, ENUM)), bytes.decode)
    assert (found["oid"], found["ns"], found["name"], found["kind"]) == (PAIR, "own", "pär", b"c")
    assert (found["attrtypoids"], found["attrnames"]) == ([23, ENUM], ["a0", "a1"])
    assert read_type(told(PAIR, "empty", b"c", types=()), bytes.decode)["attrnames"] == []
    assert list(values_of(row(b"", None, b"ab"))) == [b"", None, b"ab"]


def test_the_question_suits_the_server() -> None:
    assert "rngmultitypid" in question_text([1], (14, 0), ALL_KINDS)
    assert "rngmultitypid" not in question_text([1], (13, 9), ALL_KINDS)
    assert "'{1,22}'" in question_text([1, 22], (17, 2), set())
    for kind, table in ((b"c", "pg_attribute"), (b"r", "rngtypid"), (b"m", "rngmultitypid")):
        assert table in question_text([1], (15, 0), {kind})
        assert table not in question_text([1], (15, 0), ALL_KINDS - {kind})


def test_what_an_engine_remembers() -> None:
    met = MetTypes()
    met.learn("SELECT 1", {23}, ())
    assert not met.any
    met.learn("SELECT pair", {23, PAIR}, {PAIR, ENUM})
    assert set(met.needed("SELECT pair") or ()) == {PAIR, ENUM}
    assert met.needed("SELECT 2") is None
    met.learn("SELECT 2", {23}, ())
    assert met.needed("SELECT 2") == ()
    met.learn("SELECT vector", {1013}, {1013})
    met.learn("SELECT vector", {1013}, ())
    assert met.needed("SELECT vector") == (1013,)
    met.learn("SELECT pair", {UNKNOWN}, {UNKNOWN})  # in another schema
    assert set(met.needed("SELECT pair") or ()) == {PAIR, ENUM, UNKNOWN}
    assert set(met.latest()) == {PAIR, ENUM, UNKNOWN, 1013}


def test_an_engine_remembers_no_more_than_it_needs() -> None:
    met = MetTypes()
    for n in range(3 * MOST_TYPES):
        met.learn(f"SELECT {n}", {20000 + n}, {20000 + n})
        assert met.needed(f"SELECT {n}") == (20000 + n,)
        met.learn("SELECT any", {20000 + n}, ())
        assert len(met.needed("SELECT any") or ()) <= MOST_OF_A_TEXT
        assert len(met._parts) <= MOST_TYPES
        assert len(met._named) <= MOST_TEXTS
    for n in range(3 * MOST_TEXTS):
        met.learn(f"SELECT of {n}", {23}, ())
        assert len(met._named) <= MOST_TEXTS
    assert len(met.latest()) <= MOST_GUESSED


def test_screens_are_seen_one_after_the_other(impl: Impl) -> None:
    class Once(Screen):
        __slots__ = ()

        def passes(self, kind: bytes, whole: bytes) -> bool:
            self.remove()
            return False

    protocol = Protocol()
    receiver = impl.receiving.Receiver(protocol)
    first, second = Once(receiver), Once(receiver)
    first.install()
    second.install_behind(first)
    receiver.data_received(PARSED + BOUND + DONE)
    assert (protocol.got, receiver.screen) == (DONE, None)
