"""A command's schema on the given server: created, marked as ours, dropped at the end.

`demo` and `bench` work inside theirs. Nothing outside it is touched.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from pgflight.cli.target import CommandError, one_line, shown

_CONNECT_SECONDS = 20.0
_SCHEMA_SECONDS = 60.0


@dataclass(frozen=True)
class OwnSchema:
    """The schema of a command: its name, and the key of the advisory lock that keeps others out."""

    name: str
    command: str
    lock: int

    @property
    def mark(self) -> str:
        """The comment by which a schema is known to be ours."""
        return f"made by `python -m pgflight {self.command}`, which drops it"


@contextlib.asynccontextmanager
async def made(schema: OwnSchema, url: URL) -> AsyncIterator[str]:
    """Create the schema, yield the server's version, and always drop the schema.

    Raises CommandError if the server cannot be reached, does not allow us to create a schema, has
    one of that name that is not ours, or if the same command runs in this database already.
    """
    engine = create_async_engine(url, poolclass=NullPool)
    # The transaction stays open to hold the lock, which works through a transaction pooler, too.
    holder = None
    try:
        try:
            holder = await asyncio.wait_for(engine.connect(), _CONNECT_SECONDS)
            version, held = await asyncio.wait_for(_locked(schema, holder), _CONNECT_SECONDS)
        except asyncio.TimeoutError:
            raise CommandError(
                f"{shown(url)} did not answer within {_CONNECT_SECONDS:g} s"
            ) from None
        # A driver may raise anything for an address, a password, a TLS file or an unknown option.
        except Exception as error:
            raise CommandError(f"cannot connect to {shown(url)}: {one_line(error)}") from error
        if not held:
            raise CommandError(
                f"another {schema.command} runs in {shown(url)}: wait for its end, or use another "
                "database"
            )
        await _within(_make(schema, engine), schema, "made")
        try:
            yield version
        finally:
            await _within(_drop(schema, engine), schema, "dropped")
    finally:
        if holder is not None:
            with contextlib.suppress(DBAPIError, OSError, asyncio.TimeoutError):
                await asyncio.wait_for(holder.close(), _CONNECT_SECONDS)
        await engine.dispose()


async def _locked(schema: OwnSchema, holder: AsyncConnection) -> tuple[str, bool]:
    """Return the server's version, and whether this is the only run of the command."""
    version = await holder.scalar(text("SHOW server_version"))
    lock = text("SELECT pg_try_advisory_xact_lock(:key)")
    return str(version), bool(await holder.scalar(lock, {"key": schema.lock}))


async def _within(work: Coroutine[Any, Any, None], schema: OwnSchema, done: str) -> None:
    """Do what makes or drops the schema in bounded time; raise CommandError where it fails."""
    try:
        await asyncio.wait_for(work, _SCHEMA_SECONDS)
    except CommandError:
        raise
    except asyncio.TimeoutError:
        raise CommandError(
            f"the schema {schema.name!r} was not {done} within {_SCHEMA_SECONDS:g} s: a pooler has"
            " to allow two server connections at least"
        ) from None
    except Exception as error:
        raise CommandError(
            f"the schema {schema.name!r} cannot be {done}: {one_line(error)}"
        ) from error


async def _make(schema: OwnSchema, engine: AsyncEngine) -> None:
    query = text(
        "SELECT oid, obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = :name"
    )
    async with engine.connect() as connection:
        found = (await connection.execute(query, {"name": schema.name})).one_or_none()
    if found is not None and found[1] != schema.mark:
        raise CommandError(
            f"the database {engine.url.database!r} has a schema {schema.name!r} that "
            f"{schema.command} did not make: rename that schema, or name another database in the "
            "URL"
        )
    if found is not None:
        await _drop(schema, engine)  # left over from a run that was killed
    try:
        async with engine.begin() as connection:
            await connection.execute(text(f"CREATE SCHEMA {schema.name}"))
            await connection.execute(text(f"COMMENT ON SCHEMA {schema.name} IS '{schema.mark}'"))
    except DBAPIError as error:
        raise CommandError(
            f"the schema {schema.name!r} cannot be made: {one_line(error)}; the user of the URL "
            "needs the right to create one"
        ) from error


async def _drop(schema: OwnSchema, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(f"DROP SCHEMA IF EXISTS {schema.name} CASCADE"))
