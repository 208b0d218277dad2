"""asyncpg as a PEP 249 module: the object that SQLAlchemy uses as the DBAPI module.

Made once per dialect by ``PGDialect_asyncpg.import_dbapi()``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import ModuleType
from typing import Any

from asyncpg import exceptions as driver_errors
from sqlalchemy import exc, util

from .. import driver
from ..compat.builtin import theirs
from ..compat.versions import await_only, dbapi_module_base, in_greenlet
from ..options.engine_options import EngineOptions
from ..options.kinds import Secret
from ..options.startup import RefusedSettings, local_settings
from ..options.table import with_secrets_hidden, with_secrets_shown
from ..options.url import prepare_connect_kwargs
from ..session import codecs
from . import errors
from .closing import Farewells
from .connection import AsyncAdapt_asyncpg_connection
from .event_loop_thread import LoopThread
from .synchronous import AsyncAdaptFallback_asyncpg_connection


def _may_have_expired(password: object) -> bool:
    """Tell whether a password comes from a function, such as a token that the server may outlive.

    Asked once more, the function may return another one.
    """
    return callable(password) and not isinstance(password, Secret)


def _shown_to(creator: Any) -> Callable[..., Any]:
    """Return a program's ``async_creator_fn`` as one that takes passwords that are hidden."""

    async def create(*args: Any, **arguments: Any) -> Any:
        return await creator(*args, **with_secrets_shown(arguments))

    return create


CONNECT_SECONDS = 10.0
"""How long logging in may take, all hosts together, if the program does not say."""


def _silence(arguments: dict[str, Any]) -> str:
    """Return what to tell of hosts that have not let the program log in."""
    hosts, ports = (
        ", ".join(map(str, each)) if isinstance(each, (list, tuple)) else each
        for each in (arguments.get("host"), arguments.get("port"))
    )
    where = f"{hosts or 'the default host'}, port {ports or 'default'}"
    return (
        f"no connection to {where} within {arguments.get('timeout') or 0:g} seconds: nobody"
        " answers, or TLS or the login has not been completed (connect_timeout sets the bound)"
    )


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
        self.farewells = Farewells()

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
        kwargs = with_secrets_hidden(kwargs)
        arguments, socket_options = prepare_connect_kwargs(kwargs)
        try:
            driver.check_socket_options(socket_options)
        except ValueError as error:
            raise exc.ArgumentError(str(error)) from None
        options = EngineOptions.taken_from(arguments)
        if driver.is_private():
            socket_options = {**driver.FINDS_DEAD_PEERS, **socket_options}
        creator: Callable[..., Any] = self.asyncpg.connect
        own = options.async_creator_fn in (None, creator)
        if not own:
            creator = _shown_to(options.async_creator_fn)
        if own:
            arguments.setdefault("timeout", CONNECT_SECONDS)
        later: dict[str, str] = {}
        if options.pooler == "transaction":
            arguments.setdefault("statement_cache_size", 0)  # nor may asyncpg keep its own

        async def open_connection() -> Any:
            connection, refused = await self._log_in(creator, args, arguments)
            later.update(refused)
            try:
                if own:
                    # here and not in on_connect(), so that codecs set by the program come later
                    await codecs.set_value_codecs(connection)
                if socket_options and isinstance(connection, self.asyncpg.Connection):
                    driver.apply_socket_options(connection, socket_options)
            except BaseException:
                connection.terminate()
                raise
            return connection

        connection: AsyncAdapt_asyncpg_connection
        if options.async_fallback and not in_greenlet():
            made = AsyncAdaptFallback_asyncpg_connection.create(
                self, open_connection(), options=options, loop_thread=self.loop_thread
            )
            connection = self.loop_thread.run(made)
        else:
            made = AsyncAdapt_asyncpg_connection.create(self, open_connection(), options=options)
            connection = await_only(made)
        if later:
            connection.session.statements.route.set_in_transactions(local_settings(later))
        return connection

    async def _log_in(
        self, creator: Callable[..., Any], args: tuple[Any, ...], arguments: dict[str, Any]
    ) -> tuple[Any, dict[str, str]]:
        """Return asyncpg's connection and the settings that were refused; raise its errors."""
        try:
            try:
                return await self.refused_settings.connect(creator, args, arguments)
            except driver_errors.InvalidPasswordError:
                if not _may_have_expired(arguments.get("password")):
                    raise
            return await self.refused_settings.connect(creator, args, arguments)
        except asyncio.TimeoutError as error:
            if error.args:
                raise
            raise asyncio.TimeoutError(_silence(arguments)) from error

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
