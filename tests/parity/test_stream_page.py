"""The Python in docs/streaming.md runs as it stands there."""

from __future__ import annotations

import asyncio
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

import pgflight
from tests.fixtures.engines import Dialect
from tests.fixtures.pages import DOCS, blocks_of, run_blocks
from tests.parity.scratch import committed, own

PAGE = DOCS / "streaming.md"
USERS, ORDERS = 2000, 3


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = own("streaming_page_users")
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    orders: Mapped[list[Order]] = relationship()


class Order(Base):
    __tablename__ = own("streaming_page_orders")
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey(User.id))


def test_the_page_runs(pgflight_dialect: Dialect) -> None:
    assert len(blocks_of(PAGE)) == 4
    names: dict[str, Any] = {
        "sa": sa,
        "pgflight": pgflight,
        "AsyncSession": AsyncSession,
        "selectinload": selectinload,
        "User": User,
        "users": Base.metadata.tables[User.__tablename__],
        "total": 0,
        "most": 0,
    }

    async def run() -> None:
        names["engine"] = engine = pgflight_dialect.engine()
        async with committed(engine, Base.metadata):
            async with engine.begin() as connection:
                people = [{"id": n, "name": f"user {n}"} for n in range(USERS)]
                await connection.execute(sa.insert(User), people)
                orders = [{"user_id": n} for n in range(USERS) for _ in range(ORDERS)]
                await connection.execute(sa.insert(Order), orders)
            await run_blocks(PAGE, names)

    asyncio.run(run())
    assert names["total"] == sum(range(USERS)) + USERS * ORDERS
    assert names["row"].id == 10
    assert 100 < names["most"] <= 1000
