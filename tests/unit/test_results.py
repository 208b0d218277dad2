"""Rows, mappings and scalars made by `results`: those that SQLAlchemy's own classes make."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from asyncpg import Record
from asyncpg.pgproto.pgproto import UUID
from sqlalchemy.engine import Row, RowMapping
from sqlalchemy.engine.result import SimpleResultMetaData

from tests.fixtures.impl import Impl, load
from tests.unit.record_source import records

KEYS = ("id", "name")
INDEX = {"id": 0, "name": 1}
PARENT: Any = SimpleResultMetaData(KEYS)
VALUES = [(1, "one"), (2, None), (3, "three")]
SOURCES: dict[str, Callable[[], list[Any]]] = {
    "records": lambda: list(records(KEYS, VALUES)),
    "tuples": lambda: list(VALUES),
    "lists": lambda: [list(row) for row in VALUES],
    "mixed": lambda: [*records(KEYS, VALUES[:1]), VALUES[1], list(VALUES[2])],
}


def factory(impl: Impl, row_class: Any = Row, processors: Any = None) -> Any:
    return impl.results.RowFactory(row_class, PARENT, processors, INDEX)


def state(row: Any) -> Any:
    return (type(row), row._parent, row._key_to_index, row._data)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("row_class", [Row, RowMapping])
@pytest.mark.parametrize("processors", [None, [None, None], [str, None], (str, repr)])
def test_rows_are_those_of_the_constructor(
    impl: Impl, source: str, row_class: Any, processors: Any
) -> None:
    needed = processors and any(processors)
    expected = [
        state(row_class(PARENT, processors if needed else None, INDEX, row)) for row in VALUES
    ]
    make = factory(impl, row_class, processors)
    given = SOURCES[source]()
    many = make.many(tuple(given))
    assert [state(row) for row in many] == expected
    assert [state(make(record)) for record in given] == expected
    assert make.interim(deque(given)) == [row[-1] for row in expected]
    filled = make.fill(given)
    assert filled is given
    assert [state(row) for row in filled] == expected
    rows = SOURCES[source]()
    assert make.tuples(rows) is rows
    assert rows == [row[-1] for row in expected]
    assert {type(row) for row in rows} == {tuple}


def test_rows_behave(impl: Impl) -> None:
    row = factory(impl)((7, "seven"))
    assert (row.id, row[1], tuple(row), row._mapping["name"]) == (7, "seven", (7, "seven"), "seven")
    assert pickle.loads(pickle.dumps(row)) == row
    assert hash(row) == hash((7, "seven"))
    with pytest.raises(AttributeError):
        row.other  # noqa: B018


def test_the_compiled_form_finds_the_layout_of_sqlalchemys_rows() -> None:
    compiled = load("compiled").results
    assert compiled.layout_found(Row)
    assert compiled.layout_found(RowMapping)
    assert not load("python").results.layout_found(Row)


class Twice:
    """Two slots that hold the same: where the values lie cannot be told."""

    __slots__ = ("_parent", "_key_to_index", "_data", "again")

    def __init__(self, parent: Any, processors: Any, index: Any, data: Any) -> None:
        self._parent, self._key_to_index, self._data = parent, index, tuple(data)
        self.again = self._data


class Counting:
    """No slots at all."""

    made = 0

    def __init__(self, parent: Any, processors: Any, index: Any, data: Any) -> None:
        type(self).made += 1
        self._parent, self._key_to_index, self._data = parent, index, tuple(data)


class Converting:
    """Slots that hold something else than what the constructor was given."""

    __slots__ = ("_parent", "_key_to_index", "_data")

    def __init__(self, parent: Any, processors: Any, index: Any, data: Any) -> None:
        self._parent, self._key_to_index, self._data = parent, dict(index), tuple(data)


@pytest.mark.parametrize("row_class", [Twice, Counting, Converting, lambda *values: values])
def test_a_class_whose_layout_is_not_found_is_called(impl: Impl, row_class: Any) -> None:
    assert not impl.results.layout_found(row_class)
    Counting.made = 0
    make = factory(impl, row_class)
    rows = [*make.many(VALUES), make(VALUES[0])]
    if row_class is Counting:
        assert Counting.made == 4
    if isinstance(row_class, type):
        assert [state(row) for row in rows] == [
            (row_class, PARENT, INDEX, values) for values in (*VALUES, VALUES[0])
        ]


def test_an_index_of_another_kind_is_passed_on(impl: Impl) -> None:
    make = impl.results.RowFactory(Counting, PARENT, None, [("id", 0)])
    assert make((1,))._key_to_index == [("id", 0)]


def fails_at(value: Any) -> Callable[[Any], Any]:
    def process(given: Any) -> Any:
        if given == value:
            raise LookupError(value)
        return given

    return process


@pytest.mark.parametrize("method", ["many", "fill", "interim", "tuples"])
def test_an_error_of_a_processor_is_passed_on(impl: Impl, method: str) -> None:
    make = factory(impl, processors=[fails_at(2), None])
    with pytest.raises(LookupError, match="2"):
        getattr(make, method)(list(VALUES))
    with pytest.raises(LookupError, match="2"):
        make.column(list(VALUES), 0)


@pytest.mark.parametrize("method", ["fill", "tuples", "column"])
def test_a_processor_may_empty_the_list(impl: Impl, method: str) -> None:
    rows = [(number, "text") for number in range(100)]

    def clear(value: Any) -> Any:
        rows.clear()
        return value

    make = factory(impl, processors=[clear, None])
    getattr(make, method)(*([rows, 0] if method == "column" else [rows]))
    assert rows == []


@pytest.mark.parametrize("method", ["fill", "tuples", "column"])
def test_only_a_list_is_changed_in_place(impl: Impl, method: str) -> None:
    with pytest.raises(TypeError):
        getattr(factory(impl), method)(*([(), 0] if method == "column" else [()]))


@pytest.mark.parametrize("source", SOURCES)
def test_a_column(impl: Impl, source: str) -> None:
    assert factory(impl).column(SOURCES[source](), 1) == ["one", None, "three"]
    make = factory(impl, processors=[None, str])
    assert make.column(SOURCES[source](), 1) == ["one", "None", "three"]
    assert make.column(SOURCES[source](), 0) == [1, 2, 3]


@pytest.mark.parametrize("position", [-1, 2])
def test_a_column_that_is_not_there(impl: Impl, position: int) -> None:
    with pytest.raises(IndexError):
        factory(impl).column(list(VALUES), position)


def test_fewer_values_than_processors(impl: Impl) -> None:
    with pytest.raises(IndexError):
        factory(impl, processors=[str, None])((1,))


class Result:
    """What iterate() needs of a result."""

    def __init__(self, cursor: object) -> None:
        self.cursor = cursor
        self.closed = 0

    def close_softly(self) -> None:
        self.closed += 1
        self.cursor = None


def never() -> Iterator[Any]:
    raise AssertionError("the stock way was not to be taken")


def test_iteration_takes_one_row_at_a_time(impl: Impl) -> None:
    result, cursor, rows = Result(self := object()), self, deque(VALUES)
    iterator = factory(impl).iterate(result, cursor, rows, never)
    assert iter(iterator) is iterator
    assert next(iterator) == VALUES[0]
    assert list(rows) == VALUES[1:]
    assert rows.popleft() == VALUES[1]  # somebody else reads, too
    assert list(iterator) == VALUES[2:]
    assert result.closed == 1
    with pytest.raises(StopIteration):
        next(iterator)
    assert result.closed == 1


def test_iteration_ends_with_the_first_error(impl: Impl) -> None:
    """As a generator does, SQLAlchemy's among them; the rows behind the bad one stay."""

    def picky(value: int) -> int:
        if value == 2:
            raise RuntimeError("two")
        return value

    result, rows = Result(cursor := object()), deque(VALUES)
    iterator = factory(impl, processors=[picky, None]).iterate(result, cursor, rows, never)
    assert next(iterator) == VALUES[0]
    with pytest.raises(RuntimeError, match="two"):
        next(iterator)
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(iterator)
    assert list(rows) == VALUES[2:]
    assert not result.closed


