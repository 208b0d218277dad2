"""Every isolation level with READ ONLY and DEFERRABLE, and what else may begin a transaction."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.fixtures.outcome import Both, attempt
from tests.parity.scratch import committed, own
from tests.parity.units_of_work import Base, Item

LEVELS = (None, "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "AUTOCOMMIT")
CHOICES = (None, False, True)
GRID = tuple(itertools.product(CHOICES, CHOICES))
SETTINGS = ("transaction_isolation", "transaction_read_only", "transaction_deferrable")
OPTIONS: dict[str, Any] = {"pool_size": 1, "max_overflow": 0}


def options(level: str | None, readonly: bool | None, deferrable: bool | None) -> dict[str, Any]:
    """Return the execution options that ask for it; None leaves one out."""
    asked = {
        "isolation_level": level,
        "postgresql_readonly": readonly,
        "postgresql_deferrable": deferrable,
    }
    return {name: value for name, value in asked.items() if value is not None}


async def reads(connection: AsyncConnection) -> list[Any]:
    """Return what four reads find, each of which may be the first of the transaction."""
    texts = [f"SHOW {name}" for name in SETTINGS] + ["SELECT 42"]
    found = [await attempt(connection.scalar(sa.text(text))) for text in texts]
    dbapi: Any = (await connection.get_raw_connection()).dbapi_connection
    return [*found, dbapi.isolation_level, dbapi.readonly, dbapi.deferrable]


async def insert(connection: AsyncConnection, name: str = "new") -> Any:
    return (await connection.execute(sa.insert(Item).values(name=name))).rowcount


async def names(engine: AsyncEngine) -> Any:
    async with engine.connect() as connection:
        found: Any = await connection.scalars(
            sa.select(sa.column("name")).select_from(Item.__table__)
        )
        return sorted(found.all())


@pytest.mark.parametrize("end", ["close", "commit", "rollback"])
@pytest.mark.parametrize("level", LEVELS)
def test_the_grid(both: Both, level: str | None, end: str) -> None:
    """One physical connection serves all of it: each unit gives it back as it was."""

    async def work(engine: AsyncEngine) -> Any:
        found: list[Any] = []
        for readonly, deferrable in GRID:
            async with engine.connect() as connection:
                await connection.execution_options(**options(level, readonly, deferrable))
                found.append(await reads(connection))
                await getattr(connection, end)()
            async with engine.connect() as connection:
                found.append(await reads(connection))
                await connection.rollback()
                found.append(await reads(connection))
        return found

    found = both(work, **OPTIONS)
    for (readonly, _), unit in zip(GRID, found[::3]):
        expected = "read committed" if level in (None, "AUTOCOMMIT") else level.lower()
        assert unit[0] == expected
        assert unit[1] == ("on" if readonly and level != "AUTOCOMMIT" else "off")
    assert all(later == found[1] for later in found[1::3] + found[2::3])


@pytest.mark.parametrize("level", LEVELS)
def test_each_read_may_be_the_first(both: Both, level: str | None) -> None:
    async def work(engine: AsyncEngine) -> Any:
        found = []
        for (readonly, deferrable), name in itertools.product(GRID, SETTINGS):
            async with engine.connect() as connection:
                await connection.execution_options(**options(level, readonly, deferrable))
                found.append(await connection.scalar(sa.text(f"SHOW {name}")))
        return found

    assert len(both(work, **OPTIONS)) == len(GRID) * len(SETTINGS)


@pytest.mark.parametrize("end", ["close", "commit", "rollback"])
@pytest.mark.parametrize("level", LEVELS)
def test_a_write_in_each_of_them(both: Both, level: str | None, end: str) -> None:
    async def work(engine: AsyncEngine) -> Any:
        outcomes = []
        async with committed(engine, Base.metadata):
            for readonly, deferrable in GRID:
                async with engine.connect() as connection:
                    await connection.execution_options(**options(level, readonly, deferrable))
                    outcomes.append(await attempt(insert(connection)))
                    outcomes.append(await attempt(insert(connection)))
                    outcomes.append(await attempt(getattr(connection, end)()))
            return [outcomes, await names(engine)]

    both(work, **OPTIONS)


async def set_transaction(connection: AsyncConnection) -> Any:
    await connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY"))
    return [await reads(connection), await attempt(insert(connection))]


async def set_transaction_too_late(connection: AsyncConnection) -> Any:
    await connection.scalar(sa.text("SELECT 1"))
    late = await attempt(_run(connection, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
    return [late, await attempt(insert(connection))]


async def set_session_characteristics(connection: AsyncConnection) -> Any:
    change = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {}"
    await connection.execute(sa.text(change.format("SERIALIZABLE")))
    await connection.commit()
    inside = await reads(connection)
    await connection.rollback()
    await connection.execute(sa.text(change.format("READ COMMITTED")))
    await connection.commit()
    return [inside, await reads(connection)]


async def savepoint(connection: AsyncConnection) -> Any:
    await connection.execute(sa.text("SAVEPOINT first"))
    await insert(connection, "gone")
    await connection.execute(sa.text("ROLLBACK TO SAVEPOINT first"))
    await insert(connection, "kept")
    await connection.commit()


async def nested_rolled_back(connection: AsyncConnection) -> Any:
    nested = await connection.begin_nested()
    await insert(connection, "gone")
    await nested.rollback()
    still = connection.in_transaction()
    await insert(connection, "kept")
    await connection.commit()
    return still


async def nested_read_and_failed(connection: AsyncConnection) -> Any:
    async with connection.begin_nested():
        inside = await connection.scalar(sa.text("SELECT 1"))
    failing = await connection.begin_nested()
    failed = await attempt(connection.scalar(sa.text("SELECT 1/0")))
    await failing.rollback()
    await insert(connection, "kept")
    await connection.commit()
    return [inside, failed]


async def begun_by_hand(connection: AsyncConnection) -> Any:
    """BEGIN as a statement: a warning, within the transaction that is open already."""
    await connection.execute(sa.text("BEGIN"))
    await insert(connection, "kept")
    await connection.execute(sa.text("COMMIT"))
    again = await attempt(insert(connection, "of no transaction"))
    return [again, await attempt(connection.commit())]


async def ended_by_hand(connection: AsyncConnection) -> Any:
    outcomes = [await attempt(_run(connection, "ROLLBACK"))]
    outcomes.append(await attempt(connection.scalar(sa.text("SELECT 42"))))
    outcomes.append(await attempt(connection.rollback()))
    return [*outcomes, await attempt(insert(connection, "gone"))]


async def _run(connection: AsyncConnection, text: str) -> None:
    await connection.execute(sa.text(text))


async def two_phases(connection: AsyncConnection) -> Any:
    transaction = await connection.run_sync(lambda c: c.begin_twophase(own("grid")))
    await insert(connection, "kept")

    def finish(_: sa.Connection) -> None:
        transaction.prepare()
        transaction.commit()

    await connection.run_sync(finish)
    return await connection.run_sync(lambda c: list(c.recover_twophase()))


async def two_phases_rolled_back(connection: AsyncConnection) -> Any:
    transaction = await connection.run_sync(lambda c: c.begin_twophase(own("grid")))
    await insert(connection, "gone")
    await connection.run_sync(lambda _: transaction.rollback())
    return await connection.run_sync(lambda c: list(c.recover_twophase()))


UNITS = (
    set_transaction, set_transaction_too_late, set_session_characteristics, savepoint,
    nested_rolled_back, nested_read_and_failed, begun_by_hand, ended_by_hand, two_phases,
    two_phases_rolled_back,
)  # fmt: skip


@pytest.mark.parametrize("level", [None, "REPEATABLE READ", "AUTOCOMMIT"])
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.__name__)
def test_what_comes_first(
    both: Both, unit: Callable[[AsyncConnection], Any], level: str | None
) -> None:
    async def work(engine: AsyncEngine) -> Any:
        found: list[Any] = []
        async with committed(engine, Base.metadata):
            for _ in range(2):
                async with engine.connect() as connection:
                    if level is not None:
                        await connection.execution_options(isolation_level=level)
                    found.append(await attempt(unit(connection)))
                found.append(await names(engine))
                async with engine.connect() as connection:
                    found.append(await reads(connection))
        return found

    both(work, **OPTIONS)
