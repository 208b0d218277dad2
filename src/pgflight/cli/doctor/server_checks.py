"""What `doctor --url` tries on a server: one small function per thing that has to work.

Nothing is written: the checks read, set parameters locally and roll back.
"""

from __future__ import annotations

import asyncio
import datetime
import uuid
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, DateTime, Integer, Numeric, Uuid, bindparam, cast, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from pgflight.cli.environment import Fact
from pgflight.cli.target import one_line


class Wrong(Exception):
    """The server answered, and the answer is not the expected one."""


class Check(NamedTuple):
    """`run` returns what to print; it raises Wrong, or lets the driver's error pass."""

    name: str
    run: Callable[[AsyncEngine], Awaitable[str]]


async def run_check(check: Check, url: URL, seconds: float) -> Fact:
    """Run `check` on an engine of its own and give up after `seconds`."""
    try:
        engine = create_async_engine(url, pool_size=1, max_overflow=0)
    except (SQLAlchemyError, ImportError, ValueError) as error:
        return Fact(check.name, False, one_line(error))
    try:
        return Fact(check.name, True, await asyncio.wait_for(check.run(engine), seconds))
    except asyncio.TimeoutError:
        return Fact(check.name, False, f"no answer within {seconds:g} seconds")
    except Wrong as error:
        return Fact(check.name, False, str(error))
    # Not only database errors: a missing TLS file is an OSError.
    except Exception as error:
        return Fact(check.name, False, one_line(error))
    finally:
        await engine.dispose()


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise Wrong(f"{what} gave {found!r} instead of {expected!r}")


async def _connect(engine: AsyncEngine) -> str:
    async with engine.connect() as connection:
        row = (
            await connection.execute(
                text(
                    "SELECT current_setting('server_version'), pg_is_in_recovery(), "
                    "current_setting('transaction_read_only')"
                )
            )
        ).one()
    role = "a standby" if row[1] else "a primary"
    access = "read only" if row[2] == "on" else "read write"
    return f"PostgreSQL {row[0]}, {role}, transactions are {access}"


async def _encryption(engine: AsyncEngine) -> str:
    statement = text("SELECT ssl, version, cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    async with engine.connect() as connection:
        row = (await connection.execute(statement)).one_or_none()
    if row is None or not row[0]:
        return "none between the server and its client"
    return f"{row[1]}, {row[2]}"


_ROUNDS, _PAUSE_SECONDS = 6, 0.05


async def _process(connection: AsyncConnection, name: str) -> object:
    """Return the server's process, by a statement of its own: pooler=none keeps it prepared.

    It calls a function of which anything may be expected, so that its transaction's end is awaited.
    """
    return await connection.scalar(select(func.pg_backend_pid().label(name), func.pg_sleep(0)))


async def _pooler(engine: AsyncEngine) -> str:
    """Compare the process of the login with those that execute the statements of two clients.

    A pooler that is busy may give the second one another server session, as one in session mode
    does: then both try again.
    """
    other = create_async_engine(engine.url, pool_size=1, max_overflow=0)
    moved, first = False, None
    try:
        async with engine.connect() as one:
            raw: Any = (await one.get_raw_connection()).dbapi_connection
            route = raw.session.statements.route
            login = raw.session.connection.get_server_pid()
            for number in range(_ROUNDS):
                first = await _process(one, f"first_{number}")
                await one.rollback()
                async with other.connect() as two:
                    # whose transaction keeps this server session
                    second = await _process(two, f"second_{number}")
                    again = await _process(one, f"again_{number}")
                    moved = again != first or first == second
                await one.rollback()
                if moved or login == first:
                    break
                await asyncio.sleep(_PAUSE_SECONDS)
    finally:
        await other.dispose()
    return _judged(str(route.wanted), login == first, moved)


def _judged(wanted: str, own: bool, moved: bool) -> str:
    """Say what the connection leads to, or raise Wrong if the option pooler says otherwise."""
    if own and not moved:
        return "none: a connection is one server session, and that is proven for each"
    if wanted == "none" or (wanted == "session" and moved):
        raise Wrong(
            f"there is one, so pooler={wanted} gives wrong results and blocks it for everybody:"
            " leave the option out, or set pooler=transaction"
        )
    if moved:
        return (
            "one in transaction mode is in between, so statements go without names;"
            " pooler=transaction in the URL says so from the first statement on"
        )
    if wanted == "session":
        return "one in session mode is in between, as pooler=session says"
    return (
        "one is in between, which kept the server session while another client was there: if it is"
        " in session mode, pooler=session in the URL is faster; else leave it out"
    )


async def _prepared(engine: AsyncEngine) -> str:
    times = 12
    statement = select(bindparam("value", type_=Integer) + 1)
    for number in range(times):
        # A transaction each: a pooler in between may choose another server connection each time.
        try:
            async with engine.begin() as connection:
                found = await connection.scalar(statement, {"value": number})
        except DBAPIError as error:
            if "prepared statement" not in str(error.orig):
                raise
            raise Wrong(
                f"{one_line(error)}; a pooler such as pgbouncer in transaction mode drops them: "
                "add ?pooler=transaction to the URL"
            ) from error
        _expect("adding 1", found, number + 1)
    return f"one statement in {times} transactions"


async def _values(engine: AsyncEngine) -> str:
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
            _expect(name, await connection.scalar(statement, {"value": value}), value)
    return f"sent and read back: {', '.join(values)}"


async def _transaction(engine: AsyncEngine) -> str:
    current = select(func.current_setting("application_name"))
    change = select(func.set_config("application_name", "pgflight doctor", True))
    async with engine.connect() as connection:
        before = await connection.scalar(current)
        await connection.execute(change)
        _expect("a local setting", await connection.scalar(current), "pgflight doctor")
        await connection.rollback()
        _expect("the setting after ROLLBACK", await connection.scalar(current), before)
    return "ROLLBACK undoes"


async def _streaming(engine: AsyncEngine) -> str:
    rows, total = 5000, 0
    statement = select(func.generate_series(1, rows))
    async with engine.connect() as connection:
        result = await connection.stream(statement.execution_options(yield_per=500))
        async for row in result:
            total += row[0]
    _expect("the sum of a stream", total, rows * (rows + 1) // 2)
    return f"{rows} rows through a server-side cursor"


async def _errors(engine: AsyncEngine) -> str:
    async with engine.connect() as connection:
        try:
            await connection.execute(text("SELECT 1 / 0"))
        except DBAPIError as error:
            _expect("SQLSTATE", getattr(error.orig, "sqlstate", None), "22012")
            kind = type(error).__name__
        else:
            raise Wrong("SELECT 1 / 0 raised nothing")
        await connection.rollback()
        _expect("SELECT 1 afterwards", await connection.scalar(text("SELECT 1")), 1)
    return f"division by zero is {kind} 22012, and the connection goes on"


CHECKS = (
    Check("connect", _connect),
    Check("pooler", _pooler),
    Check("encryption", _encryption),
    Check("prepared statements", _prepared),
    Check("values", _values),
    Check("transaction", _transaction),
    Check("streaming", _streaming),
    Check("errors", _errors),
)
