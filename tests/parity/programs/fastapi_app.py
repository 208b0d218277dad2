"""An ordinary FastAPI application over SQLAlchemy's async sessions.

`test_program.py` runs `main()` in a process of its own, with its database in the environment. It
prints every response as a JSON document.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import httpx
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ForeignKey, func, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload
from sqlalchemy.types import DateTime, Numeric, Text

engine = create_async_engine(os.environ["DATABASE_URL"], pool_pre_ping=True)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """The tables of the shop."""


class Customer(Base):
    """Someone who orders."""

    __tablename__ = "customers_of_program"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    joined: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    orders: Mapped[list[Order]] = relationship(back_populates="customer", order_by="Order.id")


class Order(Base):
    """What someone ordered."""

    __tablename__ = "orders_of_program"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[UUID] = mapped_column(ForeignKey(Customer.id))
    total: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text))
    customer: Mapped[Customer] = relationship(back_populates="orders")


class OrderData(BaseModel):
    """An order on the wire."""

    model_config = ConfigDict(from_attributes=True)
    id: int | None = None
    total: Decimal
    tags: list[str] = []


class CustomerData(BaseModel):
    """A customer on the wire."""

    model_config = ConfigDict(from_attributes=True)
    id: UUID
    email: str
    joined: datetime
    settings: dict[str, Any] = {}
    orders: list[OrderData] = []


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Create the tables, and dispose the engine at the end."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
    yield
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def session() -> AsyncIterator[AsyncSession]:
    """Open a session for one request."""
    async with sessions() as opened:
        yield opened


Session = Annotated[AsyncSession, Depends(session)]


@app.post("/customers", status_code=201)
async def create(data: CustomerData, session: Session) -> CustomerData:
    orders = [Order(total=order.total, tags=order.tags) for order in data.orders]
    customer = Customer(**data.model_dump(exclude={"orders"}), orders=orders)
    session.add(customer)
    try:
        await session.commit()
    except IntegrityError as error:
        await session.rollback()
        raise HTTPException(409, type(error).__name__) from error
    return CustomerData.model_validate(customer)


@app.get("/customers/{key}")
async def read(key: UUID, session: Session) -> CustomerData:
    customer = await session.get(Customer, key, options=[selectinload(Customer.orders)])
    if customer is None:
        raise HTTPException(404, "no such customer")
    return CustomerData.model_validate(customer)


@app.get("/customers")
async def find(session: Session, theme: str) -> list[str]:
    query = select(Customer.email).where(Customer.settings["theme"].astext == theme)
    return list(await session.scalars(query.order_by(Customer.email)))


@app.get("/totals")
async def totals(session: Session) -> list[dict[str, Any]]:
    total = func.sum(Order.total).label("total")
    query = select(Customer.email, total, func.count().label("orders")).join(Order)
    rows = await session.execute(query.group_by(Customer.email).order_by(total.desc()))
    return [dict(row) for row in rows.mappings()]


@app.post("/orders/{key}/tags")
async def tag(key: int, tags: list[str], session: Session) -> OrderData:
    order = await session.get_one(Order, key, with_for_update=True)
    order.tags = [*order.tags, *tags]
    await session.commit()
    return OrderData.model_validate(order)


@app.get("/export")
async def export() -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        async with sessions() as session:
            async for order in await session.stream_scalars(select(Order).order_by(Order.id)):
                yield f"{order.id},{order.total},{'+'.join(order.tags)}\n"

    return StreamingResponse(lines(), media_type="text/csv")


def customer(number: int) -> dict[str, Any]:
    """Return the body of a request to create a customer with some orders."""
    return {
        "id": str(UUID(int=number)),
        "email": f"person{number}@example.com",
        "joined": datetime(2024, 1, 1 + number, tzinfo=timezone.utc).isoformat(),
        "settings": {"theme": ["dark", "light"][number % 2], "größe": [1, None, 2.5]},
        "orders": [{"total": f"{number}.{n}5", "tags": [f"t{n}", "☃"]} for n in range(number)],
    }


async def main() -> None:
    transport = httpx.ASGITransport(app=app)
    client = httpx.AsyncClient(transport=transport, base_url="http://shop")
    async with lifespan(app), client:
        answers = [await client.post("/customers", json=customer(n)) for n in range(4)]
        answers.append(await client.post("/customers", json=customer(1)))
        paths = [f"/customers/{UUID(int=3)}", f"/customers/{UUID(int=99)}", "/customers/no-key"]
        paths += ["/customers?theme=dark", "/totals", "/export"]
        # All at once: requests share the pool.
        answers += await asyncio.gather(*(client.get(path) for path in paths * 5))
        answers.append(await client.post("/orders/1/tags", json=["new"]))
        answers.append(await client.get(f"/customers/{UUID(int=1)}"))
    for answer in answers:
        print(json.dumps([answer.status_code, answer.text]))
    print(type(engine.dialect).__module__, file=sys.stderr)
