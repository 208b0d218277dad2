"""Logging in: what server it is, how it is authenticated, and whether TLS protects that."""

from __future__ import annotations

import inspect
from ssl import SSLContext
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from pgflight.cli.doctor.checking import Answer, Wrong
from pgflight.cli.doctor.refusals import explained
from pgflight.driver import NOTHING_ASKED, Seen, see_login
from pgflight.options.hosts import only_sockets
from pgflight.options.tls import chooses_plaintext
from pgflight.options.url import engine_arguments, prepare_connect_kwargs

_SECONDS = 10
_MOST_DATABASES = 10
_SERVER = text(
    "SELECT current_setting('server_version'), pg_is_in_recovery(),"
    " current_setting('transaction_read_only'), current_user, current_database()"
)
_ITS_TLS = text("SELECT ssl, version, cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
_DATABASES = text(
    "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate"
    " AND has_database_privilege(datname, 'CONNECT') ORDER BY datname"
)


async def server(engine: AsyncEngine) -> Answer:
    """Connect, and say what answers."""
    try:
        async with engine.connect() as connection:
            row = (await connection.execute(_SERVER)).one()
    # SQLAlchemy 2.0.40 lets asyncpg's errors of a login through as they are
    except (DBAPIError, asyncpg.PostgresError) as error:
        kind, said = explained(error, engine.url)
        if kind == "database":
            said += await _databases_instead(engine.url)
        raise Wrong(said, {"refused_by": kind}) from error
    role = "a standby" if row[1] else "a primary"
    access = "read only" if row[2] == "on" else "read write"
    data = {"version": row[0], "standby": bool(row[1]), "read_only": row[2] == "on"}
    return Answer(
        f"PostgreSQL {row[0]}, {role}, transactions are {access}; user {row[3]}, database {row[4]}",
        {**data, "user": row[3], "database": row[4]},
    )


async def _databases_instead(url: URL) -> str:
    """Name the databases that the same user may use, as far as the usual one lets it ask."""
    engine = create_async_engine(url.set(database="postgres"), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            names = list(await connection.scalars(_DATABASES))
    except Exception:
        return ""  # it is help, not a finding
    finally:
        await engine.dispose()
    shown = ", ".join(names[:_MOST_DATABASES])
    return f" The server has: {shown}{', ...' if len(names) > _MOST_DATABASES else ''}"


def login_arguments(url: URL) -> dict[str, Any]:
    """Return what asyncpg needs in order to log in as `url` says, and nothing of a statement's."""
    arguments = prepare_connect_kwargs(engine_arguments(url)).kwargs
    known = inspect.signature(asyncpg.connect).parameters
    left_out = {"timeout", "loop", "server_settings", "statement_cache_size", "command_timeout"}
    return {name: arguments[name] for name in arguments if name in known and name not in left_out}


async def _seen(engine: AsyncEngine) -> tuple[Seen, dict[str, Any]]:
    arguments = login_arguments(engine.url)
    given = engine_arguments(engine.url)
    guards = not (given.get("allow_cleartext_password") or chooses_plaintext(arguments))
    return await see_login(arguments, seconds=_SECONDS, guards=guards), arguments


async def authentication(engine: AsyncEngine) -> Answer:
    """Say by which method the server, or the pooler in front of it, has let us in."""
    seen, arguments = await _seen(engine)
    method = seen.method
    data = {"method": method}
    if method is None:
        return Answer("the method could not be seen in the login", data)
    if method == NOTHING_ASKED:
        who = "no password was asked for: trust, peer, ident or a client certificate"
        if only_sockets(arguments) or seen.tls:
            return Answer(who, data)
        return Answer(f"{who}; with trust, whoever reaches the port has the database", data)
    if method == "md5":
        return Answer(
            "md5, which PostgreSQL gives up: set password_encryption = 'scram-sha-256' on the"
            " server and the password anew",
            data,
        )
    if method == "cleartext":
        channel = f"inside {seen.tls[0]}" if seen.tls else "as anybody in between can read it"
        return Answer(f"the password itself (password, LDAP, PAM, RADIUS), sent {channel}", data)
    return Answer(method, data)


async def encryption(engine: AsyncEngine) -> Answer:
    """Say what protects the connection to whatever answers, and what the server says of its own."""
    seen, arguments = await _seen(engine)
    async with engine.connect() as connection:
        row = (await connection.execute(_ITS_TLS)).one_or_none()
    behind = f"{row[1]}, {row[2]}" if row is not None and row[0] else None
    own = ", ".join(seen.tls) if seen.tls else None
    local = only_sockets(arguments) or engine.url.host in ("localhost", "127.0.0.1", "::1")
    verified = own is not None and verifies(arguments)
    data = {"tls": own, "server_tls": behind, "verified": verified, "local": local}
    if own is None:
        said = "none between this machine and what answers"
        if not local:
            said += ": who is in between can read and change everything"
        return Answer(f"{said}; {behind} at the server" if behind else said, data)
    if not verified:
        own += "; who the server is has not been verified"
    if behind is None:
        own += "; a pooler in between speaks to the server without TLS"
    return Answer(own, data)


def verifies(arguments: dict[str, Any]) -> bool:
    """Tell whether asyncpg's arguments have the server's certificate and its name verified."""
    given = arguments.get("ssl")
    return given is True or (isinstance(given, SSLContext) and given.check_hostname)
