"""Values to JSON text, on both forms, compared with the standard library's own."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from sqlalchemy import null
from sqlalchemy.sql import elements, sqltypes

from tests.fixtures.impl import Impl


def outcome(call: Callable[[], Any]) -> tuple[Any, ...]:
    """Return what `call` does: its value with its type, or all that its error says."""
    try:
        value = call()
    except Exception as error:
        causes = repr(error.__cause__), repr(error.__context__)
        return type(error), str(error), vars(error), causes
    return type(value), repr(value)


class Words(str):
    __slots__ = ()


class Count(int):
    def __repr__(self) -> str:
        return "counted"


class Ratio(float):
    def __repr__(self) -> str:
        return "a ratio"


class Color(enum.IntEnum):
    RED = 1


class Table(dict[str, Any]):
    def items(self) -> Any:
        return [("its", "own")]


CIRCLE: list[Any] = [1]
CIRCLE.append({"a": CIRCLE})
DEEP: Any = 1
for _ in range(150):
    DEEP = [DEEP]
TOO_DEEP: Any = 1
for _ in range(100_000):
    TOO_DEEP = {"a": TOO_DEEP}
VALUES = [
    None, True, False, 0, -1, 2**63 - 1, -(2**63), 2**63, 10**50, -(10**300), 0.0, -0.0, 1.5, 0.1,
    1e15, 1e16, 123456789012345.6, 9999999999999998.0, 1e-4, 9.9e-5, 5e-324, 1.7976931348623157e308,
    1e22, 100.0, -2.25, 0.000123, 1 / 3, float("nan"), float("inf"), -float("inf"), "", "text",
    'q"b\\s/\b\f\n\r\t\0\x1f\x7f\x80é', "ж\u2028", "😀\ud800", "1234567\x7f", "é" * 300, [], (), {},
    [1, (2, [3])], {"a": 1, "é": [None], "": {}}, {2: 2, None: 3, True: 4, 1.5: 5, float("nan"): 6},
    Words("w"), Count(7), Ratio(1.5), Color.RED, {Words("w"): Count(1), Color.RED: 1}, Table(a=1),
    [Table()], DEEP, [DEEP, DEEP] * 3, collections.OrderedDict(b=1, a=2),
]  # fmt: skip
REFUSED = [
    b"x", object, {1, 2}, 1j, decimal.Decimal(1), [1, {"a": {"b": b""}}], {(1, 2): 3}, {b"a": 1},
    CIRCLE, TOO_DEEP, 10**5000, {"a": [10**5000]}, {10**5000: 1}, range(3),
    datetime.date(2026, 1, 1),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES + REFUSED, ids=range(len(VALUES + REFUSED)))
def test_dumps_is_json_dumps(impl: Impl, value: Any) -> None:
    assert outcome(lambda: impl.jsonencode.dumps(value)) == outcome(lambda: json.dumps(value))


def test_the_circle_and_the_depths_are_refused(impl: Impl) -> None:
    with pytest.raises(ValueError, match="Circular"):
        impl.jsonencode.dumps(CIRCLE)
    with pytest.raises(RecursionError):
        impl.jsonencode.dumps(TOO_DEEP)


@pytest.mark.parametrize("size", [*range(20), 1000, 1023, 1024, 5000])
@pytest.mark.parametrize("sort", ["a", '"', "é", "😀"])
def test_documents_of_every_length(impl: Impl, size: int, sort: str) -> None:
    for value in (sort * size, ["x" * size + sort], {sort * size: [sort] * size}):
        assert impl.jsonencode.dumps(value) == json.dumps(value)


def test_the_fast_half_is_in_use(impl: Impl, monkeypatch: pytest.MonkeyPatch) -> None:
    def unexpected(*_: Any, **options: Any) -> Any:
        raise AssertionError("json.dumps' slow half was asked")

    monkeypatch.setattr(json.JSONEncoder, "encode", unexpected)
    assert impl.jsonencode.dumps({"a": [1, "é", 2.5, None]}) == '{"a": [1, "\\u00e9", 2.5, null]}'
    with pytest.raises(AssertionError):
        impl.jsonencode.dumps(object())


def test_a_replaced_json_dumps_is_used(impl: Impl, monkeypatch: pytest.MonkeyPatch) -> None:
    assert impl.jsonencode.standard()
    monkeypatch.setattr(json, "dumps", lambda value: ("theirs", value))
    theirs: Any = impl.jsonencode.dumps([1])
    assert theirs == ("theirs", [1])
    assert not impl.jsonencode.standard()
    monkeypatch.undo()
    assert impl.jsonencode.dumps([1]) == "[1]"


def test_a_replaced_default_encoder_is_used(impl: Impl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "_default_encoder", json.JSONEncoder(sort_keys=True))
    assert impl.jsonencode.dumps({"b": 1, "a": 2}) == '{"a": 2, "b": 1}'
    assert not impl.jsonencode.standard()


def test_floats_written_by_someone_else(impl: Impl, monkeypatch: pytest.MonkeyPatch) -> None:
    class Rounded(float):
        def __repr__(self) -> str:
            return f"{self:.1f}"

    monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    monkeypatch.setattr(json.encoder, "float", Rounded, raising=False)
    assert impl.jsonencode.dumps([Rounded(0.123)]) == json.dumps([Rounded(0.123)])
    assert impl.jsonencode.dumps([0.123]) == json.dumps([0.123])
    assert not impl.jsonencode.standard()


def test_a_default_of_someone_else_is_asked_once(
    impl: Impl, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def default(self: Any, value: Any) -> str:
        asked.append(value)
        return "done"

    monkeypatch.setattr(json.JSONEncoder, "default", default)
    assert impl.jsonencode.dumps([b"x"]) == '["done"]'
    assert asked == [b"x"]


def test_a_json_dumps_replaced_before_the_import_is_used(impl: Impl) -> None:
    suffix = {"compiled": "_c", "python": ""}[impl.name]
    code = (
        "import functools, json\n"
        "original = json.dumps\n"
        "json.dumps = functools.wraps(original)(lambda value: 'theirs ' + original(value))\n"
        f"from pgflight._speedups import jsonencode{suffix} as jsonencode\n"
        "assert jsonencode.dumps([1]) == 'theirs [1]'\n"
        "assert not jsonencode.standard()\n"
        "json.dumps = original\n"
        "assert jsonencode.dumps([1]) == '[1]'\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("none_as_null", [True, False])
def test_binder_is_what_sqlalchemy_does(impl: Impl, none_as_null: bool) -> None:
    json_type: Any = sqltypes.JSON(none_as_null=none_as_null)
    ours = impl.jsonencode.json_binder(json_type, elements.Null)
    theirs = json_type._make_bind_processor(None, json.dumps)
    for value in (None, json_type.NULL, null(), "null", {}, [None], {"a": None}, 0, False, "", 1.5):
        assert ours(value) == theirs(value)
    json_type.should_evaluate_none = none_as_null  # the other way round, later on
    assert ours(None) == theirs(None)
    assert outcome(lambda: ours({1})) == outcome(lambda: theirs({1}))


@pytest.mark.parametrize("prefix", [b"", b"\x01"])
def test_encoder(impl: Impl, prefix: bytes) -> None:
    encode = impl.jsonencode.json_encoder(prefix)
    assert encode('{"a": "é"}') == prefix + '{"a": "é"}'.encode()
    assert encode(b'{"a": 1}') == prefix + b'{"a": 1}'
    assert encode("") == prefix
    assert encode("a" * 5000) == prefix + b"a" * 5000
    assert encode(Words("[]")) == prefix + b"[]"
    assert encode(orjson.dumps({"a": 1})) == prefix + b'{"a":1}'


def test_encoder_of_a_lone_surrogate(impl: Impl) -> None:
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        impl.jsonencode.json_encoder(b"")("\ud800")


@pytest.mark.parametrize("wrong", [None, 5, {"a": 1}, bytearray(b"{}")])
def test_encoder_of_what_is_no_document(impl: Impl, wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"not {type(wrong).__name__}: json_serializer must return"):
        impl.jsonencode.json_encoder(b"\x01")(wrong)


@pytest.mark.parametrize("wrong", ["\x01", None, 1])
def test_encoder_prefix_is_bytes(impl: Impl, wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"use b'\\x01' for jsonb"):
        impl.jsonencode.json_encoder(wrong)