def test_iteration_over_a_cursor_that_is_gone(impl: Impl) -> None:
    result, rows = Result(cursor := object()), deque(VALUES)
    iterator = factory(impl).iterate(result, cursor, rows, lambda: iter("xy"))
    next(iterator)
    result.cursor = None
    assert list(iterator) == ["x", "y"]


def test_iteration_wants_a_deque(impl: Impl) -> None:
    with pytest.raises(TypeError, match="not in a list"):
        factory(impl).iterate(Result(None), None, list(VALUES), never)


def test_the_collector_need_not_see_compiled_rows_of_plain_values() -> None:
    make = factory(load("compiled"))
    document: dict[str, Any] = {}
    plain, nested = make.fill([*records(KEYS, VALUES[:1]), (1, document)])
    assert not gc.is_tracked(plain._data)
    assert not gc.is_tracked(plain)
    document["row"] = nested
    assert gc.is_tracked(nested)
    assert gc.is_tracked(nested._data)


def test_a_uuid_in_a_compiled_row_does_not_count_as_a_container() -> None:
    make = factory(load("compiled"), processors=[None, lambda text: UUID(text)])
    (row,) = make.fill([(1, "12345678-1234-5678-1234-567812345678")])
    assert type(row.name) is UUID
    assert not gc.is_tracked(row.name)
    assert not gc.is_tracked(row._data)
    assert str(row.name) == "12345678-1234-5678-1234-567812345678"


