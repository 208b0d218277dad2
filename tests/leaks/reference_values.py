"""What `references.py` calls of the pieces that convert values."""

from __future__ import annotations

import datetime as dt
import json
import random
import struct
import sys
import uuid
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from tests.differential import randomjson
from tests.fixtures.impl import Impl
from tests.unit import value_samples

Calls = dict[str, Callable[[], object]]
RANDOM = 100  # documents in one call


def value_calls(impl: Impl) -> Calls:
    """Return the calls by name; each may raise."""
    return {**_decoding(impl), **_encoding(impl), **_codecs(impl), **_uuids(impl)}


def attempt(call: Callable[[Any], Any], arguments: list[Any]) -> None:
    """Call with each argument in turn, whatever it raises."""
    for argument in arguments:
        try:
            call(argument)
        except Exception:
            pass


class Text(str):
    """Not exactly a text."""


def _documents() -> dict[str, list[str]]:
    keys = [f'{{"key{number}": 1, "{"k" * (number % 40)}{number}": 2}}' for number in range(2000)]
    return {
        "plain": ['{"a": [1, -2.5e3, null, true, false, "", "b", "text"], "b": {}, "c": []}'],
        "escapes": [
            '["\\u00e9\\ud83d\\ude00\\n", "' + "ж\\t" * 200 + '", "' + "\\u0416" * 600 + '"]'
        ],
        "long lists": [json.dumps(list(range(100_000, 100_200))), json.dumps([[{}]] * 50)],
        "many keys": keys,  # more than the decoder remembers
        "numbers": ["[1e400, 123456789012345678901234567890, 0.1e-5, 1.7976931348623157e308]"],
        "deep": ["[" * 150 + "]" * 150, '{"a":' * 150 + "1" + "}" * 150],
        "too deep": ["[" * 250 + "]" * 250, '[{"a":' * 250, "[" * 100_000],
        "not JSON": ["NaN", "[1, 2", '{"a": 1, "b', '{"a" 1}', '["\x01"]', "[01]", "", '{"a": x}',
                     "[" + "1, " * 40 + "x", '"' + "é" * 400, '"\\ud800', '["a", "\\x"]', "[1] 2"],
        "beyond": ["[" + "9" * 5000 + "]", '"\ud800"'],
    }  # fmt: skip


def _decoding(impl: Impl) -> Calls:
    loads = impl.jsondecode.loads
    source = random.Random(400)
    texts = [randomjson.document(source) for _ in range(RANDOM)]
    found: Calls = {
        "loads: random": lambda: attempt(loads, texts),
        "loads: others": lambda: attempt(loads, [Text("[1]"), b"[1]", bytearray(b"{"), 3, None]),
        "decoder: wrong prefix": lambda: impl.jsondecode.json_decoder(
            None, takes_bytes=False, prefix=2
        ),
    }
    for name, documents in _documents().items():
        found[f"loads: {name}"] = partial(attempt, loads, documents)
    sent = [document.encode() for document in texts]
    sent += [randomjson.damaged(source, data) for data in sent]
    sent += [b"\x01" + data for data in sent] + [b"", b"\x01", b'"\xff"', b"\x01[\xc3"]
    wrong = [bytearray(b"[1]"), "[1]", None]
    for prefix in (0, 1):
        for name, deserializer, takes_bytes in (
            ("standard", None, False),
            ("of text", json.loads, False),
            ("of bytes", json.loads, True),
            ("failing", struct.unpack, True),
        ):

            def make(prefix: int = prefix, own: Any = deserializer, raw: bool = takes_bytes) -> Any:
                return impl.jsondecode.json_decoder(own, takes_bytes=raw, prefix=prefix)

            found[f"decoder: {name} {prefix}"] = partial(attempt, make(), [*sent, *wrong])
            found[f"decoder: make {name} {prefix}"] = make
    return found


