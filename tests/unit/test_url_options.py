"""The table of options: complete, typed, and clear about what it does not take."""

from __future__ import annotations

import inspect
from typing import Any

import asyncpg
import pytest
from asyncpg.connect_utils import SessionAttribute, SSLMode
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from pgflight.options.engine_options import NAMES, EngineOptions
from pgflight.options.kinds import PerHost
from pgflight.options.suggestions import ELSEWHERE, nearest_option
from pgflight.options.table import OPTIONS, Target
from pgflight.options.url import connect_arguments, prepare_connect_kwargs

LIBPQ_18 = """
    service user password passfile channel_binding connect_timeout dbname host hostaddr port
    client_encoding options application_name fallback_application_name keepalives keepalives_idle
    keepalives_interval keepalives_count tcp_user_timeout sslmode sslnegotiation sslcompression
    sslcert sslkey sslcertmode sslpassword sslrootcert sslcrl sslcrldir sslsni requirepeer
    require_auth min_protocol_version max_protocol_version ssl_min_protocol_version
    ssl_max_protocol_version gssencmode krbsrvname gsslib gssdelegation replication
    target_session_attrs load_balance_hosts scram_client_key scram_server_key oauth_issuer
    oauth_client_id oauth_client_secret oauth_scope sslkeylogfile
""".split()
"""What PQconndefaults() of libpq 18.0 lists."""


def from_url(query: str) -> dict[str, Any]:
    return connect_arguments(make_url(f"postgresql+asyncpg://u:p@h/db?{query}"))


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGSSLMODE", "PGSSLROOTCERT", "PGSERVICEFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", LIBPQ_18)
def test_every_libpq_option_is_known(name: str) -> None:
    assert name in OPTIONS


def test_every_asyncpg_argument_is_known_and_each_argument_exists() -> None:
    accepted = set(inspect.signature(asyncpg.connect).parameters)
    assert accepted <= set(OPTIONS)
    passed_on = {
        option.alias_of or option.name
        for option in OPTIONS.values()
        if option.target is Target.ARGUMENT
    }
    assert passed_on <= accepted


def test_aliases_lead_to_options_of_the_same_target() -> None:
    aliases = [option for option in OPTIONS.values() if option.alias_of]
    assert {option.name for option in aliases} == {"dbname", "connect_timeout", "loadBalanceHosts"}
    for option in aliases:
        assert OPTIONS[option.alias_of].target is option.target


@pytest.mark.parametrize(
    ("query", "name", "expected"),
    [
        ("statement_cache_size=0", "statement_cache_size", 0),
        ("max_cached_statement_lifetime=1.5", "max_cached_statement_lifetime", 1.5),
        ("max_cacheable_statement_size=1024", "max_cacheable_statement_size", 1024),
        ("prepared_statement_cache_size=500", "prepared_statement_cache_size", 500),
        ("command_timeout=2.5", "command_timeout", 2.5),
        ("timeout=10", "timeout", 10.0),
        ("connect_timeout=10", "timeout", PerHost(10)),
        ("connect_timeout=0", "timeout", None),
        ("connect_timeout=-1", "timeout", None),
        ("dbname=other", "database", "other"),
        ("direct_tls=on&sslmode=require", "direct_tls", True),
        ("async_fallback=true", "async_fallback", True),
        ("async_fallback=0", "async_fallback", False),
        ("sslmode=verify_full", "sslmode", "verify-full"),
        ("ssl=require", "ssl", "require"),
        ("ssl=true", "ssl", True),
        ("ssl=off", "ssl", False),
        ("target_session_attrs=read-write", "target_session_attrs", "read-write"),
        ("loadBalanceHosts=true", "load_balance_hosts", "random"),
        ("keepalives=1", "keepalives", "1"),
        ("tcp_user_timeout=3000", "tcp_user_timeout", 3000),
        ("server_settings=%7B%22jit%22:%22off%22%7D", "server_settings", {"jit": "off"}),
        ("krbsrvname=pg", "krbsrvname", "pg"),
        ("gsslib=gssapi", "gsslib", "gssapi"),
        ("passfile=/p/pgpass", "passfile", "/p/pgpass"),
        ("client_encoding=utf-8", "client_encoding", "UTF8"),
        ("ssl_min_protocol_version=tlsv1.3", "ssl_min_protocol_version", "TLSv1.3"),
    ],
)
def test_text_is_coerced(query: str, name: str, expected: object) -> None:
    found = from_url(query)[name]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("command_timeout=abc", ["command_timeout='abc'", "in the URL", "command_timeout=30"]),
        ("command_timeout=0", ["command_timeout='0'", "greater than 0"]),
        ("timeout=inf", ["timeout='inf'"]),
        ("statement_cache_size=-1", ["statement_cache_size='-1'", "0 or more"]),
        ("prepared_statement_cache_size=ten", ["'ten'", "whole number"]),
        ("max_cached_statement_lifetime=nan", ["'nan'"]),
        ("sslmode=required", ["sslmode='required'", "require, verify-ca, verify-full"]),
        ("ssl=maybe", ["ssl='maybe'", "SSLContext"]),
        ("direct_tls=perhaps", ["true or false"]),
        ("target_session_attrs=master", ["'master'", "read-write"]),
        ("keepalives=often", ["keepalives='often'"]),
        ("tcp_user_timeout=1s", ["tcp_user_timeout='1s'"]),
        ("server_settings=jit", ["server_settings='jit'", "JSON"]),
        ("client_encoding=latin1", ["client_encoding='latin1'", "UTF8"]),
        ("port=0", ["port 0", "65535"]),
        ("ssl_min_protocol_version=SSLv3", ["'SSLv3'", "TLSv1.3"]),
        ("gsslib=mit", ["'mit'", "gssapi, sspi"]),
    ],
)
def test_wrong_value_names_value_option_and_fix(query: str, words: list[str]) -> None:
    with pytest.raises(ArgumentError) as caught:
        from_url(query)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("channel_binding=require", "SCRAM-SHA-256-PLUS"),
        ("gssencmode=require", "GSSAPI"),
        ("gssdelegation=1", "GSSAPI"),
        ("require_auth=scram-sha-256", "method"),
        ("requirepeer=postgres", "socket"),
        ("replication=database", "replication protocol"),
        ("replication=on", "replication protocol"),
        ("sslsni=0", "names the host"),
        ("sslcompression=1", "dropped"),
        ("sslcertmode=require", "sslcert"),
        ("min_protocol_version=3.2", "3.0"),
        ("sslkeylogfile=keys.log", "SSLKEYLOGFILE"),
        ("oauth_issuer=https://id.example", "OAuth"),
        ("uselibpqcompat=false", "sslmode=verify-full"),
    ],
)
def test_what_asyncpg_cannot_do_is_refused_never_dropped(query: str, reason: str) -> None:
    with pytest.raises(ArgumentError, match="is not supported") as caught:
        from_url(query)
    assert reason in str(caught.value)


