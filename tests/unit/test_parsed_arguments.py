"""asyncpg parses the arguments of a login once, as long as it would come to the same."""

from __future__ import annotations

import inspect
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from asyncpg import connect_utils

from pgflight import driver
from pgflight.driver.login import parsed_arguments
from pgflight.driver.login.parsed_arguments import ParsedArguments

ARGUMENTS: dict[str, Any] = {
    "host": "127.0.0.1",
    "port": 5432,
    "user": "somebody",
    "password": lambda: "x",
    "database": "one",
}
NOT_READ = {"PGPASSFILE", "PGPASSWORD", "PGSERVICE", "PGSERVICEFILE", "PGUSER"}
"""Where user and password are given, and no service is; PGSERVICE's value is not used at all."""

private = pytest.mark.skipif(
    not driver.is_private(), reason="at level public asyncpg parses the arguments of each login"
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a directory of PostgreSQL's, and no variable that asyncpg reads."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in parsed_arguments.READ_BY_ASYNCPG:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_level_public_leaves_it_to_asyncpg() -> None:
    found = ParsedArguments().connector((), ARGUMENTS)
    assert (found is not None) is driver.is_private()


@private
def test_the_same_arguments_are_parsed_once() -> None:
    parsed = ParsedArguments()
    settings = {"application_name": "a"}
    for _ in range(3):
        given = {**ARGUMENTS, "server_settings": dict(settings)}
        given["password"] = lambda: "another one"  # asked for at each login
        assert parsed.connector((), given) is not None
    assert parsed.parses == 1


class Context:
    """Stands in for TLS contexts, as packages put theirs in; here none is made."""


CHANGES: dict[str, Callable[[dict[str, Any], pytest.MonkeyPatch], Any]] = {
    "a value": lambda given, _: given.update(database="two"),
    "another argument": lambda given, _: given.update(command_timeout=5.0),
    "a type": lambda given, _: given.update(port="5432"),
    "a setting": lambda given, _: given["server_settings"].update(application_name="b"),
    "the mode of TLS": lambda _, patch: patch.setenv("PGSSLMODE", "disable"),
    "the password's place": lambda given, _: given.update(password=None),
    "a version of TLS": lambda _, patch: patch.setenv("PGSSLMINPROTOCOLVERSION", "TLSv1.3"),
    "a default": lambda _, patch: patch.setitem(
        asyncpg.connect.__kwdefaults__, "command_timeout", 7.0
    ),
    "the class of contexts": lambda _, patch: patch.setattr(ssl, "SSLContext", Context),
}


@private
@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_is_parsed_again(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = ParsedArguments()
    given = {**ARGUMENTS, "ssl": False, "server_settings": {"application_name": "a"}}
    assert parsed.connector((), given) is not None
    CHANGES[change](given, monkeypatch)
    assert parsed.connector((), given) is not None
    assert parsed.parses == 2
    assert parsed.connector((), given) is not None
    assert parsed.parses == 2


def certificates(home: Path, _: dict[str, Any], __: pytest.MonkeyPatch) -> None:
    (home / ".postgresql").mkdir()


def not_a_directory(home: Path, _: dict[str, Any], __: pytest.MonkeyPatch) -> None:
    (home / ".postgresql").write_text("")


def password_file(home: Path, present: dict[str, Any], _: pytest.MonkeyPatch) -> None:
    present.update(password=None)
    (home / ".pgpass").write_text("")


def watched(name: str, owner: object) -> Any:
    def replace(_: Path, __: dict[str, Any], patch: pytest.MonkeyPatch) -> None:
        real = getattr(owner, name)
        patch.setattr(owner, name, lambda *args, **arguments: real(*args, **arguments))

    return replace


def given(**arguments: Any) -> Any:
    return lambda _, present, __: present.update(arguments)


ASIDE: dict[str, Callable[[Path, dict[str, Any], pytest.MonkeyPatch], Any]] = {
    "the user's certificates": certificates,
    "a file in their place": not_a_directory,
    "a certificate by the environment": lambda _, __, patch: patch.setenv("PGSSLCERT", "/c"),
    "a log of keys": lambda _, __, patch: patch.setenv("SSLKEYLOGFILE", "/k"),
    "passwords in a file": password_file,
    "a file of passwords by name": given(passfile="/p"),
    "a file of passwords by the environment": lambda _, __, patch: patch.setenv("PGPASSFILE", "/p"),
    "no user": given(user=None),
    "a DSN": given(dsn="postgresql://"),
    "a service": given(service="one"),
    "the system's certificates": given(ssl=True),
    "several hosts": given(host=["127.0.0.1", "127.0.0.2"]),
    "a kind of server": given(target_session_attrs="read-write"),
    "a class of connections": given(connection_class=asyncpg.Connection),
    "settings that are not text": given(server_settings={"a": 1}),
    "who watches connect()": watched("connect", asyncpg),
    "who watches each address": watched("_connect_addr", connect_utils),
    "who watches the parsing": watched("_parse_connect_arguments", connect_utils),
    "who watches one step of it": watched("_parse_connect_dsn_and_args", connect_utils),
    "who watches the choice": watched("_can_use_connection", connect_utils),
}


@private
def test_a_password_of_the_environment_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one among the arguments, asyncpg looks for it there, and then in a file."""
    parsed, arguments = ParsedArguments(), {**ARGUMENTS, "password": None}
    for password, parses in [(None, 1), ("one", 2), ("one", 2), ("two", 3)]:
        if password:
            monkeypatch.setenv("PGPASSWORD", password)
        connector: Any = parsed.connector((), arguments)
        assert connector._parsed.params.password == password
        assert parsed.parses == parses


@private
@pytest.mark.parametrize("reason", ASIDE)
def test_otherwise_asyncpg_connects(
    reason: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed, arguments = ParsedArguments(), dict(ARGUMENTS)
    assert parsed.connector((), arguments) is not None
    ASIDE[reason](home, arguments, monkeypatch)
    assert parsed.connector((), arguments) is None


@private
def test_positional_arguments_are_asyncpgs() -> None:
    assert ParsedArguments().connector(("postgresql://",), ARGUMENTS) is None


@private
def test_what_is_wrong_is_raised_as_asyncpg_raises_it() -> None:
    with pytest.raises(asyncpg.exceptions.ClientConfigurationError, match="sslmode"):
        ParsedArguments().connector((), {**ARGUMENTS, "ssl": "perhaps"})


def test_every_variable_that_asyncpg_reads_is_compared() -> None:
    source = inspect.getsource(connect_utils)
    read = set(re.findall(r"(?:getenv|environ\.get)\(\s*[\"'](\w+)", source))
    assert len(read) > 10
    assert read - NOT_READ <= set(parsed_arguments.READ_BY_ASYNCPG)
    # those that name files are among them, by what asyncpg calls them
    files = {
        name for name in read if name.endswith(("CERT", "CRL", "KEY", "KEYLOGFILE", "PASSFILE"))
    }
    assert files == set(parsed_arguments.NAMES_FILES)
