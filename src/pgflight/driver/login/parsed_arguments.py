"""What asyncpg makes of the arguments of a login, worked out once for the same arguments.

asyncpg reads the environment and the files of ``~/.postgresql`` for each connection, and makes a
TLS context, also for a server that turns TLS down: a quarter of the processor time that a new
connection costs.  What that comes to is used again as long as everything that it came from is
proven to be the same, and none of it was a file.  Used by :mod:`pgflight.dbapi.login`.
"""

from __future__ import annotations

import inspect
import os
import ssl
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import asyncpg

from ..capability import OWNERS, can_parse_once
from ..contracts import Connection
from ..watching.replaced import is_own

connect_utils: Any = OWNERS["connect_utils"]
compat: Any = OWNERS["compat"]

NAMES_FILES = (
    *("PGSSLROOTCERT", "PGSSLCRL", "PGSSLKEY", "PGSSLCERT", "SSLKEYLOGFILE"),
    "PGPASSFILE",
)
"""Variables of the environment that name files, whose contents may change."""

READ_BY_ASYNCPG = (
    *NAMES_FILES,
    "PGHOST",
    "PGPORT",
    "PGDATABASE",
    "PGSSLMODE",
    "PGSSLNEGOTIATION",
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLMAXPROTOCOLVERSION",
    "PGTARGETSESSIONATTRS",
    "PGPASSWORD",
    "PGKRBSRVNAME",
    "PGGSSLIB",
)
"""Variables that asyncpg reads where a user is given, and no service is."""

_OWN_FILES = os.path.join("~", ".postgresql")
_OWN_PASSWORDS = os.path.join("~", ".pgpass")
_CONSTANT = frozenset({str, int, float, bool, type(None)})
_FILES = ("dsn", "service", "servicefile", "passfile")
"""Arguments that name, or may name, files."""


class Parsed(NamedTuple):
    """What asyncpg made of the arguments of a login, and all that this came from."""

    arguments: Mapping[str, Any]
    environment: tuple[str | None, ...]
    defaults: Mapping[str, Any]
    """Those of ``asyncpg.connect``, which programs change."""
    context_class: type
    """``ssl.SSLContext``, which programs replace."""
    address: Any
    params: Any
    config: Any
    classes: Mapping[str, Any]
    """Of connections and records."""

    def comes_from(self, arguments: Mapping[str, Any]) -> bool:
        """Tell whether asyncpg would make the same of ``arguments`` now, but for the password."""
        known = self.arguments
        return (
            len(known) == len(arguments)
            and all(
                value is known.get(name, known)
                or (name == "password" and value is not None and known.get(name) is not None)
                or (name == "server_settings" and value == known.get(name))
                for name, value in arguments.items()
            )
            and asyncpg.connect.__kwdefaults__ == self.defaults
            and ssl.SSLContext is self.context_class
            and self.environment == _environment()
            and _has_no_files(arguments)
        )


class ParsedArguments:
    """Makes the connections of one engine; their arguments are parsed once while they are the same.

    ``parses`` counts how often asyncpg was asked to.
    """

    __slots__ = ("parses", "_last")

    def __init__(self) -> None:
        self.parses = 0
        self._last: Parsed | None = None

    def connector(
        self, args: tuple[Any, ...], arguments: Mapping[str, Any]
    ) -> Callable[..., Any] | None:
        """Return what connects as ``asyncpg.connect`` does with ``arguments``, None if nothing may.

        It takes asyncpg's ``timeout`` and ``loop``, too.  The password is a function.  Raises what
        asyncpg raises for arguments that are wrong.
        """
        if args or not (can_parse_once() and _nobody_watches()):
            return None
        last = self._last
        if last is None or not last.comes_from(arguments):
            self._last = last = self._parse(arguments) if _is_settled(arguments) else None
            if last is None:
                return None
        return _Connector(last)

    def _parse(self, arguments: Mapping[str, Any]) -> Parsed | None:
        """Have asyncpg parse arguments; return None if the next call may come to something else."""
        names = inspect.getfullargspec(connect_utils._parse_connect_arguments).kwonlyargs
        set_defaults = dict(asyncpg.connect.__kwdefaults__ or {})
        defaults = {"dsn": None, **set_defaults}
        classes = {name: defaults.get(name) for name in ("connection_class", "record_class")}
        if not (set(names) <= set(defaults) and set(arguments) <= set(names)):
            return None
        environment = _environment()
        if any(value for value in environment[: len(NAMES_FILES)]) or not _has_no_files(arguments):
            return None
        context_class = ssl.SSLContext
        self.parses += 1
        known = dict(arguments)
        if "server_settings" in known:
            known["server_settings"] = dict(known["server_settings"])
        given = {name: known.get(name, defaults[name]) for name in names}
        addresses, params, config = connect_utils._parse_connect_arguments(**given)
        attributes = params.target_session_attrs
        if len(addresses) != 1 or getattr(attributes, "value", attributes) != "any":
            return None  # asyncpg chooses among the servers that answer
        if not _has_no_files(arguments):
            return None
        return Parsed(
            known, environment, set_defaults, context_class, addresses[0], params, config, classes
        )


