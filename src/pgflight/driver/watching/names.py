"""The methods of asyncpg that the built-in dialect calls, directly or not, and we may go past.

A name that this asyncpg lacks is ignored: nobody can call it.  Methods that neither dialect calls
(``fetchval()``, ``reset()``) are not listed: who watches these sees the same on both.
"""

from __future__ import annotations

from typing import Any

import asyncpg
import asyncpg.cursor
import asyncpg.prepared_stmt
import asyncpg.protocol
import asyncpg.transaction

_RESOURCE = ("__init__", "_check_conn_validity")

CONNECTION = (
    "transaction",
    "execute",
    "executemany",
    "fetchrow",
    "prepare",
    "_prepare",
    "_get_statement",
    "_execute",
    "_Connection__execute",
    "_executemany",
    "_do_execute",
    "_time_and_log",
    "_cleanup_stmts",
    "_introspect_types",
)
TRANSACTION = (
    *_RESOURCE,
    "start",
    "commit",
    "rollback",
    "_Transaction__commit",
    "_Transaction__rollback",
)
STATEMENT = (
    *_RESOURCE,
    "fetch",
    "get_attributes",
    "get_statusmsg",
    "cursor",
    "_PreparedStatement__bind_execute",
    "_PreparedStatement__do_execute",
)
FACTORY = (*_RESOURCE, "__await__")
CURSOR = (*_RESOURCE, "_init", "_bind", "_bind_exec", "_exec", "_check_ready", "fetch")
PROTOCOL = (
    "query",
    "prepare",
    "bind_execute",
    "bind_execute_many",
    "bind",
    "execute",
    "close_portal",
    "close_statement",
)
COPYING = (
    "copy_from_query",
    "copy_to_table",
    "copy_records_to_table",
    "_copy_in",
    "_copy_in_records",
    "_copy_out",
)
"""Methods of a connection that our own COPY goes past; the built-in dialect has none."""


PLACES = (
    (asyncpg.transaction, "Transaction"),
    (asyncpg.prepared_stmt, "PreparedStatement"),
    (asyncpg.cursor, "CursorFactory"),
    (asyncpg.cursor, "Cursor"),
)
"""Where asyncpg finds its classes when it makes an object: modules, and names in them."""

MAKERS = (
    (asyncpg, "connect"),
    (asyncpg.connection, "Connection"),
    (asyncpg.protocol, "Protocol"),
)
"""What makes connections and their parts: we call these, too, and look at what they make."""


def _class_at(path: str) -> Any:
    """Return the class at a path of names below asyncpg, or the one under its wrapper."""
    found: Any = asyncpg
    for name in path.split("."):
        found = getattr(found, name, None)
    while not issubclass(type(found), type) and hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    # for one that is missing, a class of which there are no objects
    return found if issubclass(type(found), type) else type(path, (), {})


CLASSES: dict[str, Any] = {
    "Connection": _class_at("connection.Connection"),
    "Transaction": _class_at("transaction.Transaction"),
    "PreparedStatement": _class_at("prepared_stmt.PreparedStatement"),
    "CursorFactory": _class_at("cursor.CursorFactory"),
    "Cursor": _class_at("cursor.Cursor"),
    "Protocol": _class_at("protocol.protocol.Protocol"),
}
