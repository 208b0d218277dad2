"""The demonstration's schema on the given server: created, marked as ours, dropped at the end.

`comparison.py` works inside it. Nothing outside it is touched.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from pgflight.cli.demo.model import SCHEMA
from pgflight.cli.target import CommandError, one_line, shown

MARK = "made by `python -m pgflight demo`, which drops it"
_CONNECT_SECONDS = 20.0
_DROP_SECONDS = 60.0
_LOCK = 0x66617374  # an arbitrary number of ours: one demonstration per database at a time


@contextlib.asynccontextmanager
async def demo_schema(url: URL) -> AsyncIterator[str]:
    """Create the schema, yield the server's version, and always drop the schema.

    Raises CommandError if the server cannot be reached, does not allow us to create a schema, has
    one of that name that is not ours, or runs another demonstration in this database.
    """
    engine = create_async_engine(url, poolclass=NullPool)
    # The transaction stays open to hold the lock, which works through a transaction pooler, too.
    holder = None
    try:
        try:
            holder = await asyncio.wait_for(engine.connect(), _CONNECT_SECONDS)
            version = await holder.scalar(text("SHOW server_version"))
            held = await holder.scalar(
                text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}
            )
        except asyncio.TimeoutError:
            raise CommandError(
                f"{shown(url)} did not answer within {_CONNECT_SECONDS:g} s"
            ) from None
        # A driver may raise anything for an address, a password, a TLS file or an unknown option.
        except Exception as error:
            raise CommandError(f"cannot connect to {shown(url)}: {one_line(error)}") from error
        if not held:
            raise CommandError(
                f"another demonstration runs in {shown(url)}: wait for its end, or use another "
                "database"
            )
        await _make(engine)
        try:
            yield str(version)
        finally:
            await asyncio.wait_for(_drop(engine), _DROP_SECONDS)
    finally:
        if holder is not None:
            with contextlib.suppress(DBAPIError, OSError):
                await holder.close()
        await engine.dispose()


async def _make(engine: AsyncEngine) -> None:
    query = text(
        "SELECT oid, obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = :name"
    )
    async with engine.connect() as connection:
        found = (await connection.execute(query, {"name": SCHEMA})).one_or_none()
    if found is not None and found[1] != MARK:
        raise CommandError(
            f"the database {engine.url.database!r} has a schema {SCHEMA!r} that this demonstration "
            "did not make: rename that schema, or name another database in --url"
        )
    if found is not None:
        await _drop(engine)  # left over from a run that was killed
    try:
        async with engine.begin() as connection:
            await connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
            await connection.execute(text(f"COMMENT ON SCHEMA {SCHEMA} IS '{MARK}'"))
    except DBAPIError as error:
        raise CommandError(
            f"the schema {SCHEMA!r} cannot be made: {one_line(error)}; the user of --url needs the "
            "right to create one"
        ) from error


async def _drop(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
