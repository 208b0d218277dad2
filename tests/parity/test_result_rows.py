"""Rows and results: every way to read them, row counts, keys that the server made."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.fixtures.outcome import Both, attempt
from tests.parity.scratch import apart, own, scratch

metadata = sa.MetaData()
things = sa.Table(
    own("things_of_rows"),
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("price", sa.Numeric(10, 2), server_default=sa.text("1.5")),
    sa.Column("kind", sa.Text, default="plain"),
)
ROWS: list[dict[str, Any]] = [{"name": name} for name in ("a", "b", "b", None)]
SELECT = sa.select(things.c.id, things.c.name, things.c.price).order_by(things.c.id)


async def _mappings(connection: AsyncConnection) -> Any:
    result = await connection.execute(SELECT)
    mappings = result.mappings().all()
    return [mappings, mappings[0]["name"], mappings[0][things.c.price], list(mappings[0].keys())]


async def _scalars(connection: AsyncConnection) -> Any:
    found: list[Any] = [(await connection.execute(SELECT)).scalars().all()]
    found.append((await connection.execute(SELECT)).scalars("name").unique().all())
    found.append((await connection.scalars(SELECT)).first())
    found.append(await connection.scalar(SELECT.where(things.c.id == -1)))
    return found


async def _one(connection: AsyncConnection) -> Any:
    found = []
    for method in ("one", "one_or_none", "scalar_one", "scalar_one_or_none", "first", "scalar"):
        for limit in (0, 1, 2):

            async def read(method: str = method, limit: int = limit) -> Any:
                return getattr(await connection.execute(SELECT.limit(limit)), method)()

            found.append(await attempt(read()))
    return found


async def _partitions(connection: AsyncConnection) -> Any:
    many = sa.text("SELECT n, n::text AS t FROM generate_series(1, 10) AS n".replace("::", r"\:\:"))
    found: list[Any] = [list((await connection.execute(many)).partitions(4))]
    found.append(list((await connection.execute(many)).yield_per(3).partitions()))
    result = await connection.execute(many)
    found += [result.fetchmany(2), result.fetchone(), result.fetchmany(), result.fetchall()]
    found += [result.fetchone(), result.closed, result.keys()._keys]
    return found


async def _streams(connection: AsyncConnection) -> Any:
    series = sa.text("SELECT n, n * 2 AS twice FROM generate_series(1, 300) AS n")
    result = await connection.stream(series, execution_options={"yield_per": 70})
    found: list[Any] = [[len(part) async for part in result.partitions()]]
    result = await connection.stream(series)
    found += [await result.fetchone(), await result.fetchmany(3), len(await result.fetchall())]
    found.append([row async for row in (await connection.stream(series)).mappings()][-1])
    found.append(await (await connection.stream_scalars(series)).all())
    async with connection.stream(series) as stream:
        found.append(await stream.first())
    return found


async def _row_faces(connection: AsyncConnection) -> Any:
    row = (await connection.execute(SELECT)).first()
    assert row is not None
    again = pickle.loads(pickle.dumps(row))
    found = [row, again, row == again, row._fields, row._asdict(), tuple(row)]
    found += [
        hash(row) == hash(again),
        row.name,
        row[0],
        row[1:],
        row._mapping["price"],
        "a" in row,
        len(row),
        row.count("a"),
    ]
    found += [
        row < (99,),
        row == (1,),
        row == tuple(row),
        repr(row),
        str(row),
        list(row),
        row.index("a"),
    ]
    found.append(await attempt(_get(row, "nothing")))
    found.append(await attempt(_get(row, 7)))
    return found


async def _get(row: Any, key: Any) -> Any:
    return row[key] if isinstance(key, int) else getattr(row, key)


async def _odd_columns(connection: AsyncConnection) -> Any:
    found = []
    for sql in (
        "SELECT 1 AS a, 2 AS a, 3 AS b",
        "SELECT",
        "SELECT FROM generate_series(1, 3)",
        "SELECT 1, 2, 3",
        'SELECT 1 AS "", 2 AS " ", 3 AS "a.b", 4 AS "é""%s"',
        "SELECT 1 WHERE false",
        "SELECT " + ", ".join(f"{n} AS c{n}" for n in range(1600)),
        "VALUES (1, 'a'), (2, NULL)",
        "",
        "SET LOCAL application_name = 'x'",
        "SHOW server_encoding",
        "DO $$ BEGIN NULL; END $$",
    ):

        async def read(sql: str = sql) -> Any:
            result = await connection.exec_driver_sql(sql)
            rows = result.all() if result.returns_rows else None
            return [rows, result.rowcount, list(result.keys()) if rows is not None else None]

        found.append(await apart(connection, read))
    return found


async def _large(connection: AsyncConnection) -> Any:
    series = "SELECT n, repeat('x', n % 50) AS t, n / 3.0 FROM generate_series(1, 20000) AS n"
    result = await connection.exec_driver_sql(series)
    rows = result.all()
    return [len(rows), rows[::997], result.rowcount]


async def _reshaped(connection: AsyncConnection) -> Any:
    found: list[Any] = [(await connection.execute(SELECT)).columns("name", 0).all()]
    frozen = (await connection.execute(SELECT)).freeze()
    found += [frozen().all(), frozen().scalars().all()]
    merged = (await connection.execute(SELECT)).merge(await connection.execute(SELECT))
    found.append(merged.all())
    unique = (await connection.execute(sa.select(things.c.name))).unique(lambda row: row[0])
    return [*found, unique.all()]


READERS = (
    _mappings,
    _scalars,
    _one,
    _partitions,
    _streams,
    _row_faces,
    _odd_columns,
    _large,
    _reshaped,
)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__.strip("_"))
def test_results(both: Both, reader: Any) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            await connection.execute(things.insert(), ROWS)
            return await reader(connection)

    both(work)
