"""Transaction control behind SQLAlchemy's back, kind by kind, each with what is right.

The grid of `test_text_control.py` has one text in a unit; here are the sequences that it has not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy import event, text
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import greenlet_spawn

import pgflight
from pgflight import driver
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both, Failure, attempt
from tests.parity.test_text_control import ONE, tables
from tests.parity.text_control import GID, PROCEDURE, TABLE, next_user

INSERT = f"INSERT INTO {TABLE} VALUES "
ROWS = sa.Table(TABLE, sa.MetaData(), sa.Column("n", sa.Integer))
AUTOCOMMIT = {"isolation_level": "AUTOCOMMIT"}

Work = Callable[[AsyncEngine], Awaitable[Any]]


async def send(connection: AsyncConnection, *statements: str) -> Any:
    """Execute statements; return the first value of the last one, None if it has no rows."""
    result = None
    for statement in statements:
        result = await connection.execute(text(statement))
    return result.scalar() if result is not None and result.returns_rows else None


async def driver_of(connection: AsyncConnection) -> Any:
    return (await connection.get_raw_connection()).driver_connection


def done(dialect: Dialect, work: Work, **options: Any) -> tuple[Any, list[int], str]:
    """Return what `work` returned, the rows that it left, and what the next user found."""

    async def main() -> tuple[Any, list[int], str]:
        engine = dialect.engine(**{**ONE, **options})
        async with tables(dialect) as aside:
            outcome = await attempt(work(engine))
            rows = await aside.fetch(f"SELECT n FROM {TABLE} ORDER BY n")
            return outcome, [row["n"] for row in rows], await next_user(engine)

    return asyncio.run(main())


NOT_IN_A_BLOCK = (
    f"VACUUM {TABLE}",
    f"CREATE INDEX CONCURRENTLY ON {TABLE} (n)",
    f"REINDEX TABLE CONCURRENTLY {TABLE}",
    "DISCARD ALL",
    f"CALL {PROCEDURE}()",
    f"DO $$ BEGIN INSERT INTO {TABLE} VALUES (100); COMMIT; END $$",
)


@pytest.mark.parametrize("sql", NOT_IN_A_BLOCK, ids=lambda sql: sql.split()[0])
@pytest.mark.parametrize("ending", ["COMMIT", "ROLLBACK"])
def test_what_cannot_run_in_a_transaction_runs_after_a_textual_end(
    dialect: Dialect, sql: str, ending: str
) -> None:
    """As programs do it; and again at once; and the rows after it are rolled back by ours."""

    async def work(engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            await send(connection, INSERT + "(1)", ending, sql)
            if dialect.ours:  # after DISCARD ALL the built-in dialect knows no statement any more
                await send(connection, sql, INSERT + "(2)")
            await connection.rollback()

    outcome, stored, after = done(dialect, work)
    assert (outcome, after) == (None, "idle")
    own = [100] * (1 + dialect.ours) if "100" in sql or "CALL" in sql else []
    assert stored == ([1] if ending == "COMMIT" else []) + own


def test_a_real_error_of_a_procedure_is_an_error(dialect: Dialect) -> None:
    """A COMMIT within an exception block fails in a transaction and without one."""
    sql = (
        f"DO $$ BEGIN {INSERT} (1); BEGIN COMMIT; EXCEPTION WHEN division_by_zero THEN END; END $$"
    )

    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            await send(connection, "SELECT 1", "COMMIT")
            return await attempt(send(connection, sql))

    outcome, stored, after = done(dialect, work)
    assert isinstance(outcome, Failure)
    assert (outcome.pgcode, stored, after) == ("2D000", [], "idle")


def test_several_textual_ends(pgflight_dialect: Dialect) -> None:
    async def work(engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            await send(connection, INSERT + "(1)", "COMMIT", INSERT + "(2)", "ROLLBACK")
            await send(connection, "COMMIT", INSERT + "(3)", "COMMIT", "BEGIN", INSERT + "(4)")
            await connection.commit()
            await send(connection, INSERT + "(5)", "COMMIT AND CHAIN", INSERT + "(6)")
            await connection.rollback()
            await send(connection, INSERT + "(7)")

    assert done(pgflight_dialect, work) == (None, [1, 3, 4, 5], "idle")


async def by_executemany(connection: AsyncConnection) -> None:
    await connection.execute(text(INSERT + "(:n)"), [{"n": n} for n in range(5)])


async def by_arrays(connection: AsyncConnection) -> None:
    await connection.execute(sa.insert(ROWS), [{"n": n} for n in range(100)])


async def by_returning(connection: AsyncConnection) -> None:
    await connection.execute(sa.insert(ROWS).returning(ROWS.c.n), [{"n": 5}, {"n": 6}])


async def by_stream(connection: AsyncConnection) -> None:
    result = await connection.stream(text(INSERT + "(1), (2) RETURNING n"))
    await result.all()


async def by_copy(connection: AsyncConnection) -> None:
    await pgflight.copy_in(connection, ROWS, [{"n": 1}])


@pytest.mark.parametrize("place", ["first", "later"])
@pytest.mark.parametrize(
    "way", [by_executemany, by_arrays, by_returning, by_stream, by_copy], ids=lambda w: w.__name__
)
def test_each_way_to_send_begins_again(
    pgflight_dialect: Dialect, way: Callable[[AsyncConnection], Awaitable[None]], place: str
) -> None:
    async def work(engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            if place == "later":
                await way(connection)
                await send(connection, "ROLLBACK")
            else:
                await send(connection, "COMMIT")
            await way(connection)
            await connection.rollback()

    assert done(pgflight_dialect, work) == (None, [], "idle")


def test_an_aborted_transaction_is_rolled_back_by_text(dialect: Dialect) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            await send(connection, INSERT + "(1)")
            error = await attempt(send(connection, "SELECT 1/0"))
            await send(connection, "ROLLBACK", INSERT + "(2)")
            await connection.rollback()
        return error.pgcode

    expected = [] if dialect.ours else [2]
    assert done(dialect, work) == ("22012", expected, "idle")


def test_a_textual_commit_that_fails(dialect: Dialect) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            await send(
                connection,
                "CREATE TEMP TABLE deferred (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED)",
                "COMMIT",
                "INSERT INTO deferred VALUES (1), (1)",
            ) if dialect.ours else await send(
                connection,
                "CREATE TEMP TABLE deferred (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED)",
                "INSERT INTO deferred VALUES (1), (1)",
            )
            error = await attempt(send(connection, "COMMIT"))
            await send(connection, INSERT + "(2)")
            await connection.rollback()
        return error.pgcode

    expected = [] if dialect.ours else [2]
    assert done(dialect, work) == ("23505", expected, "idle")


@pytest.mark.parametrize("ending", ["COMMIT", "ROLLBACK"])
def test_the_next_transaction_has_the_units_characteristics(
    pgflight_dialect: Dialect, ending: str
) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="SERIALIZABLE")
            await send(connection, "SELECT 1", ending)
            return [
                await send(connection, "SHOW transaction_isolation"),
                await connection.scalar(text("SELECT now() = statement_timestamp()")),
            ]

    outcome, _, after = done(pgflight_dialect, work)
    assert (outcome, after) == (["serializable", False], "idle")


def test_savepoints_after_a_textual_rollback(dialect: Dialect) -> None:
    """Those that are gone are the server's error as it is."""

    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            await send(connection, INSERT + "(1)")
            nested = await connection.begin_nested()
            await send(connection, INSERT + "(2)", "ROLLBACK")
            error = await attempt(nested.commit())
            await connection.rollback()
        return error.pgcode

    assert done(dialect, work) == ("25P01", [], "idle")


