"""connect_args, laid over a URL: what asyncpg.connect and the socket get."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import asyncpg
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from pgflight.dbapi import module
from pgflight.dialect import PGDialect_asyncpg
from pgflight.options.secret import Secret
from pgflight.options.url import PreparedArguments, connect_arguments, prepare_connect_kwargs


class OwnConnection(asyncpg.Connection):  # type: ignore[misc]
    """A connection class of the user's."""


def prepared(query: str = "", **connect_args: Any) -> PreparedArguments:
    """What SQLAlchemy hands over: the URL's arguments, updated with connect_args."""
    arguments = connect_arguments(make_url(f"postgresql+asyncpg://h/?{query}"))
    return prepare_connect_kwargs({**arguments, **connect_args})


def test_two_fields() -> None:
    kwargs, socket_options = prepared("keepalives_idle=30&command_timeout=5")
    assert kwargs == {"host": "h", "command_timeout": 5.0}
    assert socket_options == {"keepalives_idle": 30}


def test_connect_args_win() -> None:
    kwargs = prepared(
        "timeout=1&application_name=url&statement_cache_size=7",
        timeout=2,
        application_name="code",
        statement_cache_size="8",
    ).kwargs
    assert kwargs == {
        "host": "h",
        "timeout": 2,
        "statement_cache_size": 8,
        "server_settings": {"application_name": "code"},
    }


def test_connect_args_may_use_the_other_name() -> None:
    assert prepared("timeout=1", connect_timeout="3").kwargs["timeout"] == 3.0
    assert prepared("connect_timeout=1", timeout=4).kwargs["timeout"] == 4
    assert prepared("dbname=a", dbname="b").kwargs["database"] == "b"


def test_none_is_the_default_and_for_ever_for_timeout() -> None:
    kwargs = prepare_connect_kwargs(
        {
            "ssl": None,
            "timeout": None,
            "command_timeout": None,
            "server_settings": None,
            "statement_cache_size": None,
            "async_creator_fn": None,
        }
    ).kwargs
    assert kwargs == {"timeout": None}


def test_objects_pass_as_they_are() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    context = ssl.create_default_context()
    given = {
        "connection_class": OwnConnection,
        "record_class": asyncpg.Record,
        "loop": loop,
        "dsn": "postgresql://h/db",
        "password": lambda: "secret",
        "ssl": context,
        "prepared_statement_name_func": lambda: "x",
        "async_creator_fn": asyncpg.connect,
    }
    assert prepare_connect_kwargs(given).kwargs == given


def test_the_dialect_s_own_options_stay_and_are_coerced() -> None:
    kwargs = prepare_connect_kwargs(
        {"prepared_statement_cache_size": "0", "async_fallback": "true"}
    ).kwargs
    assert kwargs == {"prepared_statement_cache_size": 0, "async_fallback": True}
    with pytest.raises(ArgumentError, match="prepared_statement_name_func='x' in connect_args"):
        prepare_connect_kwargs({"prepared_statement_name_func": "x"})


def test_unknown_arguments_reach_a_creator_of_the_user_s() -> None:
    with pytest.raises(ArgumentError, match="'project' in connect_args"):
        prepare_connect_kwargs({"project": "p"})
    kwargs = prepare_connect_kwargs({"project": "p", "async_creator_fn": asyncpg.connect}).kwargs
    assert kwargs == {"project": "p", "async_creator_fn": asyncpg.connect}


def test_an_argument_of_a_newer_asyncpg_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgflight.options.url._ASYNCPG_PARAMETERS", frozenset({"warp_drive"}))
    assert prepare_connect_kwargs({"warp_drive": object}).kwargs == {"warp_drive": object}


def test_the_given_mapping_is_left_alone() -> None:
    given = connect_arguments(
        make_url(
            "postgresql+asyncpg:///d?host=a,b&load_balance_hosts=random&options=-cjit%3Doff&sslmode=allow"
        )
    )
    before = dict(given)
    first = prepare_connect_kwargs(given)
    assert given == before
    assert sorted(prepare_connect_kwargs(given).kwargs["host"]) == sorted(first.kwargs["host"])


def test_preparing_twice_changes_nothing() -> None:
    once = prepared("command_timeout=5&options=-cjit%3Doff&sslmode=prefer&user=u").kwargs
    assert prepare_connect_kwargs(once).kwargs == once


