"""The comparison behind every parity test sees what it should, and forgives only what it may."""

from __future__ import annotations

import asyncio
import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import exc
from sqlalchemy.dialects.postgresql import Range

from pgflight.dbapi import errors
from tests.fixtures.outcome import Failure, difference, portrait, refused

UNLIKE: tuple[tuple[Any, Any], ...] = (
    (1, True),
    (1, 1.0),
    (0.0, -0.0),
    (Decimal("1"), Decimal("1.0")),
    (Decimal(1), 1),
    ("a", b"a"),
    ([1], (1,)),
    ([1, 2], [2, 1]),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({"a": [1]}, {"a": [True]}),
    (None, "None"),
    (dt.datetime(2024, 1, 1), dt.date(2024, 1, 1)),
    (Range(1, 2), Range(1, 2, bounds="[]")),
    ([[1], []], [[1]]),
)


@pytest.mark.parametrize(("one", "other"), UNLIKE, ids=repr)
def test_values_that_differ(one: Any, other: Any) -> None:
    assert difference(one, other)
    assert difference([{"k": one}], [{"k": other}])
    assert not difference([{"k": one}], [{"k": one}])


def test_not_a_number_equals_itself() -> None:
    assert not difference([float("nan"), Decimal("NaN")], [float("nan"), Decimal("NaN")])


def test_what_shows_only_its_address_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot be compared"):
        portrait([object()])


def _failure(cls: type[errors.Error], text: str, wrapper: Any = exc.DBAPIError) -> Failure:
    return Failure.of(wrapper("SELECT 1", (), cls(text)))


def test_a_failure_may_be_narrower_and_say_more() -> None:
    wide = _failure(errors.Error, "no")
    narrow = _failure(errors.DataError, "no\nHINT: yes", exc.DataError)
    assert narrow.serves_for(wide) and not difference([wide], [narrow])
    assert not wide.serves_for(narrow) and difference([narrow], [wide])
    assert difference(_failure(errors.DataError, "no"), _failure(errors.DataError, "yes"))
    assert difference(wide, "no")


def test_refused_fails_for_what_succeeds() -> None:
    async def succeed() -> int:
        return 1

    with pytest.raises(pytest.fail.Exception, match="the result is 1"):
        asyncio.run(refused(succeed()))