def test_a_savepoint_begun_after_a_textual_end(pgflight_dialect: Dialect) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with engine.begin() as connection:
            await send(connection, INSERT + "(1)", "COMMIT")
            async with connection.begin_nested():
                await send(connection, INSERT + "(2)")
            nested = await connection.begin_nested()
            await send(connection, INSERT + "(3)")
            await nested.rollback()

    assert done(pgflight_dialect, work) == (None, [1, 2], "idle")


@pytest.mark.parametrize("commit", [True, False], ids=["commit", "rollback"])
@pytest.mark.parametrize("prepares", [True, False], ids=["prepared", "not prepared"])
def test_two_phases(both: Both, commit: bool, prepares: bool) -> None:
    async def work(engine: AsyncEngine) -> Any:
        def two_phases(connection: Any) -> None:
            transaction = connection.begin_twophase(xid=GID)
            connection.execute(text(INSERT + "(1)"))
            if prepares:
                transaction.prepare()
            if commit:
                transaction.commit()
            else:
                transaction.rollback()

        async with tables(both.builtin) as aside:
            async with engine.connect() as connection:
                await connection.run_sync(two_phases)
            stored = [row["n"] for row in await aside.fetch(f"SELECT n FROM {TABLE}")]
            left = await aside.fetchval(
                "SELECT count(*) FROM pg_prepared_xacts WHERE gid = $1", GID
            )
        return stored, left

    assert both(work, **ONE) == ([1] if commit else [], 0)


