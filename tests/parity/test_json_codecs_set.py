"""How a new connection gets the codecs of JSON: by asyncpg's method wherever somebody has his own,
and without a question to the server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from pgflight import driver
from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy

VALUES = sa.text("SELECT CAST('[1, 2.5]' AS json), CAST('{\"a\": null}' AS jsonb)")


class Derived(asyncpg.Connection):  # type: ignore[misc]
    """A class of the program's own, which is told of codecs."""

    told: list[str] = []  # noqa: RUF012

    async def set_type_codec(self, typename: str, **options: Any) -> None:
        """Note the type, and do as asyncpg does."""
        self.told.append(typename)
        await super().set_type_codec(typename, **options)


async def read(dialect: Dialect, **options: Any) -> Any:
    engine = dialect.engine(poolclass=NullPool, **options)
    async with engine.connect() as connection:
        assert (await connection.execute(VALUES)).one() == ([1, 2.5], {"a": None})


def test_a_class_of_the_programs_own(dialect: Dialect) -> None:
    Derived.told.clear()
    asyncio.run(read(dialect, connect_args={"connection_class": Derived}))
    assert [name for name in Derived.told if name.startswith("json")] == ["json", "jsonb"]


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    told: list[str] = []
    its_own = asyncpg.Connection.set_type_codec

    async def set_type_codec(self: Any, typename: str, **options: Any) -> None:
        told.append(typename)
        await its_own(self, typename, **options)

    monkeypatch.setattr(asyncpg.Connection, "set_type_codec", set_type_codec)
    yield told


def test_a_method_that_was_replaced(dialect: Dialect, replaced: list[str]) -> None:
    asyncio.run(read(dialect))
    assert [name for name in replaced if name.startswith("json")] == ["json", "jsonb"]


@pytest.mark.skipif(not driver.is_private(), reason="asyncpg 0.30 asks the server by itself")
def test_a_later_connection_asks_nothing(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    """Login, and the statement that another one was told of; asyncpg 0.30 would ask four times."""

    async def work() -> int:
        engine = pgflight_dialect.engine(via=proxy, poolclass=NullPool)
        async with engine.connect() as connection:
            await connection.execute(VALUES)
        await proxy.parted()
        url = proxy.url()
        with proxy.counting() as alone:
            bare = await asyncpg.connect(
                host=url.host, port=url.port, user=url.username, password=url.password,
                database=url.database,
            )  # fmt: skip
        await bare.close()
        await proxy.parted()
        with proxy.counting() as trips:
            async with engine.connect() as connection:
                await connection.execute(VALUES)
                made = trips.count
        return made - alone.count

    # at level public it is described first
    assert asyncio.run(work()) == (1 if driver.can_pipeline() else 2)
