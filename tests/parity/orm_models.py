"""The mapped classes of `test_orm.py`: a collection, a versioned row, joined inheritance."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy import ForeignKey
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(AsyncAttrs, DeclarativeBase):
    """The tables of these tests."""


class Author(Base):
    """Someone with books."""

    __tablename__ = "authors_of_orm"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    about: Mapped[dict[str, Any] | None] = mapped_column(MutableDict.as_mutable(pg.JSONB()))
    secret: Mapped[str | None] = mapped_column(deferred=True)
    books: Mapped[list[Book]] = relationship(
        back_populates="author", cascade="all, delete-orphan", order_by="Book.title"
    )


class Book(Base):
    """A versioned row of one of two kinds."""

    __tablename__ = "books_of_orm"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    title: Mapped[str]
    kind: Mapped[str] = mapped_column()
    price: Mapped[Decimal] = mapped_column(sa.Numeric(10, 2), server_default="9.90")
    version: Mapped[int] = mapped_column()
    author_id: Mapped[int | None] = mapped_column(ForeignKey(Author.id))
    author: Mapped[Author | None] = relationship(back_populates="books")
    tags: Mapped[list[str]] = mapped_column(pg.ARRAY(sa.Text), default=list)

    __mapper_args__ = {  # noqa: RUF012
        "version_id_col": version,
        "polymorphic_on": kind,
        "polymorphic_identity": "book",
    }


class Comic(Book):
    """A book with an artist, in a table of its own."""

    __tablename__ = "comics_of_orm"

    id: Mapped[UUID] = mapped_column(ForeignKey(Book.id), primary_key=True)
    artist: Mapped[str | None]

    __mapper_args__ = {"polymorphic_identity": "comic"}  # noqa: RUF012