@pytest.mark.parametrize("many", [3, 1000])
def test_no_reference_is_lost_or_kept(impl: Impl, many: int) -> None:
    value, parent, index = object(), SimpleResultMetaData(KEYS), {"id": 0, "name": 1}
    held = (value, parent, index)
    before = [sys.getrefcount(each) for each in held]
    for processors in (None, [None, lambda each: each]):
        make: Any = impl.results.RowFactory(Row, parent, processors, index)
        rows: Any = make.fill([(value, value) for _ in range(many)])
        rows += make.many([[value, value]] * many)
        assert sys.getrefcount(value) > before[0] + many
        del rows
        make.column([(value, 1)] * many, 0)
        make.tuples([[value, 1] for _ in range(many)])
        list(make.iterate(Result(1), 1, deque([(value, value)] * many), never))
        del make
    gc.collect()
    assert [sys.getrefcount(each) for each in held] == before


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_it_was(impl: Impl, enabled: bool) -> None:
    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        factory(impl).fill([(1, "x")] * 100)
        factory(impl).tuples([(1, "x")] * 100)
        factory(impl).fill([*[(1, "x")] * 100, [1, "y"]])
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was else gc.disable)()


def test_records_are_what_asyncpg_returns() -> None:
    assert {type(record) for record in SOURCES["records"]()} == {Record}


# The compiled form fills instances by itself: each of these would notice, or break.


class Slotted(Row[Any]):
    """Room for a reference to itself, which the collector has to see."""

    __slots__ = ("extra",)


class Open(Row[Any]):
    """A dictionary, and weak references."""


class Started(Row[Any]):
    __slots__ = ()
    started: ClassVar[list[Any]] = []

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.started.append(given[-1])


class Other(Row[Any]):
    __slots__ = ()
    calls = 0

    def __new__(cls, *given: Any) -> Any:
        cls.calls += 1
        return super().__new__(cls)


class Meta(type(Row)):  # type: ignore[misc]
    """Says what it is asked for, and more calls than expected."""

    __basicsize__ = 1 << 40
    __dictoffset__ = 0

    def __eq__(cls, other: object) -> bool:
        return True

    def __hash__(cls) -> int:
        return hash(Row)


class Boasting(Row[Any], metaclass=Meta):
    __slots__ = ()


class Ending(Row[Any]):
    __slots__ = ()
    ended: ClassVar[list[Any]] = []

    def __del__(self) -> None:
        self.ended.append(self)


