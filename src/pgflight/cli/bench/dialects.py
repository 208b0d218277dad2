"""What is compared: the built-in dialect, pgflight and, where it is installed, psycopg."""

from __future__ import annotations

from importlib.util import find_spec

from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pgflight.cli.asking import refusal
from pgflight.cli.environment import is_ours
from pgflight.cli.target import BUILTIN_DRIVER, OUR_DRIVER, CommandError, one_line, shown
from pgflight.options.table import OPTIONS

BUILTIN, PGFLIGHT, PSYCOPG = "built-in", "pgflight", "psycopg"
DIALECTS = (BUILTIN, PGFLIGHT, PSYCOPG)
_DRIVERS = {BUILTIN: BUILTIN_DRIVER, PGFLIGHT: OUR_DRIVER, PSYCOPG: "postgresql+psycopg"}
_CONNECT_SECONDS = 20.0
# What libpq knows, of what may be in a URL for asyncpg.
_LIBPQ = {"host", "port", "user", "password", "dbname", "passfile", "target_session_attrs"}
_LIBPQ |= {"sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslpassword"}
_TLS = {PSYCOPG: ("ssl", "sslmode"), BUILTIN: ("sslmode", "ssl")}
"""Dialect -> what pgflight takes as well, and what it is called there."""
# These change nothing that is measured.
_LEFT_OUT = ("connect_timeout", "application_name")


def url_for(url: URL, dialect: str) -> URL:
    """Return `url` as `dialect` reads it: without options of ours, and TLS by the driver's name.

    What another driver cannot be told is left out, save for TLS: it then refuses the URL.
    """
    if dialect == PGFLIGHT:
        return url.set(drivername=OUR_DRIVER)
    kept = {}
    other, name_there = _TLS[dialect]
    for name, value in url.query.items():
        if name == other:
            kept[name_there] = value
        elif name in _LIBPQ if dialect == PSYCOPG else not _only_ours(name):
            kept[name] = value
    return url.set(drivername=_DRIVERS[dialect], query=kept)


def _only_ours(name: str) -> bool:
    option = OPTIONS.get(name)
    return name in _LEFT_OUT or (option is not None and option.source == "pgflight")


def engine_of(url: URL, dialect: str, *, pool_size: int = 1) -> AsyncEngine:
    """Return an engine of `dialect` for the server at `url`, a URL of ours.

    Raises CommandError where two dialects are the same one, as their comparison would be nothing.
    """
    engine = create_async_engine(url_for(url, dialect), pool_size=pool_size, max_overflow=0)
    served_by = type(engine.dialect).__module__
    if is_ours(served_by) != (dialect == PGFLIGHT):
        raise CommandError(
            f"{_DRIVERS[dialect]} is served by {served_by}: remove what registers it"
        )
    return engine


async def usable(url: URL) -> tuple[list[str], dict[str, str]]:
    """Return the dialects that can log in, and of the others the reason.

    Raises CommandError if pgflight cannot.
    """
    found, refused = [], {}
    # ours first, which the others need: what is wrong with the server is then found out once
    for dialect in sorted(DIALECTS, key=lambda each: each != PGFLIGHT):
        if dialect == PSYCOPG and find_spec("psycopg") is None:
            refused[dialect] = "not installed: pip install 'psycopg[binary]'"
            continue
        reason = await _refusal(url, dialect)
        if not reason:
            found.append(dialect)
        elif dialect == PGFLIGHT:
            raise CommandError(f"pgflight cannot connect to {shown(url)}: {reason}")
        else:
            refused[dialect] = reason
    return sorted(found, key=DIALECTS.index), refused


async def _refusal(url: URL, dialect: str) -> str:
    try:
        engine = engine_of(url, dialect)
    except CommandError:
        raise
    except Exception as error:  # of a driver, for an option
        return one_line(error)
    return await refusal(engine, _CONNECT_SECONDS)
