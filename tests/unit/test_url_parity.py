"""The same dictionary as the built-in dialect's, wherever that one understands the URL."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql.asyncpg import dialect as builtin_dialect
from sqlalchemy.exc import ArgumentError

from pgflight.options.url import connect_arguments, prepare_connect_kwargs

UNDERSTOOD = [
    "postgresql+asyncpg://",
    "postgresql+asyncpg:///db",
    "postgresql+asyncpg://h",
    "postgresql+asyncpg://u@h/db",
    "postgresql+asyncpg://u:p@h:5433/db",
    "postgresql+asyncpg://u:p%40ss%2Fword@h:5433/db",
    "postgresql+asyncpg://:5433/db",
    "postgresql+asyncpg://u:p@[::1]:5433/db",
    "postgresql+asyncpg://u:p@/db?host=hostA",
    "postgresql+asyncpg://u:p@/db?host=hostA:",
    "postgresql+asyncpg://u:p@/db?host=hostA:1234",
    "postgresql+asyncpg://u:p@/db?host=hostA:xyz",
    "postgresql+asyncpg://u:p@/db?host=hostA:123.456",
    "postgresql+asyncpg://u:p@/db?host=192.168.1.50:5678",
    "postgresql+asyncpg://u:p@/db?host=/cloudsql/project:us-central1:instance",
    "postgresql+asyncpg://u:p@/db?host=/cloudsql/project:4567",
    "postgresql+asyncpg://u:p@/db?host=/tmp&port=5433",
    "postgresql+asyncpg://u:p@/db?host=a:1&host=b:2&host=c:3",
    "postgresql+asyncpg:///?host=a,b,c&port=1,2,3",
    "postgresql+asyncpg://u:p@fixed/db?port=111",
    "postgresql+asyncpg://u:p@fixed/db?host=hostA:111",
    "postgresql+asyncpg://u:p@fixed/db?host=hostA&port=111",
    "postgresql+asyncpg://u:p@fixed/db?host=hostA",
    "postgresql+asyncpg://u:p@fixed:999/db?host=hostA",
    "postgresql+asyncpg://u:p@/db?port=111",
    "postgresql+asyncpg://u:p@h/db?user=other&password=secret&database=elsewhere",
    "postgresql+asyncpg://u:p@h/db?ssl=require",
    "postgresql+asyncpg://u:p@h/db?ssl=verify-full",
    "postgresql+asyncpg://u:p@h/db?ssl=disable",
    "postgresql+asyncpg://u:p@h/db?prepared_statement_cache_size=50",
    "postgresql+asyncpg://u:p@h/db?target_session_attrs=primary&krbsrvname=pg&gsslib=gssapi",
    "postgresql+asyncpg://u:p@h/db?passfile=/home/u/pgpass",
]

REFUSED = [
    "postgresql+asyncpg://u:p@/db?host=a&host=b:2&host=c:3",
    "postgresql+asyncpg://u:p@/db?host=a:1&host=b&host=c",
    "postgresql+asyncpg://u:p@/db?host=a,b,&port=1,2,3",
    "postgresql+asyncpg://u:p@/db?host=a:1&host=b:vvv&host=c:3",
    "postgresql+asyncpg://u:p@/db?host=a,b:,c&port=111,vvv,333",
    "postgresql+asyncpg://u:p@/db?host=a:xyz&host=b:123",
    "postgresql+asyncpg://u:p@/db?host=a&port=xyz",
    "postgresql+asyncpg://u:p@/db?host=a,c&port=111,222,333",
    "postgresql+asyncpg://u:p@/db?host=a&port=111,222",
    "postgresql+asyncpg://u:p@/db?host=a,b,c&port=111,333",
    "postgresql+asyncpg:///?host=a&host=a&port=5432,5432",
]


def built_in(text: str) -> dict[str, Any]:
    dialect: Any = builtin_dialect  # SQLAlchemy leaves it untyped
    positional, arguments = dialect().create_connect_args(make_url(text))
    assert not positional
    return dict(arguments)


@pytest.mark.parametrize("text", UNDERSTOOD)
def test_same_arguments(text: str) -> None:
    expected = built_in(text)
    ours = connect_arguments(make_url(text))
    assert ours == expected
    assert {name: type(ours[name]) for name in ours} == {
        name: type(expected[name]) for name in expected
    }


@pytest.mark.parametrize("text", [text for text in UNDERSTOOD if "verify-full" not in text])
def test_and_they_reach_asyncpg_unchanged(text: str) -> None:
    kwargs = prepare_connect_kwargs(connect_arguments(make_url(text))).kwargs
    expected = built_in(text)
    if expected.get("ssl") == "require":  # ours is a context, which the TLS tests look at
        del expected["ssl"], kwargs["ssl"]
    assert kwargs == expected


@pytest.mark.parametrize("text", REFUSED)
def test_same_refusal(text: str) -> None:
    with pytest.raises(ArgumentError) as theirs:
        built_in(text)
    with pytest.raises(ArgumentError) as ours:
        connect_arguments(make_url(text))
    # our sentence goes on with the fix
    first_words = str(theirs.value).split(";")[0]
    assert str(ours.value).startswith(first_words)