# in AUTOCOMMIT


def test_a_transaction_by_text_in_autocommit(dialect: Dialect) -> None:
    """It is one: its statements see it, and it ends by text."""
    if not dialect.ours and tuple(map(int, asyncpg.__version__.split(".")[:2])) < (0, 32):
        pytest.skip("this asyncpg opens no cursor in a transaction that was begun by text")

    async def work(engine: AsyncEngine) -> Any:
        seen = []
        async with engine.connect() as connection:
            raw = await driver_of(connection)
            await send(connection, "BEGIN", INSERT + "(1)")
            await connection.execute(text(INSERT + "(:n)"), [{"n": n} for n in range(2, 50)])
            seen.append(raw.is_in_transaction())
            streamed = await connection.stream(text(f"SELECT n FROM {TABLE} ORDER BY n"))
            seen.append((await streamed.scalars().all())[:3])
            await send(connection, "SAVEPOINT s", INSERT + "(60)", "ROLLBACK TO s", "COMMIT")
            seen.append(raw.is_in_transaction())
            await send(connection, INSERT + "(70)")
        return seen

    expected = [True, [1, 2, 3], False], [*range(1, 50), 70], "idle"
    assert done(dialect, work, **AUTOCOMMIT) == expected


@pytest.mark.parametrize(
    "options", [{}, {"pool_reset_on_return": None}, {"pool_reset_on_return": "commit"}], ids=str
)
@pytest.mark.parametrize("skips", [True, False], ids=["skip_autocommit_rollback", "default"])
def test_a_transaction_in_autocommit_that_was_forgotten(
    pgflight_dialect: Dialect, options: dict[str, Any], skips: bool
) -> None:
    async def work(engine: AsyncEngine) -> Any:
        engine.sync_engine.dialect.skip_autocommit_rollback = skips
        for _ in range(3):
            async with engine.connect() as connection:
                await send(connection, "BEGIN", INSERT + "(1)")

    assert done(pgflight_dialect, work, **AUTOCOMMIT, **options) == (None, [], "idle")


def test_ddl_in_a_transaction_by_text_in_autocommit(dialect: Dialect) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            found = [await send(connection, f"SELECT count(*) FROM {TABLE}")]
            await send(
                connection, "BEGIN", f"ALTER TABLE {TABLE} ADD m integer DEFAULT 7", "COMMIT"
            )
            await send(connection, INSERT + "(1)")
            found.append((await connection.execute(text(f"SELECT * FROM {TABLE}"))).one()[1])
        return found

    assert done(dialect, work, **AUTOCOMMIT) == ([0, 7], [1], "idle")


# listeners


