"""asyncpg as a PEP 249 module: the object that SQLAlchemy uses as the DBAPI module.

Made once per dialect by ``PGDialect_asyncpg.import_dbapi()``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from sqlalchemy import exc, util

from .. import driver
from ..compat.builtin import theirs
from ..compat.versions import await_only, dbapi_module_base, in_greenlet
from ..options.engine_options import EngineOptions
from ..options.secret import Secret
from ..options.startup import RefusedSettings
from ..options.table import with_secrets_hidden
from ..options.url import READ_EACH_TIME, prepare_connect_kwargs
from . import errors
from .connection import AsyncAdapt_asyncpg_connection
from .login import Login
from .passwords import hidden_positional
from .recovery.closing import Farewells
from .recovery.kept_connections import KeptConnections
from .recovery.standby_servers import StandbyServers
from .recovery.writable_servers import WritableServers
from .sync.connections import AsyncAdaptFallback_asyncpg_connection
from .sync.event_loop_thread import LoopThread

_Redirect = Callable[[dict[str, Any]], dict[str, Any]]
_redirect: ContextVar[_Redirect | None] = ContextVar("pgflight redirect", default=None)


@contextmanager
def redirecting(redirect: _Redirect | None) -> Iterator[None]:
    """Have this task connect with the arguments that ``redirect`` makes of an engine's."""
    token = _redirect.set(redirect)
    try:
        yield
    finally:
        _redirect.reset(token)


class _Prepared(NamedTuple):
    """What a connection is made with."""

    arguments: dict[str, Any]
    socket_options: dict[str, int]
    options: EngineOptions


_CONSTANT = frozenset({str, int, float, bool, type(None), FunctionType, Secret})
"""Types whose objects do not change."""


class _Last:
    """The arguments of the last connection, and what they came to."""

    __slots__ = ("_given", "prepared", "may_change")

    def __init__(self, given: dict[str, Any], prepared: _Prepared) -> None:
        self._given = given
        self.prepared = prepared
        self.may_change = not _CONSTANT.issuperset(map(type, given.values())) or not (
            READ_EACH_TIME.isdisjoint(given)
        )

    def serves(self, given: dict[str, Any]) -> bool:
        """Tell whether ``given`` are the same arguments: passwords equal, others the same."""
        known = self._given
        return len(known) == len(given) and all(
            value is known.get(name, _MISSING)
            or (type(value) is Secret and value == known.get(name))
            for name, value in given.items()
        )


_MISSING = object()


