"""What to say about an option that does not exist.

Raised by :mod:`pgflight.options.url` and :mod:`pgflight.options.service_files`.
"""

from __future__ import annotations

import difflib

from sqlalchemy.exc import ArgumentError

from .table import OPTIONS

_STATEMENTS = (
    "behind a pooler in transaction mode write prepared_statement_cache_size=0 and "
    "statement_cache_size=0"
)
_SCHEMA = "write options=-csearch_path%3Dname"
_POOL = "it belongs to create_engine or create_async_engine, as an argument"

ELSEWHERE: dict[str, str] = {
    "pgbouncer": f"Prisma's; {_STATEMENTS}",
    "connection_limit": "Prisma's; give pool_size to create_async_engine",
    "prepareThreshold": f"pgjdbc's; {_STATEMENTS}",
    "schema": f"Prisma's; {_SCHEMA}",
    "currentSchema": f"pgjdbc's; {_SCHEMA}",
    "search_path": f"a setting of the server; {_SCHEMA}",
    "supa": "a label of Supabase's for Vercel; leave it out",
    "targetServerType": "pgjdbc's; write target_session_attrs",
    "socketTimeout": "pgjdbc's; write command_timeout",
    "tcpKeepAlive": "pgjdbc's; write keepalives=1",
    "username": "libpq calls it user",
    "pool_size": _POOL,
    "max_overflow": _POOL,
    "pool_timeout": _POOL,
    "pool_recycle": _POOL,
    "pool_pre_ping": _POOL,
    "echo": _POOL,
    "isolation_level": _POOL,
    "connection_timeout": "write connect_timeout",
    "pool_mode": "a pooler's; it is found by itself, or write pooler=transaction or pooler=session",
    "sslaccept": "Prisma's; write sslmode=verify-full or sslmode=require",
    "sslidentity": "Prisma's; write sslcert and sslkey",
}
"""Options of other drivers and tools that are often found in a copied URL."""


SETTINGS = frozenset(
    (
        *("statement_timeout", "lock_timeout", "transaction_timeout", "idle_session_timeout"),
        *("idle_in_transaction_session_timeout", "client_connection_check_interval", "work_mem"),
        *("timezone", "datestyle", "jit", "role", "client_min_messages", "synchronous_commit"),
        *("default_transaction_read_only", "default_transaction_isolation", "row_security"),
    )
)
"""Settings of the server that are often written as options: not the misspelt name of one."""


def nearest_option(name: str) -> str | None:
    """Return the known option whose name is most similar to ``name``, None if none is."""
    spelt = {_plain(known): known for known in OPTIONS}
    found = difflib.get_close_matches(_plain(name), spelt, n=1)
    return spelt[found[0]] if found else None


def unknown_option(name: str, place: str) -> ArgumentError:
    """Return the error for ``name``, an option in ``place`` that pgflight does not know."""
    start = f"Unknown option {name!r} {place}"
    if name in ELSEWHERE:
        return ArgumentError(f"{start}: {ELSEWHERE[name]}")
    near = None if name.lower() in SETTINGS else nearest_option(name)
    guess = f"did you mean {near!r}? A" if near else "a"
    return ArgumentError(
        f"{start}: {guess} setting of the server is written options=-c%20{name}%3Dvalue in the "
        f"URL, or server_settings={{{name!r}: 'value'}} in connect_args"
    )


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
