"""No SQL is sent that nobody asked for: what reaches the server, unit by unit, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from pgflight import driver
from tests.fixtures.engines import Dialect
from tests.fixtures.messages import Message
from tests.fixtures.statements import Statement, Statements
from tests.fixtures.waits import Waits
from tests.parity.test_waits import ASKS_FOR_TYPES, each_mode, each_unit, effective
from tests.parity.units_of_work import Unit, warm

ENDS = ("BEGIN", "COMMIT", "ROLLBACK")


PROOF = f"SELECT {driver.PROCESS}"
"""What a new connection asks in the flight of its first query."""


def without_proof(found: list[str]) -> list[str]:
    """Return the SQL that was sent, less the question that a new connection asks."""
    return [text for text in found if text != PROOF]


def texts(sent: Iterable[Statement]) -> list[str]:
    """Return the SQL, less the semicolon that asyncpg and SQLAlchemy's ping write."""
    return [statement.sql.rstrip(";") for statement in sent]


async def sent(
    dialect: Dialect, waits: Waits, commands: Statements, unit: Unit, pipeline: str
) -> list[list[str]]:
    """Return the SQL of each of three runs of the unit, what was put off included."""
    found = []
    async with warm(dialect, waits, unit, pipeline=pipeline) as work:
        for _ in range(3):
            commands.clear()
            await work()
            await waits.settled()
            found.append(texts(commands.all))
    return found


@each_mode
@each_unit
def test_what_was_asked_for_is_sent_and_nothing_else(
    builtin: Dialect,
    pgflight_dialect: Dialect,
    waits: Waits,
    commands: Statements,
    unit: Unit,
    pipeline: str,
) -> None:
    async def work() -> None:
        pipeline_of_ours = effective(pipeline)
        if unit.connects and ASKS_FOR_TYPES:
            commands_of_ours = await sent(pgflight_dialect, waits, commands, unit, pipeline)
            for found in map(without_proof, commands_of_ours):
                asked = unit.commands(pipeline_of_ours)
                assert_begin(found[-len(asked) :], asked)
            return
        theirs = await sent(builtin, waits, commands, unit, "off")
        ours = await sent(pgflight_dialect, waits, commands, unit, pipeline)
        for expected, found in zip(theirs, ours):
            if unit.connects and pipeline_of_ours != "off":
                assert found.count(PROOF) == 1
                found = without_proof(found)
            assert_begin(expected, unit.commands("off"))
            assert_begin(found, unit.commands(pipeline_of_ours))
            if not unit.ping:
                assert found == expected

    asyncio.run(work())


def assert_begin(found: list[str], asked: list[str]) -> None:
    """Check that each statement found begins with the words asked for, the ends being whole."""
    assert len(found) == len(asked), found
    for text, words in zip(found, asked):
        whole = words.startswith(ENDS) or not words
        assert text == words if whole else text.startswith(f"{words} "), found


def shown(message: Message) -> str:
    # a password is salted anew each time
    return message.name if message.name == "Password" else f"{message.name} {message.body!r}"


@each_unit
def test_without_the_pipeline_every_message_is_the_built_in_dialects(
    builtin: Dialect, pgflight_dialect: Dialect, waits: Waits, unit: Unit
) -> None:
    def asked(message: Message) -> bool:
        # how many rows a stream fetches at once is no matter of transactions, nor are codecs
        elsewhere = unit.at_most or (unit.connects and ASKS_FOR_TYPES)
        return not elsewhere or message.name == "Query"

    async def messages(dialect: Dialect) -> list[list[str]]:
        found = []
        async with warm(dialect, waits, unit, pipeline="off") as work:
            for _ in range(3):
                waits.messages.take()
                await work()
                await waits.settled()
                found.append([shown(item) for item in waits.messages.take() if asked(item)])
        return found

    async def work() -> None:
        theirs, ours = await messages(builtin), await messages(pgflight_dialect)
        for expected, found in zip(theirs, ours):
            assert found == expected

    asyncio.run(work())


@pytest.mark.parametrize("pipeline", ["auto", "begin"])
def test_nothing_is_sent_for_a_transaction_that_runs_nothing(
    pgflight_dialect: Dialect, waits: Waits, pipeline: str
) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(via=waits.proxy, pool_size=1, pipeline=pipeline)
        async with engine.connect():
            pass
        await waits.settled()
        waits.messages.take()
        async with engine.connect() as connection:
            await connection.begin()
            await connection.rollback()
        async with engine.begin():
            pass
        await waits.settled()
        assert waits.messages.take() == []

    asyncio.run(work())