class AsyncAdapt_asyncpg_dbapi(theirs.AsyncAdapt_asyncpg_dbapi, dbapi_module_base):  # type: ignore[misc]
    """asyncpg as a PEP 249 module: ``connect()``, the exception classes and the type markers.

    ``asyncpg`` and ``driver`` are the asyncpg module.
    """

    apilevel = "2.0"
    threadsafety = 1
    paramstyle = "numeric_dollar"

    # SQLAlchemy's, from which ours derives: a `creator` may raise errors of the built-in adapter
    Error = errors.builtin_dbapi.Error
    Warning = errors.Warning
    InterfaceError = errors.InterfaceError
    DatabaseError = errors.DatabaseError
    InternalError = errors.InternalError
    OperationalError = errors.OperationalError
    ProgrammingError = errors.ProgrammingError
    IntegrityError = errors.IntegrityError
    DataError = errors.DataError
    NotSupportedError = errors.NotSupportedError
    RestrictViolationError = errors.RestrictViolationError
    NotNullViolationError = errors.NotNullViolationError
    ForeignKeyViolationError = errors.ForeignKeyViolationError
    UniqueViolationError = errors.UniqueViolationError
    CheckViolationError = errors.CheckViolationError
    ExclusionViolationError = errors.ExclusionViolationError
    InternalServerError = errors.InternalServerError
    InternalClientError = errors.InternalClientError
    InvalidCachedStatementError = errors.InvalidCachedStatementError

    # PEP 249's type objects, and the finer markers that ``_pg_types`` names
    STRING = util.symbol("STRING")
    NUMBER = util.symbol("NUMBER")
    DATETIME = util.symbol("DATETIME")
    TIMESTAMP = util.symbol("TIMESTAMP")
    TIMESTAMP_W_TZ = util.symbol("TIMESTAMP_W_TZ")
    TIME = util.symbol("TIME")
    DATE = util.symbol("DATE")
    INTERVAL = util.symbol("INTERVAL")
    FLOAT = util.symbol("FLOAT")
    BOOLEAN = util.symbol("BOOLEAN")
    INTEGER = util.symbol("INTEGER")
    BIGINTEGER = util.symbol("BIGINTEGER")
    BYTES = util.symbol("BYTES")
    DECIMAL = util.symbol("DECIMAL")
    JSON = util.symbol("JSON")
    JSONB = util.symbol("JSONB")
    ENUM = util.symbol("ENUM")
    UUID = util.symbol("UUID")
    BYTEA = util.symbol("BYTEA")

    def __init__(self, asyncpg: ModuleType) -> None:
        self.asyncpg: Any = asyncpg
        self.driver = asyncpg
        self.dbapi_module = None
        self.loop_thread = LoopThread()
        self.refused_settings = RefusedSettings()
        self.has_warned_of_loops = False
        self.hide_parameters = True  # until the engine says otherwise
        self.farewells = Farewells()
        self.kept = KeptConnections()
        self.writable_servers = WritableServers()
        self.parsed = driver.ParsedArguments()
        self.standby_servers = StandbyServers()
        self._last: _Last | None = None

    @property
    def exceptions_module(self) -> ModuleType:
        """The module that has the driver's own exceptions: asyncpg."""
        return self.driver

    def connect(self, *args: Any, **kwargs: Any) -> AsyncAdapt_asyncpg_connection:
        """Connect and return an adapted connection.

        Takes asyncpg's arguments and the options of :mod:`pgflight.options.table`, including those
        of :class:`~pgflight.options.engine_options.EngineOptions`.  Raises ArgumentError for an
        option that does not exist or has a wrong value.
        """
        # a tracer that collects local variables, such as Sentry's, is shown no password
        args, kwargs = hidden_positional(args), with_secrets_hidden(kwargs)
        redirect = _redirect.get()
        if redirect is not None:
            kwargs = redirect(kwargs)
        arguments, socket_options, options = self._prepared(kwargs)
        login = Login(self, options, args, arguments, socket_options)

        connection: AsyncAdapt_asyncpg_connection
        if options.async_fallback and not in_greenlet():
            made = AsyncAdaptFallback_asyncpg_connection.create(
                self, login.open(), options=options, loop_thread=self.loop_thread
            )
            connection = self.loop_thread.run(made)
        else:
            made = AsyncAdapt_asyncpg_connection.create(self, login.open(), options=options)
            connection = await_only(made)
        login.tell(connection.session)
        return connection

    def _prepared(self, kwargs: dict[str, Any]) -> _Prepared:
        """Return what a connection is made with; the caller may change the arguments.

        Worked out once for the same objects: with NullPool each unit of work makes a connection.
        """
        last = self._last
        if last is None or not last.serves(kwargs):
            prepared, socket_options = prepare_connect_kwargs(kwargs)
            # a DSN has the password of a key
            arguments, prepared = with_secrets_hidden(prepared), {}
            try:
                driver.check_socket_options(socket_options)
            except ValueError as error:
                raise exc.ArgumentError(str(error)) from None
            options = EngineOptions.taken_from(arguments)
            if options.pooler == "transaction":
                arguments.setdefault("statement_cache_size", 0)  # nor may asyncpg keep its own
            last = _Last(kwargs, _Prepared(arguments, socket_options, options))
            if not last.may_change:
                self._last = last
        arguments = dict(last.prepared.arguments)
        if "server_settings" in arguments:
            arguments["server_settings"] = dict(arguments["server_settings"])
        return last.prepared._replace(arguments=arguments)

    def use_builtin_errors(self) -> None:
        """Have SQLAlchemy's own classes stand for errors, since a built-in adapter raises them.

        Ours derive from them.
        """
        for name in dir(errors.builtin_dbapi):
            value = getattr(errors.builtin_dbapi, name)
            if isinstance(value, type) and issubclass(value, Exception):
                setattr(self, name, value)

    def Binary(self, value: object) -> Any:
        """Return ``value`` unchanged, because asyncpg accepts bytes."""
        return value
