"""ParamPlan: named values become positional tuples, on both forms."""

from __future__ import annotations

import gc
import sys
from collections import ChainMap, defaultdict
from types import MappingProxyType
from typing import Any

import pytest

from tests.fixtures.impl import Impl


def test_values_come_in_the_order_of_the_keys(impl: Impl) -> None:
    plan = impl.params.ParamPlan(["b", "a"], {})
    assert plan.row({"a": 1, "b": 2, "c": 3}) == (2, 1)


def test_a_processor_sees_its_value_only(impl: Impl) -> None:
    plan = impl.params.ParamPlan(("a", "b", "c"), {"b": str, "d": int})
    assert plan.row({"a": 1, "b": 2, "c": None}) == (1, "2", None)


def test_a_processor_is_given_null_too(impl: Impl) -> None:
    plan = impl.params.ParamPlan(["a"], {"a": lambda value: (value, "seen")})
    assert plan.row({"a": None}) == ((None, "seen"),)


def test_a_repeated_key_is_processed_each_time(impl: Impl) -> None:
    seen: list[int] = []

    def note(value: int) -> int:
        seen.append(value)
        return value + len(seen)

    assert impl.params.ParamPlan(["a", "b", "a"], {"a": note}).row({"a": 1, "b": 0}) == (2, 0, 3)
    assert seen == [1, 1]


def test_no_parameters(impl: Impl) -> None:
    plan = impl.params.ParamPlan([], {"a": str})
    assert plan.row({"a": 1}) == ()
    assert plan.rows([{}, {"a": 1}]) == [(), ()]


def test_rows(impl: Impl) -> None:
    plan = impl.params.ParamPlan(["a", "b"], {"a": str})
    assert plan.rows([{"a": 1, "b": 2}, {"b": 4, "a": 3}]) == [("1", 2), ("3", 4)]
    assert plan.rows(()) == []


@pytest.mark.parametrize("processors", [{}, {"a": str}])
def test_a_missing_name_is_a_key_error(impl: Impl, processors: dict[str, Any]) -> None:
    plan = impl.params.ParamPlan(["a", "missing"], processors)
    with pytest.raises(KeyError) as one:
        plan.row({"a": 1})
    assert one.value.args == ("missing",)
    with pytest.raises(KeyError) as many:
        plan.rows([{"a": 1, "missing": 2}, {"a": 1}])
    assert many.value.args == ("missing",)


def test_values_are_looked_up_and_processed_one_after_the_other(impl: Impl) -> None:
    def refuse(value: object) -> object:
        raise LookupError(f"refused {value}")

    plan = impl.params.ParamPlan(["a", "missing"], {"a": refuse})
    with pytest.raises(LookupError, match="refused 1"):
        plan.row({"a": 1})


@pytest.mark.parametrize(
    "values",
    [
        MappingProxyType({"a": 1, "b": 2}),
        ChainMap({"a": 1}, {"b": 2}),
        defaultdict(lambda: 2, {"a": 1}),
    ],
)
@pytest.mark.parametrize("processors", [{}, {"b": int}])
def test_any_mapping_serves(impl: Impl, values: Any, processors: dict[str, Any]) -> None:
    assert impl.params.ParamPlan(["a", "b"], processors).row(values) == (1, 2)


def test_later_changes_of_the_arguments_do_not_matter(impl: Impl) -> None:
    keys, processors = ["a"], {"a": str}
    plan = impl.params.ParamPlan(keys, processors)
    keys.append("b")
    processors["a"] = int  # type: ignore[assignment]
    assert plan.row({"a": 1}) == ("1",)


def test_a_single_name_is_not_a_sequence_of_names(impl: Impl) -> None:
    with pytest.raises(TypeError, match="keys='ab': pass a sequence of names"):
        impl.params.ParamPlan("ab", {})


def test_plans_hold_no_values(impl: Impl) -> None:
    plan = impl.params.ParamPlan(["a", "b"], {"b": lambda value: [value]})
    value = object()
    before = sys.getrefcount(value)
    for _ in range(100):
        plan.rows([{"a": value, "b": value}, {"a": value, "b": value}])
        with pytest.raises(KeyError):
            plan.row({"a": value})
    gc.collect()
    assert sys.getrefcount(value) == before
