"""ParamPlan: both forms build what a plain look-up and call would build."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential.outcome import outcome
from tests.fixtures.impl import load

compiled = load("compiled").params
python = load("python").params
SOME = settings(max_examples=500, deadline=None)


def reciprocal(value: Any) -> Any:
    """Fail in three ways: ZeroDivisionError, TypeError, OverflowError."""
    return 1.0 / value


NAMES = st.sampled_from(["a", "b", "c", "d", "Ж", ""])
VALUES = st.one_of(st.none(), st.integers(), st.text(max_size=3), st.floats())
KEYS = st.lists(NAMES, max_size=6)
PROCESSORS = st.dictionaries(
    NAMES, st.sampled_from([str, repr, reciprocal, lambda value: [value]]), max_size=4
)


class Defaulting(dict[str, Any]):
    """A dictionary that knows every name."""

    def __missing__(self, key: str) -> str:
        return f"default of {key}"


MAPPINGS = st.builds(
    lambda kind, values: kind(values),
    st.sampled_from([dict, dict, MappingProxyType, Defaulting]),
    st.dictionaries(NAMES, VALUES, max_size=6),
)


@SOME
@given(KEYS, PROCESSORS, st.lists(MAPPINGS, max_size=4))
def test_rows(keys: list[str], processors: dict[str, Callable[[Any], Any]], many: Any) -> None:
    def expected() -> list[tuple[Any, ...]]:
        return [
            tuple(
                processors[key](values[key]) if key in processors else values[key] for key in keys
            )
            for values in many
        ]

    wanted = outcome(expected, messages=True)
    for form in (compiled, python):
        plan = form.ParamPlan(keys, processors)
        assert outcome(plan.rows, many, messages=True) == wanted
        assert outcome(lambda row: list(map(row, many)), plan.row, messages=True) == wanted


@SOME
@given(KEYS, PROCESSORS, st.one_of(st.none(), st.integers(), st.lists(VALUES), st.text()))
def test_what_is_no_mapping(keys: list[str], processors: dict[str, Any], wrong: Any) -> None:
    def told(form: Any) -> tuple[Any, ...]:
        return outcome(lambda: form.ParamPlan(keys, processors).row(wrong))

    assert told(compiled) == told(python)


@SOME
@given(
    st.one_of(KEYS, KEYS.map(tuple), st.text(max_size=3), st.none(), st.integers()),
    st.one_of(PROCESSORS, st.none(), st.lists(NAMES)),
)
def test_construction(keys: Any, processors: Any) -> None:
    def told(form: Any) -> tuple[Any, ...]:
        return outcome(lambda: form.ParamPlan(keys, processors) and None)

    assert told(compiled) == told(python)
