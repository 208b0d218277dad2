"""What programs do with asyncpg's own connection behind a unit of work: one function per method.

Each takes the connection, and the time at which the unit's own transaction began.
"""

from __future__ import annotations

import asyncio
import io
from datetime import datetime
from typing import Any

import asyncpg

from tests.fixtures.outcome import attempt
from tests.parity.units_of_work import Item

Raw = Any  # asyncpg.Connection, or the proxy for one that asyncpg's pool hands out

TABLE = Item.__tablename__
NUMBER = "SELECT 40 + 2"


async def transaction_time(raw: Raw, began: datetime) -> Any:
    """Tell whether this is the unit's own transaction."""
    return await raw.fetchval("SELECT now()") == began


async def is_in_transaction(raw: Raw, began: datetime) -> Any:
    at_once = raw.is_in_transaction()
    return [at_once, await raw.fetchval(NUMBER), raw.is_in_transaction()]


async def execute(raw: Raw, began: datetime) -> Any:
    return await raw.execute("SELECT 1; SELECT 2 FROM generate_series(1, 3)")


async def execute_with_parameters(raw: Raw, began: datetime) -> Any:
    return await raw.execute(f"INSERT INTO {TABLE} (name) VALUES ($1)", "raw")


async def execute_many(raw: Raw, began: datetime) -> Any:
    return await raw.executemany(f"INSERT INTO {TABLE} (name) VALUES ($1)", [("a",), ("b",)])


async def fetch(raw: Raw, began: datetime) -> Any:
    return [row["i"] for row in await raw.fetch("SELECT i FROM generate_series(1, $1) i", 3)]


async def fetch_value(raw: Raw, began: datetime) -> Any:
    return [await raw.fetchval(NUMBER), await raw.fetchval(NUMBER, timeout=10)]


async def fetch_row(raw: Raw, began: datetime) -> Any:
    row = await raw.fetchrow("SELECT 1 AS a, 'b' AS b")
    return type(row).__name__, dict(row)


async def fetch_many(raw: Raw, began: datetime) -> Any:
    found = await raw.fetchmany("SELECT $1::int AS a", [(1,), (2,)])
    return [tuple(row) for row in found]


async def prepare(raw: Raw, began: datetime) -> Any:
    statement = await raw.prepare("SELECT $1::int + 1 AS next")
    names = [attribute.name for attribute in statement.get_attributes()]
    return [names, await statement.fetchval(1), await statement.fetchval(2)]


async def transaction(raw: Raw, began: datetime) -> Any:
    async with raw.transaction():
        inside = raw.is_in_transaction()
        await raw.execute(f"INSERT INTO {TABLE} (name) VALUES ('kept')")
    return [inside, raw.is_in_transaction()]


async def transaction_rolled_back(raw: Raw, began: datetime) -> Any:
    rolled_back = raw.transaction()
    await rolled_back.start()
    await raw.execute(f"INSERT INTO {TABLE} (name) VALUES ('gone')")
    await rolled_back.rollback()
    return [raw.is_in_transaction(), await raw.fetchval(NUMBER)]


async def transactions_in_each_other(raw: Raw, began: datetime) -> Any:
    async with raw.transaction():
        try:
            async with raw.transaction():
                await raw.execute("SELECT 1/0")
        except asyncpg.DivisionByZeroError:
            return await raw.fetchval(NUMBER)


async def transaction_of_another_level(raw: Raw, began: datetime) -> Any:
    async with raw.transaction(isolation="serializable", readonly=True, deferrable=True):
        return await raw.fetchval("SHOW transaction_isolation")


async def begun_by_hand(raw: Raw, began: datetime) -> Any:
    status = [await raw.execute("BEGIN"), raw.is_in_transaction()]
    return [*status, await raw.execute("ROLLBACK"), raw.is_in_transaction()]


async def cursor(raw: Raw, began: datetime) -> Any:
    async with raw.transaction():
        rows = raw.cursor("SELECT i FROM generate_series(1, $1) i", 120)
        return [row["i"] async for row in rows]


async def cursor_by_steps(raw: Raw, began: datetime) -> Any:
    async with raw.transaction():
        opened = await raw.cursor("SELECT i FROM generate_series(1, 100) i")
        skipped = await opened.forward(10)
        return [skipped, await opened.fetchval() if hasattr(opened, "fetchval") else None,
                [tuple(row) for row in await opened.fetch(3)]]  # fmt: skip


async def cursor_alone(raw: Raw, began: datetime) -> Any:
    """It needs a transaction: the unit's, or it is refused."""
    return [row["i"] async for row in raw.cursor("SELECT i FROM generate_series(1, 3) i")]


async def copy_from_query(raw: Raw, began: datetime) -> Any:
    output = io.BytesIO()
    return [await raw.copy_from_query("SELECT $1::int, 2", 1, output=output), output.getvalue()]


async def copy_from_table(raw: Raw, began: datetime) -> Any:
    output = io.BytesIO()
    status = await raw.copy_from_table(TABLE, columns=["name"], output=output)
    return [status, output.getvalue()]


async def copy_to_table(raw: Raw, began: datetime) -> Any:
    source = io.BytesIO(b"one\ntwo\n")
    return await raw.copy_to_table(TABLE, columns=["name"], source=source)


async def copy_records_to_table(raw: Raw, began: datetime) -> Any:
    records = [("one",), ("two",), ("three",)]
    return await raw.copy_records_to_table(TABLE, columns=["name"], records=records)


