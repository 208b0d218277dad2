"""Statements that another process has made stale: which errors tell, and that nothing has run.

After DDL, DEALLOCATE or DISCARD by anybody, PostgreSQL refuses to execute what was prepared before.
If a unit of work has run nothing else, its statement can be prepared again and executed as if it
were the first time: the server refuses at Bind, before it executes anything.

The same errors may come from within a function that has done something already (a stale type or
statement there).  The server then says where: their context names the function.  At Bind it is
empty, or names the parameter.  asyncpg's own error about rows that it cannot decode any more is
none of these, as it comes after the execution.
"""

from __future__ import annotations

import re
from typing import Any

from asyncpg import exceptions as driver_errors

from ... import driver
from ..unit_of_work import UnitOfWork

PLAN = "cached plan of other columns"
TYPE = "type that is gone or has changed"
NAME = "prepared statement that is gone"
SHARED = "prepared statement that a pooler shares with others"

_UNKNOWN_STATEMENT = "26000"
_DATATYPE_MISMATCH = "42804"
_OTHER_TYPES = frozenset(("42883", "42804", "42P18"))
"""No such operator or function, other types, types unknown: found out when it is planned anew."""
_LOOKUP_FAILED = "cache lookup failed for type"
_AT_BIND = re.compile(r"(?:unnamed )?portal\b[^\n]*\bparameter \$\d+[^\n]*\Z")
"""In English; if the server says it otherwise, the statement is not executed again."""
_RECORD_RECEIVED = "record_recv"  # the C function, which no translation changes


def staleness(error: Exception, *, shared: bool = False) -> str | None:
    """Return how a statement that the server refused at Bind was stale, None if it was not.

    ``shared``: it has a name behind a pooler that follows names, and so perhaps parameters of the
    types that they had when another client had the same text prepared.
    """
    if not isinstance(error, driver_errors.PostgresError):
        return None
    fields: Any = error
    if driver.server_severity(error) is None:
        return None  # the server has not said so, but asyncpg, or we: it may have been executed
    context: str | None = getattr(fields, "context", None)
    if context and not _AT_BIND.match(context):
        return None
    if isinstance(error, driver_errors.InvalidCachedStatementError):
        return PLAN
    state: str = getattr(fields, "sqlstate", None) or ""
    if state == _UNKNOWN_STATEMENT:
        return NAME
    if shared and not context and state in _OTHER_TYPES:
        return SHARED
    text = str(fields.args[0]) if fields.args else ""
    if isinstance(error, driver_errors.InternalServerError) and text.startswith(_LOOKUP_FAILED):
        return TYPE
    if state == _DATATYPE_MISMATCH and fields.server_source_function == _RECORD_RECEIVED:
        return TYPE
    return None


async def roll_back_stale(
    connection: driver.Connection,
    unit: UnitOfWork,
    pipeline: driver.Pipeline | None,
    error: Exception,
    *,
    shared: bool = False,
) -> str | None:
    """Roll back what was begun for a first statement that was stale; return how it was stale.

    None if the statement may not be executed again: it was not stale, or the program may have done
    something besides.
    """
    stale = staleness(error, shared=shared)
    if stale is None or connection.is_closed() or unit.in_doubt is not None:
        return None
    transaction = unit.transaction
    if unit.driver_exposed and transaction is not None:
        if pipeline is None or not pipeline.owns(transaction):
            return None  # perhaps a savepoint in a transaction that the program has begun
    if transaction is not None:
        try:
            if pipeline is None:
                await driver.end(connection, transaction, commit=False)
            else:
                await pipeline.end(transaction, commit=False)
        except Exception:
            connection.terminate()
        except BaseException:
            unit.doubt(transaction, ended=True)
            raise
        unit.transaction = None
    # else in AUTOCOMMIT, or in a transaction that the program has begun by text
    return None if connection.is_closed() or connection.is_in_transaction() else stale
