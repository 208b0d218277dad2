"""options=-c..., application_name and server_settings become asyncpg's server_settings."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from pgflight.options.server_settings import parse_options
from pgflight.options.url import connect_arguments, prepare_connect_kwargs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("   ", {}),
        ("-c jit=off", {"jit": "off"}),
        ("-cjit=off", {"jit": "off"}),
        ("--jit=off", {"jit": "off"}),
        ("-c jit=off --work-mem=64MB -cgeqo=on", {"jit": "off", "work_mem": "64MB", "geqo": "on"}),
        ("-c search_path=a,b", {"search_path": "a,b"}),
        (r"-c search_path=a,\ b", {"search_path": "a, b"}),
        (r"-c DateStyle=ISO,\ DMY  ", {"DateStyle": "ISO, DMY"}),
        (r"-c app.path=c:\\temp", {"app.path": r"c:\temp"}),
        ("-c search_path=", {"search_path": ""}),
        ("-c a.b=x=y", {"a.b": "x=y"}),
        ("\t-c\tjit=off\n", {"jit": "off"}),
        ("-c jit=on -c jit=off", {"jit": "off"}),
        ("endpoint=ep-1", {"options": "endpoint=ep-1"}),
        ("project=p-1 -c jit=off", {"options": "project=p-1", "jit": "off"}),
        ("reference=abc", {"options": "reference=abc"}),
        ("--cluster=name-123", {"options": "--cluster=name-123"}),
        (r"endpoint=a\ b --cluster=c", {"options": r"endpoint=a\ b --cluster=c"}),
    ],
)
def test_options(text: str, expected: dict[str, str]) -> None:
    assert parse_options(text) == expected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("jit=off", "'jit=off'"),
        ("-W 5", "'-W'"),
        ("-c jit=off nonsense", "'nonsense'"),
        ("-c", "''"),
        ("-c jit", "'jit'"),
        ("--jit", "'jit'"),
        ("-c =off", "'=off'"),
        ("-c 1jit=off", "'1jit=off'"),
        ("-c --jit=off", "'--jit=off'"),
    ],
)
def test_anything_else_is_an_error(text: str, shown: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_options(text)
    assert shown in str(caught.value) and repr(text) in str(caught.value)
    assert "-c name=value" in str(caught.value)


def settings(query: dict[str, str], **connect_args: Any) -> dict[str, str] | None:
    url = URL.create("postgresql+asyncpg", host="h", query=query)
    kwargs = prepare_connect_kwargs({**connect_arguments(url), **connect_args}).kwargs
    found: dict[str, str] | None = kwargs.get("server_settings")
    return found


def test_an_error_shows_when_the_engine_is_made() -> None:
    with pytest.raises(ArgumentError, match="options='-x'"):
        connect_arguments(make_url("postgresql+asyncpg://h/?options=-x"))


def test_no_settings_no_argument() -> None:
    assert settings({}) is None
    assert settings({"options": ""}) is None


def test_application_name() -> None:
    assert settings({"application_name": "a"}) == {"application_name": "a"}
    assert settings({"fallback_application_name": "f"}) == {"application_name": "f"}
    both = {"application_name": "a", "fallback_application_name": "f"}
    assert settings(both) == {"application_name": "a"}


def test_the_most_explicit_wins() -> None:
    query = {
        "fallback_application_name": "fallback",
        "options": "-c application_name=options -c jit=off -c geqo=off",
        "application_name": "named",
    }
    rest = {"jit": "off", "geqo": "off"}
    assert settings(query) == {"application_name": "named", **rest}
    del query["application_name"]
    assert settings(query) == {"application_name": "options", **rest}
    in_code = {"application_name": "code", "jit": "on"}
    assert settings(query, server_settings=in_code) == {
        "application_name": "code",
        "jit": "on",
        "geqo": "off",
    }


def test_values_of_settings_become_text() -> None:
    given = {"jit": False, "geqo": True, "statement_timeout": 5000, "seq_page_cost": 1.5, "a": "b"}
    assert settings({}, server_settings=given) == {
        "jit": "off",
        "geqo": "on",
        "statement_timeout": "5000",
        "seq_page_cost": "1.5",
        "a": "b",
    }
