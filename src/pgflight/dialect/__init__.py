"""What SQLAlchemy sees: the dialect; in its folder types, compiler, execution context, results.

SQLAlchemy loads :class:`PGDialect_asyncpg` for ``postgresql+pgflight://`` and, once installed, for
``postgresql+asyncpg://``.  Everything that the built-in dialect's documentation names can be
imported from here; programs import nothing from the files within.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID as _python_UUID  # noqa: F401 (a name that the documentation lists)

import asyncpg
from sqlalchemy import event, util
from sqlalchemy import pool as sqlalchemy_pool
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.engine import URL

from .. import _greenlet_stacks
from ..bulk.array_changes import BulkDialect
from ..bulk.known_tables import KnownTables
from ..compat.builtin import theirs
from ..compat.connections import listen_to_dispose
from ..dbapi.connection import AsyncAdapt_asyncpg_connection as AsyncAdapt_asyncpg_connection
from ..dbapi.cursor import AsyncAdapt_asyncpg_cursor as AsyncAdapt_asyncpg_cursor
from ..dbapi.module import AsyncAdapt_asyncpg_dbapi as AsyncAdapt_asyncpg_dbapi
from ..dbapi.server_side_cursor import AsyncAdapt_asyncpg_ss_cursor as AsyncAdapt_asyncpg_ss_cursor
from ..dbapi.sync.connections import (
    AsyncAdaptFallback_asyncpg_connection as AsyncAdaptFallback_asyncpg_connection,
)
from ..driver import Known, says_connection_is_closed
from ..options.url import coerced_argument
from ..session.recovery.lost_connection import SHUTDOWN_STATES
from ..session.session import Session
from ..session.statements.schema_generation import SchemaGeneration
from ..session.statistics import EngineCounters
from . import patches
from .compiler import PGCompiler_asyncpg as PGCompiler_asyncpg
from .compiler import PGIdentifierPreparer_asyncpg as PGIdentifierPreparer_asyncpg
from .execution_context import PGExecutionContext_asyncpg as PGExecutionContext_asyncpg
from .first_connection import InitializingDialect
from .isolation import ISOLATION_LEVELS as ISOLATION_LEVELS
from .isolation import IsolationDialect
from .new_connections import ConnectingDialect
from .pool_health import (
    close_unfit,
    ends_statement_only,
    forget_kept,
    has_lost_its_primary,
    note_begin,
    refuse_foreign,
    refuse_lost,
    serve_several_loops,
    want_writable,
    was_used_recently,
)
from .synchronous import SynchronousDialect
from .type_map import COLSPECS as COLSPECS
from .type_map import _pg_types as _pg_types
from .types import AsyncpgARRAY as AsyncpgARRAY
from .types import AsyncpgBigInteger as AsyncpgBigInteger
from .types import AsyncpgBit as AsyncpgBit
from .types import AsyncpgBoolean as AsyncpgBoolean
from .types import AsyncpgByteA as AsyncpgByteA
from .types import AsyncpgCHAR as AsyncpgCHAR
from .types import AsyncpgDate as AsyncpgDate
from .types import AsyncpgDateTime as AsyncpgDateTime
from .types import AsyncPgEnum as AsyncPgEnum
from .types import AsyncpgFloat as AsyncpgFloat
from .types import AsyncpgInteger as AsyncpgInteger
from .types import AsyncPgInterval as AsyncPgInterval
from .types import AsyncpgJSON as AsyncpgJSON
from .types import AsyncpgJSONB as AsyncpgJSONB
from .types import AsyncpgJSONIndexType as AsyncpgJSONIndexType
from .types import AsyncpgJSONIntIndexType as AsyncpgJSONIntIndexType
from .types import AsyncpgJSONPathType as AsyncpgJSONPathType
from .types import AsyncpgJSONStrIndexType as AsyncpgJSONStrIndexType
from .types import AsyncpgNumeric as AsyncpgNumeric
from .types import AsyncpgOID as AsyncpgOID
from .types import AsyncpgREGCLASS as AsyncpgREGCLASS
from .types import AsyncpgREGCONFIG as AsyncpgREGCONFIG
from .types import AsyncpgSmallInteger as AsyncpgSmallInteger
from .types import AsyncpgString as AsyncpgString
from .types import AsyncpgTime as AsyncpgTime
from .types import AsyncpgUUID as AsyncpgUUID
from .types import _AsyncpgMultiRange as _AsyncpgMultiRange
from .types import _AsyncpgRange as _AsyncpgRange

CONNECTION_EXCEPTION_CLASS = "08"
READ_ONLY_TRANSACTION = "25006"


if TYPE_CHECKING:  # of theirs, type checkers know nothing, and would accept any attribute
    _Builtin = PGDialect
else:
    _Builtin = theirs.PGDialect_asyncpg


class PGDialect_asyncpg(
    InitializingDialect, BulkDialect, ConnectingDialect, IsolationDialect, _Builtin
):
    """PostgreSQL through asyncpg; replaces SQLAlchemy's class of the same name."""

    driver = "asyncpg"
    is_async = True
    has_terminate = True
    supports_statement_cache = True
    supports_server_side_cursors = True
    supports_sane_multi_rowcount = False

    default_paramstyle = "numeric_dollar"
    render_bind_cast = True

    # json and jsonb are decoded by the connection's codecs, custom deserializer included
    supports_native_json_serialization = False
    supports_native_json_deserialization = True
    dialect_injects_custom_json_deserializer = True

    execution_ctx_cls = PGExecutionContext_asyncpg
    statement_compiler = PGCompiler_asyncpg
    preparer = PGIdentifierPreparer_asyncpg
    colspecs = COLSPECS

    def __init__(
        self,
        # not keyword-only: create_engine() looks for the names of positional arguments
        pipeline: str | None = None,
        pooler: str | None = None,
        ping_bypass_window: float | None = None,
        array_insert: bool | None = None,
        array_dml: bool | None = None,
        **options: Any,
    ) -> None:
        """Take the options of :class:`PGDialect` (json_serializer, native_inet_types...) and ours.

        ``pipeline`` (``auto``, ``begin`` or ``off``), ``pooler`` (``auto``, ``none``, ``session``
        or ``transaction``), ``ping_bypass_window`` (seconds), ``array_insert`` and ``array_dml``
        (bool) win over ``connect_args`` and the URL.  Raises ArgumentError for a wrong value.
        """
        patches.synchronize()  # before compiler and types are taken from the class
        super().__init__(**options)
        self.given = options
        ours = {
            "pipeline": pipeline,
            "pooler": pooler,
            "ping_bypass_window": ping_bypass_window,
            "array_insert": array_insert,
            "array_dml": array_dml,
        }
        self._given_options = {
            name: coerced_argument(name, value) for name, value in ours.items() if value is not None
        }
        self._schema = SchemaGeneration()
        self.known_tables = KnownTables()
        self._known = Known()
        self._counters = EngineCounters()

    @classmethod
    def import_dbapi(cls) -> Any:
        """Return a PEP 249 module over asyncpg for one dialect."""
        return AsyncAdapt_asyncpg_dbapi(asyncpg)

    @classmethod
    def get_pool_class(cls, url: URL) -> type[sqlalchemy_pool.Pool]:
        """Return the pool that waits in SQLAlchemy's greenlet."""
        return sqlalchemy_pool.AsyncAdaptedQueuePool

    @classmethod
    def get_dialect_cls(cls, url: URL) -> type[PGDialect]:
        """Return the class for ``create_engine()``: the synchronous one where the URL asks."""
        patches.synchronize()
        if util.asbool(url.query.get("async_fallback", False)):
            return _synchronous(cls)  # type: ignore[arg-type]  # mypy on classes as keys
        return cls

    @classmethod
    def get_async_dialect_cls(cls, url: URL) -> type[PGDialect]:
        """Return the class for ``create_async_engine()``."""
        patches.synchronize()
        return cls

    @classmethod
    def load_provisioning(cls) -> None:
        """Load SQLAlchemy's own test-suite provisioning for PostgreSQL, which fits here, too."""
        if cls.__module__ == __name__:
            PGDialect.load_provisioning()  # type: ignore[no-untyped-call]
        else:
            super().load_provisioning()  # type: ignore[no-untyped-call]

    @util.memoized_property
    def _dbapi_version(self) -> tuple[int, ...]:
        return tuple(self.retrieve_dbapi_version(self.dbapi)) or (99, 99, 99)

    def retrieve_dbapi_version(self, dbapi: object) -> Any:
        """Return asyncpg's version as a tuple of numbers."""
        return self._parse_version(getattr(getattr(dbapi, "driver", None), "__version__", ""))

    @staticmethod
    def _parse_version(version: object) -> tuple[int, ...]:
        parts = str(version).split(".")
        return tuple(int(part) for part in parts if part.isdigit())

    # life and death of connections

    @classmethod
    def engine_created(cls, engine: Any) -> None:
        """Have the pool replace connections that were closed; begin to keep greenlets' stacks."""
        _greenlet_stacks.begin()
        event.listen(engine, "checkout", refuse_lost)
        listen_to_dispose(engine, forget_kept)
        dbapi: Any = engine.dialect.dbapi
        if hasattr(dbapi, "hide_parameters"):
            dbapi.hide_parameters = engine.hide_parameters
        if isinstance(engine.pool, sqlalchemy_pool.NullPool):
            engine.dialect.closes_at_once = True
        if getattr(engine.dialect, "is_async", False):
            serve_several_loops(engine)
        look = getattr(engine.dialect, "look_for_patches", None)
        if look is not None:
            look(with_types=True)

    def do_ping(self, dbapi_connection: Any) -> bool:
        """Make a round trip to the server, if its last answer is older than the bypass window."""
        if isinstance(dbapi_connection, AsyncAdapt_asyncpg_connection):
            refuse_foreign(dbapi_connection)  # the pool asks for a ping before it checks out
        if not was_used_recently(dbapi_connection):
            dbapi_connection.ping()
        return True

    def do_begin(self, dbapi_connection: Any) -> None:
        """Send nothing: the first statement begins."""
        note_begin(getattr(dbapi_connection, "dbapi_connection", dbapi_connection))

    def do_terminate(self, dbapi_connection: Any) -> None:
        """Close a connection that may be broken."""
        close_unfit(dbapi_connection)

    def is_disconnect(self, e: object, connection: Any, cursor: Any) -> bool:
        """Tell whether an error means that the connection, and so the pool, is unusable.

        A closed connection; the server's shutdown and connection exceptions, unless they are
        errors of a statement alone, such as a foreign server's; a write refused as read-only
        (25006) on a session that the program did not make read-only: the server behind the
        connection is no longer the primary.
        """
        state = getattr(e, "sqlstate", None) or ""
        ending = state in SHUTDOWN_STATES or state.startswith(CONNECTION_EXCEPTION_CLASS)
        if ending and not (connection and ends_statement_only(e)):
            return True
        if not connection:
            closed = isinstance(e, theirs.AsyncAdapt_asyncpg_dbapi.InterfaceError)
            return closed and says_connection_is_closed(e)
        if connection._connection.is_closed():
            return True
        session: Session | None = getattr(connection, "session", None)
        if session is None:
            return False
        if state == READ_ONLY_TRANSACTION and has_lost_its_primary(connection):
            want_writable(connection)
            return True
        return session.liveness.is_leaving()

    def _without_arrays(self) -> None:
        self.in_array_threshold = 0  # INSERTs look at server_is_postgresql

    def _invalidate_schema_cache(self) -> None:
        theirs.PGDialect_asyncpg._invalidate_schema_cache(self)  # for an adapter of a `creator`
        self._schema.advance()


class PGDialect_asyncpg_fallback(SynchronousDialect, PGDialect_asyncpg):
    """The dialect of ``create_engine("postgresql+asyncpg://...?async_fallback=true")``."""

    supports_statement_cache = True


@cache
def _synchronous(cls: type[PGDialect_asyncpg]) -> type[PGDialect_asyncpg]:
    """Return the synchronous form of a dialect class, also of one that a program derived."""
    if cls is PGDialect_asyncpg:
        return PGDialect_asyncpg_fallback
    if issubclass(cls, SynchronousDialect):
        return cls
    own = {"supports_statement_cache": cls.supports_statement_cache, "__module__": cls.__module__}
    return type(f"{cls.__name__}_fallback", (SynchronousDialect, cls), own)


patches.WATCHED.append(
    patches.Watched(
        PGDialect_asyncpg,
        theirs.PGDialect_asyncpg,
        refused="_invalidate_schema_cache",
        # called by super(), or the patch is called inside
        inside="__init__ initialize on_connect create_connect_args get_driver_connection",
        often=False,  # a subclass would look like somebody's dialect
    )
)
dialect = PGDialect_asyncpg
