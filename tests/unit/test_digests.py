"""What statements are called where many are counted."""

from __future__ import annotations

import pytest

from pgflight.sqltext.digests import digest, without_values

SAME = [
    ("SELECT a FROM t WHERE b IN ($1::INTEGER, $2::INTEGER)", "select a from t where b in (?, …)"),
    ("select a from t where b in (1,2,3,4) -- why", "select a from t where b in (?, …)"),
    (
        "SELECT a\nFROM t /* a /* b */ */ WHERE b IN ('x', 'y''z')",
        "select a from t where b in (?, …)",
    ),
    (
        "INSERT INTO t (a, b) VALUES ($1::INTEGER, $2::VARCHAR)",
        "insert into t (a, b) values (?, …)",
    ),
    (
        "INSERT INTO t (a, b) VALUES ($1::INTEGER, $2::VARCHAR), ($3::INTEGER, $4::VARCHAR)",
        "insert into t (a, b) values (?, …)",
    ),
    ('SELECT "T"."X"::text', 'select "T"."X"::text'),
    ("SELECT s.f(a.b)", "select s.f (a.b)"),
    ("SELECT 1", "select ?"),
    ("SELECT 1.5", "select ?"),
    ("SELECT 1e5 /*traceparent='00-1'*/", "select ?"),
    ("SELECT 1.5e10", "select ?"),
    ("SELECT 0xff", "select ?"),
    ("SELECT 0b101", "select ?"),
    ("SELECT 1_000", "select ?"),
    ("SELECT E'a\\'b'", "select ?"),
    ("SELECT $$a$$", "select ?"),
    ("SELECT $tag$a$tag$", "select ?"),
    ("SELECT $1", "select ?"),
]


@pytest.mark.parametrize(("text", "expected"), SAME)
def test_without_values(text: str, expected: str) -> None:
    assert without_values(text) == expected
    assert len(digest(expected)) == 16


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'secret",
        "SELECT U&'secret'",
        "SELECT /* secret",
        "SELECT $$secret",
        "SELECT 'a\\' || 'secret'",
        "SELECT 1 WHERE 'secret' = '" + "x" * 30_000 + "'",
        "SELECT \ud800, 'secret'",
        "SELECT \0 'secret'",
    ],
)
def test_nothing_of_a_value_is_shown(text: str) -> None:
    shown = without_values(text)
    assert shown.startswith("select") and "secret" not in shown
    assert digest(shown) == digest(without_values(text))


def test_many_values_take_no_time() -> None:
    row = ", ".join(f"${n}::INTEGER" for n in range(9))
    text = f"INSERT INTO t VALUES ({row}) RETURNING a"
    many = text.replace(f"({row})", ", ".join([f"({row})"] * 1000))
    assert without_values(many) == without_values(text)