def test_socket_options() -> None:
    query = (
        "keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=3"
        "&tcp_user_timeout=20000"
    )
    assert prepared(query).socket_options == {
        "keepalives": 1,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 20000,
    }
    assert prepared(query, keepalives=False, tcp_user_timeout=0).socket_options == {
        "keepalives": 0,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 0,
    }


def test_socket_options_mean_nothing_on_a_unix_socket() -> None:
    query = "keepalives_idle=30&tcp_user_timeout=1"
    assert prepared(query, host="/var/run/postgresql").socket_options == {}
    assert prepared(query, host=["/a", "/b"]).socket_options == {}
    assert prepared(query, host=["/a", "b"]).socket_options != {}


@pytest.mark.parametrize(
    ("connect_args", "message"),
    [
        ({"statement_cache_size": True}, "statement_cache_size=True in connect_args"),
        ({"statement_cache_size": 1.5}, "statement_cache_size=1.5 in connect_args"),
        ({"command_timeout": -1}, "command_timeout=-1 in connect_args"),
        ({"command_timeout": [1]}, "takes a number of seconds greater than 0"),
        ({"host": 5}, "host=5 in connect_args"),
        ({"user": b"u"}, "user=b'u' in connect_args"),
        ({"ssl": 1}, "ssl=1 in connect_args"),
        ({"server_settings": {"jit": None}}, "names and values of server settings"),
        ({"server_settings": [("jit", "off")]}, "names and values of server settings"),
        ({"sslrootcert": 5}, "the path of a file"),
        ({"channel_binding": "require"}, "in connect_args is not supported"),
    ],
)
def test_wrong_types(connect_args: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        prepare_connect_kwargs(connect_args)
    assert message in str(caught.value)


def test_vendors_urls() -> None:
    neon = prepared("sslmode=require&channel_binding=prefer&options=endpoint%3Dep-cool-1").kwargs
    assert neon["server_settings"] == {"options": "endpoint=ep-cool-1"}
    assert isinstance(neon["ssl"], ssl.SSLContext)
    cockroach = prepared("sslmode=verify-full&sslrootcert=system&options=--cluster%3Dc-1").kwargs
    assert cockroach["server_settings"] == {"options": "--cluster=c-1"}
    assert cockroach["ssl"].check_hostname
    azure = prepared("sslmode=require&connect_timeout=10&keepalives=1&keepalives_idle=30")
    assert azure.kwargs["timeout"] == 10.0
    assert azure.socket_options == {"keepalives": 1, "keepalives_idle": 30}
    heroku = prepared("sslmode=require&application_name=web.1").kwargs
    assert heroku["server_settings"] == {"application_name": "web.1"}


def test_what_is_prepared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the same options; not for what files, chance or the program may change meanwhile."""
    made: list[dict[str, Any]] = []

    def prepare(given: dict[str, Any]) -> PreparedArguments:
        made.append(given)
        return prepare_connect_kwargs(given)

    monkeypatch.setattr(module, "prepare_connect_kwargs", prepare)
    dbapi = PGDialect_asyncpg.import_dbapi()
    given = {
        "host": "h",
        "password": Secret("one"),
        "statement_cache_size": 7,
        "application_name": "name",
        "pooler": "transaction",
    }

    def number_made(**more: Any) -> int:
        made.clear()
        for _ in range(3):
            arguments, sockets, options = dbapi._prepared({**given, **more})
            expected = prepare_connect_kwargs({**given, **more})
            assert arguments.pop("password")() == expected.kwargs.pop("password")()
            assert (options.pooler, expected.kwargs.pop("pooler")) == ("transaction",) * 2
            assert (arguments, sockets) == expected
            arguments["server_settings"]["application_name"] = "changed"
            arguments["statement_cache_size"] = 8
        return len(made)

    assert number_made() == 1
    assert number_made() == 0
    assert number_made(password=Secret("one")) == 0
    assert number_made(password=Secret("two")) == 1
    assert number_made(command_timeout=30) == 1
    assert number_made(server_settings={"jit": "off"}) == 3
    assert number_made(sslmode="disable") == 3
    assert number_made(load_balance_hosts="random", host="a,b") == 3
