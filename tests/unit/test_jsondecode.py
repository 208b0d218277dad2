"""JSON text to values, on both forms, compared with the standard library's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import orjson
import pytest

from tests.fixtures.impl import Impl, load

DOCUMENTS = [
    "null", "true", "-0", "0.1", "1e400", "12345678901234567890123", '"text"', '"\\ud800"',
    '"\\u0000 \\u00e9 \\ud83d\\ude00"', "[]", "{}", '{"a": 1, "a": 2}', "NaN", "[Infinity, -1e5]",
    ' {"a": [1, {"b": null}]} ', "\n[1]\t", '{"ключ": "значение 😀"}',
]  # fmt: skip
BROKEN = [
    "", " ", "{", "[1,]", '{"a":}', "[1] 2", "1 2", "nul", "'a'", '"\n"', '"\\x"', "01", "-",
    "\ufeff1", "{'a': 1}", '{"a": 1,}', "[" * 100, '"open', "9" * 5000,
]  # fmt: skip


def outcome(call: Callable[[], Any]) -> tuple[Any, ...]:
    """Return what `call` does: its value with its type, or all that its error says."""
    try:
        value = call()
    except Exception as error:
        causes = repr(error.__cause__), repr(error.__context__)
        return type(error), str(error), vars(error), causes
    return type(value), repr(value)


@pytest.mark.parametrize("text", DOCUMENTS + BROKEN)
def test_loads_is_json_loads(impl: Impl, text: str) -> None:
    assert outcome(lambda: impl.jsondecode.loads(text)) == outcome(lambda: json.loads(text))


@pytest.mark.parametrize("wrong", [None, 5, b"[1]", bytearray(b"[1]"), "\ufeff[]"])
def test_loads_of_what_is_not_plain_text(impl: Impl, wrong: Any) -> None:
    assert outcome(lambda: impl.jsondecode.loads(wrong)) == outcome(lambda: json.loads(wrong))


def test_too_deep_a_document(impl: Impl) -> None:
    text = "[" * 200_000
    with pytest.raises(RecursionError) as theirs:
        json.loads(text)
    with pytest.raises(RecursionError) as ours:
        impl.jsondecode.loads(text)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("text", DOCUMENTS + BROKEN)
@pytest.mark.parametrize("prefix", [0, 1])
def test_decoder_is_json_loads_of_the_decoded_bytes(impl: Impl, text: str, prefix: int) -> None:
    decode = impl.jsondecode.json_decoder(None, takes_bytes=False, prefix=prefix)
    data = b"\x01"[:prefix] + text.encode()
    assert outcome(lambda: decode(data)) == outcome(lambda: json.loads(text.encode().decode()))


@pytest.mark.parametrize("data", [b"\xff", b'"\xc3"', b'"\xed\xa0\x80"', b'["a", "\xf5"]', b""])
@pytest.mark.parametrize("prefix", [0, 1])
def test_decoder_of_invalid_utf8(impl: Impl, data: bytes, prefix: int) -> None:
    decode = impl.jsondecode.json_decoder(None, takes_bytes=False, prefix=prefix)
    text = impl.jsondecode.json_decoder(str.upper, takes_bytes=False, prefix=prefix)
    wire = b"\x01"[:prefix] + data
    assert outcome(lambda: decode(wire)) == outcome(lambda: json.loads(data.decode()))
    assert outcome(lambda: text(wire)) == outcome(lambda: data.decode().upper())


@pytest.mark.parametrize("prefix", [0, 1])
def test_deserializer_is_given_what_it_takes(impl: Impl, prefix: int) -> None:
    data = b"\x01"[:prefix] + '{"a": "é"}'.encode()
    for takes_bytes, expected in ((False, '{"a": "é"}'), (True, '{"a": "é"}'.encode())):
        decode = impl.jsondecode.json_decoder(
            lambda document: ("seen", document), takes_bytes=takes_bytes, prefix=prefix
        )
        assert decode(data) == ("seen", expected)
        assert type(decode(data)[1]) is type(expected)


@pytest.mark.parametrize("deserializer", [orjson.loads, msgspec.json.decode])
def test_deserializers_of_bytes(impl: Impl, deserializer: Callable[[Any], Any]) -> None:
    decode = impl.jsondecode.json_decoder(deserializer, takes_bytes=True, prefix=1)
    assert decode(b'\x01{"a": [1, 2.5]}') == {"a": [1, 2.5]}


def test_errors_of_a_deserializer_are_passed_on(impl: Impl) -> None:
    def refuse(document: str) -> Any:
        raise LookupError(document)

    with pytest.raises(LookupError, match="text"):
        impl.jsondecode.json_decoder(refuse, takes_bytes=False, prefix=0)(b"text")


@pytest.mark.parametrize("prefix", [2, -1, None, "1"])
def test_only_two_prefixes_exist(impl: Impl, prefix: Any) -> None:
    with pytest.raises(ValueError, match=r"use 1 for jsonb, 0 for json"):
        impl.jsondecode.json_decoder(None, takes_bytes=False, prefix=prefix)


@pytest.mark.parametrize("wrong", ["[1]", None, bytearray(b"[1]"), memoryview(b"[1]")])
@pytest.mark.parametrize("deserializer", [None, json.loads])
def test_decoders_take_bytes_only(impl: Impl, wrong: Any, deserializer: Any) -> None:
    for takes_bytes in (False, True):
        decode = impl.jsondecode.json_decoder(deserializer, takes_bytes=takes_bytes, prefix=0)
        with pytest.raises(TypeError, match=f"takes bytes, not {type(wrong).__name__}"):
            decode(wrong)


def test_a_replaced_json_loads_is_used(impl: Impl, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = impl.jsondecode.json_decoder(None, takes_bytes=False, prefix=1)
    monkeypatch.setattr(json, "loads", lambda text: ("theirs", text))
    assert impl.jsondecode.loads("[1]") == ("theirs", "[1]")
    assert decode(b"\x01[1]") == ("theirs", "[1]")
    monkeypatch.undo()
    assert decode(b"\x01[1]") == [1]


def test_a_replaced_default_decoder_is_used(impl: Impl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "_default_decoder", json.JSONDecoder(parse_float=str))
    assert impl.jsondecode.loads("[1.50]") == json.loads("[1.50]") == ["1.50"]


def test_a_json_loads_replaced_before_the_import_is_used(impl: Impl) -> None:
    suffix = {"compiled": "_c", "python": ""}[impl.name]
    code = (
        "import functools, json\n"
        "original = json.loads\n"
        "json.loads = functools.wraps(original)(lambda text: ('theirs', original(text)))\n"
        f"from pgflight._speedups import jsondecode{suffix} as jsondecode\n"
        "assert jsondecode.loads('[1]') == ('theirs', [1])\n"
        "json.loads = original\n"
        "assert jsondecode.loads('[1]') == [1]\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr


def test_the_scanner_is_in_use(impl: Impl, monkeypatch: pytest.MonkeyPatch) -> None:
    def unexpected(*_: Any) -> Any:
        raise AssertionError("json.loads' slow half was asked")

    # json.loads itself stays the original, but could not do its work.
    monkeypatch.setattr(json.JSONDecoder, "decode", unexpected)
    assert impl.jsondecode.loads('{"a": [1, null]}') == {"a": [1, None]}
    with pytest.raises(AssertionError):
        impl.jsondecode.loads("1 2")


OWN = [
    ' {"a" : [1 ,\t-2.5E+3,\r\n"x", {}, [], null ] } ',
    '"\\ud83d\\ude00 \\ud800 \\"\\\\\\/\\b\\f\\n\\r\\t"',
    '{"ключ": "значение 😀", "é": "ÿ"}', "[" * 200 + "]" * 200, "9" * 300, "0.1e-320", "1e400",
    "-0.0", '{"' + "k" * 40 + '": 1, "": 2}', '["' + "ж" * 1000 + "\\n" * 1000 + '"]',
    str(list(range(100))),
]  # fmt: skip


@pytest.mark.parametrize("text", OWN, ids=range(len(OWN)))
def test_what_the_compiled_form_reads_itself(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    impl = load("compiled").jsondecode
    decode = impl.json_decoder(None, takes_bytes=False, prefix=1)
    expected = json.loads(text)

    def unexpected(*_: Any) -> Any:
        raise AssertionError("json.loads' slow half was asked")

    monkeypatch.setattr(json.JSONDecoder, "decode", unexpected)
    for value in (impl.loads(text), decode(b"\x01" + text.encode())):
        assert value == expected
        assert repr(value) == repr(expected)


DOUBTS = [
    "NaN", "-Infinity", "[" * 201 + "]" * 201, "9" * 321, "0." + "1" * 330, '"\x1f"', '"\\u12G4"',
    '"\ud800"', "01", "1.", ".5", "1e", "+1", "tru", '{"a" 1}', '{1: 2}', "[1,]", '"open', '"\\"',
    '"\\ud800\\u12"',
]  # fmt: skip


@pytest.mark.parametrize("text", DOUBTS, ids=range(len(DOUBTS)))
def test_what_the_compiled_form_leaves_to_json_loads(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json.JSONDecoder, "decode", lambda self, text: ("asked", text))
    assert load("compiled").jsondecode.loads(text) == ("asked", text)


def test_keys_are_one_object(impl: Impl) -> None:
    found = impl.jsondecode.loads('[{"some key": 1}, {"some key": 2}]')
    first, second = (next(iter(members)) for members in found)
    assert first is second


def test_many_keys_that_share_the_slots_of_a_cache(impl: Impl) -> None:
    for number in range(5000):
        key = f"{number:x}" * (number % 9 + 1)
        assert impl.jsondecode.loads(f'{{"{key}": {number}}}') == {key: number}


@pytest.mark.parametrize("size", [*range(20), 31, 32, 33, 255, 256, 257, 1000])
@pytest.mark.parametrize("sort", ["a", "é", "ж", "😀", "\\n", "\\u0436"])
def test_strings_of_every_length(impl: Impl, size: int, sort: str) -> None:
    for text in (f'"{sort * size}"', f'["{"x" * size}{sort}"]', f'{{"{sort * size}": "{size}"}}'):
        found = impl.jsondecode.loads(text)
        assert found == json.loads(text)
        assert hash(str(found)) == hash(str(json.loads(text)))


@pytest.mark.parametrize("size", [*range(20), 100])
def test_lists_of_every_length(impl: Impl, size: int) -> None:
    assert impl.jsondecode.loads(str(list(range(size)))) == list(range(size))
    assert outcome(lambda: impl.jsondecode.loads(str([*range(size), "x"]))) == outcome(
        lambda: json.loads(str([*range(size), "x"]))
    )
