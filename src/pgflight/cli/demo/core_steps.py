"""Steps of the demonstration below the ORM: connections, DDL, bulk rows, documents, streams.

`workload.py` puts them in order. Each takes an engine of either dialect and the data, and uses
SQLAlchemy's public API only.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import DDL, func, insert, inspect, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from pgflight.cli.demo.dataset import Dataset, Rows
from pgflight.cli.demo.model import SCHEMA, Airport, Base, City, Country
from pgflight.cli.demo.outcome import Outcome, spread, tuples

POOL_SIZE = 5


async def open_pool(engine: AsyncEngine, data: Dataset) -> Outcome:
    """Open the pool's connections, as an application does when it starts."""
    connections = [await engine.connect() for _ in range(POOL_SIZE)]
    try:
        found = [await connection.scalar(select(1)) for connection in connections]
    finally:
        for connection in connections:
            await connection.close()
    return Outcome(len(found), found)


async def create_tables(engine: AsyncEngine, data: Dataset) -> Outcome:
    """Create the tables and read them back through the inspector."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        columns = await connection.run_sync(
            lambda sync: {
                name: [
                    (column["name"], str(column["type"]), column["nullable"]) for column in found
                ]
                for (_, name), found in sorted(
                    inspect(sync).get_multi_columns(schema=SCHEMA).items(),
                    key=lambda item: item[0][1],
                )
            }
        )
    return Outcome(len(columns), columns)


async def bulk_insert(engine: AsyncEngine, data: Dataset) -> Outcome:
    """Insert all countries, cities and airports."""
    async with engine.begin() as connection:
        for model, rows in _tables(data):
            if rows:  # without rows SQLAlchemy would insert one row of defaults
                await connection.execute(insert(model), rows)
    async with engine.connect() as connection:
        totals = [
            tuple((await connection.execute(select(func.count(), func.min(column)))).one())
            for column in (Country.name, City.name, Airport.name)
        ]
    return Outcome(sum(len(rows) for _, rows in _tables(data)), totals)


async def jsonb_queries(engine: AsyncEngine, data: Dataset) -> Outcome:
    """Query documents by path, containment and key; aggregate; change them in place."""
    names: Any = City.details["names"]
    location: Any = City.details["location"]
    capital: Any = Country.details["capital"]
    value: list[object] = []
    async with engine.begin() as connection:
        for row in spread(data.cities, 20):
            wanted = row["details"]["names"]["alternate"][:1]
            holds = City.details.contains({"names": {"alternate": wanted}})
            query = select(City.id, names).where(holds).order_by(City.id).limit(20)
            value.append(tuples(await connection.execute(query)))
        for count in range(20, 100, 20):
            query = select(City.id, location, names["alternate"][0]).where(
                names["count"].as_integer() > count
            )
            value.append(tuples(await connection.execute(query.order_by(City.id).limit(2000))))
        grouped = (
            select(City.country_code, func.count(), func.sum(names["count"].as_integer()))
            .where(names.has_key("alternate"))
            .group_by(City.country_code)
            .order_by(City.country_code)
        )
        value.append(tuples(await connection.execute(grouped)))
        code = data.countries[0]["code"]
        changed = (
            update(Country)
            .where(Country.code == code, capital.astext != "")
            .values(details=func.jsonb_set(Country.details, ["tld"], text("'\".demo\"'::jsonb")))
            .returning(Country.details)
        )
        value.append(tuples(await connection.execute(changed)))
    return Outcome(sum(len(part) for part in value if isinstance(part, list)), value)


async def read_everything(engine: AsyncEngine, data: Dataset) -> Outcome:
    """Fetch two whole tables as rows, one of them all documents."""
    async with engine.connect() as connection:
        cities = await connection.execute(select(City.id, City.details).order_by(City.id))
        airports = await connection.execute(select(Airport.__table__).order_by(Airport.icao))
        value = tuples(cities) + tuples(airports)
    return Outcome(len(value), value)


async def streaming(engine: AsyncEngine, data: Dataset) -> Outcome:
    """Stream rows of one table and objects of another, never holding a whole table."""
    value: list[object] = []
    async with engine.connect() as connection:
        query = select(Airport.icao, Airport.name, Airport.latitude).order_by(Airport.icao)
        async for row in await connection.stream(query.execution_options(yield_per=1000)):
            value.append(tuple(row))
    async with AsyncSession(engine) as session:
        objects = select(City).order_by(City.id).limit(5000).execution_options(yield_per=500)
        async for city in await session.stream_scalars(objects):
            value.append((city.id, city.timezone))
    return Outcome(len(value), value)


async def ddl_under_cache(engine: AsyncEngine, data: Dataset) -> Outcome:
    """Change a table that a prepared statement uses, and run the statement again each time."""
    table = f"{SCHEMA}.airport"
    query = text(f"SELECT * FROM {table} ORDER BY icao LIMIT 100")
    value: list[object] = []
    rows = 0
    for change in (
        f"ALTER TABLE {table} ADD COLUMN runways integer NOT NULL DEFAULT 2",
        f"ALTER TABLE {table} ALTER COLUMN elevation TYPE integer",
        f"ALTER TABLE {table} ALTER COLUMN elevation TYPE numeric(8, 1)",
        f"ALTER TABLE {table} DROP COLUMN runways",
        f"ALTER TABLE {table} ALTER COLUMN elevation TYPE double precision",
    ):
        async with engine.begin() as connection:
            before = tuples(await connection.execute(query))
        async with engine.begin() as connection:
            # DDL and not text: that is what tells SQLAlchemy that prepared statements are stale.
            await connection.execute(DDL(change))  # type: ignore[no-untyped-call]
        async with engine.begin() as connection:
            result = await connection.execute(query)
            columns = list(result.keys())
            after = tuples(result)
        value += [before, columns, after]
        rows += len(before) + len(after)
    return Outcome(rows, value)


async def drop_tables(engine: AsyncEngine, data: Dataset) -> Outcome:
    """Drop what create_tables() made."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        left = await connection.run_sync(lambda sync: inspect(sync).get_table_names(schema=SCHEMA))
    return Outcome(len(Base.metadata.tables), left)


def _tables(data: Dataset) -> tuple[tuple[type[Base], Rows], ...]:
    return (Country, data.countries), (City, data.cities), (Airport, data.airports)
