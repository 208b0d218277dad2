"""URL and connect_args -> what asyncpg.connect takes.

``PGDialect_asyncpg.create_connect_args`` calls :func:`connect_arguments` when an engine is made,
``AsyncAdapt_asyncpg_dbapi.connect`` calls :func:`prepare_connect_kwargs` for each connection.
Between the two, options keep the names that they have in the URL, so that ``connect_args`` and
``do_connect`` handlers can replace them one by one.  :mod:`pgflight.options.table` says what each
option means.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from . import hosts
from .server_settings import server_settings
from .service_files import service_options
from .suggestions import unknown_option
from .table import OPTIONS, Target
from .tls import check_tls, tls_arguments

_ASYNCPG_PARAMETERS = frozenset(inspect.signature(asyncpg.connect).parameters)
_IN_URL = "in the URL"
_IN_CONNECT_ARGS = "in connect_args"
_IN_CREATE_ENGINE = "in create_engine()"


class PreparedArguments(NamedTuple):
    """The arguments and socket options that a connection is made with."""

    kwargs: dict[str, Any]
    """asyncpg.connect's arguments, and those of SQLAlchemy's dialect under their own names."""
    socket_options: dict[str, int]
    """libpq's names (``keepalives...``, ``tcp_user_timeout``) and their values, for the socket
    once it is connected; empty on a unix socket, where libpq ignores them."""


def connect_arguments(url: URL) -> dict[str, Any]:
    """Return every option of ``url``, checked and converted, under its own name.

    Only names with a synonym in asyncpg change (``dbname`` to ``database``, ``connect_timeout``
    to ``timeout``).  Raises ArgumentError naming the option, the value and the fix.
    """
    arguments = _coerced(url.query)
    arguments.update(_before_query(url, arguments))
    arguments.update(hosts.addresses(url.query, host=url.host, port=url.port))
    if "service" in arguments:
        arguments = _with_service(arguments)
    _settings(arguments)
    check_tls(_of(arguments, Target.TLS), unix=hosts.only_sockets(arguments))
    return arguments


def coerced_argument(name: str, value: Any) -> Any:
    """Return an argument of ``create_engine()`` converted; ``None`` stays ``None``.

    Raises ArgumentError naming the option, the value and the fix.
    """
    return None if value is None else OPTIONS[name].coerce(value, _IN_CREATE_ENGINE)


def prepare_connect_kwargs(kwargs: Mapping[str, Any]) -> PreparedArguments:
    """Return what asyncpg.connect takes for ``kwargs``, and what the socket gets afterwards.

    ``kwargs`` is a result of :func:`connect_arguments` with ``connect_args`` laid over it.  An
    argument that only a newer asyncpg knows is passed unchanged, and so is any other if
    ``async_creator_fn`` receives it.  Raises ArgumentError naming the option, value and fix.
    """
    arguments = _validated(kwargs)
    if arguments.get("hostaddr"):
        hostaddr = arguments.pop("hostaddr")
        arguments["host"] = hosts.host_from_address(arguments.get("host"), hostaddr)
    if "service" in arguments:
        arguments = _with_service(arguments)
    if arguments.get("load_balance_hosts") == "random":
        arguments = hosts.shuffled(arguments)
    unix = hosts.only_sockets(arguments)
    settings = _settings(arguments)
    tls = tls_arguments(_of(arguments, Target.TLS), unix=unix, dsn="dsn" in arguments)
    sockets = _of(arguments, Target.SOCKET)
    for name in list(arguments):
        if not _is_passed_on(name):
            del arguments[name]
    arguments.update(tls)
    if settings:
        arguments["server_settings"] = settings
    return PreparedArguments(
        arguments, {} if unix else {name: int(value) for name, value in sockets.items()}
    )


def _coerced(query: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in query.items():
        option = OPTIONS.get(name)
        if option is None:
            raise unknown_option(name, _IN_URL)
        if not option.from_url:
            raise ArgumentError(
                f"{name!r} {_IN_URL} cannot be text; pass it in connect_args={{{name!r}: ...}}"
            )
        if name in hosts.ADDRESS_OPTIONS:
            continue
        if not isinstance(value, str):
            raise ArgumentError(f"{name!r} is {_IN_URL} {len(value)} times; keep one")
        final = option.alias_of or name
        coerced = option.coerce(value, _IN_URL)
        if found.setdefault(final, coerced) != coerced:
            raise ArgumentError(
                f"{name!r} and another name of the same option are both {_IN_URL}, with "
                f"different values; keep {final!r}"
            )
    return found


def _before_query(url: URL, query: Mapping[str, Any]) -> dict[str, Any]:
    # the query overrides what is before it, as in the built-in dialect
    before = url.translate_connect_args(username="user")
    return {
        name: value
        for name, value in before.items()
        if name not in hosts.ADDRESS_OPTIONS and name not in query
    }


def _validated(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    aliases: dict[str, Any] = {}
    for name, value in kwargs.items():
        option = OPTIONS.get(name)
        if option is None:
            if name not in _ASYNCPG_PARAMETERS and not kwargs.get("async_creator_fn"):
                raise unknown_option(name, _IN_CONNECT_ARGS)
            arguments[name] = value
        elif option.target is Target.ENGINE:
            raise ArgumentError(
                f"{name!r} {_IN_CONNECT_ARGS} is too late; pass it to create_engine() or in the "
                f"URL: it applies to the whole engine"
            )
        elif value is None:
            if name == "timeout":  # asyncpg's default is a minute, None is forever
                arguments[name] = None
            elif name == "prepared_statement_cache_size":  # built-in: None is none
                arguments[name] = 0
        elif option.alias_of:
            # connect_arguments leaves no alias, so this one was added later and wins
            aliases[option.alias_of] = option.coerce(value, _IN_CONNECT_ARGS)
        else:
            arguments[name] = option.coerce(value, _IN_CONNECT_ARGS)
    return {**arguments, **aliases}


def _with_service(arguments: Mapping[str, Any]) -> dict[str, Any]:
    given = dict(arguments)
    name, file = given.pop("service"), given.pop("servicefile", None)
    return {**service_options(name, file), **given}


def _settings(arguments: Mapping[str, Any]) -> dict[str, str]:
    return server_settings(_of(arguments, Target.SETTING))


def _of(arguments: Mapping[str, Any], target: Target) -> dict[str, Any]:
    return {
        name: value
        for name, value in arguments.items()
        if name in OPTIONS and OPTIONS[name].target is target
    }


def _is_passed_on(name: str) -> bool:
    option = OPTIONS.get(name)
    return (
        option is None
        or option.target in (Target.ARGUMENT, Target.DIALECT)
        or name in ("host", "port")
    )
