"""The table of docs/errors.md, written from `pgflight.dbapi.errors`."""

from __future__ import annotations

from collections.abc import Iterator

from pgflight.dbapi.errors import BY_SQLSTATE, BY_SQLSTATE_CLASS, Error

# The titles of appendix A of the PostgreSQL manual.
TITLES = {
    "08": "connection exception",
    "0A": "feature not supported",
    "20": "case not found",
    "21": "cardinality violation",
    "22": "data exception",
    "23": "integrity constraint violation",
    "24": "invalid cursor state",
    "25": "invalid transaction state",
    "26": "invalid SQL statement name",
    "27": "triggered data change violation",
    "28": "invalid authorization specification",
    "2B": "dependent privilege descriptors still exist",
    "2D": "invalid transaction termination",
    "2F": "SQL routine exception",
    "34": "invalid cursor name",
    "38": "external routine exception",
    "39": "external routine invocation exception",
    "3B": "savepoint exception",
    "3D": "invalid catalog name",
    "3F": "invalid schema name",
    "40": "transaction rollback: serialization failure, deadlock",
    "42": "syntax error or access rule violation",
    "44": "WITH CHECK OPTION violation",
    "53": "insufficient resources",
    "54": "program limit exceeded",
    "55": "object not in prerequisite state: lock not available",
    "57": "operator intervention: cancelled, shutdown",
    "58": "system error outside of PostgreSQL",
    "72": "snapshot failure",
    "F0": "configuration file error",
    "HV": "foreign data wrapper error",
    "P0": "PL/pgSQL error: RAISE",
    "XX": "internal error",
}


def lines() -> Iterator[str]:
    """Yield the table."""
    yield ""
    yield "| SQLSTATE | condition | class of `sqlalchemy.exc` | class of `error.orig` |"
    yield "|---|---|---|---|"
    for state, cls in sorted({**BY_SQLSTATE_CLASS, **BY_SQLSTATE}.items()):
        condition = TITLES.get(state) or (cls.__doc__ or "").partition(": ")[2].rstrip(".")
        own = f"`{cls.__name__}`"
        yield f"| {state} | {condition} | `{_wrapper(cls)}` | {own} |"
    yield "| any other | | `DatabaseError` | `DatabaseError` |"
    yield ""


def _wrapper(cls: type[Error]) -> str:
    """Return the class of sqlalchemy.exc that an error of a class is raised as."""
    from sqlalchemy import exc

    for each in cls.__mro__:
        found = getattr(exc, each.__name__, None)
        if isinstance(found, type) and issubclass(found, exc.DBAPIError):
            return each.__name__
    raise TypeError(cls)
