"""Print what both dialects read while something that the compiled pieces rely on is not so.

The first argument says what; it is brought about before pgflight is imported.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable
from typing import Any

from tests.parity.programs import force

force.apply(sys.argv[1])

import sqlalchemy as sa  # noqa: E402
from asyncpg.pgproto.pgproto import UUID  # noqa: E402
from sqlalchemy.dialects import registry  # noqa: E402
from sqlalchemy.engine import Row, RowMapping  # noqa: E402
from sqlalchemy.ext.asyncio import create_async_engine  # noqa: E402

import pgflight  # noqa: E402
from pgflight import _impl  # noqa: E402

registry.register("postgresql.pgflight", "pgflight.dialect", "PGDialect_asyncpg")
SERIES = sa.text(
    "SELECT n, n::text AS t, n / 2.0 AS half, lpad(n::text, 32, '0')::uuid AS id "
    "FROM generate_series(1, 100) AS n"
)
KINDS = sa.select(sa.literal("a").cast(sa.Enum("a", "b", name="kind", native_enum=False)))


async def read(url: str) -> list[Any]:
    """Return rows, mappings and scalars as plain values."""
    engine = create_async_engine(url)
    async with engine.connect() as connection:

        async def run(statement: Any, then: Callable[[Any], Any]) -> Any:
            return then(await connection.execute(statement))

        found = [
            await run(SERIES, lambda result: [_plain(row) for row in result]),
            await run(SERIES, lambda result: [_plain(row) for row in result.all()]),
            await run(SERIES, lambda result: [dict(each) for each in result.mappings()]),
            await run(SERIES, lambda result: [dict(each) for each in result.mappings().all()]),
            await run(SERIES, lambda result: result.scalars(1).all()),
            await run(SERIES, lambda result: [_plain(row) for row in result.fetchmany(7)]),
            await run(SERIES, lambda result: _plain(result.first())),
            await run(SERIES, lambda result: result.columns(1, 0).all()),
            await run(KINDS, lambda result: result.all()),
        ]
    await engine.dispose()
    return found


def _plain(row: Any) -> tuple[Any, ...]:
    return (tuple(row), row.t, row[0], row._mapping["half"], type(row).__name__, hash(row))


def uuids_are_tracked() -> bool:
    """Tell whether UUIDs are left to the collector when rows are made of them."""
    value = UUID("00000000-0000-0000-0000-000000000001")
    _impl.results.RowFactory(Row, None, [lambda each: each], {}).tuples([[value]])
    return gc.is_tracked(value)


async def main() -> None:
    """Compare, and say what was compared."""
    url = os.environ["DATABASE_URL"]
    extensions = [name for name, module in sys.modules.items() if _is_extension(name, module)]
    found = _impl.results.layout_found
    builtin, ours = [
        await read(url.replace("asyncpg", driver, 1)) for driver in ("asyncpg", "pgflight")
    ]
    print("extensions:", bool(extensions))
    print("form:", pgflight.implementation().name)
    print("layouts:", found(Row), found(RowMapping))
    print("uuids tracked:", uuids_are_tracked())
    print("same:", builtin == ours, len(builtin[0]))


def _is_extension(name: str, module: Any) -> bool:
    file = getattr(module, "__file__", None) or ""
    return name.startswith("sqlalchemy.") and file.endswith((".so", ".pyd"))


if __name__ == "__main__":
    asyncio.run(main())
