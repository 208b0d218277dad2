"""What becomes of a transaction whose first statement or end was interrupted: the server is asked.

Used by the session's transactions before the next one begins.  Errors are asyncpg's.
"""

from __future__ import annotations

from contextlib import suppress

from asyncpg import exceptions as driver_errors

from ... import driver
from ..unit_of_work import UnitOfWork


async def resolve(
    connection: driver.Connection, unit: UnitOfWork, pipeline: driver.Pipeline | None
) -> None:
    """Ask the server whether the transaction in doubt is open; keep it, or roll it back."""
    transaction = unit.in_doubt
    try:
        if pipeline is not None:
            begun = await pipeline.synchronize()
        else:
            with suppress(driver_errors.PostgresError):  # an error tells the status, too
                await connection.fetchrow(";")  # public; without a pipeline no Sync is missing
            begun = connection.is_in_transaction()
        if begun and not unit.end_in_doubt:
            unit.transaction = transaction
        else:
            await driver.forget_ended(connection, transaction)
            if begun and connection.is_in_transaction():
                await connection.execute("ROLLBACK")
        unit.in_doubt = None  # not earlier: the server is asked again until it has answered
    except Exception:
        if connection.is_closed():
            unit.in_doubt = None
            driver.forget_transaction(connection, transaction)
        raise


async def ask_whether_begun(
    connection: driver.Connection, unit: UnitOfWork, pipeline: driver.Pipeline
) -> bool:
    """Ask the server, because BEGIN has failed or was sent without a Sync behind it."""
    try:
        return await pipeline.synchronize()
    except Exception:
        connection.terminate()
        return False
    except BaseException:
        unit.doubt(unit.transaction, ended=False)
        pipeline.begin_under_way = False
        raise
