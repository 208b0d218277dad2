"""The service as people write it: FastAPI, a session per request, pydantic models in and out."""

from __future__ import annotations

import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import configure_mappers, selectinload

from bench.app.models import Document, Item, Order

POOL = 20


class _Read(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ItemRead(_Read):
    """An item, as the service tells of it."""

    id: int
    product: str
    price: Decimal
    amount: int


class OrderRead(_Read):
    """An order without its items."""

    id: int
    customer: str
    status: str
    version: int
    created_at: datetime


class WholeOrder(OrderRead):
    """An order with its items."""

    items: list[ItemRead]


class ItemWrite(BaseModel):
    """An item of a new order."""

    product: str
    price: Decimal
    amount: int


class OrderWrite(BaseModel):
    """A new order."""

    customer: str
    items: list[ItemWrite]


class Status(BaseModel):
    """What an update changes."""

    status: str


async def opened(request: Request) -> AsyncIterator[AsyncSession]:
    """Yield the session of a request, and close it afterwards."""
    async with request.app.state.sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(opened)]


def service(url: str, *, frozen: bool = False) -> FastAPI:
    """Return the application on the database at ``url``, whose driver chooses the dialect.

    ``frozen``: what is in memory when it starts is kept out of Python's garbage collections, as the
    operators of busy services do.
    """
    engine = create_async_engine(url, pool_size=POOL, max_overflow=0)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        if frozen:
            configure_mappers()
            gc.collect()
            gc.freeze()
        yield
        await engine.dispose()

    app = FastAPI(lifespan=life)
    app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
    _reading(app)
    _writing(app)

    @app.get("/cpu")
    async def cpu() -> float:
        return time.process_time()

    return app


def _found(row: Any) -> Any:
    if row is None:
        raise HTTPException(404)
    return row


def _reading(app: FastAPI) -> None:
    @app.get("/orders/{number}", response_model=OrderRead)
    async def get(number: int, session: Session) -> Any:
        return _found(await session.get(Order, number))

    @app.get("/orders/{number}/items", response_model=WholeOrder)
    async def get_whole(number: int, session: Session) -> Any:
        options = [selectinload(Order.items)]
        return _found(await session.get(Order, number, options=options))

    @app.get("/orders", response_model=list[WholeOrder])
    async def listed(session: Session, after: int = 0, limit: int = 20) -> Any:
        statement = (
            sa.select(Order)
            .where(Order.id > after)
            .order_by(Order.id)
            .limit(limit)
            .options(selectinload(Order.items))
        )
        return (await session.scalars(statement)).all()

    @app.get("/search", response_model=list[OrderRead])
    async def search(ids: Annotated[list[int], Query()], session: Session) -> Any:
        statement = sa.select(Order).where(Order.id.in_(ids)).order_by(Order.id)
        return (await session.scalars(statement)).all()

    @app.get("/documents/{number}")
    async def document(number: int, session: Session) -> Any:
        return _found(await session.get(Document, number)).body


def _writing(app: FastAPI) -> None:
    @app.post("/orders", response_model=WholeOrder)
    async def create(order: OrderWrite, session: Session) -> Any:
        items = [Item(**item.model_dump()) for item in order.items]
        made = Order(customer=order.customer, status="new", items=items)
        session.add(made)
        await session.flush()
        await session.refresh(made, ["created_at"])
        await session.commit()
        return made

    @app.put("/orders/{number}", response_model=OrderRead)
    async def update(number: int, change: Status, session: Session) -> Any:
        order = _found(await session.get(Order, number))
        order.status = change.status
        order.version += 1
        await session.commit()
        return order

    @app.put("/documents/{number}")
    async def write_document(number: int, body: dict[str, Any], session: Session) -> dict[str, int]:
        _found(await session.get(Document, number)).body = body
        await session.commit()
        return {"id": number}
