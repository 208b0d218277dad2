"""JSON in bulk, from fixed seeds: both forms against json.loads and json.dumps."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from typing import Any

import pytest

from tests.differential import randomjson
from tests.fixtures.impl import load
from tests.fixtures.scale import scaled

# Documents and values per seed; fewer where each takes long, under sanitizers for instance.
COUNT = scaled(25_000, least=3_000)
NUMBERS = scaled(1_500_000, least=100_000)
FORMS = (load("compiled"), load("python"))
LOADS = [form.jsondecode.loads for form in FORMS]
DECODERS = [
    form.jsondecode.json_decoder(None, takes_bytes=False, prefix=prefix)
    for form in FORMS
    for prefix in (0, 1)
]
DUMPS = [form.jsonencode.dumps for form in FORMS]


def told(call: Callable[[Any], Any], argument: Any) -> tuple[Any, ...]:
    """Return what `call` does, in a form that compares exactly.

    Of plain JSON values, repr() tells the types, the order of keys and every bit of a float;
    equality of the values adds that strings are as narrow as they have to be.
    """
    try:
        value = call(argument)
    except Exception as error:
        return type(error), str(error), vars(error), getattr(error, "__notes__", None)
    written = repr(value)
    return ("value", written, None if "nan" in written else value)


def decode_alike(data: bytes) -> bool:
    """Compare all decoders on one document; tell whether it is valid."""
    expected = told(lambda data: json.loads(data.decode()), data)
    versioned = b"\x01" + data
    for number, decode in enumerate(DECODERS):
        assert told(decode, versioned if number % 2 else data) == expected, data
    return bool(expected[0] == "value")


@pytest.mark.parametrize("seed", range(4))
def test_documents(seed: int) -> None:
    source = random.Random(seed)
    valid = 0
    for _ in range(COUNT):
        text = randomjson.document(source)
        expected = told(json.loads, text)
        for loads in LOADS:
            assert told(loads, text) == expected, text
        valid += decode_alike(text.encode())
    assert valid > COUNT * 0.996  # the others have integers beyond the limit, if any


@pytest.mark.parametrize("seed", range(100, 102))
def test_mutations(seed: int) -> None:
    source = random.Random(seed)
    invalid = 0
    for _ in range(COUNT):
        invalid += not decode_alike(
            randomjson.damaged(source, randomjson.document(source).encode())
        )
    assert invalid > COUNT // 2


@pytest.mark.parametrize("seed", range(200, 204))
def test_values(seed: int) -> None:
    source = random.Random(seed)
    refused = 0
    for _ in range(COUNT):
        value = randomjson.value(source)
        expected = told(json.dumps, value)
        for dumps in DUMPS:
            assert told(dumps, value) == expected, value
        refused += expected[0] != "value"
    assert COUNT // 250 < refused < COUNT * 2 // 5


def bits(values: list[float]) -> bytes:
    return struct.pack(f"!{len(values)}d", *values)


def numerals(source: random.Random, count: int) -> list[str]:
    """Return numbers with a point or an exponent, each in a form that a program may write."""
    forms: tuple[Callable[[], str], ...] = (
        lambda: repr(struct.unpack("!d", source.randbytes(8))[0]),
        lambda: repr(source.uniform(-1, 1) * 10.0 ** source.randrange(-30, 30)),
        lambda: f"{source.randrange(10 ** source.randrange(1, 20))}.{source.randrange(10**7):07}",
        lambda: f"{source.randrange(1, 10**19)}e{source.randrange(-40, 30)}",
        lambda: f"{source.uniform(0, 1e6):.{source.randrange(1, 20)}f}",
        # Half-way between two doubles, and next to it.
        lambda: f"{2**53 + 2 * source.randrange(2**51) + 1 + source.randrange(-1, 2)}.0",
        lambda: (
            f"{(2**54 + 4 * source.randrange(2**51) + 2) * 5**3 + source.choice((-1, 0, 1))}e-3"
        ),
        lambda: f"{source.randrange(2**52, 2**53) * 2 + 1}e{source.randrange(-22, 3)}",
    )
    found = [form() for form in source.choices(forms, k=count)]
    return [text for text in found if "n" not in text]


@pytest.mark.parametrize(
    "count", [20_000, pytest.param(NUMBERS, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_floats_are_read_bit_for_bit(count: int) -> None:
    source = random.Random(300)
    for _ in range(count // 1000):
        texts = numerals(source, 1000)
        document = f"[{', '.join(texts)}]"
        expected = [float(text) for text in texts]
        for loads in LOADS:
            assert bits(loads(document)) == bits(expected)


@pytest.mark.parametrize(
    "count", [20_000, pytest.param(NUMBERS, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_floats_are_written_as_repr_does(count: int) -> None:
    source = random.Random(301)
    for _ in range(count // 1000):
        values = [randomjson.real(source) for _ in range(500)]
        values += [float(text) for text in numerals(source, 500)]
        expected = json.dumps(values)
        for dumps in DUMPS:
            assert dumps(values) == expected
