"""Hypothesis strategies for JSON text: valid, decorated, damaged and arbitrary."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

NUMBERS = st.one_of(
    st.integers(),
    st.integers(min_value=-(10**40), max_value=10**40),
    st.floats(),
    st.sampled_from(["-0", "1E5", "1e400", "-0.0", "0.1e-400", "1" * 60 + ".5", "-1.0E+2"]),
)
# Lone surrogates can be written as escapes, so they belong to the text of a document.
TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXT)


def _render(value: Any, ascii_only: bool, indent: int | None) -> str:
    return json.dumps(value, ensure_ascii=ascii_only, indent=indent)


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(TEXT, inner, max_size=5)),
    max_leaves=20,
)
VALID = st.builds(_render, VALUES, st.booleans(), st.sampled_from([None, None, 1]))
RAW_NUMBERS = st.from_regex(r"\A-?[0-9]{1,25}(\.[0-9]{0,20})?([eE][+-]?[0-9]{0,4})?\Z")
PADDED = st.builds("{}{}{}".format, st.text(" \t\n\r", max_size=3), VALID, st.text(" \t\n\r\v,]x"))


@st.composite
def _damaged(draw: st.DrawFn) -> str:
    text = draw(VALID)
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 3)))
    return text[:start] + draw(st.text('{}[]",:\\u0019eE+-. \n\ufeff', max_size=3)) + text[end:]


DOCUMENTS = st.one_of(
    VALID, RAW_NUMBERS, PADDED, _damaged(), st.text('{}[]",:\\tfnul019eE+-. ', max_size=12)
)
ANY_TEXT = st.one_of(DOCUMENTS, st.text(max_size=30))