@pytest.mark.parametrize("name", ["connect", "checkout", "checkin", "reset"])
@pytest.mark.parametrize("sql", ["COMMIT", "ROLLBACK", "BEGIN"])
def test_a_listener_sends_transaction_control(dialect: Dialect, name: str, sql: str) -> None:
    async def work(engine: AsyncEngine) -> Any:
        @event.listens_for(engine.sync_engine, name)
        def listen(dbapi_connection: Any, *args: Any) -> None:
            cursor = dbapi_connection.cursor()
            cursor.execute("SELECT 1")
            cursor.execute(sql)
            cursor.close()

        for number in (1, 2, 3):
            async with engine.connect() as connection:
                await send(connection, INSERT + f"({number})")
                if number == 2:
                    await connection.commit()

    outcome, stored, after = done(dialect, work)
    if dialect.ours:
        assert (outcome, stored) == (None, [2])
    # the listener leaves a transaction of the dialect's, and the next unit of work goes on in it
    left = sql == "BEGIN" and name != "connect"
    assert after == ("left open" if left else "idle")


# asyncpg's own connection


async def forgets_a_transaction(raw: Any) -> None:
    await raw.transaction().start()
    await raw.execute(INSERT + "(1)")


async def forgets_a_begin(raw: Any) -> None:
    await raw.execute(f"BEGIN; {INSERT} (1)")


async def prepares_a_begin(raw: Any) -> None:
    await (await raw.prepare("BEGIN")).fetch()
    await raw.copy_records_to_table(TABLE, records=[(1,)])


async def commits_behind_its_transaction(raw: Any) -> None:
    await raw.transaction().start()
    await raw.execute("ROLLBACK")


async def aborts_a_transaction(raw: Any) -> None:
    await forgets_a_transaction(raw)
    await attempt(raw.execute("SELECT 1/0"))


LEFT = (
    forgets_a_transaction,
    forgets_a_begin,
    prepares_a_begin,
    commits_behind_its_transaction,
    aborts_a_transaction,
)


RESETS: tuple[dict[str, Any], ...] = (
    {},
    {"pool_reset_on_return": None},
    {"skip_autocommit_rollback": True, **AUTOCOMMIT},
)


@pytest.mark.parametrize("options", RESETS, ids=str)
@pytest.mark.parametrize("leave", LEFT, ids=lambda each: each.__name__)
def test_the_pool_keeps_nothing_that_asyncpgs_connection_left(
    pgflight_dialect: Dialect,
    leave: Callable[[Any], Awaitable[None]],
    options: dict[str, Any],
) -> None:
    """However the pool resets connections; and at once, not when the next one is checked out."""
    if "skip_autocommit_rollback" in options and not hasattr(
        DefaultDialect(), "skip_autocommit_rollback"
    ):
        pytest.skip("this SQLAlchemy has no such option")

    async def work() -> Any:
        engine = pgflight_dialect.engine(**ONE, **options)
        async with tables(pgflight_dialect) as aside:
            async with engine.connect() as connection:
                raw = await driver_of(connection)
                await leave(raw)
            closed = raw.is_closed()
            async with engine.begin() as connection:
                await send(connection, INSERT + "(3)")
            rows = await aside.fetch(f"SELECT n FROM {TABLE}")
        return closed, [row["n"] for row in rows]

    assert asyncio.run(work()) == (True, [3])


def test_a_detached_connection_is_the_programs(pgflight_dialect: Dialect) -> None:
    async def work(engine: AsyncEngine) -> Any:
        connection = await engine.connect()
        raw = await driver_of(connection)
        await connection.run_sync(lambda sync: sync.detach())
        await raw.execute("BEGIN")
        for _ in range(2):
            async with engine.connect() as other:
                await send(other, "SELECT 1")
        open_still = raw.is_in_transaction()
        await raw.execute("ROLLBACK")
        await connection.close()
        return open_still

    assert done(pgflight_dialect, work) == (True, [], "idle")


@pytest.mark.parametrize("uses", ["before", "after", "alone"])
@pytest.mark.parametrize("leave", LEFT, ids=lambda each: each.__name__)
def test_what_asyncpgs_connection_leaves(
    pgflight_dialect: Dialect, leave: Callable[[Any], Awaitable[None]], uses: str
) -> None:
    """The unit works or raises once; whoever is next gets a connection that is clean."""

    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            if uses == "before":
                await send(connection, INSERT + "(2)")
            await leave(await driver_of(connection))
            if uses == "after":
                await attempt(send(connection, INSERT + "(2)"))
        async with engine.begin() as connection:
            await send(connection, INSERT + "(3)")

    assert done(pgflight_dialect, work) == (None, [3], "idle")