async def reset(raw: Raw, began: datetime) -> Any:
    loop = asyncio.get_running_loop()
    reported: list[str] = []
    handler = loop.get_exception_handler()
    # asyncpg tells the loop of a transaction that is still open
    loop.set_exception_handler(lambda _, context: reported.append(context["message"].split("<")[0]))
    try:
        await raw.reset()
    finally:
        loop.set_exception_handler(handler)
    return [reported, raw.is_in_transaction(), await raw.fetchval(NUMBER)]


async def reload_schema_state(raw: Raw, began: datetime) -> Any:
    await raw.reload_schema_state()
    return await raw.fetchval(NUMBER)


async def set_type_codec(raw: Raw, began: datetime) -> Any:
    await raw.set_type_codec(
        "numeric", schema="pg_catalog", encoder=str, decoder=lambda text: [text], format="text"
    )
    changed = await raw.fetchval("SELECT 1.50::numeric")
    await raw.reset_type_codec("numeric", schema="pg_catalog")
    return [changed, await raw.fetchval("SELECT 1.50::numeric")]


async def set_builtin_type_codec(raw: Raw, began: datetime) -> Any:
    refused = await attempt(raw.set_builtin_type_codec("no_such_type", codec_name="pg_contrib.hs"))
    return [refused, await attempt(raw.fetchval(NUMBER))]


async def add_listener(raw: Raw, began: datetime) -> Any:
    heard: list[Any] = []
    done = asyncio.Event()

    def hear(connection: Any, pid: int, channel: str, payload: str) -> None:
        heard.append((connection is raw, channel, payload))
        done.set()

    await raw.add_listener("raw_channel", hear)
    await raw.execute("NOTIFY raw_channel, 'payload'")
    if not raw.is_in_transaction():  # inside of one it is delivered at COMMIT
        await asyncio.wait_for(done.wait(), 10)
    await raw.remove_listener("raw_channel", hear)
    return heard


async def log_listener(raw: Raw, began: datetime) -> Any:
    heard: list[str] = []

    def hear(connection: Any, message: Any) -> None:
        heard.append(message.message)

    raw.add_log_listener(hear)
    await raw.execute("DO $$ BEGIN RAISE WARNING 'heard'; END $$")
    for _ in range(5):
        await asyncio.sleep(0)
    raw.remove_log_listener(hear)
    return heard


async def query_logger(raw: Raw, began: datetime) -> Any:
    heard: list[str] = []
    with raw.query_logger(lambda record: heard.append(record.query)):
        await raw.fetchval(NUMBER)
        await raw.execute("SELECT 1")
    for _ in range(5):
        await asyncio.sleep(0)
    return heard


async def facts(raw: Raw, began: datetime) -> Any:
    return [
        raw.is_closed(), raw.get_server_pid() == await raw.fetchval("SELECT pg_backend_pid()"),
        raw.get_settings().client_encoding, raw.get_server_version().major, raw.get_reset_query(),
    ]  # fmt: skip


async def fails(raw: Raw, began: datetime) -> Any:
    errors = [
        await attempt(raw.fetchval("SELECT 1/0")),
        await attempt(raw.execute("no SQL")),
        await attempt(raw.fetchval("SELECT $1::int", "no number")),
    ]
    return [*errors, await attempt(raw.fetchval(NUMBER)), raw.is_in_transaction()]


async def refuses_two_at_once(raw: Raw, began: datetime) -> Any:
    return await asyncio.gather(attempt(raw.fetchval(NUMBER)), attempt(raw.execute("SELECT 1")))


async def cancelled(raw: Raw, began: datetime) -> Any:
    """While it runs on the server, which says so."""
    runs = asyncio.Event()
    raw.add_log_listener(lambda *_: runs.set())
    text = "DO $$ BEGIN RAISE WARNING 'it runs'; PERFORM pg_sleep(20); END $$"
    running = asyncio.ensure_future(attempt(raw.execute(text)))
    told = asyncio.ensure_future(runs.wait())
    await asyncio.wait({running, told}, return_when=asyncio.FIRST_COMPLETED)
    running.cancel()
    told.cancel()
    outcome: Any = (await asyncio.gather(running, told, return_exceptions=True))[0]
    raw._log_listeners.clear()
    shown = type(outcome).__name__ if isinstance(outcome, asyncio.CancelledError) else outcome
    return [shown, await attempt(raw.fetchval(NUMBER)), raw.is_in_transaction()]


async def cancelled_at_once(raw: Raw, turns: int) -> Any:
    """After some turns of the loop: before the server can have answered."""
    running = asyncio.ensure_future(raw.execute("SELECT pg_sleep(0.01)"))
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()
    outcome: Any = (await asyncio.gather(running, return_exceptions=True))[0]
    return [type(outcome).__name__, await attempt(raw.fetchval(NUMBER)), raw.is_in_transaction()]


async def timed_out(raw: Raw, began: datetime) -> Any:
    late = await attempt(raw.execute("SELECT pg_sleep(3)", timeout=0.1))
    return [late.kind, await attempt(raw.fetchval(NUMBER))]


USES = (
    transaction_time, is_in_transaction, execute, execute_with_parameters, execute_many, fetch,
    fetch_value, fetch_row, prepare, transaction, transaction_rolled_back,
    transactions_in_each_other, transaction_of_another_level, begun_by_hand, cursor,
    cursor_by_steps, cursor_alone, copy_from_query, copy_from_table, copy_to_table,
    copy_records_to_table, reset, reload_schema_state, set_type_codec, set_builtin_type_codec,
    add_listener, log_listener, query_logger, facts, fails, refuses_two_at_once, cancelled,
    timed_out, *([fetch_many] if hasattr(asyncpg.Connection, "fetchmany") else []),
)  # fmt: skip