@pytest.mark.parametrize("row_class", [Slotted, Open, Started, Other, Boasting, Ending])
@pytest.mark.parametrize("many", [3, 200])
def test_a_class_of_the_program_is_called(impl: Impl, row_class: Any, many: int) -> None:
    Started.started.clear()
    Other.calls = 0
    assert not impl.results.layout_found(row_class)
    make = factory(impl, row_class)
    rows = make.fill([(number, "x") for number in range(many)])
    assert [state(row) for row in rows] == [
        (row_class, PARENT, INDEX, (number, "x")) for number in range(many)
    ]
    if row_class is Started:
        assert len(Started.started) == many
    if row_class is Other:
        assert Other.calls == many
    if row_class is Slotted:
        vars(row_class)["extra"].__set__(rows[0], rows)  # rows take no other way
        assert gc.is_tracked(rows[0])
    if row_class is Open:
        assert weakref.ref(rows[0])() is rows[0]
    if row_class is Ending:
        Ending.ended.clear()
        del rows
        gc.collect()
        assert len(Ending.ended) == many
        assert Ending.ended[0].name == "x"  # and so it lives again
    Ending.ended.clear()


@pytest.mark.parametrize("name", ["__init__", "__new__"])
def test_a_constructor_that_comes_later_is_called(name: str) -> None:
    program = f"""if True:
        from sqlalchemy.engine import Row, RowMapping
        from pgflight._speedups import results_c as results
        calls = []
        plain = Row.{name}
        def later(*given):
            calls.append(given)
            if {name!r} == "__new__":
                return object.__new__(given[0]) if plain is object.__new__ else plain(given[0])
            return plain(*given)
        made = results.RowFactory(Row, None, None, {{}})
        assert results.layout_found(Row)
        Row.{name} = later
        assert not results.layout_found(Row)
        assert results.layout_found(RowMapping)
        rows = results.RowFactory(Row, None, None, {{}}).fill([(1,), (2,)])
        assert [tuple(row) for row in rows] == [(1,), (2,)], rows
        assert len(calls) == 2, calls
    """
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_nobody_sees_a_tuple_before_it_is_full(impl: Impl) -> None:
    marker: list[Any] = []
    seen: list[int] = []

    def look(value: Any) -> Any:
        seen.append(sum(type(each) is tuple for each in gc.get_referrers(marker)))
        return value

    given = [[marker, number] for number in range(3)]
    rows = factory(impl, processors=[None, look]).fill(given)
    assert [tuple(row) for row in rows] == [(marker, number) for number in range(3)]
    assert seen == [0, 1, 2]
    assert all(gc.is_tracked(row._data) for row in rows)


@pytest.mark.parametrize("method", ["fill", "tuples", "column", "many", "interim"])
def test_collections_at_any_moment(impl: Impl, method: str) -> None:
    class Value:
        def __init__(self, number: int) -> None:
            self.number = number
            self.itself = self

    def process(value: Any) -> Any:
        gc.collect()
        return Value(value)

    make = factory(impl, processors=[process, None])
    arguments = ([(n, "x") for n in range(20)], *([0] if method == "column" else []))
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        made = getattr(make, method)(*arguments)
    finally:
        gc.set_threshold(*before)
    values = made if method == "column" else [row[0] for row in made]
    assert [value.number for value in values] == list(range(20))


@pytest.mark.parametrize("method", ["fill", "tuples", "column"])
@pytest.mark.parametrize("how_many", [5, 100])
def test_an_element_may_empty_the_list(impl: Impl, method: str, how_many: int) -> None:
    class Emptying(list):  # type: ignore[type-arg]
        def __getitem__(self, position: Any) -> Any:
            rows.clear()
            return 1

        def __iter__(self) -> Any:
            rows.clear()
            return iter((1, 2))

    rows: list[Any] = [Emptying() for _ in range(how_many)]
    getattr(factory(impl), method)(*([rows, 0] if method == "column" else [rows]))
    if impl.name == "compiled":
        assert rows == []


def test_a_class_that_is_called_may_empty_the_list(impl: Impl) -> None:
    rows: list[Any] = [(number,) for number in range(100)]

    def emptying(*given: Any) -> Any:
        rows.clear()
        return given

    made = factory(impl, emptying).fill(rows)
    assert made is rows
