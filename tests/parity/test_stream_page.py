"""The Python in docs/streaming.md runs as it stands there."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

import pgflight
from tests.fixtures.engines import Dialect
from tests.parity.scratch import committed, own

PAGE = Path(__file__).parents[2] / "docs" / "streaming.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
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
    blocks = _BLOCK.findall(PAGE.read_text())
    assert len(blocks) == 4
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
            for block in blocks:
                code = compile(block, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                running = eval(code, names)
                if inspect.isawaitable(running):
                    await running

    asyncio.run(run())
    assert names["total"] == sum(range(USERS)) + USERS * ORDERS
    assert names["row"].id == 10
    assert 100 < names["most"] <= 1000
