"""Rows: both forms convert the same, fail the same and leave the same behind."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.differential.outcome import exact, outcome
from tests.fixtures.impl import load
from tests.unit.record_source import records

compiled = load("compiled").rows
python = load("python").rows
SOME = settings(max_examples=500, deadline=None)

VALUES = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=5)
)
ELEMENTS = st.one_of(
    st.lists(VALUES, max_size=5),
    st.lists(VALUES, max_size=5).map(tuple),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.dictionaries(st.text(max_size=3), VALUES, max_size=3),
    st.builds(range, st.integers(0, 5)),
    st.integers(),
    st.none(),
)
# What SQLAlchemy's cursor takes a count from, said in another way than `rows` says it.
COUNTED = re.compile(r"(?:(?:SELECT|UPDATE|DELETE) |INSERT \d+ )(?P<count>\d+)")
TAGS = st.one_of(
    st.none(),
    st.from_regex(r"\A(SELECT|UPDATE|DELETE|INSERT|MERGE|COPY|FETCH)( \d{0,12}){0,3}\w?\Z"),
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["SELECT ", "UPDATE ", "DELETE ", "INSERT ", "INSERT 0 ", "insert 0 "]),
        st.text(st.characters(categories=["Nd", "No", "Nl", "Zs"]), max_size=4),
        st.text(max_size=3),
    ),
    st.text(max_size=12),
)


@SOME
@given(st.lists(ELEMENTS, max_size=8))
def test_tuples(given_rows: list[Any]) -> None:
    left, right = list(given_rows), list(given_rows)
    ours = outcome(compiled.tuples, left, messages=True)
    assert ours == outcome(python.tuples, right, messages=True)
    assert exact(left) == exact(right)
    if ours[0] == "value":
        assert exact(left) == exact([tuple(row) for row in given_rows])


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
            st.one_of(st.none(), st.text("ab", max_size=3)),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_tuples_of_records(rows: list[tuple[int, str, str | None]]) -> None:
    given_rows = records(["number", "text", "optional"], rows)
    assert exact(compiled.tuples(list(given_rows))) == exact(rows)
    assert exact(python.tuples(list(given_rows))) == exact(rows)


@SOME
@given(st.one_of(st.tuples(ELEMENTS), st.text(), st.none(), st.integers(), st.binary()))
def test_tuples_of_no_list(wrong: Any) -> None:
    ours = outcome(compiled.tuples, wrong, messages=True)
    assert ours == outcome(python.tuples, wrong, messages=True)
    assert ours[:2] == ("error", TypeError)


@settings(max_examples=2000, deadline=None)
@given(TAGS)
@example("SELECT " + "9" * 5000)
@example("INSERT " + "9" * 5000 + " 3")
@example("SELECT 1\N{ARABIC-INDIC DIGIT TWO}3")
def test_rowcount(status: str | None) -> None:
    def reference() -> int:
        found = COUNTED.match(status or "")
        return int(found["count"]) if found else -1

    expected = outcome(reference, messages=True)
    assert outcome(compiled.rowcount, status, messages=True) == expected
    assert outcome(python.rowcount, status, messages=True) == expected


@SOME
@given(st.one_of(TAGS.map(lambda tag: (tag or "").encode()), st.binary()))
@example("SELECT 1\N{ARABIC-INDIC DIGIT TWO}3".encode())
@example(b"SELECT \xff")
def test_rowcount_of_bytes(status: bytes) -> None:
    expected = outcome(lambda: python.rowcount(status.decode()), messages=True)
    assert outcome(compiled.rowcount, status, messages=True) == expected
    assert outcome(python.rowcount, status, messages=True) == expected


@SOME
@given(
    st.one_of(
        st.binary().map(bytearray),
        st.integers(),
        st.booleans(),
        st.lists(st.integers(), max_size=3),
    )
)
def test_rowcount_of_no_text(wrong: Any) -> None:
    ours = outcome(compiled.rowcount, wrong, messages=True)
    assert ours == outcome(python.rowcount, wrong, messages=True)
    assert ours[:2] == ("error", TypeError)
