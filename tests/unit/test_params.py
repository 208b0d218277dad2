"""ParamPlan: parameter sets by name become values, tuples and dictionaries, on both forms."""

from __future__ import annotations

import gc
import sys
from collections import ChainMap, defaultdict
from itertools import count
from types import MappingProxyType
from typing import Any

import pytest
from sqlalchemy.sql import quoted_name

from tests.fixtures.binds import Bind, plan
from tests.fixtures.impl import Impl


def test_values_come_in_the_order_of_the_parameters(impl: Impl) -> None:
    planned = plan(impl, ["b", "a"])
    assert planned.values([{"a": 1, "b": 2, "c": 0}, {"b": 4, "a": 3}], None) == [(2, 1), (4, 3)]


def test_rows_come_in_the_order_of_the_positions(impl: Impl) -> None:
    planned = plan(impl, ["a", "b", "c"], positions=["c", "a", "b"])
    assert planned.rows([(1, 2, 3), (4, 5, 6)]) == [(3, 1, 2), (6, 4, 5)]


def test_columns_come_in_the_order_of_the_positions(impl: Impl) -> None:
    made = plan(impl, ["a", "b"], {"b": str}, positions=["b", "a"])
    for number in (0, 1, 3, 10_001):
        values = [(n, -n) for n in range(number)]
        columns = made.columns(values)
        assert columns == [[str(-n) for n in range(number)], list(range(number))]
        assert columns[0] is not made.columns(values)[0]


def test_columns_hold_what_a_processor_raises(impl: Impl) -> None:
    def ended(value: Any) -> Any:
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        plan(impl, ["a"], {"a": ended}).columns([(1,), (2,)])
    with pytest.raises(ZeroDivisionError):
        plan(impl, ["a"], {"a": lambda value: 1 / value}).columns([(1,), (0,)])
    with pytest.raises(ValueError, match="tuples"):
        plan(impl, ["a"], {}).columns([[1]])  # type: ignore[list-item]


def test_dictionaries_come_in_the_order_of_the_parameters(impl: Impl) -> None:
    sets = plan(impl, ["b", "a"], {"a": str}, positions=["a", "b"]).sets([(1, 2), (3, 4)])
    assert [list(made.items()) for made in sets] == [[("b", 1), ("a", 2)], [("b", 3), ("a", 4)]]


def test_values_of_dictionaries_that_were_completed(impl: Impl) -> None:
    planned = plan(impl, ["b", "a"])
    assert planned.named([{"a": 1, "b": 2}, {"b": 4, "a": 3, "c": 0}]) == [(2, 1), (4, 3)]
    with pytest.raises(KeyError, match="'a'"):
        planned.named([{"b": 1}])


@pytest.mark.parametrize("number", [1, 3])
def test_no_parameters(impl: Impl, number: int) -> None:
    planned = plan(impl, [], {"a": str})
    assert planned.values([{}, {"a": 1}], None) == [(), ()]
    assert planned.named([{}] * number) == [()] * number
    assert planned.rows([()] * number) == [()] * number
    assert planned.sets([()] * number) == [{}] * number


def test_one_parameter(impl: Impl) -> None:
    planned = plan(impl, ["a"], {"a": str})
    assert planned.values([{"a": (1, 2)}, {"a": 3}], None) == [((1, 2),), (3,)]
    assert planned.values([{"a": (1, 2)}], None) == [((1, 2),)]
    assert planned.named([{"a": (1, 2)}]) == [((1, 2),)]
    assert planned.rows([(1,), (2,)]) == [("1",), ("2",)]
    assert planned.sets([(1,), (2,)]) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("rows", [1, 3])
def test_processors_are_called_row_by_row_and_from_left_to_right(impl: Impl, rows: int) -> None:
    called: list[Any] = []

    def note(value: Any) -> Any:
        called.append(value)
        return (value, len(called))

    planned = plan(impl, ["a", "b", "c"], {"a": note, "c": note}, positions=["c", "b", "a"])
    values = [(row * 3, row * 3 + 1, row * 3 + 2) for row in range(rows)]
    done = planned.rows(values)
    assert called == [value for row in range(rows) for value in (row * 3 + 2, row * 3)]
    assert done[0] == ((2, 1), 1, (0, 2))
    assert values[-1] == (rows * 3 - 3, rows * 3 - 2, rows * 3 - 1)