def _encoding(impl: Impl) -> Calls:
    dumps = impl.jsonencode.dumps
    source = random.Random(401)
    values = [randomjson.value(source) for _ in range(RANDOM)]
    ring: list[Any] = []
    ring.append(ring)
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    cases: dict[str, list[Any]] = {
        "random": values,
        "texts": ["é" * 2000, "\n\t\x00" * 500, "\ud800", "a" * 5000, "\U0001f600", Text("x")],
        "numbers": [0.1, 1e300, 5e-324, -(10**30), 10**4000, 10**5000, float("nan"), -0.0, True],
        "containers": [{"a": (1, [2])}, [[]] * 400, {1: 2}, {"a": 1, b"b": 2}, {None: {}}],
        "refused": [{"a": [1, {"b": {"c": b""}}]}, object, {1, 2}, ring, ["x" * 2000, b""]],
        "deep": [deep],
    }
    found: Calls = {
        f"dumps: {name}": partial(attempt, dumps, given) for name, given in cases.items()
    }

    class JSON:
        NULL = object()
        none_as_null = True

    class Null:
        pass

    binder = impl.jsonencode.json_binder(JSON, Null)
    bound: list[Any] = [{"a": 1}, [1], None, JSON.NULL, Null(), "text", {1, 2}]
    documents: list[Any] = ["[1]", '"é"', '"\ud800"', b"[1]", b"", 3, Text("[2]"), "x" * 3000]
    for front in (b"", b"\x01"):
        made = impl.jsonencode.json_encoder(front)
        found[f"encoder: {front!r}"] = partial(attempt, made, documents)
        found[f"encoder: make {front!r}"] = partial(impl.jsonencode.json_encoder, front)
    return found | {
        "binder": lambda: attempt(binder, bound),
        "binder: make": lambda: impl.jsonencode.json_binder(JSON, Null),
        "encoder: no bytes": lambda: impl.jsonencode.json_encoder("x"),  # type: ignore[arg-type]
        "dumps: standard": impl.jsonencode.standard,
    }


class Moment(dt.datetime):
    """A subclass, for which the long way is taken."""


class Money(Decimal):
    """As above."""


def _codecs(impl: Impl) -> Calls:
    codecs = {**impl.temporal.CODECS, **impl.numeric.CODECS}
    wires: dict[str, list[Any]] = {name: [b"", b"x" * 3, None, "text"] for name in codecs}
    values: dict[str, list[Any]] = {name: [None, 3, "text", object(), 1.5] for name in codecs}
    for name, value, wire in value_samples.BOTH_WAYS:
        wires[name].append(wire)
        values[name].append(value)
    sample: tuple[Any, ...]
    for sample in (*value_samples.DECODED, *value_samples.NOT_IN_PYTHON):
        wires[sample[0]].append(sample[1])
    for sample in (*value_samples.ENCODED, *value_samples.REFUSED):
        values[sample[0]].append(sample[1])
    zone = dt.timezone(dt.timedelta(hours=-3))
    for name in ("timestamp", "timestamptz"):
        values[name] += [Moment(2020, 2, 29), dt.datetime(2020, 1, 1, tzinfo=zone), dt.date.max]
    values["timetz"] += [dt.time(1, 2, 3, 4, zone), dt.time(1)]
    values["numeric"] += [Money("1.50"), Decimal("1e-300"), Decimal("9" * 200), Decimal("1e999999")]
    values["numeric"] += [Decimal("sNaN"), Money("-Infinity"), Decimal("1e-20000"), (0, (1,), 2)]
    found: Calls = {}
    for name, (encode, decode) in codecs.items():
        found[f"codec: encode {name}"] = partial(attempt, encode, values[name])
        found[f"codec: decode {name}"] = partial(attempt, decode, wires[name])
    return found


def _uuids(impl: Impl) -> Calls:
    value = uuid.UUID(int=2**127 + sys.maxsize)
    broken = uuid.UUID(int=5)
    object.__setattr__(broken, "int", -1)
    other = uuid.UUID(int=5)
    object.__setattr__(other, "int", "text")
    return {
        "uuids": lambda: impl.uuids.uuid_text(value),
        "uuids: others": lambda: attempt(
            impl.uuids.uuid_text, [None, "text", 3, broken, other, [value]]
        ),
    }
