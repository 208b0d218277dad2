"""Records to tuples, and row counts out of command tags, on both forms."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.fixtures.impl import Impl
from tests.unit.record_source import records


class Point(NamedTuple):
    x: int
    y: int


class Sequential:
    """A sequence by the old protocol: items by position until IndexError."""

    def __getitem__(self, position: int) -> int:
        return (10, 20, 30)[position]


def test_records_become_tuples_in_place(impl: Impl) -> None:
    given = records(["id", "name", "note"], [(1, "a", None), (2**40, "ы", None)])
    result = impl.rows.tuples(given)
    assert result is given
    assert result == [(1, "a", None), (2**40, "ы", None)]
    assert [type(row) for row in result] == [tuple, tuple]


def test_records_without_columns_become_empty_tuples(impl: Impl) -> None:
    assert impl.rows.tuples(records([], [(), ()])) == [(), ()]


def test_other_sequences_become_tuples(impl: Impl) -> None:
    given: list[Any] = [[1, 2], "ab", range(2), Sequential(), (value for value in "x"), {"k": 1}]
    assert impl.rows.tuples(given) == [(1, 2), ("a", "b"), (0, 1), (10, 20, 30), ("x",), ("k",)]


def test_tuples_stay_the_objects_they_are(impl: Impl) -> None:
    plain, point = (1, [2]), Point(3, 4)
    result = impl.rows.tuples([plain, point])
    assert result[0] is plain
    assert result[1] is point


def test_nothing_to_convert(impl: Impl) -> None:
    given: list[Any] = []
    assert impl.rows.tuples(given) is given
    assert given == []


@pytest.mark.parametrize("wrong", [((1,),), "ab", None, iter([[1]]), {"a": 1}])
def test_only_a_list_is_converted(impl: Impl, wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"not {type(wrong).__name__}: pass list"):
        impl.rows.tuples(wrong)


def test_a_subclass_of_list_is_refused(impl: Impl) -> None:
    class Special(list[Any]):
        pass

    with pytest.raises(TypeError, match="not Special"):
        impl.rows.tuples(Special([[1]]))


def test_an_element_that_is_no_sequence_stops_the_conversion(impl: Impl) -> None:
    given: list[Any] = [[1], 5, [2]]
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        impl.rows.tuples(given)
    assert given == [(1,), 5, [2]]


def test_an_error_of_an_element_is_passed_on(impl: Impl) -> None:
    class Broken:
        def __iter__(self) -> Iterator[int]:
            yield 1
            raise LookupError("half way")

    with pytest.raises(LookupError, match="half way"):
        impl.rows.tuples([Broken()])


def test_a_list_that_shrinks_meanwhile_is_not_overrun(impl: Impl) -> None:
    class Clearing:
        def __iter__(self) -> Iterator[int]:
            given.clear()
            return iter((1, 2))

    given: list[Any] = [[0], Clearing(), [3]]
    assert impl.rows.tuples(given) == []


def test_a_list_that_grows_meanwhile_is_converted_to_its_end(impl: Impl) -> None:
    class Appending:
        def __iter__(self) -> Iterator[int]:
            given.append([9])
            return iter((1, 2))

    given: list[Any] = [Appending()]
    assert impl.rows.tuples(given) == [(1, 2), (9,)]


def test_values_are_referenced_once_by_their_tuple(impl: Impl) -> None:
    given = records(["id", "name"], [(2**50 + row, f"name {row}") for row in range(10)])
    result = impl.rows.tuples(given)
    control = (2**50 + len(result), "".join(["na", "me"]))
    gc.collect()
    for row in result:
        for value, other in zip(row, control):
            assert sys.getrefcount(value) == sys.getrefcount(other)
        assert sys.getrefcount(row) == sys.getrefcount(control) + 1  # the list holds it as well


def test_conversion_keeps_nothing_alive(impl: Impl) -> None:
    given = records(["id", "name"], [(2**50 + row, f"name {row}") for row in range(500)])

    def convert() -> None:
        impl.rows.tuples(list(given))
        impl.rows.tuples([[row, str(row)] for row in range(1000, 1500)])

    for _ in range(3):
        convert()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(20):
        convert()
    gc.collect()
    assert sys.getallocatedblocks() - before < 100  # one leaked row a round would be thousands


@pytest.mark.parametrize(
    ("status", "count"),
    [
        ("SELECT 0", 0),
        ("SELECT 12", 12),
        ("UPDATE 3", 3),
        ("DELETE 18446744073709551615", 18446744073709551615),
        ("INSERT 0 5", 5),
        ("INSERT 4294967295 1", 1),
        ("SELECT 7 and more", 7),
        ("SELECT 7x", 7),
        ("SELECT ٣", 3),
        (None, -1),
        ("", -1),
        ("SELECT", -1),
        ("SELECT ", -1),
        ("SELECT x", -1),
        ("SELECT  1", -1),
        ("SELECT -1", -1),
        ("SELECT ²", -1),
        (" SELECT 1", -1),
        ("select 1", -1),
        ("INSERT", -1),
        ("INSERT ", -1),
        ("INSERT 0", -1),
        ("INSERT 0 ", -1),
        ("INSERT 0 x", -1),
        ("INSERT  5", -1),
        ("INSERT 0  5", -1),
        ("INSERT x 5", -1),
        ("BEGIN", -1),
        ("MERGE 5", -1),
        ("COPY 5", -1),
        ("FETCH 5", -1),
        ("CREATE TABLE", -1),
    ],
)
def test_rowcount(impl: Impl, status: str | None, count: int) -> None:
    assert impl.rows.rowcount(status) == count


def test_rowcount_of_a_subclass_of_str(impl: Impl) -> None:
    class Tag(str):
        pass

    assert impl.rows.rowcount(Tag("UPDATE 2")) == 2


@pytest.mark.parametrize("tag", ["SELECT 12", "INSERT 0 3", "CREATE TABLE", "", "UPDATE x"])
def test_rowcount_of_bytes(impl: Impl, tag: str) -> None:
    assert impl.rows.rowcount(tag.encode()) == impl.rows.rowcount(tag)


def test_rowcount_of_bytes_that_are_no_text(impl: Impl) -> None:
    with pytest.raises(UnicodeDecodeError):
        impl.rows.rowcount(b"SELECT \xff")


@pytest.mark.parametrize("wrong", [bytearray(b"SELECT 1"), 1, ["SELECT 1"]])
def test_rowcount_wants_text(impl: Impl, wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"text, bytes or None, not {type(wrong).__name__}"):
        impl.rows.rowcount(wrong)
