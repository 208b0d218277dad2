"""URL and connect_args -> what asyncpg.connect takes.

``PGDialect_asyncpg.create_connect_args`` calls :func:`engine_arguments` when an engine is made,
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

from .._warnings import warn
from ..compat.builtin import theirs
from . import hosts
from .server_settings import server_settings
from .service_files import service_options
from .suggestions import unknown_option
from .table import OPTIONS, Target, with_secrets_hidden
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
    return _arguments(url, _Raising)


def engine_arguments(url: URL) -> dict[str, Any]:
    """Return the same, but only warn of what the built-in dialect makes an engine with.

    An engine that never connects does no harm.  :func:`prepare_connect_kwargs` raises the error.
    """
    try:
        return _arguments(url, _Postponing)
    except ArgumentError as error:
        del url  # which a tracer would collect, as all that stands below, with a ?password=
        raise error.with_traceback(None) from None


def _arguments(url: URL, checking: type[_Raising]) -> dict[str, Any]:
    arguments = _coerced(url, checking)
    arguments.update(_before_query(url, arguments))
    with checking(url, arguments, "host"):
        arguments.update(hosts.addresses(url.query, host=url.host, port=url.port))
    if any(map(is_refused, arguments.values())):
        return arguments  # the first connection says what else is wrong
    complete = arguments
    if "service" in arguments:
        with checking(url, arguments, "service"):
            complete = _with_service(arguments)
    with checking(url, complete, *_of(complete, Target.SETTING)):
        _settings(complete)
    tls = _of(complete, Target.TLS)
    with checking(url, complete, *tls):
        check_tls(tls, unix=hosts.only_sockets(complete))
    return complete


class _Refused:
    """A value in the URL that no connection can be made with."""

    error: ArgumentError


class _RefusedText(_Refused, str):
    """One that is given once."""


class _RefusedTexts(_Refused, tuple[str, ...]):
    """One that is given several times."""


def is_refused(value: object) -> bool:
    """Tell whether a value of :func:`engine_arguments` makes connections fail."""
    return isinstance(value, _Refused)


class _Raising:
    """Leaves an ArgumentError inside as it is; ``names`` are the options that it may be about."""

    def __init__(self, url: URL, arguments: dict[str, Any], *names: str) -> None:
        self._url = url
        self._arguments = arguments
        self._names = names

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool | None:
        return None


class _Postponing(_Raising):
    """Warns of an ArgumentError instead, and marks the first of ``names`` for later."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool | None:
        if not (isinstance(error, ArgumentError) and self._names and _is_made(self._url)):
            return None
        name = self._names[0]
        value = self._url.query.get(name, self._arguments.get(name, ""))
        marked = _RefusedTexts(value) if isinstance(value, tuple) else _RefusedText(value)
        marked.error = error
        self._arguments[name] = marked
        warn(f"this engine cannot connect: {error}")
        return True


def _is_made(url: URL) -> bool:
    """Tell whether the built-in dialect makes an engine for ``url``."""
    try:
        theirs.PGDialect_asyncpg().create_connect_args(url)
    except Exception:
        return False
    return True


def coerced_argument(name: str, value: object) -> Any:
    """Return an argument of ``create_engine()`` converted; ``None`` stays ``None``.

    Raises ArgumentError naming the option, the value and the fix.
    """
    return None if value is None else OPTIONS[name].coerce(value, _IN_CREATE_ENGINE)


def prepare_connect_kwargs(kwargs: Mapping[str, Any]) -> PreparedArguments:
    """Return what asyncpg.connect takes for ``kwargs``, and what the socket gets afterwards.

    ``kwargs`` is a result of :func:`engine_arguments` with ``connect_args`` laid over it.  An
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
    for name in arguments.keys() & _KEPT_BACK:
        del arguments[name]
    arguments.update(tls)
    if settings:
        arguments["server_settings"] = settings
    return PreparedArguments(
        arguments, {} if unix else {name: int(value) for name, value in sockets.items()}
    )


def _coerced(url: URL, checking: type[_Raising]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in url.query.items():
        if name in hosts.ADDRESS_OPTIONS:
            continue
        with checking(url, found, name):
            final, coerced = _option(name, value)
            if found.setdefault(final, coerced) != coerced:
                raise ArgumentError(
                    f"{name!r} and another name of the same option are both {_IN_URL}, with "
                    f"different values; keep {final!r}"
                )
    return found


def _option(name: str, value: Any) -> tuple[str, Any]:
    option = OPTIONS.get(name)
    if option is None:
        if "@" in str(value):
            raise ArgumentError(
                "what stands behind the ? of the URL is no option, and may be a part of the "
                "password: an @ in a password is written %40"
            )
        raise unknown_option(name, _IN_URL)
    if not option.from_url:
        raise ArgumentError(
            f"{name!r} {_IN_URL} cannot be text; pass it in connect_args={{{name!r}: ...}}"
        )
    if not isinstance(value, str):
        raise ArgumentError(f"{name!r} is {_IN_URL} {len(value)} times; keep one")
    return option.alias_of or name, option.coerce(value, _IN_URL)


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
        if isinstance(value, _Refused) and not (option is None and kwargs.get("async_creator_fn")):
            raise ArgumentError(str(value.error))
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
    return {**with_secrets_hidden(service_options(name, file)), **given}


def _settings(arguments: Mapping[str, Any]) -> dict[str, str]:
    return server_settings(_of(arguments, Target.SETTING))


# worked out once: with NullPool each unit of work looks at the options of a connection
_NAMES = {
    target: frozenset(name for name, option in OPTIONS.items() if option.target is target)
    for target in Target
}
_KEPT_BACK = (
    frozenset(OPTIONS) - _NAMES[Target.ARGUMENT] - _NAMES[Target.DIALECT] - {"host", "port"}
)
"""Options that asyncpg.connect does not get under their own names."""
_READ_EACH_TIME = _NAMES[Target.TLS] | {"service", "servicefile", "load_balance_hosts"}
READ_EACH_TIME = _READ_EACH_TIME | {
    name for name, option in OPTIONS.items() if option.alias_of in _READ_EACH_TIME
}
"""Options that may come to something else for the next connection: files, and chance."""


def _of(arguments: Mapping[str, Any], target: Target) -> dict[str, Any]:
    names = _NAMES[target]
    return {name: value for name, value in arguments.items() if name in names}
