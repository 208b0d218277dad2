"""The service's tables as ORM classes, and the rows that it starts with."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

SCHEMA = "bench_app"
ORDERS = 1_000
DOCUMENTS = 200
_START = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Base(DeclarativeBase):
    """What the classes share."""

    metadata = sa.MetaData(schema=SCHEMA)


class Order(Base):
    """An order of a customer, with its items."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]
    status: Mapped[str] = mapped_column(index=True)
    version: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(
        sa.DateTime(timezone=True), server_default=sa.func.now()
    )
    items: Mapped[list[Item]] = relationship(order_by="Item.id")


class Item(Base):
    """One line of an order."""

    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey(Order.id), index=True)
    product: Mapped[str]
    price: Mapped[Decimal] = mapped_column(sa.Numeric(10, 2))
    amount: Mapped[int]


class Document(Base):
    """A JSON document that a program keeps as it is."""

    __tablename__ = "documents"

    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)


def body(number: int) -> dict[str, Any]:
    """Return a document of about two kilobytes."""
    return {
        "number": number,
        "title": f"document {number}",
        "tags": [f"tag-{n}" for n in range(12)],
        "parts": [
            {"at": n, "name": f"part {n} of {number}", "weight": n / 7, "done": n % 3 == 0}
            for n in range(24)
        ],
    }


async def fill(connection: AsyncConnection) -> None:
    """Make the schema anew, with the rows that the service starts with."""
    await connection.execute(sa.text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
    await connection.execute(sa.text(f"CREATE SCHEMA {SCHEMA}"))
    await connection.run_sync(Base.metadata.create_all)
    states = ("new", "paid", "sent", "done")
    orders = [
        {
            "customer": f"customer {n % 97}",
            "status": states[n % len(states)],
            "created_at": _START + timedelta(minutes=n),
        }
        for n in range(ORDERS)
    ]
    await connection.execute(sa.insert(Order), orders)
    items = [
        {
            "order_id": order,
            "product": f"product {(order * 7 + n) % 53}",
            "price": Decimal(order % 90 + 10) / 4,
            "amount": n + 1,
        }
        for order in range(1, ORDERS + 1)
        for n in range(4)
    ]
    await connection.execute(sa.insert(Item), items)
    await connection.execute(sa.insert(Document), [{"body": body(n)} for n in range(DOCUMENTS)])
