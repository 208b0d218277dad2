"""A connection that is cut while it logs in: a login has no effect, so it is made once more."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

import pgflight
from tests.fixtures.engines import Dialect
from tests.fixtures.proxy import Proxy, Side


def cut_off(proxy: Proxy, times: int, side: Side) -> None:
    """Reset the first connections as soon as `side` has said something."""
    seen: set[int] = set()

    def reset(number: int, speaker: Side, data: bytes) -> bytes:
        if speaker == side and number not in seen and len(seen) < times:
            seen.add(number)
            proxy._links[number].abort()
        return data

    proxy.filters.append(reset)


@pytest.mark.parametrize("side", ["client", "server"])
def test_it_is_made_again(pgflight_dialect: Dialect, proxy: Proxy, side: Side) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(proxy.url(), pool_size=1, max_overflow=0)
        cut_off(proxy, 1, side)
        async with engine.connect() as connection:
            assert await connection.scalar(sa.text("SELECT 1")) == 1
        assert proxy.accepted == 2
        assert pgflight.stats(engine).healed == {"login that was cut off": 1}

    asyncio.run(work())


def test_twice_more_at_most(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(proxy.url(), pool_size=1, max_overflow=0)
        cut_off(proxy, 3, "client")
        with pytest.raises((sa.exc.OperationalError, OSError)):
            async with engine.connect():
                pass
        assert proxy.accepted == 3
        async with engine.connect() as connection:
            assert await connection.scalar(sa.text("SELECT 1")) == 1

    asyncio.run(work())


def test_nobody_listens(pgflight_dialect: Dialect, proxy: Proxy) -> None:
    """A refused connection is no login: it is not tried again."""

    async def work() -> None:
        engine = pgflight_dialect.engine(proxy.url().set(port=1), pool_size=1, max_overflow=0)
        with pytest.raises(OSError):
            async with engine.connect():
                pass

    asyncio.run(work())