def test_refused_secrets_are_not_shown() -> None:
    with pytest.raises(ArgumentError) as caught:
        from_url("scram_client_key=hunter2")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ArgumentError) as caught:
        prepare_connect_kwargs({"password": ["hunter2"]})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "query",
    [
        "channel_binding=prefer",
        "channel_binding=disable",
        "gssencmode=prefer",
        "gssencmode=disable",
        "gssdelegation=0",
        "client_encoding=utf8",
        "client_encoding=auto",
        "replication=off",
        "sslcompression=0",
        "sslsni=1",
        "sslcertmode=allow",
        "min_protocol_version=3.0",
        "max_protocol_version=latest",
        "uselibpqcompat=true",
    ],
)
def test_what_asyncpg_does_anyway_is_accepted_and_not_passed_on(query: str) -> None:
    prepared = prepare_connect_kwargs(from_url(query))
    assert prepared.kwargs == {"user": "u", "password": "p", "host": "h", "database": "db"}
    assert prepared.socket_options == {}


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("sslmod", "sslmode"),
        ("ssl_mode", "sslmode"),
        ("ApplicationName", "application_name"),
        ("sslRootCert", "sslrootcert"),
        ("statement_cachesize", "statement_cache_size"),
        ("keepalive_idle", "keepalives_idle"),
        ("conect_timeout", "connect_timeout"),
    ],
)
def test_unknown_option_names_the_nearest(name: str, near: str) -> None:
    assert nearest_option(name) == near
    with pytest.raises(ArgumentError) as caught:
        from_url(f"{name}=1")
    assert f"{name!r} in the URL" in str(caught.value) and repr(near) in str(caught.value)
    with pytest.raises(ArgumentError) as caught:
        prepare_connect_kwargs({name: 1})
    assert f"{name!r} in connect_args" in str(caught.value) and repr(near) in str(caught.value)


@pytest.mark.parametrize("name", ["jit", "statement_timeout", "lock_timeout", "TimeZone"])
def test_server_setting_gets_the_place_where_it_belongs(name: str) -> None:
    for refused in (lambda: from_url(f"{name}=1"), lambda: prepare_connect_kwargs({name: "1"})):
        with pytest.raises(ArgumentError) as caught:
            refused()
        assert f"options=-c%20{name}%3D" in str(caught.value)
        assert f"server_settings={{{name!r}: 'value'}}" in str(caught.value)
        assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_options_of_other_tools_are_explained(name: str) -> None:
    assert name not in OPTIONS
    with pytest.raises(ArgumentError) as caught:
        from_url(f"{name}=1")
    assert ELSEWHERE[name] in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "dsn",
        "loop",
        "connection_class",
        "record_class",
        "async_creator_fn",
        "prepared_statement_name_func",
    ],
)
def test_objects_cannot_come_from_a_url(name: str) -> None:
    with pytest.raises(ArgumentError, match=f"{name}.*connect_args"):
        from_url(f"{name}=x")


def test_repeated_and_doubled_options() -> None:
    with pytest.raises(ArgumentError, match="'sslmode' is in the URL 2 times; keep one"):
        from_url("sslmode=require&sslmode=disable")
    with pytest.raises(ArgumentError, match="keep 'timeout'"):
        from_url("timeout=1&connect_timeout=2")
    assert from_url("timeout=2&connect_timeout=2")["timeout"] == 2.0


def test_enumerations_of_asyncpg_are_taken() -> None:
    prepared = prepare_connect_kwargs(
        {"ssl": SSLMode.prefer, "target_session_attrs": SessionAttribute.prefer_standby}
    )
    assert prepared.kwargs == {"ssl": "prefer", "target_session_attrs": "prefer-standby"}


def test_the_options_of_an_engine_are_the_dialects_rows_of_the_table() -> None:
    assert set(NAMES) == {name for name, row in OPTIONS.items() if row.target is Target.DIALECT}
    for name in NAMES:
        default = getattr(EngineOptions(), name)
        assert default is None or OPTIONS[name].coerce(default, "by default") == default