def test_a_processor_is_given_null_too(impl: Impl) -> None:
    assert plan(impl, ["a"], {"a": lambda v: (v, "seen")}).rows([(None,)]) == [((None, "seen"),)]


@pytest.mark.parametrize("error", [ZeroDivisionError, StopIteration, KeyError, MemoryError])
@pytest.mark.parametrize("rows", [1, 3])
def test_what_a_processor_raises_comes_through(impl: Impl, error: Any, rows: int) -> None:
    turn = count(1)

    def refuse(value: Any) -> Any:
        if next(turn) == rows:
            raise error("refused")
        return value

    with pytest.raises(error):
        plan(impl, ["a", "b"], {"b": refuse}).rows([(0, 1)] * rows)


def test_a_missing_parameter_is_told_by_its_set(impl: Impl) -> None:
    planned = plan(impl, ["a", "b"])
    assert planned.values([{"a": 1}], None) == 0
    assert planned.values([{}], None) == 0
    assert planned.values([{"a": 1, "b": 2}, {"a": 1, "b": 2}, {"b": 2}], None) == 2


def test_a_key_goes_before_a_name(impl: Impl) -> None:
    planned = impl.params.ParamPlan({Bind("a", required=True): "a_1"}, {}, ["a_1"], {})
    assert planned.values([{"a": 1}], None) == [(1,)]
    assert planned.values([{"a_1": 2}], None) == [(2,)]
    assert planned.values([{"a": 1, "a_1": 2}, {"a_1": 2}], None) == [(1,), (2,)]
    assert planned.values([MappingProxyType({"a_1": 2})], None) == [(2,)]


def test_a_default_is_read_for_each_set_that_lacks_the_parameter(impl: Impl) -> None:
    turn = count(1)
    binds = {Bind("a", 5): "a", Bind("b", "unused", callable=lambda: next(turn)): "b"}
    planned = impl.params.ParamPlan(binds, {}, ["a", "b"], {})
    assert planned.values([{}, {"b": 0}, {"a": 1}], None) == [(5, 1), (5, 0), (1, 2)]
    assert planned.values([{}], []) == [(5, 3)]


def test_an_extracted_parameter_goes_before_the_one_that_was_compiled(impl: Impl) -> None:
    one, two, three = Bind("a", 1), Bind("b", 2, callable=lambda: 2), Bind("c", 3)
    planned = impl.params.ParamPlan(
        {one: "a", two: "b", three: "c"}, {one: 1, two: 0}, ["a", "b", "c"], {}
    )
    extracted = [Bind("x", 0, callable=lambda: 20), Bind("y", 10)]
    assert planned.values([{}], extracted) == [(10, 20, 3)]
    assert planned.values([{"a": 7}, {}], extracted) == [(7, 20, 3), (10, 20, 3)]
    assert planned.values([{}], extracted[:1]) == [(1, 20, 3)]
    assert planned.values([{}], None) == [(1, 2, 3)]
    # what was compiled decides whether the function is asked
    swapped = [Bind("x", 30), Bind("y", 10, callable=lambda: 0)]
    assert planned.values([{}], swapped) == [(10, 30, 3)]


@pytest.mark.parametrize(
    "given",
    [
        MappingProxyType({"a": 1}),
        ChainMap({"a": 1}, {"c": 2}),
        defaultdict(lambda: 2, {"a": 1}),
    ],
)
def test_any_mapping_serves_and_is_asked_for_what_it_has(impl: Impl, given: Any) -> None:
    planned = plan(impl, ["a", "b"], required=False)
    assert planned.values([given, {"a": 3, "b": 4}], None) == [(1, "default b"), (3, 4)]
    assert dict(given).get("b") is None


def test_names_may_be_of_a_subclass_of_text(impl: Impl) -> None:
    planned = plan(impl, [quoted_name("a", True), "b"])
    assert planned.values([{"a": 1, "b": 2}], None) == [(1, 2)]
    assert planned.values([{quoted_name("a", False): 1, quoted_name("b", None): 2}], None) == [
        (1, 2)
    ]


