"""What `doctor` tries on a server: one small function per thing that has to work.

Nothing is written: the checks read, set parameters locally and roll back.
"""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any

from sqlalchemy import ARRAY, DateTime, Integer, Numeric, Uuid, bindparam, cast, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from pgflight.cli.doctor import connecting, poolers, round_trips
from pgflight.cli.doctor.checking import Answer, Check, Wrong, expect


async def _values(engine: AsyncEngine) -> Answer:
    moment = datetime.datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=datetime.timezone.utc)
    values: dict[str, tuple[Any, Any]] = {
        "numeric": (Numeric(12, 4), Decimal("12345.6789")),
        "timestamptz": (DateTime(timezone=True), moment),
        "uuid": (Uuid(), uuid.UUID("12345678-1234-5678-1234-567812345678")),
        "array": (ARRAY(Integer), [1, 2, 3]),
        "jsonb": (JSONB(), {"a": [1, 2.5, None, True, "\N{SNOWMAN}"]}),
    }
    async with engine.connect() as connection:
        for name, (kind, value) in values.items():
            statement = select(cast(bindparam("value", type_=kind), kind))
            expect(name, await connection.scalar(statement, {"value": value}), value)
    return Answer(f"sent and read back: {', '.join(values)}")


async def _transaction(engine: AsyncEngine) -> Answer:
    current = select(func.current_setting("application_name"))
    change = select(func.set_config("application_name", "pgflight doctor", True))
    async with engine.connect() as connection:
        before = await connection.scalar(current)
        await connection.execute(change)
        expect("a local setting", await connection.scalar(current), "pgflight doctor")
        await connection.rollback()
        expect("the setting after ROLLBACK", await connection.scalar(current), before)
    return Answer("ROLLBACK undoes")


async def _streaming(engine: AsyncEngine) -> Answer:
    rows, total = 5000, 0
    statement = select(func.generate_series(1, rows))
    async with engine.connect() as connection:
        result = await connection.stream(statement.execution_options(yield_per=500))
        async for row in result:
            total += row[0]
    expect("the sum of a stream", total, rows * (rows + 1) // 2)
    return Answer(f"{rows} rows through a server-side cursor")


async def _errors(engine: AsyncEngine) -> Answer:
    async with engine.connect() as connection:
        try:
            await connection.execute(text("SELECT 1 / 0"))
        except DBAPIError as error:
            expect("SQLSTATE", getattr(error.orig, "sqlstate", None), "22012")
            kind = type(error).__name__
        else:
            raise Wrong("SELECT 1 / 0 raised nothing")
        await connection.rollback()
        expect("SELECT 1 afterwards", await connection.scalar(text("SELECT 1")), 1)
    return Answer(f"division by zero is {kind} 22012, and the connection goes on")


CHECKS = (
    Check("connect", connecting.server),
    Check("authentication", connecting.authentication),
    Check("encryption", connecting.encryption),
    Check("pooler", poolers.pooler),
    Check("prepared statements", poolers.prepared),
    Check("round trips", round_trips.measured),
    Check("values", _values),
    Check("transaction", _transaction),
    Check("streaming", _streaming),
    Check("errors", _errors),
)
"""In the order in which they run; where the first one fails, there are no others."""
