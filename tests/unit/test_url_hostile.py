"""URLs and options that nobody would write: an ArgumentError, and no other error."""

from __future__ import annotations

import warnings
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import URL
from sqlalchemy.exc import ArgumentError

from pgflight.dialect import PGDialect_asyncpg
from pgflight.options.table import OPTIONS
from pgflight.options.url import connect_arguments, prepare_connect_kwargs

NAMES = sorted({*OPTIONS, "host", "port", "user", "password", "database", "dbname", "nonsense"})
ODD = (
    *("", "\0", "\ud800", " ", "\n", "é", "٣", "%", "/", "../x", "x" * 5000, "9" * 5000),
    *("1", "-1", "0", "true", "on", "inf", "nan", "1e400", "10s", "1,2,3", "verify-full"),
    *("a:b", "a,b", ",", ":", "[", "[::1]", "[::1", "]", "host:99999", "-c a=b"),
)
TEXTS = st.sampled_from(ODD) | st.text(max_size=12)
ANYTHING = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.binary(max_size=5)),
    *(st.lists(TEXTS, max_size=3), st.tuples(TEXTS), st.dictionaries(TEXTS, TEXTS, max_size=2)),
    *(st.just(object()), st.just(print), st.just(1j), st.just(10**5000)),
)
QUERIES = st.dictionaries(
    st.sampled_from(NAMES) | TEXTS.filter(bool),
    TEXTS | st.lists(TEXTS, min_size=1, max_size=3).map(tuple),
    max_size=4,
)


@settings(max_examples=150, derandomize=True)
@given(
    *(TEXTS, TEXTS, TEXTS | st.none(), st.none() | st.integers(-5, 70_000), TEXTS | st.none()),
    *(QUERIES, st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=3)),
)
def test_an_argument_error_or_none(
    user: str,
    password: str,
    host: str | None,
    port: int | None,
    database: str | None,
    query: dict[str, Any],
    connect_args: dict[str, Any],
) -> None:
    url = URL.create("postgresql+pgflight", user, password, host, port, database, query)
    arguments: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for make in (PGDialect_asyncpg().create_connect_args, connect_arguments):
            try:
                made: Any = make(url)
                arguments = made[1] if isinstance(made, tuple) else made
            except ArgumentError:
                pass
        try:
            kwargs = prepare_connect_kwargs({**arguments, **connect_args}).kwargs
        except ArgumentError as error:
            assert "password" in connect_args or len(password) < 5 or password not in str(error)
            return
    for name in ("user", "database", "password"):
        value = kwargs.get(name)
        assert not (isinstance(value, str) and "\0" in value), name
    for name, value in kwargs.get("server_settings", {}).items():
        assert "\0" not in name + value
