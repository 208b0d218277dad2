"""JSON: the compiled form, the Python form and the standard library say the same."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential.documents import ANY_TEXT, DOCUMENTS
from tests.differential.outcome import outcome
from tests.fixtures.impl import load

compiled = load("compiled")
python = load("python")
MANY = settings(max_examples=1000, deadline=None)
SOME = settings(max_examples=300, deadline=None)


@MANY
@given(ANY_TEXT)
def test_loads(text: str) -> None:
    expected = outcome(json.loads, text, messages=True)
    assert outcome(compiled.jsondecode.loads, text, messages=True) == expected
    assert outcome(python.jsondecode.loads, text, messages=True) == expected


@MANY
@given(
    st.one_of(DOCUMENTS.map(lambda text: text.encode(errors="surrogatepass")), st.binary()),
    st.sampled_from([b"", b"\x01", b"\x02"]),
)
def test_decoders(data: bytes, version: bytes) -> None:
    expected = outcome(lambda: json.loads(data.decode()), messages=True)
    for form in (compiled, python):
        decode = form.jsondecode.json_decoder(None, takes_bytes=False, prefix=len(version))
        assert outcome(decode, version + data, messages=True) == expected


@SOME
@given(st.binary(max_size=20), st.sampled_from([0, 1]), st.booleans())
def test_decoders_with_a_deserializer(data: bytes, prefix: int, takes_bytes: bool) -> None:
    def told(form: Any) -> tuple[Any, ...]:
        decode = form.jsondecode.json_decoder(
            lambda given: given, takes_bytes=takes_bytes, prefix=prefix
        )
        return outcome(decode, data, messages=True)

    rest = data[prefix:]
    expected = outcome(lambda: rest if takes_bytes else rest.decode(), messages=True)
    assert told(compiled) == told(python) == expected


@SOME
@given(
    st.one_of(
        st.text(st.characters(exclude_categories=()), max_size=20),
        st.binary(max_size=20),
        st.none(),
        st.integers(),
        st.binary(max_size=5).map(bytearray),
    ),
    st.sampled_from([b"", b"\x01"]),
)
def test_encoders(document: Any, prefix: bytes) -> None:
    def told(form: Any) -> tuple[Any, ...]:
        return outcome(lambda: form.jsonencode.json_encoder(prefix)(document), messages=True)

    assert told(compiled) == told(python)
    if isinstance(document, bytes):
        assert told(compiled) == outcome(lambda: prefix + document)
