"""Transactions: isolation, AUTOCOMMIT, read-only, savepoints, failures, two phases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.fixtures.outcome import Both, attempt, refused
from tests.parity.scratch import committed, own

metadata = sa.MetaData()
items = sa.Table(
    own("items_of_transactions"),
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False),
)


async def shown(connection: AsyncConnection, *names: str) -> list[Any]:
    """Return settings of the transaction as the server has them."""
    return [await connection.scalar(sa.text(f"SHOW {name}")) for name in names]


async def stored(engine: AsyncEngine) -> list[Any]:
    """Return the committed rows, read on a connection of its own."""
    async with engine.connect() as connection:
        return list((await connection.execute(sa.select(items).order_by(items.c.id))).all())


def add(number: int, name: str | None = "new") -> Any:
    """Return an INSERT of one row; None as the name violates a constraint."""
    return items.insert().values(id=number, name=name)


async def sent(connection: AsyncConnection, statement: Any) -> int:
    """Return the number of rows that `statement` returned or changed."""
    return (await connection.execute(statement)).rowcount


def test_autocommit_on_and_off_again(both: Both) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with committed(engine, metadata):
            seen: list[Any] = []
            async with engine.connect() as connection:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                await connection.execute(add(1))
                seen.append(await stored(engine))
                seen.append(await attempt(sent(connection, add(1))))
                await connection.execute(add(2))
                await connection.rollback()
                seen.append(await stored(engine))
                await connection.execution_options(isolation_level="READ COMMITTED")
                await connection.execute(add(3))
                await connection.rollback()
                seen.append(await stored(engine))
                await connection.execute(add(4))
                await connection.commit()
            async with engine.connect() as connection:
                await connection.execute(add(5))
            seen.append(await stored(engine))
            return seen

    rows = both(work)
    assert [[row.id for row in rows[n]] for n in (0, 2, 3, 4)] == [[1], [1, 2], [1, 2], [1, 2, 4]]


@pytest.mark.parametrize("readonly", [True, False])
@pytest.mark.parametrize("deferrable", [True, False])
def test_readonly_and_deferrable(both: Both, readonly: bool, deferrable: bool) -> None:
    async def work(engine: AsyncEngine) -> Any:
        options = {"postgresql_readonly": readonly, "postgresql_deferrable": deferrable}
        names = ("transaction_read_only", "transaction_deferrable", "transaction_isolation")
        async with committed(engine, metadata):
            async with engine.connect() as connection:
                await connection.execution_options(isolation_level="SERIALIZABLE", **options)
                seen = [await shown(connection, *names), await attempt(sent(connection, add(1)))]
                await connection.rollback()
            async with engine.connect() as connection:
                seen.append(await shown(connection, *names))
            return [*seen, engine.sync_engine.pool.checkedin()]  # type: ignore[attr-defined]

    on_off = ["on" if option else "off" for option in (readonly, deferrable)]
    assert both(work)[0] == [*on_off, "serializable"]


def test_savepoints_and_nested_rollback(both: Both) -> None:
    async def work(engine: AsyncEngine) -> Any:
        seen: list[Any] = []
        async with committed(engine, metadata):
            async with engine.begin() as connection:
                await connection.execute(add(1))
                async with connection.begin_nested() as outer:
                    await connection.execute(add(2))
                    inner = await connection.begin_nested()
                    await connection.execute(add(3))
                    await inner.rollback()
                    seen += [inner.is_active, outer.is_active, connection.in_nested_transaction()]
                    seen.append(await attempt(inner.commit()))
                nested = await connection.begin_nested()
                seen.append(await attempt(sent(connection, add(4, None))))
                seen.append(await attempt(sent(connection, sa.select(sa.literal(1)))))
                await nested.rollback()
                await connection.execute(add(5))
            seen.append(await stored(engine))
            return seen

    assert [row.id for row in both(work)[-1]] == [1, 2, 5]


async def _error_then_rollback(connection: AsyncConnection) -> Any:
    first = await refused(sent(connection, add(1, None)))
    second = await refused(sent(connection, sa.select(sa.literal(1))))
    await connection.rollback()
    return [first, second, await connection.scalar(sa.select(sa.literal(2)))]


async def _error_then_commit(connection: AsyncConnection) -> Any:
    await connection.execute(add(1))
    first = await refused(sent(connection, add(1)))
    outcome = await attempt(connection.commit())
    return [first, outcome, await attempt(sent(connection, sa.select(sa.literal(3))))]


async def _commit_without_begin(connection: AsyncConnection) -> Any:
    await connection.commit()
    await connection.rollback()
    await connection.execute(add(1))
    async with connection.begin_nested():
        await connection.execute(add(2))
    await connection.commit()
    return [connection.in_transaction(), await refused(sent(connection, add(2)))]


async def _begin_twice(connection: AsyncConnection) -> Any:
    await connection.begin()
    return [await refused(_begin(connection)), connection.in_transaction()]


async def _begin(connection: AsyncConnection) -> None:
    await connection.begin()


async def _unfinished_sql_transaction(connection: AsyncConnection) -> Any:
    await connection.execute(sa.text("SAVEPOINT own"))
    await connection.execute(add(1))
    await connection.execute(sa.text("ROLLBACK TO SAVEPOINT own"))
    await connection.execute(add(2))
    await connection.commit()
    return (await connection.execute(sa.select(items))).all()


async def _closed(connection: AsyncConnection) -> Any:
    await connection.execute(add(9))
    await connection.close()
    return await refused(sent(connection, sa.select(sa.literal(1))))


UNITS = (
    _error_then_rollback,
    _error_then_commit,
    _commit_without_begin,
    _begin_twice,
    _unfinished_sql_transaction,
    _closed,
)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.__name__.strip("_"))
def test_unit_of_work(both: Both, unit: Callable[[AsyncConnection], Any]) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with committed(engine, metadata):
            async with engine.connect() as connection:
                outcome = await unit(connection)
            return [outcome, await stored(engine)]

    both(work)


@pytest.mark.parametrize("end", ["commit", "rollback", "commit unprepared", "rollback prepared"])
def test_two_phases(both: Both, end: str) -> None:
    def transact(connection: sa.Connection) -> None:
        transaction = connection.begin_twophase(own("phases"))
        connection.execute(add(1))
        if "unprepared" not in end and end != "rollback":
            transaction.prepare()
        (transaction.commit if end.startswith("commit") else transaction.rollback)()

    async def work(engine: AsyncEngine) -> Any:
        async with committed(engine, metadata):
            async with engine.connect() as connection:
                outcome = await attempt(connection.run_sync(transact))
                prepared = await connection.run_sync(lambda c: c.recover_twophase())
            return [outcome, list(prepared), await stored(engine)]

    both(work)
