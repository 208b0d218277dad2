"""Parameters kept column by column: a list of rows to whoever looks, arrays to be sent."""

from __future__ import annotations

import copy
import pickle
from decimal import Decimal
from typing import Any

import pytest

from pgflight.bulk.column_rows import PAGE_BYTES, ColumnRows
from pgflight.bulk.insert_plan import ArrayInsert

PLAN = ArrayInsert("text", {0: "INTEGER[]", 1: "VARCHAR[]"}, 2)
ROWS = [(1, "a"), (2, "b"), (3, None)]


def made(plan: ArrayInsert = PLAN, rows: list[Any] = ROWS) -> ColumnRows:
    return ColumnRows((list(column) for column in zip(*rows)), len(rows), plan)


LOOKS: dict[str, Any] = {
    "len": len,
    "bool": bool,
    "iter": lambda rows: [each for each in rows],  # noqa: C416
    "list": list,
    "tuple": tuple,
    "first": lambda rows: rows[0],
    "slice": lambda rows: rows[1:],
    "repr": repr,
    "str": str,
    "equal": lambda rows: rows == ROWS,
    "equals": lambda rows: ROWS == rows,
    "different": lambda rows: rows != ROWS[:1],
    "in": lambda rows: (2, "b") in rows,
    "sum": lambda rows: [*rows, *rows, *rows],
    "added": lambda rows: rows + [1],  # noqa: RUF005
    "twice": lambda rows: rows * 2,
    "index": lambda rows: rows.index((2, "b")),
    "count": lambda rows: rows.count((2, "b")),
    "copy": lambda rows: rows.copy(),
    "reversed": lambda rows: list(reversed(rows)),
    "sorted": lambda rows: sorted(rows, key=repr),
    "zip": lambda rows: list(zip(*rows)),
    "star": lambda rows: [*rows],
    "join": lambda rows: "".join(str(each) for each in rows),
    "shallow": copy.copy,
    "deep": copy.deepcopy,
    "pickled": lambda rows: pickle.loads(pickle.dumps(rows)),
}
CHANGES: dict[str, Any] = {
    "append": lambda rows: rows.append((4, "d")),
    "extend": lambda rows: rows.extend(ROWS),
    "insert": lambda rows: rows.insert(0, (0, "z")),
    "pop": lambda rows: rows.pop(),
    "remove": lambda rows: rows.remove((2, "b")),
    "set": lambda rows: rows.__setitem__(0, (9, "n")),
    "delete": lambda rows: rows.__delitem__(0),
    "reverse": lambda rows: rows.reverse(),
    "sort": lambda rows: rows.sort(key=repr),
    "clear": lambda rows: rows.clear(),
    "in place": lambda rows: rows.__iadd__([1]),
    "multiplied": lambda rows: rows.__imul__(2),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_it_looks_like_a_list_of_rows(look: Any) -> None:
    assert look(made()) == look(list(ROWS))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_it_changes_like_a_list_of_rows(change: Any) -> None:
    rows, plain = made(), list(ROWS)
    change(rows)
    change(plain)
    assert (rows, len(rows), list(rows)) == (plain, len(plain), plain)


def test_no_method_of_a_list_sees_it_empty() -> None:
    harmless = {"__init__", "__new__", "__sizeof__", "__getattribute__", "__hash__"}
    harmless |= {"__class_getitem__", "__doc__"}
    for name in vars(list).keys() - harmless:
        assert getattr(ColumnRows, name) is not getattr(list, name), name


def test_the_rows_are_made_when_somebody_looks() -> None:
    rows = made()
    assert len(rows) == 3
    assert list.__len__(rows) == 0
    assert rows.rows() == ROWS
    assert list.__len__(rows) == 0
    rows.fill()
    assert list.__len__(rows) == 3


def test_arrays_and_what_all_rows_have_in_common() -> None:
    plan = ArrayInsert("text", {1: "INTEGER[]"}, 3)
    rows = made(plan, [("x", 1, 5), ("x", 2, 5)])
    assert rows.obstacle() is None
    assert rows.arrays() == ("x", [1, 2], 5)
    assert rows.page(slice(1, 2)).arrays() == ("x", [2], 5)
    assert made().arrays() == ([1, 2, 3], ["a", "b", None])


class Odd:
    """Cannot be compared."""

    def __eq__(self, other: object) -> Any:
        raise ArithmeticError

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("first", "second", "differ"),
    [
        ("x", "x", False),
        (None, None, False),
        ("x", "y", True),
        (1, True, True),
        (1, 1.0, True),
        (Decimal("1.0"), Decimal("1.00"), True),
        (None, "x", True),
        (Decimal("NaN"), Decimal("NaN"), True),
        pytest.param(Odd(), Odd(), True, id="odd"),
    ],
    ids=repr,
)
def test_parameters_outside_of_values_must_be_the_same(
    first: Any, second: Any, differ: bool
) -> None:
    rows = made(ArrayInsert("text", {1: "INTEGER[]"}, 2), [(first, 1), (second, 2)])
    assert rows.obstacle() == ("parameters outside of VALUES that differ" if differ else None)


