"""Prove that an installed pgflight does real work: python smoke.py URL compiled|python.

tools/wheels.py and the workflows run it in environments that hold the wheel and its dependencies
and nothing else. It leaves nothing behind in the database.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import create_async_engine

import pgflight

ROWS = 500
FIRST = datetime(1999, 12, 31, 23, 59, 59, 999_999, timezone.utc)

measures = sa.Table(
    "pgflight_smoke",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.Uuid),
    sa.Column("text_key", sa.Uuid(as_uuid=False)),
    sa.Column("document", JSONB),
    sa.Column("moment", sa.DateTime(timezone=True)),
    sa.Column("amount", sa.Numeric(12, 3)),
    prefixes=["TEMPORARY"],
)


async def work(url: str) -> None:
    """Write rows, read them back and compare; raise SystemExit where something differs."""
    engine = create_async_engine(url)
    if type(engine.dialect).__module__ != "pgflight.dialect":
        raise SystemExit(f"{url.partition(':')[0]} is served by {type(engine.dialect)!r}")
    wanted = []
    for number in range(ROWS):
        key = uuid.uuid5(uuid.NAMESPACE_OID, str(number))
        document = {"n": number, "half": number / 2, "t": ["é", None]}
        moment, amount = FIRST + number * timedelta(hours=7), Decimal(number - 9).scaleb(-3)
        wanted.append((number, key, str(key), document, moment, amount))
    try:
        async with engine.connect() as connection:
            await connection.run_sync(measures.create)
            names = [column.name for column in measures.columns]
            rows = [dict(zip(names, row)) for row in wanted]
            await connection.execute(measures.insert(), rows)
            ordered = sa.select(measures).order_by(measures.c.id)
            found = [tuple(row) for row in await connection.execute(ordered)]
            mapped = (await connection.execute(ordered)).mappings().all()
            keys = (await connection.execute(ordered)).scalars("key").all()
            if found != wanted or list(map(dict, mapped)) != rows or keys != [w[1] for w in wanted]:
                raise SystemExit("the rows that were read are not the rows that were written")
            update = measures.update().where(measures.c.id < 7).values(document={})
            changed = (await connection.execute(update)).rowcount
            if changed != 7:
                raise SystemExit(f"an update of 7 rows counted {changed}")
            await connection.rollback()
    finally:
        await engine.dispose()


def main() -> None:
    """Check the form, then work."""
    if len(sys.argv) != 3 or sys.argv[2] not in ("compiled", "python"):
        raise SystemExit(__doc__)
    url, expected = sys.argv[1:]
    chosen = pgflight.implementation()
    if chosen.name != expected:
        raise SystemExit(f"expected the {expected} form, but it is {chosen.name}: {chosen.reason}")
    pgflight.install()
    asyncio.run(work(url))
    python = ".".join(map(str, sys.version_info[:3]))
    print(f"pgflight {pgflight.__version__} {chosen.name}, Python {python}: {ROWS} rows, all right")


if __name__ == "__main__":
    main()
