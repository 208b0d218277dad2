"""Steps of the demonstration through the ORM: sessions that write, read and roll back.

`workload.py` puts them in order. Each takes an engine of either dialect and the data, and uses
SQLAlchemy's public API only.
"""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import selectinload

from pgflight.cli.demo.dataset import Dataset
from pgflight.cli.demo.model import City, Country, Visit
from pgflight.cli.demo.outcome import Outcome, spread

_REQUESTS = 300
_EPOCH = datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.timezone.utc)


class _RollBack(Exception):
    """Raised inside a transaction to leave it."""


async def orm_writes(engine: AsyncEngine, data: Dataset) -> Outcome:
    """Write objects in transactions of varying size, change some, delete some."""
    identities: list[int] = []
    while len(identities) < data.visits:
        first = len(identities)
        size = min(1 + 7 * first % 30, data.visits - first)
        visits = [_visit(data, first + index) for index in range(size)]
        async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
            session.add_all(visits)
        identities += [visit.id for visit in visits]
    changed = []
    for start in range(0, len(identities), 50):
        async with AsyncSession(engine) as session, session.begin():
            chosen = identities[start : start + 5]
            query = select(Visit).where(Visit.id.in_(chosen)).order_by(Visit.id)
            for visit in await session.scalars(query):
                visit.rating += Decimal("0.5")
                visit.note = f"changed {visit.id}"
                changed.append((visit.id, visit.rating, visit.token))
    async with AsyncSession(engine) as session, session.begin():
        gone = await session.scalars(
            delete(Visit).where(Visit.id.in_(identities[::20])).returning(Visit.id)
        )
        deleted = sorted(gone)
    return Outcome(len(identities) + len(changed) + len(deleted), [identities, changed, deleted])


async def orm_reads(engine: AsyncEngine, data: Dataset) -> Outcome:
    """Load objects with their collections: countries of two continents and all their cities."""
    continents = sorted({row["continent"] for row in data.countries})[:2]
    query = (
        select(Country)
        .where(Country.continent.in_(continents))
        .order_by(Country.code)
        .options(selectinload(Country.cities))
    )
    async with AsyncSession(engine) as session:
        countries = (await session.scalars(query)).all()
        found = [
            (
                country.code,
                country.population,
                country.area,
                country.neighbours,
                country.details,
                [(city.id, city.name, city.details) for city in country.cities],
            )
            for country in countries
        ]
    return Outcome(len(found) + sum(len(row[5]) for row in found), found)


async def read_requests(engine: AsyncEngine, data: Dataset) -> Outcome:
    """Serve short web requests that only read: one ORM session, one object and its relations."""
    found = []
    for row in spread(data.cities, _REQUESTS):
        async with AsyncSession(engine) as session:
            city = await session.get_one(City, row["id"])
            visits = await session.scalars(
                select(Visit).where(Visit.city_id == city.id).order_by(Visit.id)
            )
            seen = [(visit.id, visit.token, visit.visited_at, visit.rating) for visit in visits]
            found.append((city.name, city.population, city.details, seen))
    return Outcome(len(found) + sum(len(row[3]) for row in found), found)


async def write_requests(engine: AsyncEngine, data: Dataset) -> Outcome:
    """Serve short web requests that write: lock a row, change it, commit."""
    found = []
    for row in spread(data.cities, _REQUESTS // 2):
        async with AsyncSession(engine) as session, session.begin():
            query = select(City).where(City.id == row["id"]).with_for_update()
            city = (await session.scalars(query)).one()
            city.population += 1
            found.append((city.id, city.population))
    return Outcome(len(found), found)


async def rolled_back(engine: AsyncEngine, data: Dataset) -> Outcome:
    """Fail inside a savepoint, go on, then roll everything back: nothing may remain."""
    count = select(func.count()).select_from(Visit)
    unwanted = min(500, data.visits)
    value: list[object] = []
    async with AsyncSession(engine) as session:
        value.append(await session.scalar(count))
        try:
            async with session.begin_nested():
                session.add_all([_visit(data, -1), _visit(data, -1)])
        except IntegrityError as error:
            value.append(getattr(error.orig, "pgcode", None))
        session.add_all([_visit(data, -2 - number) for number in range(unwanted)])
        await session.flush()
        value.append(await session.scalar(count))
        await session.rollback()
        value.append(await session.scalar(count))
    try:
        async with engine.begin() as connection:
            await connection.execute(delete(Visit))
            value.append(await connection.scalar(count))
            raise _RollBack
    except _RollBack:
        pass
    async with engine.connect() as connection:
        value.append(await connection.scalar(count))
    return Outcome(2 + unwanted, value)


def _visit(data: Dataset, number: int) -> Visit:
    """Return a new object whose values depend only on `number`."""
    cities = spread(data.cities, _REQUESTS)
    return Visit(
        city_id=cities[number % len(cities)]["id"],
        token=uuid.uuid5(uuid.NAMESPACE_URL, f"visit/{number}"),
        visited_at=_EPOCH + datetime.timedelta(minutes=number),
        rating=Decimal(number % 100) / 10,
        note=None if number % 3 else f"visit {number}",
    )
