"""Units of work in which the program sends transaction control as text, and what is right then.

A unit is one text at one place among its INSERTs, one way of sending, one way to end. `run()` does
it; `Right` says which rows are stored, by rules that fit on a page and know neither dialect.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.util import greenlet_spawn

from tests.parity.scratch import own

TABLE = own("of_text_control")
PROCEDURE = own("committing_procedure")
GID = f"{TABLE}_{os.getpid()}"
IN_PROCEDURE = 100

COMMITS = ("COMMIT", "end", "/* by text */ COMMIT WORK")
ROLLS_BACK = ("ROLLBACK", "ABORT;")
BEGINS = ("BEGIN", "START TRANSACTION ISOLATION LEVEL REPEATABLE READ")
CHAINS = ("COMMIT AND CHAIN", "ROLLBACK AND CHAIN")
PREPARES = (f"PREPARE TRANSACTION '{GID}'",)
PROCEDURES = (
    f"DO $$ BEGIN INSERT INTO {TABLE} VALUES ({IN_PROCEDURE}); COMMIT; END $$",
    f"CALL {PROCEDURE}()",
)
OTHERS = ("SAVEPOINT by_text", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
TEXTS = (*COMMITS, *ROLLS_BACK, *BEGINS, *CHAINS, *PREPARES, *PROCEDURES, *OTHERS)

PLACES = ("first", "middle", "last", "alone")
ENDS = ("rollback", "commit", "close", "exception")
WAYS = ("connect", "begin", "session", "autocommit", "cursor", "driver")

REFUSED = "manually started"
"""In place of an SQLSTATE: asyncpg does not begin in a transaction that was begun by hand."""


class Unit(NamedTuple):
    """One unit of work."""

    way: str
    sql: str
    place: str
    end: str

    def steps(self) -> list[str | int]:
        """Return what is done: a number is inserted, a text is sent."""
        before = [1] if self.place in ("middle", "last") else []
        after = [2] if self.place in ("first", "middle") else []
        return [*before, self.sql, *after]

    @property
    def commits(self) -> bool:
        """Whether it ends in a COMMIT, unless an error is first."""
        return self.end == "commit" or (self.way == "begin" and self.end == "close")


def units(way: str) -> Iterator[Unit]:
    """Yield every unit of one way of sending."""
    for sql, place, end in itertools.product(TEXTS, PLACES, ENDS):
        yield Unit(way, sql, place, end)


class Outcome(NamedTuple):
    """What came of a unit of work."""

    error: str | None
    stored: list[int]
    after: str
    """``idle`` if the next checkout found no transaction and worked, else what it found."""


class Right:
    """Works out what is right: rolled back is rolled back, committed is committed.

    `begins_again`: whether statements after a textual end are in a transaction again.  Those of the
    built-in dialect are not; each commits by itself.
    """

    def __init__(self, unit: Unit, *, begins_again: bool = True) -> None:
        self.unit = unit
        self.begins_again = begins_again
        self.stored: set[int] = set()
        self.pending: set[int] = set()
        self.open = False
        self.by_hand = False  # it was not begun for SQLAlchemy
        self.believed = False  # SQLAlchemy's driver has begun one

    def outcome(self) -> Outcome:
        """Return what is right for the unit."""
        error = None
        for step in self.unit.steps():
            error = self._insert(step) if isinstance(step, int) else self._send(step)
            if error is not None:
                break
        ours = self.open and (not self.by_hand or self.unit.way == "autocommit")
        if error is None and self.unit.commits and ours:
            if self.begins_again or not self.by_hand:
                self.stored |= self.pending
        left = self.open and self.by_hand and not self.begins_again
        return Outcome(error, sorted(self.stored), "left open" if left else "idle")

    def _begin(self) -> None:
        if self.unit.way == "autocommit" or self.open or (self.believed and not self.begins_again):
            return
        self.open = self.believed = True

    def _insert(self, number: int) -> str | None:
        if self.open and self.by_hand and self.unit.way != "autocommit" and not self.believed:
            return REFUSED
        self._begin()
        (self.pending if self.open else self.stored).add(number)
        return None

    def _send(self, sql: str) -> str | None:
        if self.unit.way != "driver":
            self._begin()
        if sql in CHAINS and not self.open:
            return "25P01"
        if sql.startswith("SAVEPOINT") and not self.open:
            return "25P01"
        if "ISOLATION LEVEL" in sql and self.pending:
            return "25001"  # a level is chosen before any query
        if sql in COMMITS or sql == "COMMIT AND CHAIN":
            self.stored |= self.pending
        if sql in PROCEDURES:
            if self.open:
                return "2D000"
            self.stored.add(IN_PROCEDURE)
        if sql in COMMITS + ROLLS_BACK + CHAINS + PREPARES:
            self.pending = set()
            self.open = sql in CHAINS
        if sql in BEGINS and not self.open:
            self.open = self.by_hand = True
        return None


class _Deliberate(Exception):
    """Ends a unit of work."""


async def run(engine: AsyncEngine, unit: Unit) -> str | None:
    """Do a unit of work; return the SQLSTATE of its error, or what asyncpg said."""
    try:
        if unit.way == "cursor":
            await _on_a_cursor(engine, unit)
        else:
            await _in_a_block(engine, unit)
    except _Deliberate:
        pass
    except (DBAPIError, asyncpg.PostgresError) as error:
        original = getattr(error, "orig", error)
        if "in a manually started transaction" in str(original):
            return REFUSED
        return str(getattr(original, "sqlstate", None) or original)
    return None


async def _in_a_block(engine: AsyncEngine, unit: Unit) -> None:
    if unit.way == "session":
        block: Any = AsyncSession(engine)
    else:
        block = engine.begin() if unit.way == "begin" else engine.connect()
    async with block as connection:
        if unit.way == "autocommit":
            await connection.execution_options(isolation_level="AUTOCOMMIT")
        for step in unit.steps():
            if isinstance(step, int):
                await connection.execute(text(f"INSERT INTO {TABLE} VALUES ({step})"))
            elif unit.way == "driver":
                await (await connection.get_raw_connection()).driver_connection.execute(step)
            else:
                await connection.execute(text(step))
        if unit.end == "exception":
            raise _Deliberate
        if unit.end == "rollback":
            await connection.rollback()
        elif unit.end == "commit" and unit.way != "begin":
            await connection.commit()


async def _on_a_cursor(engine: AsyncEngine, unit: Unit) -> None:
    raw: Any = await engine.raw_connection()
    try:
        cursor = raw.cursor()
        for step in unit.steps():
            sql = f"INSERT INTO {TABLE} VALUES ({step})" if isinstance(step, int) else step
            await greenlet_spawn(cursor.execute, sql)
        if unit.end == "rollback":
            await greenlet_spawn(raw.rollback)
        elif unit.end == "commit":
            await greenlet_spawn(raw.commit)
    except engine.dialect.loaded_dbapi.Error as error:
        raise DBAPIError(None, None, error) from error
    finally:
        await greenlet_spawn(raw.close)


async def next_user(engine: AsyncEngine) -> str:
    """Use the pool's connection after a unit; return what it was found in."""
    try:
        async with engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            found = "left open" if raw.is_in_transaction() else "idle"
            await connection.execute(text(f"INSERT INTO {TABLE} VALUES (1000)"))
            await connection.rollback()
        async with engine.begin() as connection:
            await connection.execute(text(f"DELETE FROM {TABLE}"))
    except DBAPIError:
        return "left open"
    return found