@pytest.mark.parametrize(
    ("names", "positions"),
    [(["a", "b"], ["a"]), (["a"], ["a", "a"]), (["a"], ["b"]), (["a", "a"], ["a", "a"])],
)
def test_each_name_has_one_position(impl: Impl, names: list[str], positions: list[str]) -> None:
    with pytest.raises(ValueError, match=r"each of .* once"):
        plan(impl, names, positions=positions)


@pytest.mark.parametrize("values", [[(1,)], [(1, 2), (1, 2, 3)], ((1, 2),), [[1, 2]], [None]])
def test_values_that_are_no_sets_are_refused(impl: Impl, values: Any) -> None:
    planned = plan(impl, ["a", "b"], {"a": str})
    for method in (planned.rows, planned.sets):
        with pytest.raises(ValueError, match="tuples of 2 values each"):
            method(values)


def test_later_changes_of_the_arguments_do_not_matter(impl: Impl) -> None:
    bind = Bind("a")
    binds, positions, processors = {bind: "a"}, ["a"], {"a": str}
    planned = impl.params.ParamPlan(binds, {}, positions, processors)
    positions.append("b")
    processors["a"] = int  # type: ignore[assignment]
    binds[Bind("b")] = "b"
    assert planned.rows([(1,)]) == [("1",)]


def test_plans_hold_no_values(impl: Impl) -> None:
    planned = plan(impl, ["a", "b"], {"b": lambda value: [value]})
    value = object()
    before = sys.getrefcount(value)
    for _ in range(100):
        values = planned.values([{"a": value, "b": value}, {"a": value, "b": value}], None)
        assert isinstance(values, list)
        assert len(planned.rows(values)) == len(planned.sets(values)) == 2
        assert planned.values([{"a": value, "b": value}, {"a": value}], None) == 1
        assert len(impl.params.flatten([(value, value)] * 3, 1, 2)) == 4
    del values
    gc.collect()
    assert sys.getrefcount(value) == before


@pytest.mark.parametrize(
    ("batch", "lower", "upper", "joined"),
    [
        ([(1, 2), (3, 4)], 0, 2, (1, 2, 3, 4)),
        ([(1, 2, 3)], 1, 2, (1, 2, 3)),
        ([(1, 2, 3), (4, 5, 6)], 1, 2, (1, 2, 5, 3)),
        ([(1, 2, 3), (4, 5, 6)], 1, 3, (1, 2, 3, 5, 6)),
        ([(1, 2), (3, 4)], 0, 0, (1, 2)),
        ([(), ()], 0, 0, ()),
        ([(1, 2), (3, 4, 5)], 0, 2, (1, 2, 3, 4, 5)),
        ([(1, 2), [3, 4]], 1, 2, (1, 2, 4)),
    ],
)
def test_flatten(impl: Impl, batch: Any, lower: int, upper: int, joined: Any) -> None:
    given = list(batch)
    assert impl.params.flatten(given, lower, upper) == joined
    assert given == batch


def test_flatten_no_rows(impl: Impl) -> None:
    with pytest.raises(IndexError):
        impl.params.flatten([], 0, 0)


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        ([0], True),
        ([16, -16, 3], True),
        ((16, -16), True),
        ([1, 17], False),
        ([-17, 1], False),
        ([2**70, 1], False),
        ([-(2**63) - 1], False),
        ([True, 1.5], True),
        ([1, 16.5], False),
        ([1, None], TypeError),
        (["1", 2], TypeError),
        ([], ValueError),
    ],
)
def test_within(impl: Impl, values: Any, fits: Any) -> None:
    if isinstance(fits, bool):
        assert impl.params.within(values, 16) is fits
    else:
        with pytest.raises(fits):
            impl.params.within(values, 16)


def test_longest(impl: Impl) -> None:
    assert impl.params.longest(["", "abc", "\U0001f600"]) == 3
    assert impl.params.longest(("a", b"abcd")) == 4
    with pytest.raises(TypeError):
        impl.params.longest(["a", None])
    with pytest.raises(ValueError, match="empty"):
        impl.params.longest([])