ENDS = (
    lambda raw: raw.execute("COMMIT"),
    lambda raw: raw.execute("SELECT 1; COMMIT; SELECT 2"),
    lambda raw: raw.fetch("COMMIT"),
    lambda raw: raw.executemany("COMMIT", [()]),
)


@pytest.mark.parametrize("number", range(len(ENDS)))
def test_asyncpgs_connection_commits_our_transaction(
    pgflight_dialect: Dialect, number: int
) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            await send(connection, INSERT + "(1)")
            await ENDS[number](await driver_of(connection))
            await send(connection, INSERT + "(2)")
            await connection.rollback()

    assert done(pgflight_dialect, work) == (None, [1], "idle")


def test_statements_in_a_transaction_of_asyncpgs_connection(dialect: Dialect) -> None:
    """They are savepoints in it, and the program goes on to commit what is left."""

    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            raw = await driver_of(connection)
            async with raw.transaction():
                await raw.execute(INSERT + "(1)")
                await send(connection, INSERT + "(2)")
                await connection.rollback()
                await send(connection, INSERT + "(3)")
                await connection.commit()
                await raw.execute(INSERT + "(4)")

    assert done(dialect, work) == (None, [1, 3, 4], "idle")


def test_a_begin_behind_the_back_is_left_in_place(both: Both) -> None:
    """As SQLAlchemy's own tests want it (issue 13657): it is the program's to end."""

    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            raw = await driver_of(connection)
            await raw.execute("BEGIN")
            seen = [await attempt(send(connection, "SELECT 1"))]
            number = await raw.fetchval("SELECT pg_current_xact_id()")
            await connection.rollback()
            seen.append(await raw.fetchval("SELECT pg_current_xact_id()") == number)
            await raw.execute("ROLLBACK")
            return [*seen, await send(connection, "SELECT 1")]

    assert both(work, **ONE)[1:] == [True, 1]


# cancelled


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("sql", ["COMMIT", "ROLLBACK", "BEGIN"])
@pytest.mark.parametrize("options", [{}, AUTOCOMMIT, {"pipeline": "off"}], ids=str)
def test_a_text_is_cancelled_and_the_cursor_used_on(
    pgflight_dialect: Dialect, turns: int, sql: str, options: dict[str, Any]
) -> None:
    """Whether the server got it or not, what follows is rolled back."""

    async def work(engine: AsyncEngine) -> Any:
        raw: Any = await engine.raw_connection()
        cursor = raw.cursor()
        if not options.get("isolation_level"):
            await greenlet_spawn(cursor.execute, "SELECT 1")
        task = asyncio.ensure_future(greenlet_spawn(cursor.execute, sql))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        if options.get("isolation_level"):
            await greenlet_spawn(cursor.execute, "BEGIN")
        await greenlet_spawn(cursor.execute, INSERT + "(1)")
        await greenlet_spawn(raw.rollback)
        await greenlet_spawn(raw.close)

    assert done(pgflight_dialect, work, **options) == (None, [], "idle")


@pytest.mark.skipif(not driver.is_private(), reason="asyncpg says nothing of a cancellation")
@pytest.mark.parametrize("turns", range(6))
def test_a_commit_on_asyncpgs_connection_is_cancelled(
    pgflight_dialect: Dialect, turns: int
) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            await send(connection, "SELECT 1")
            raw = await driver_of(connection)
            task = asyncio.ensure_future(raw.execute("COMMIT"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            await send(connection, INSERT + "(1)")
            await connection.rollback()

    assert done(pgflight_dialect, work) == (None, [], "idle")


def test_what_was_done_instead_is_counted(pgflight_dialect: Dialect) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            await send(connection, INSERT + "(1)", "COMMIT", NOT_IN_A_BLOCK[1])
        return dict(pgflight.stats(engine).transactions_tidied)

    outcome, _, _ = done(pgflight_dialect, work)
    assert outcome == {
        "ended by the program": 1,
        "refused in a transaction, and executed without": 1,
    }
