"""The variable that scales the storms is read, checked and bounded."""

from __future__ import annotations

import re

import pytest

from tests.fixtures.scale import VARIABLE, scale, scaled


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv(VARIABLE, raising=False)
    return monkeypatch


def test_unset_it_is_one(ask: pytest.MonkeyPatch) -> None:
    assert scale() == 1.0
    assert scaled(2_000, least=200) == 2_000
    ask.setenv(VARIABLE, "")
    assert scaled(2_000, least=200) == 2_000


@pytest.mark.parametrize(("given", "amount"), [("0.2", 400), ("0.01", 200), ("3", 6_000)])
def test_it_multiplies_down_to_the_minimum(
    ask: pytest.MonkeyPatch, given: str, amount: int
) -> None:
    ask.setenv(VARIABLE, given)
    assert scaled(2_000, least=200) == amount


@pytest.mark.parametrize("given", ["0", "-1", "nan", "inf", "101", "a fifth", "0,2"])
def test_another_value_is_an_error(ask: pytest.MonkeyPatch, given: str) -> None:
    ask.setenv(VARIABLE, given)
    with pytest.raises(ValueError, match=re.escape(f"{VARIABLE}={given!r}: give a number above 0")):
        scaled(2_000, least=200)


@pytest.mark.parametrize("least", [0, 2_001])
def test_a_minimum_is_one(least: int) -> None:
    with pytest.raises(ValueError, match="is none"):
        scaled(2_000, least=least)
