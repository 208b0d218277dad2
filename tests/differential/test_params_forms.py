"""ParamPlan: both forms build what SQLAlchemy's rule, written out plainly, would build."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential.outcome import outcome
from tests.fixtures.binds import Bind
from tests.fixtures.impl import load

compiled = load("compiled").params
python = load("python").params
SOME = settings(max_examples=500, deadline=None)


def reciprocal(value: Any) -> Any:
    """Fail in three ways: ZeroDivisionError, TypeError, OverflowError."""
    return 1.0 / value


NAMES = st.sampled_from(["a", "b", "c", "d", "Ж", ""])
VALUES = st.one_of(st.none(), st.integers(), st.text(max_size=3), st.floats())
PROCESSORS = st.dictionaries(
    NAMES, st.sampled_from([str, repr, reciprocal, lambda value: [value]]), max_size=4
)


class Defaulting(dict[str, Any]):
    """A dictionary that knows every name, when it is asked for its value."""

    def __missing__(self, key: str) -> str:
        return f"default of {key}"


MAPPINGS = st.builds(
    lambda kind, values: kind(values),
    st.sampled_from([dict, dict, dict, MappingProxyType, Defaulting]),
    st.dictionaries(NAMES, VALUES, max_size=6),
)
BINDS = st.builds(
    lambda key, value, kind: Bind(
        key, value, required=kind == 2, callable=(lambda: [value]) if kind == 1 else None
    ),
    NAMES,
    VALUES,
    st.sampled_from([0, 0, 0, 1, 2]),
)


@st.composite
def statements(draw: Any) -> tuple[dict[Any, str], dict[Any, int], list[str], dict[str, Any]]:
    """Return the arguments of a plan: keys that differ from names, positions in any order."""
    names = draw(st.lists(NAMES, max_size=5, unique=True))
    binds = {draw(BINDS): name for name in names}
    for bind, name in binds.items():
        if draw(st.booleans()):
            bind.key = name
    indexes = {bind: draw(st.integers(0, 3)) for bind in binds if draw(st.booleans())}
    return binds, indexes, draw(st.permutations(names)), draw(PROCESSORS)


def dictionaries(
    binds: Mapping[Any, str], indexes: Mapping[Any, int], many: Any, extracted: Any
) -> Any:
    """Return the sets by name as SQLAlchemy has them, or the number of one that is incomplete."""
    sets = []
    for number, params in enumerate(many):
        made = {}
        for bind, name in binds.items():
            if bind.key in params:
                made[name] = params[bind.key]
            elif name in params:
                made[name] = params[name]
            elif bind.required:
                return number
            else:
                source = bind
                if extracted and bind in indexes and indexes[bind] < len(extracted):
                    source = extracted[indexes[bind]]
                made[name] = source.effective_value if bind.callable else source.value
        sets.append(made)
    return sets


@SOME
@given(
    statements(),
    st.lists(MAPPINGS, min_size=1, max_size=4),
    st.one_of(st.none(), st.lists(BINDS, max_size=4)),
)
def test_from_sets_to_rows(statement: Any, many: Any, extracted: Any) -> None:
    binds, indexes, positions, processors = statement
    sets = dictionaries(binds, indexes, many, extracted)

    def rows() -> list[tuple[Any, ...]]:
        return [
            tuple(
                processors[name](made[name]) if name in processors else made[name]
                for name in positions
            )
            for made in sets
        ]

    for form in (compiled, python):
        plan = form.ParamPlan(binds, indexes, positions, processors)
        values = plan.values(many, extracted)
        if isinstance(sets, int):
            assert values == sets
            continue
        assert isinstance(values, list)
        assert outcome(plan.sets, values) == outcome(list, sets)
        assert outcome(plan.named, sets) == outcome(list, values)
        told = outcome(plan.rows, values, messages=True)
        assert told == outcome(rows, messages=True)
        if told[0] == "value" and binds:
            columns = [list(column) for column in zip(*plan.rows(values))]
            assert outcome(plan.columns, values) == outcome(
                lambda made: made, columns or [[] for _ in binds]
            )


@SOME
@given(
    st.lists(st.sampled_from([(), (1,), (1, 2), (1, 2, 3), (None, "x"), [1, 2], "ab"]), max_size=4),
    st.integers(-1, 4),
    st.integers(-1, 4),
)
def test_flatten(batch: list[Any], lower: int, upper: int) -> None:
    def told(form: Any) -> tuple[Any, ...]:
        return outcome(lambda: form.flatten(list(batch), lower, upper))

    assert told(compiled) == told(python)


ELEMENTS = st.one_of(st.integers(-20, 20), st.integers(), st.booleans(), st.none(), st.floats())


@SOME
@given(st.lists(ELEMENTS, max_size=4), st.integers(0, 20))
def test_within(values: list[Any], most: int) -> None:
    assert outcome(compiled.within, values, most) == outcome(python.within, values, most)


@SOME
@given(st.lists(st.one_of(st.text(), st.binary(), st.none()), max_size=4))
def test_longest(values: list[Any]) -> None:
    assert outcome(compiled.longest, values) == outcome(python.longest, values)


@SOME
@given(statements(), st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=2)), max_size=3))
def test_what_is_no_mapping(statement: Any, many: list[Any]) -> None:
    def told(form: Any) -> tuple[Any, ...]:
        return outcome(lambda: form.ParamPlan(*statement).values([{}, *many], None))

    assert told(compiled) == told(python)


@SOME
@given(
    st.one_of(st.lists(NAMES, max_size=4), st.text(max_size=3), st.none(), st.integers()),
    st.one_of(PROCESSORS, st.none(), st.lists(NAMES)),
    st.lists(NAMES, max_size=3),
)
def test_construction(positions: Any, processors: Any, names: list[str]) -> None:
    def told(form: Any) -> tuple[Any, ...]:
        binds = {Bind(name): name for name in names}
        return outcome(lambda: form.ParamPlan(binds, {}, positions, processors) and None)

    assert told(compiled) == told(python)
