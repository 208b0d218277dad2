"""Lists that asyncpg goes through once instead of twice: which ones, and where that is proven."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from asyncpg.types import Type

from pgflight import driver
from pgflight.driver import capability
from pgflight.driver.arguments import flat_lists as flat
from pgflight.driver.arguments import rehearsal

private = pytest.mark.skipif(not driver.is_private(), reason="needs names inside asyncpg")
ENOUGH = flat.FEWEST_ELEMENTS
ARRAY = Type(1007, "int4[]", "array", "pg_catalog")
NUMBER = Type(23, "int4", "scalar", "pg_catalog")


class Whole(int):
    """A subclass that could be anything to asyncpg."""


@pytest.fixture
def rehearsed() -> Iterator[None]:
    """Have the installed asyncpg tried anew, and once more after the test."""
    rehearsal.goes_through_arrays_twice.cache_clear()
    yield
    rehearsal.goes_through_arrays_twice.cache_clear()


def test_the_installed_asyncpg_is_as_expected(rehearsed: None) -> None:
    assert rehearsal.goes_through_arrays_twice() is driver.is_private()
    assert flat.places_of_arrays([NUMBER, ARRAY]) == ((1,) if driver.is_private() else ())
    assert flat.places_of_arrays([NUMBER]) == ()


@private
@pytest.mark.parametrize("times", [1, 3])
def test_another_asyncpg_gets_lists(
    rehearsed: None, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """One that goes through arrays once, or three times, would send something else."""
    asyncpgs = capability.OWNERS["Protocol"]

    class Other(asyncpgs):  # type: ignore[misc, valid-type]
        async def bind_execute(self, state: Any, args: Any, *rest: Any) -> Any:
            args = [list(each) for each in args] if times == 1 else args
            for each in args if times == 3 else ():
                list(each)
            return await super().bind_execute(state, args, *rest)

    monkeypatch.setitem(capability.OWNERS, "Protocol", Other)
    assert rehearsal.goes_through_arrays_twice() is False
    assert flat.places_of_arrays([ARRAY]) == ()


@private
def test_an_asyncpg_that_cannot_be_tried_gets_lists(
    rehearsed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(capability.OWNERS, "Protocol", object)
    assert rehearsal.goes_through_arrays_twice() is False


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 1, 1.5, "a", b"a", bytearray(b"a"), (1, 2), Decimal(1), uuid.uuid4()),
        *(dt.date(2024, 1, 1), dt.datetime(2024, 1, 1), dt.time(1), dt.timedelta(1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_plain_values(value: Any) -> None:
    values = [value] * ENOUGH
    made = flat.flat_lists((7, values), (1,))
    assert made[0] == 7
    assert type(made[1]) is flat.FlatList
    assert repr(made[1]) == repr(values) and len(made[1]) == ENOUGH
    assert [*made[1]] == []
    assert [*made[1]] == [*made[1]] == values


@pytest.mark.parametrize(
    "values",
    [
        [1] * (ENOUGH - 1),
        [*[1] * ENOUGH, [1]],
        [*[1] * ENOUGH, Whole(1)],
        [*[1] * ENOUGH, {1}],
        [*[1] * ENOUGH, {"a": 1}],
        [*[1] * ENOUGH, range(3)],
        (1,) * ENOUGH,
        range(ENOUGH),
        "a" * ENOUGH,
        7,
        None,
    ],
    ids=repr,
)
def test_others_stay_as_they_are(values: Any) -> None:
    arguments = (values, 1)
    assert flat.flat_lists(arguments, (0,)) is arguments


def test_a_parameter_that_is_missing() -> None:
    arguments = (1,)
    assert flat.flat_lists(arguments, (1, 2)) is arguments