@pytest.mark.parametrize("value", [[], [1], {1}, {"a": 1}, range(2)], ids=repr)
def test_a_list_is_not_taken_for_an_array(value: Any) -> None:
    assert made(rows=[(value, "a"), (value, "b")]).obstacle() == "a list among the values"
    plan = ArrayInsert("text", {0: "INT4RANGE[]"}, 1)
    assert made(plan, [(None,), (value,)]).obstacle() == "a list among the values"


@pytest.mark.parametrize("value", ["text", b"bytes", bytearray(b"x"), (1, 2), 5, None], ids=repr)
def test_other_values_are_no_arrays(value: Any) -> None:
    assert made(rows=[(value, "a")]).obstacle() is None


def test_pages_are_bounded_in_rows() -> None:
    rows = made(rows=[(n, "x") for n in range(25)])
    assert [(page.start, page.stop) for page in rows.pages(10)] == [(0, 10), (10, 20), (20, 30)]
    assert [rows.page(page).number for page in rows.pages(10)] == [10, 10, 5]
    assert rows.page(slice(0, 25)) is rows
    joined = [row for page in rows.pages(10) for row in rows.page(page).rows()]
    assert joined == rows.rows()


@pytest.mark.parametrize("kind", ["x", b"x"])
def test_pages_are_bounded_in_bytes(kind: Any) -> None:
    plan = ArrayInsert("text", {0: "INTEGER[]", 1: "BYTEA[]"}, 2)
    sizes = [PAGE_BYTES // 4] * 9 + [3 * PAGE_BYTES] + [1] * 7
    rows = made(plan, [(n, kind * size) for n, size in enumerate(sizes)] + [(99, None)])
    assert rows.size() == sum(sizes)
    pages = [rows.page(page) for page in rows.pages(5)]
    assert [row for page in pages for row in page.rows()] == rows.rows()
    assert [page.number for page in pages] == [4, 4, 1, 1, 5, 3]
    for page in pages:
        assert page.number == 1 or page.size() <= PAGE_BYTES


def test_a_value_without_a_size_has_none() -> None:
    rows = made(rows=[(1, 5), (2, "x" * (PAGE_BYTES + 1)), (3, "x"), (4, object())])
    assert rows.size() == PAGE_BYTES + 2
    assert [rows.page(page).number for page in rows.pages(10)] == [1, 1, 2]


@pytest.mark.parametrize("number", [2, 5, 6, 900])
@pytest.mark.parametrize("size", [1, 1_100, 9_000])
@pytest.mark.parametrize("most", [5, 1_000])
def test_rows_of_1_kb_are_large_where_they_fill_pages(number: int, size: int, most: int) -> None:
    rows = made(rows=[(n, "x" * size) for n in range(number)])
    several = len(rows.pages(most)) > 1
    expected = "more than a page of rows of more than 1 KB" if several and size > 1_024 else None
    assert rows.why_large(most, rows.size()) == expected


def test_rows_of_10_kb_are_large() -> None:
    rows = made(rows=[(n, "x" * 11_000) for n in range(2)])
    assert rows.why_large(5, rows.size()) == "rows of more than 10 KB"
