"""One task ends the transaction while another one's statement is still going on in it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.util import greenlet_spawn

from pgflight import driver
from tests.adversity.server_view import View, check_flag
from tests.fixtures.engines import Dialect

pytestmark = pytest.mark.skipif(
    not driver.can_pipeline(),
    reason="level public closes a connection whose BEGIN is interrupted",
)


@pytest.mark.parametrize("end", ["rollback", "commit"])
@pytest.mark.parametrize("mode", ["auto", "begin"])
def test_a_refused_end_poisons_nothing(pgflight_dialect: Dialect, mode: str, end: str) -> None:
    asyncio.run(refused(pgflight_dialect, mode, end))


async def refused(dialect: Dialect, mode: str, end: str) -> None:
    other_transaction = sa.text("SELECT pg_current_xact_id()::text <> :first")
    engine = dialect.engine(pool_size=1, max_overflow=0, pipeline=mode)
    async with View.of(dialect.server) as view:
        async with engine.connect() as connection:
            adapted: Any = (await connection.get_raw_connection()).dbapi_connection
            first = await connection.scalar(sa.text("SELECT pg_current_xact_id()::text"))
            going_on = asyncio.ensure_future(connection.execute(sa.text("SELECT pg_sleep(0.1)")))
            while not adapted._execute_mutex.taken:
                await asyncio.sleep(0)
            with pytest.raises(sa.exc.InterfaceError, match="another operation is in progress"):
                await getattr(connection, end)()
            with pytest.raises(
                adapted.dbapi.InterfaceError, match="another operation is in progress"
            ):
                await greenlet_spawn(adapted.rollback)
            await going_on
        for _ in range(2):
            async with engine.connect() as connection:
                assert await connection.scalar(other_transaction, {"first": first}) is True
                await check_flag(adapted, view)
                assert (await connection.get_raw_connection()).dbapi_connection is adapted
        assert await view.settled(adapted._connection.get_server_pid()) == "idle"


def test_defaults_changed_behind_our_back(pgflight_dialect: Dialect) -> None:
    asyncio.run(changed_defaults(pgflight_dialect))


async def changed_defaults(dialect: Dialect) -> None:
    """The COMMIT of a SERIALIZABLE transaction is awaited, whoever made it SERIALIZABLE."""
    engine = dialect.engine(pool_size=1, max_overflow=0)
    async with engine.connect() as connection:
        raw: Any = (await connection.get_raw_connection()).driver_connection
        await raw.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        await connection.execute(sa.text("SELECT 1"))
        await connection.commit()
    async with engine.connect() as connection:
        await connection.execution_options(postgresql_readonly=True)
        adapted: Any = (await connection.get_raw_connection()).dbapi_connection
        shown = await connection.scalar(sa.text("SHOW transaction_isolation"))
        assert shown == "serializable"
        before = adapted.session.counters.deferred
        await connection.commit()
        assert adapted.session.counters.deferred == before
