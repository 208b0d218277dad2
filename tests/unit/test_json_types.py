"""The bind processor of json and jsonb: SQLAlchemy's semantics, in one piece where that is safe."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import asyncpg as builtin

from pgflight.dialect import PGDialect_asyncpg
from pgflight.dialect.types import AsyncpgJSONB

types = pytest.mark.parametrize("type_", [sa.JSON, JSONB])
VALUES: list[Any] = [
    None, sa.JSON.NULL, sa.null(), "null", {"a": [1, "é"]}, [], (1, 2), 1.5, True, float("nan"),
    {1: 2},
]  # fmt: skip


def processor(dialect: Any, type_: Any) -> Callable[[Any], Any]:
    """Return the bind processor that statements of `dialect` get."""
    found: Callable[[Any], Any] = type_.dialect_impl(dialect).bind_processor(dialect)
    return found


def is_sqlalchemys(process: Callable[[Any], Any]) -> bool:
    return process.__module__.startswith("sqlalchemy.")


@types
@pytest.mark.parametrize("none_as_null", [True, False])
def test_values_are_bound_as_by_the_builtin_dialect(type_: Any, none_as_null: bool) -> None:
    builtin_dialect: Any = builtin.dialect()  # type: ignore[no-untyped-call]
    ours = processor(PGDialect_asyncpg(), type_(none_as_null=none_as_null))
    theirs = processor(builtin_dialect, type_(none_as_null=none_as_null))
    assert not is_sqlalchemys(ours)
    assert [ours(value) for value in VALUES] == [theirs(value) for value in VALUES]
    for process in (ours, theirs):
        with pytest.raises(TypeError, match="Object of type bytes is not JSON serializable"):
            process({"a": b""})


@types
def test_a_serializer_of_the_programs_own(type_: Any) -> None:
    serializer = functools.partial(json.dumps, sort_keys=True)
    process = processor(PGDialect_asyncpg(json_serializer=serializer), type_())
    assert is_sqlalchemys(process)
    assert process({"b": 1, "a": 2}) == '{"a": 2, "b": 1}'


@types
def test_a_json_dumps_replaced_before(type_: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "dumps", lambda value: f"theirs {value}")
    process = processor(PGDialect_asyncpg(), type_())
    monkeypatch.undo()
    assert is_sqlalchemys(process)  # which keeps the one that it found
    assert process(1) == "theirs 1"


@types
def test_a_json_dumps_replaced_later(type_: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    process = processor(PGDialect_asyncpg(), type_())
    assert process([1]) == "[1]"
    monkeypatch.setattr(json, "dumps", lambda value: f"theirs {value}")
    assert process([1]) == "theirs [1]"
    assert process(None) == "theirs None"


def test_a_dialect_that_processes_text(monkeypatch: pytest.MonkeyPatch) -> None:
    upper = classmethod(lambda cls, dialect: str.upper)
    monkeypatch.setattr(sa.String, "bind_processor", upper)
    assert processor(PGDialect_asyncpg(), JSONB())(["a"]) == '["A"]'


def test_a_type_that_makes_its_processors_itself() -> None:
    class Own(AsyncpgJSONB):
        def _make_bind_processor(self, string_process: Any, json_serializer: Any) -> Any:
            return lambda value: "own " + json_serializer(value)

    dialect: Any = PGDialect_asyncpg()
    assert Own().bind_processor(dialect)([1]) == "own [1]"


@types
def test_literals_and_decorated_types(type_: Any) -> None:
    class Sorted(sa.TypeDecorator[Any]):
        impl = type_
        cache_ok = True

        def process_bind_param(self, value: Any, dialect: Any) -> Any:
            return sorted(value)

    dialect: Any = PGDialect_asyncpg()
    assert Sorted().dialect_impl(dialect).bind_processor(dialect)([2, 1]) == "[1, 2]"  # type: ignore[misc]
    literal = sa.literal(["it's"], type_())
    text = str(literal.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    assert "'[\"it''s\"]'" in text