class _Connector:
    """Connects to one server as asyncpg does once it has parsed its arguments."""

    __slots__ = ("_parsed",)

    def __init__(self, parsed: Parsed) -> None:
        self._parsed = parsed

    async def __call__(
        self, *, password: Any = None, timeout: float | None, loop: Any, **arguments: Any
    ) -> Connection:
        parsed = self._parsed
        params = parsed.params
        if password is not None and params.password is not password:
            params = _with_password(params, password)
        async with compat.timeout(timeout):
            try:
                made: Connection = await connect_utils._connect_addr(
                    addr=parsed.address,
                    loop=loop,
                    params=params,
                    config=parsed.config,
                    **parsed.classes,
                )
                return made
            except Exception as error:
                if not _is_signal(error):
                    raise
                cause = error.__cause__
        assert cause is not None
        raise cause


def _with_password(params: Any, password: Any) -> Any:
    """Return asyncpg's parameters of a login with another password."""
    kind = type(params)
    place = kind.__match_args__.index("password")
    return kind(*params[:place], password, *params[place + 1 :])


def _is_signal(error: Exception) -> bool:
    """Tell whether an error only has asyncpg go on to the next host: it raises its cause."""
    kind = type(error)
    return kind.__module__ == "asyncpg.connect_utils" and error.__cause__ is not None


def _nobody_watches() -> bool:
    """Tell whether what asyncpg would call for a login is its own."""
    return (
        is_own(asyncpg.connect)
        and is_own(connect_utils._connect)
        and is_own(connect_utils._connect_addr)
        and is_own(connect_utils._can_use_connection)
        and is_own(connect_utils._parse_connect_arguments)
        and is_own(connect_utils._parse_connect_dsn_and_args)
    )


def _is_settled(arguments: Mapping[str, Any]) -> bool:
    """Tell whether arguments come to the same each time, but for environment and files."""
    if arguments.get("user") is None:
        return False  # asyncpg asks the system
    if arguments.get("ssl") is True or any(arguments.get(name) is not None for name in _FILES):
        return False  # the system's certificates are files, too
    for name, value in arguments.items():
        if name == "server_settings":
            if type(value) is not dict or not all(
                type(text) is str for pair in value.items() for text in pair
            ):
                return False
        elif name != "password" and type(value) not in _CONSTANT:
            if not isinstance(value, ssl.SSLContext):
                return False
    return True


def _environment() -> tuple[str | None, ...]:
    return tuple(map(os.environ.get, READ_BY_ASYNCPG))


def _has_no_files(arguments: Mapping[str, Any]) -> bool:
    """Tell whether the user has no certificates, keys and, if asked for, passwords in files."""
    if os.name != "posix":
        return False
    if arguments.get("password") is None and not _is_missing(_OWN_PASSWORDS):
        return False
    return _is_missing(_OWN_FILES)


def _is_missing(name: str) -> bool:
    """Tell whether the user is known not to have a file or directory of that name."""
    path = os.path.expanduser(name)
    if path == name:
        return False
    try:
        os.stat(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
