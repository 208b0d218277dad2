"""JSON converters, on both forms; JSON is compared with the standard library's own."""

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

from tests.fixtures.impl import Impl

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
    assert outcome(lambda: impl.converters.loads(text)) == outcome(lambda: json.loads(text))


@pytest.mark.parametrize("wrong", [None, 5, b"[1]", bytearray(b"[1]"), "\ufeff[]"])
def test_loads_of_what_is_not_plain_text(impl: Impl, wrong: Any) -> None:
    assert outcome(lambda: impl.converters.loads(wrong)) == outcome(lambda: json.loads(wrong))


def test_too_deep_a_document(impl: Impl) -> None:
    text = "[" * 200_000
    with pytest.raises(RecursionError) as theirs:
        json.loads(text)
    with pytest.raises(RecursionError) as ours:
        impl.converters.loads(text)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("text", DOCUMENTS + BROKEN)
@pytest.mark.parametrize("prefix", [0, 1])
def test_decoder_is_json_loads_of_the_decoded_bytes(impl: Impl, text: str, prefix: int) -> None:
    decode = impl.converters.json_decoder(None, takes_bytes=False, prefix=prefix)
    data = b"\x01"[:prefix] + text.encode()
    assert outcome(lambda: decode(data)) == outcome(lambda: json.loads(text.encode().decode()))


@pytest.mark.parametrize("data", [b"\xff", b'"\xc3"', b'"\xed\xa0\x80"', b'["a", "\xf5"]', b""])
@pytest.mark.parametrize("prefix", [0, 1])
def test_decoder_of_invalid_utf8(impl: Impl, data: bytes, prefix: int) -> None:
    decode = impl.converters.json_decoder(None, takes_bytes=False, prefix=prefix)
    text = impl.converters.json_decoder(str.upper, takes_bytes=False, prefix=prefix)
    wire = b"\x01"[:prefix] + data
    assert outcome(lambda: decode(wire)) == outcome(lambda: json.loads(data.decode()))
    assert outcome(lambda: text(wire)) == outcome(lambda: data.decode().upper())


@pytest.mark.parametrize("prefix", [0, 1])
def test_deserializer_is_given_what_it_takes(impl: Impl, prefix: int) -> None:
    data = b"\x01"[:prefix] + '{"a": "é"}'.encode()
    for takes_bytes, expected in ((False, '{"a": "é"}'), (True, '{"a": "é"}'.encode())):
        decode = impl.converters.json_decoder(
            lambda document: ("seen", document), takes_bytes=takes_bytes, prefix=prefix
        )
        assert decode(data) == ("seen", expected)
        assert type(decode(data)[1]) is type(expected)


@pytest.mark.parametrize("deserializer", [orjson.loads, msgspec.json.decode])
def test_deserializers_of_bytes(impl: Impl, deserializer: Callable[[Any], Any]) -> None:
    decode = impl.converters.json_decoder(deserializer, takes_bytes=True, prefix=1)
    assert decode(b'\x01{"a": [1, 2.5]}') == {"a": [1, 2.5]}


def test_errors_of_a_deserializer_are_passed_on(impl: Impl) -> None:
    def refuse(document: str) -> Any:
        raise LookupError(document)

    with pytest.raises(LookupError, match="text"):
        impl.converters.json_decoder(refuse, takes_bytes=False, prefix=0)(b"text")


@pytest.mark.parametrize("prefix", [2, -1, None, "1"])
def test_only_two_prefixes_exist(impl: Impl, prefix: Any) -> None:
    with pytest.raises(ValueError, match=r"use 1 for jsonb, 0 for json"):
        impl.converters.json_decoder(None, takes_bytes=False, prefix=prefix)


@pytest.mark.parametrize("wrong", ["[1]", None, bytearray(b"[1]"), memoryview(b"[1]")])
@pytest.mark.parametrize("deserializer", [None, json.loads])
def test_decoders_take_bytes_only(impl: Impl, wrong: Any, deserializer: Any) -> None:
    for takes_bytes in (False, True):
        decode = impl.converters.json_decoder(deserializer, takes_bytes=takes_bytes, prefix=0)
        with pytest.raises(TypeError, match=f"takes bytes, not {type(wrong).__name__}"):
            decode(wrong)


def test_a_replaced_json_loads_is_used(impl: Impl, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = impl.converters.json_decoder(None, takes_bytes=False, prefix=1)
    monkeypatch.setattr(json, "loads", lambda text: ("theirs", text))
    assert impl.converters.loads("[1]") == ("theirs", "[1]")
    assert decode(b"\x01[1]") == ("theirs", "[1]")
    monkeypatch.undo()
    assert decode(b"\x01[1]") == [1]


def test_a_replaced_default_decoder_is_used(impl: Impl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "_default_decoder", json.JSONDecoder(parse_float=str))
    assert impl.converters.loads("[1.50]") == json.loads("[1.50]") == ["1.50"]


def test_a_json_loads_replaced_before_the_import_is_used(impl: Impl) -> None:
    suffix = {"compiled": "_c", "python": ""}[impl.name]
    code = (
        "import functools, json\n"
        "original = json.loads\n"
        "json.loads = functools.wraps(original)(lambda text: ('theirs', original(text)))\n"
        f"from fastpg._speedups import converters{suffix} as converters\n"
        "assert converters.loads('[1]') == ('theirs', [1])\n"
        "json.loads = original\n"
        "assert converters.loads('[1]') == [1]\n"
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
    assert impl.converters.loads('{"a": [1, null]}') == {"a": [1, None]}
    with pytest.raises(AssertionError):
        impl.converters.loads(" 1")


@pytest.mark.parametrize("prefix", [b"", b"\x01"])
def test_encoder(impl: Impl, prefix: bytes) -> None:
    encode = impl.converters.json_encoder(prefix)
    assert encode('{"a": "é"}') == prefix + '{"a": "é"}'.encode()
    assert encode(b'{"a": 1}') == prefix + b'{"a": 1}'
    assert encode("") == prefix
    assert encode(orjson.dumps({"a": 1})) == prefix + b'{"a":1}'


def test_encoder_of_a_lone_surrogate(impl: Impl) -> None:
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        impl.converters.json_encoder(b"")("\ud800")


@pytest.mark.parametrize("wrong", [None, 5, {"a": 1}, bytearray(b"{}")])
def test_encoder_of_what_is_no_document(impl: Impl, wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"not {type(wrong).__name__}: json_serializer must return"):
        impl.converters.json_encoder(b"\x01")(wrong)


@pytest.mark.parametrize("wrong", ["\x01", None, 1])
def test_encoder_prefix_is_bytes(impl: Impl, wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"use b'\\x01' for jsonb"):
        impl.converters.json_encoder(wrong)
