"""What a statement with the comment of a trace is kept by."""

from __future__ import annotations

import pytest

from pgflight.sqltext.trace_comments import cache_key, casts_all_parameters, is_traced

ONE = "traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'"
TWO = "traceparent='00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00'"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 /*{}*/",
        "SELECT 1 /*db_driver='asyncpg',{},tracestate='a=b'*/",
        "/*dddbs='orders',{}*/ SELECT 1",
        "SELECT /* why */ 1 /*{}*/",
        "SELECT '/*' /*{}*/",
        "/* why */ SELECT 1 /*{}*/",
        "SELECT 1 /* route='%%2Fa/b', {} */",
        "SELECT 1 -- /*{}*/",
    ],
)
def test_two_traces_of_one_statement(text: str) -> None:
    one, two = text.format(ONE), text.format(TWO)
    assert cache_key(one) == cache_key(two) not in (one, two)
    assert is_traced(one)
    assert cache_key(one) != cache_key(one.replace("SELECT", "VALUES"))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "SELECT 1 /* why */",
        "/*+ SeqScan(t) */ SELECT 1",
        f"SELECT '{ONE}'".replace("='", "=''"),
        f"SELECT 1 /* a /*{ONE}*/ b */ + 1",
        f"/* a /*{ONE}*/ b */ SELECT 1",
        f"SELECT 1 /*{ONE}*/ + 1",
        # what only looks like a comment at the end, or is not the last thing that counts
        f"SELECT 1 /*{ONE}*/ + nextval('s') -- */",
        "SELECT 'a /*traceparent=' || nextval('s') -- */",
        "SELECT 'a /*traceparent='||nextval('s')||'b' --*/",
        f"SELECT 1 /*{ONE}\n, nextval('s') -- */",
        f"SELECT 1 /*{ONE},$$'a'*/",
        f"SELECT 1 /*{ONE} why*/",
        "*/",
        "/*",
        "",
    ],
)
def test_the_others_are_kept_by_their_text(text: str) -> None:
    assert cache_key(text) is text
    assert not is_traced(text)


@pytest.mark.parametrize(
    ("text", "all_cast"),
    [
        ("SELECT 1", True),
        ("SELECT $1::INTEGER, $12::VARCHAR", True),
        ("SELECT 1 WHERE 1 = ANY (CAST($1 AS INTEGER[]))", True),
        ("SELECT $1", False),
        ("SELECT $1::INTEGER, $12", False),
        ("SELECT $1 AS a", False),
        ("SELECT $1 :: INTEGER", False),
    ],
)
def test_parameters_that_are_cast(text: str, all_cast: bool) -> None:
    assert casts_all_parameters(text) is all_cast
