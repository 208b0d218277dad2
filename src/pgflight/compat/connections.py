"""Private attributes of SQLAlchemy's dialects, connections and execution contexts.

Names of attributes that we set are constants: an execution context is filled through its
``__dict__``, because a call for each attribute would slow down every execution.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter, methodcaller
from typing import Any

from sqlalchemy import event
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.engine import Engine
from sqlalchemy.util.queue import AsyncAdaptedQueue

from . import capability
from .features import Feature
from .loops.pool_queue import PoolQueue

Getter = Callable[[Any], Any]

# dialects

json_serializer: Getter = attrgetter("_json_serializer")
"""Return the program's ``json_serializer``, ``None`` if it has none."""

casts_parameters: Getter = attrgetter("_bind_typing_render_casts")
"""Tell whether a dialect writes casts around parameters."""

_ASKING = ("_get_server_version_info", "_get_default_schema_name", "_set_backslash_escapes")


def is_stock_question(method: Any) -> bool:
    """Tell whether a bound method is SQLAlchemy's own and queries a new server."""
    function = method.__func__
    return any(function is getattr(PGDialect, name, None) for name in _ASKING)


def _option(attribute: str) -> Getter:
    if capability.found(f"PGDialect.{attribute}"):
        return attrgetter(attribute)
    return lambda dialect: dialect.given.get(attribute[1:])


json_deserializer: Getter = _option("_json_deserializer")
native_inet_types: Getter = _option("_native_inet_types")
"""Return the value that ``create_engine()`` got under this name, ``None`` if it got none."""


# connections

watchers: Getter = attrgetter("_has_events", "engine._has_events", "dialect._has_events", "_echo")
"""Return flags, of which one is true if event hooks or the log see what is executed."""


def log(connection: Any, *lines: str) -> None:
    """Write lines to the engine's log if it is on (``echo``)."""
    if getattr(connection, "_echo", False):
        for line in lines:
            connection._log_info(line)


def listen_to_dispose(engine: Any, listener: Callable[[Any], None]) -> None:
    """Call ``listener`` with the engine when it is disposed of.

    SQLAlchemy takes any listener for one that has to see every execution; this one does not.
    """
    before = getattr(engine, "_has_events", None)
    event.listen(engine, "engine_disposed", listener)
    if before is not None:
        engine._has_events = before


# pools

pool_of_proxy: Getter = attrgetter("_pool")
"""Return the pool that a proxy's connection goes back to."""


def set_first_connection_lock(pool: Any, lock: Any) -> None:
    """Have a pool hold ``lock`` while the engine's first connection is set up."""
    listeners = pool.dispatch.connect.for_modify(pool.dispatch)
    if hasattr(type(listeners), "_exec_once_mutex"):
        listeners._exec_once_mutex = lock


def serve_several_loops(pool: Any, wanted_elsewhere: Callable[[Any], bool]) -> None:
    """Have a pool that nobody has used yet queue in a way that serves several event loops.

    ``wanted_elsewhere`` tells whether an entry is better left to another loop.  A pool of another
    kind keeps its own queue.
    """
    if not capability.has(Feature.QUEUES):
        return
    queue = getattr(pool, "_pool", None)
    if (
        type(queue) is AsyncAdaptedQueue
        and pool.checkedin() == 0
        and pool.overflow() == -pool.size()
    ):
        pool._pool = PoolQueue(queue.maxsize, queue.use_lifo, wanted_elsewhere)


def proxy_of_record(record: Any) -> Any:
    """Return the proxy through which a pool's entry is in use, None if it is not."""
    reference = getattr(record, "fairy_ref", None)
    return None if reference is None else reference()


# execution contexts

DBAPI_CONNECTION = "_dbapi_connection"
EXPANDED_PARAMETERS = "_expanded_parameters"
IS_EXPLICIT_RETURNING = "_is_explicit_returning"
IS_IMPLICIT_RETURNING = "_is_implicit_returning"
IS_SUPPLEMENTAL_RETURNING = "_is_supplemental_returning"
SENTINEL_COLUMNS = "_num_sentinel_cols"

dbapi_connection: Getter = attrgetter(
    DBAPI_CONNECTION
    if capability.found("DefaultExecutionContext._dbapi_connection")
    else "root_connection.connection"
)
"""Return the pool's proxy for the connection on which a context executes."""

is_server_side: Getter = attrgetter("_is_server_side")
"""Tell whether a context's rows stay on the server."""

sentinel_columns: Getter = attrgetter(SENTINEL_COLUMNS)
"""Return how many of a context's columns only serve to sort its rows (sentinels)."""

process_defaults: Getter = methodcaller("_process_execute_defaults")
"""Add the values of defaults to a context's parameters."""


# engines


def engine_behind(given: object, taker: str, why: str = "") -> Engine:
    """Return the engine that an AsyncEngine, or an Engine, is about.

    Raises TypeError for anything else; ``taker`` is what it was given to, ``why`` it needs one.
    """
    # not at the top: synchronous programs never import it
    from sqlalchemy.ext.asyncio import AsyncEngine

    if isinstance(given, AsyncEngine):
        given = given.sync_engine
    if not isinstance(given, Engine):
        raise TypeError(
            f"{taker} takes an Engine or an AsyncEngine, not {type(given).__name__}{why}"
        )
    return given
