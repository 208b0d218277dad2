"""``%s`` and ``%(name)s`` become ``$1``; other percent signs are refused, other text is kept."""

from __future__ import annotations

from collections import UserDict
from typing import Any

import pytest

import pgflight.dbapi
from pgflight.dbapi.pep249.placeholders import Parameters, template


@pytest.mark.parametrize(
    ("operation", "text", "parameters", "values"),
    [
        ("SELECT %s, %s", "SELECT $1, $2", (1, 2), [1, 2]),
        ("SELECT %(a)s, %(b)s, %(a)s", "SELECT $1, $2, $1", {"a": 1, "b": 2, "c": 3}, [1, 2]),
        ("SELECT %(a b)s", "SELECT $1", UserDict({"a b": 1}), [1]),
        ("SELECT 5 %% %s, '100%%'", "SELECT 5 % $1, '100%'", [2], [2]),
        ("SELECT '%%s'", "SELECT '%s'", (), []),
        ("SELECT $2, $1", "SELECT $2, $1", (1, 2), [1, 2]),
        ("SELECT%s0 FROM a%sb", "SELECT $1 0 FROM a $2 b", (1, 2), [1, 2]),
        ("SELECT $1%s", "SELECT $1 $1", (1,), [1]),
        ("SELECT 1", "SELECT 1", {}, []),
        ("%s" + " " * 20_000, "$1" + " " * 20_000, [1], [1]),
        ("%s\n%s", "$1\n$2", range(2), [0, 1]),
    ],
)
def test_what_is_sent(
    operation: str, text: str, parameters: Parameters, values: list[object]
) -> None:
    found = template(operation)
    assert found.text == text
    assert list(found.arguments(parameters)) == values


@pytest.mark.parametrize("operation", ["SELECT 5 % 2", "SELECT '100%'", "%d", "%(a)d", "%", "%(a"])
def test_another_percent_sign_is_refused(operation: str) -> None:
    with pytest.raises(pgflight.dbapi.ProgrammingError, match="write %s"):
        template(operation)


@pytest.mark.parametrize(
    ("operation", "parameters", "message"),
    [
        ("%s", (), "1 placeholders, and 0 parameters"),
        ("%s", (1, 2), "1 placeholders, and 2 parameters"),
        ("%s", {"a": 1}, "the placeholders have none"),
        ("$1", {"a": 1}, "the placeholders have none"),
        ("%(a)s", (1,), "pass a dict"),
        ("%(a)s", {"b": 1}, "no parameter 'a'"),
        ("%s", "x", r"write \(value,\)"),
    ],
)
def test_parameters_that_do_not_fit(operation: str, parameters: Any, message: str) -> None:
    with pytest.raises(pgflight.dbapi.ProgrammingError, match=message):
        template(operation).arguments(parameters)


def test_both_kinds_are_refused() -> None:
    with pytest.raises(pgflight.dbapi.ProgrammingError, match="mixes"):
        template("SELECT %s, %(a)s")


def test_names_are_loaded_when_they_are_used() -> None:
    assert {"connect", "Binary", "STRING"} <= set(dir(pgflight.dbapi))
    assert all(hasattr(pgflight.dbapi, name) for name in pgflight.dbapi.__all__)
    assert not hasattr(pgflight.dbapi, "no_such_name")
