"""Whether there is a pooler in between, and what becomes of prepared statements under load.

Two clients at once, since a single one always meets the same server connection of a pooler: it
finds nothing wrong where a program with two tasks fails.
"""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import Integer, bindparam, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from pgflight.cli.doctor.checking import Answer, Wrong, expect
from pgflight.cli.doctor.refusals import sqlstate_of
from pgflight.cli.target import one_line
from pgflight.session.statistics import stats

_ROUNDS, _PAUSE_SECONDS = 6, 0.05


async def _process(connection: AsyncConnection, name: str) -> object:
    """Return the server's process, by a statement of its own: pooler=none keeps it prepared.

    It calls a function of which anything may be expected, so that its transaction's end is awaited.
    """
    return await connection.scalar(select(func.pg_backend_pid().label(name), func.pg_sleep(0)))


async def pooler(engine: AsyncEngine) -> Answer:
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
    data = {
        "option": str(route.wanted),
        "process_of_login": login,
        "process_of_statements": first,
        "moves_between_transactions": moved,
    }
    return _judged(str(route.wanted), login == first, moved, data)


def _judged(wanted: str, own: bool, moved: bool, data: dict[str, object]) -> Answer:
    """Say what the connection leads to, or raise Wrong if the option pooler says otherwise."""
    if own and not moved:
        text = "none: a connection is one server session, and that is proven for each"
        if wanted in ("transaction", "session"):
            text = f"none, and pooler={wanted} says that there is one: leave the option out"
        return Answer(text, {**data, "found": "none"})
    data["found"] = "transaction" if moved else "session"
    if wanted == "none" or (wanted == "session" and moved):
        raise Wrong(
            f"there is one, so pooler={wanted} gives wrong results and blocks it for everybody:"
            " leave the option out, or set pooler=transaction",
            data,
        )
    if moved:
        return Answer(
            "one in transaction mode is in between, so statements go without names, unless it"
            " follows these; pooler=transaction in the URL says so from the first statement on",
            data,
        )
    if wanted == "session":
        return Answer("one in session mode is in between, as pooler=session says", data)
    return Answer(
        "one is in between, which kept the server session while another client was there: if it is"
        " in session mode, pooler=session in the URL is faster; else leave it out",
        data,
    )


_CLIENTS, _TIMES = 3, 12
_NAMES_LOST = frozenset(("26000", "42P05", "08P01"))


async def prepared(engine: AsyncEngine) -> Answer:
    """Run the same statements on several connections at once, as the tasks of a program do."""
    several = create_async_engine(engine.url, pool_size=_CLIENTS, max_overflow=0)
    try:
        await _in_turns(several)
        ends = [asyncio.create_task(_client(several)) for _ in range(_CLIENTS)]
        try:
            await asyncio.gather(*ends)
        finally:
            for each in ends:  # one that failed leaves the others at work
                each.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
    except DBAPIError as error:
        if sqlstate_of(error) not in _NAMES_LOST and "prepared statement" not in str(error.orig):
            raise
        raise Wrong(
            f"{one_line(error)}; a pooler such as pgbouncer in transaction mode drops them: "
            "add pooler=transaction to the URL",
            {"sqlstate": sqlstate_of(error)},
        ) from error
    finally:
        await several.dispose()
    healed = stats(several).healed
    if healed:
        times = sum(healed.values())
        raise Wrong(
            f"{times} times a statement was executed again ({', '.join(healed)}), which only the"
            " first one of a transaction can be: a server connection is shared with somebody else;"
            " add pooler=transaction to the URL",
            {"healed": dict(healed)},
        )
    dialect: Any = several.dialect
    followed = bool(dialect._known.follows_names)
    text = f"one statement, in {_TIMES} transactions on each of {_CLIENTS} connections at once"
    if followed:
        text += "; the pooler follows names, so the server keeps plans"
    data = {"clients": _CLIENTS, "transactions": _TIMES * _CLIENTS, "names_followed": followed}
    return Answer(text, data)


async def _in_turns(engine: AsyncEngine) -> None:
    """Have two clients begin their transactions in changing order, each while the other's is open.

    A pooler gives the one that comes first the server connection that was used last, so that each
    client meets the statements of the other.
    """
    statement = select(bindparam("value", type_=Integer) * 2)
    async with engine.connect() as one, engine.connect() as two:
        for number in range(_TIMES):
            clients = (one, two) if number % 2 else (two, one)
            for client in clients:
                found = await client.scalar(statement, {"value": number})
                expect("doubling", found, number * 2)
            for client in (one, two):
                await client.commit()


async def _client(engine: AsyncEngine) -> None:
    statement = select(bindparam("value", type_=Integer) + 1)
    for number in range(_TIMES):
        # A transaction each: a pooler in between may choose another server connection each time.
        async with engine.begin() as connection:
            found = await connection.scalar(statement, {"value": number})
        expect("adding 1", found, number + 1)
