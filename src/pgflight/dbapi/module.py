"""asyncpg as a PEP 249 module: the object that SQLAlchemy uses as the DBAPI module.

Made once per dialect by ``PGDialect_asyncpg.import_dbapi()``.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from sqlalchemy import exc, util

from .. import driver
from ..compat.builtin import theirs
from ..compat.versions import await_only, dbapi_module_base, in_greenlet
from ..options.engine_options import EngineOptions
from ..options.startup import RefusedSettings
from ..options.table import with_secrets_hidden
from ..options.url import prepare_connect_kwargs
from . import errors
from .connection import AsyncAdapt_asyncpg_connection
from .event_loop_thread import LoopThread
from .login import Login
from .passwords import hidden_positional
from .recovery.closing import Farewells
from .recovery.kept_connections import KeptConnections
from .recovery.writable_servers import WritableServers
from .synchronous import AsyncAdaptFallback_asyncpg_connection


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
        self.kept = KeptConnections()
        self.writable_servers = WritableServers()

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
        prepared, socket_options = prepare_connect_kwargs(kwargs)
        arguments, prepared = with_secrets_hidden(prepared), {}  # a DSN has the password of a key
        try:
            driver.check_socket_options(socket_options)
        except ValueError as error:
            raise exc.ArgumentError(str(error)) from None
        options = EngineOptions.taken_from(arguments)
        if options.pooler == "transaction":
            arguments.setdefault("statement_cache_size", 0)  # nor may asyncpg keep its own
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
