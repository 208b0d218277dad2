"""Three bugs of the built-in dialect and asyncpg: shown there, and shown gone in ours.

Each body runs on both. Where the built-in's outcome is asserted, a failure of that assertion means
that the bug was mended upstream: then the body becomes a plain parity test.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from pgflight import driver
from tests.adversity.server_view import View, pool_of
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Failure, attempt
from tests.fixtures.sabotage import Sabotage
from tests.fixtures.server import Server

SERIALIZABLE = {"isolation_level": "SERIALIZABLE"}
REPEATABLE = {"isolation_level": "REPEATABLE READ"}
PID = text("SELECT pg_backend_pid()")
# level public cannot make asyncpg forget a BEGIN that failed, and closes the connection
AT_REST = ("idle",) if driver.is_private() else ("idle", None)
CANCELLED, REFUSED = "57014", "0A000"

PIPELINES = [
    pytest.param(("builtin", {}), id="builtin"),
    *(pytest.param(("pgflight", {"pipeline": mode}), id=mode) for mode in ("auto", "begin", "off")),
]


@pytest.fixture(params=PIPELINES)
def variant(request: pytest.FixtureRequest) -> tuple[Dialect, dict[str, Any]]:
    """The built-in dialect, and ours in each mode: a dialect and the options of its engine."""
    name, options = request.param
    fixture = "builtin" if name == "builtin" else "pgflight_dialect"
    return request.getfixturevalue(fixture), dict(options)


Variant = tuple[Dialect, dict[str, Any]]


async def unit(engine: AsyncEngine, statement: Any = PID, **options: Any) -> Any:
    """Run one statement in a transaction of its own and commit; return its value."""
    async with engine.connect() as connection:
        if options:
            await connection.execution_options(**options)
        value = await connection.scalar(statement)
        await connection.commit()
        return value


def codes(outcomes: list[Any]) -> list[Any]:
    """Return of each outcome what went wrong: SQLSTATE, class of the error, or None."""
    return [
        o.pgcode or o.driver_kind or o.kind if isinstance(o, Failure) else None for o in outcomes
    ]


@pytest.mark.skipif(
    not driver.is_private(), reason="at level public a BEGIN that fails costs the connection"
)
def test_serializable_on_a_hot_standby(variant: Variant, standby: Server) -> None:
    """BEGIN itself is refused: each time with the server's reason, and nothing else is lost."""
    dialect, options = variant

    async def work() -> list[Any]:
        engine = dialect.engine(standby.url(), pool_size=1, max_overflow=0, **options)
        pid = await unit(engine)
        seen = []
        for _ in range(3):
            seen.append(await attempt(unit(engine, **SERIALIZABLE)))
            async with View.of(standby) as view:
                assert await view.settled(pid) in AT_REST
        seen.append(await attempt(unit(engine, **REPEATABLE)))
        seen.append(await attempt(unit(engine)))
        async with engine.connect() as connection:
            await connection.execution_options(**SERIALIZABLE)
            for _ in range(2):  # the same transaction of SQLAlchemy: begun anew, refused anew
                seen.append(await attempt(connection.scalar(PID)))
            await connection.rollback()
            await connection.execution_options(**REPEATABLE)
            seen.append(await attempt(connection.scalar(PID)))
            seen.append(await attempt(connection.stream(text("SELECT 1"))))
        assert [o for o in seen if isinstance(o, int) and o != pid] == []
        return codes(seen)

    seen = asyncio.run(work())
    if dialect.ours:
        assert seen == [REFUSED, REFUSED, REFUSED, None, None, REFUSED, REFUSED, None, None]
    else:
        assert seen[0] == REFUSED
        # asyncpg goes on to believe that a transaction is open, and sends SAVEPOINT
        assert None not in seen[1:]
        assert REFUSED not in seen[1:]


def test_a_begin_that_is_cancelled(variant: Variant, sabotage: Sabotage) -> None:
    """The pooled connection must serve the next unit, in a transaction that is one."""
    dialect, options = variant

    async def work() -> list[Any]:
        engine = dialect.engine(via=sabotage.proxy, pool_size=1, max_overflow=0, **options)
        pid = await unit(engine)
        seen: list[Any] = []
        sabotage.cancel_next("BEGIN")
        seen.append(await attempt(unit(engine)))
        async with View.of(dialect.server) as view:
            assert await view.settled(pid) in AT_REST
            for _ in range(3):
                seen.append(await attempt(unit(engine)))
            async with engine.connect() as connection:
                seen.append(await attempt(connection.scalar(PID)))
                if seen[-1] == pid:
                    assert await view.settled(pid) == "idle in transaction"
        return codes(seen)

    seen = asyncio.run(work())
    assert len(sabotage.done) == 1
    assert seen[0] == CANCELLED
    if dialect.ours:
        assert seen[1:] == [None] * 4
    else:
        assert None not in seen[1:]


@pytest.mark.parametrize("verb", ["COMMIT", "ROLLBACK"])
def test_an_end_that_is_cancelled(variant: Variant, sabotage: Sabotage, verb: str) -> None:
    """The server is left in an aborted transaction, which must not go back into the pool."""
    dialect, options = variant

    async def work() -> tuple[list[Any], str | None, bool]:
        engine = dialect.engine(via=sabotage.proxy, pool_size=1, max_overflow=0, **options)
        await unit(engine)
        seen: list[Any] = []
        sabotage.cancel_next(verb)
        async with engine.connect() as connection:
            pid = await connection.scalar(text("SELECT pg_backend_pid() FROM pg_am FOR UPDATE"))
            end = connection.commit if verb == "COMMIT" else connection.rollback
            seen.append(await attempt(end()))
        async with View.of(dialect.server) as view:
            state = await view.settled(pid)
        for _ in range(3):
            seen.append(await attempt(unit(engine)))
        return codes(seen), state, await attempt(unit(engine)) == pid

    seen, state, same = asyncio.run(work())
    assert len(sabotage.done) == 1
    # ours rolls back at the second try, after which there is nothing to complain about
    assert seen[0] == (None if dialect.ours and verb == "ROLLBACK" else CANCELLED)
    if dialect.ours:
        assert seen[1:] == [None] * 3
        assert state in ("idle", None)
        assert same == (state == "idle")
    else:
        assert state == "idle in transaction (aborted)"
        assert None not in seen[1:]


SETS = [{"n": n, "s": "x" * 100} for n in range(20_000)]
INSERT = text("INSERT INTO many VALUES (:n, :s)")


@pytest.mark.parametrize("turns", [1, 2, 4])
def test_a_large_executemany_that_is_cancelled(variant: Variant, turns: int) -> None:
    """asyncpg sends the sets in pieces; a cancellation between two must end the task."""
    dialect, options = variant
    bound = 10.0 if dialect.ours else 2.0  # the built-in's task never ends

    async def work() -> tuple[bool, int, list[Any]]:
        engine = dialect.engine(pool_size=1, max_overflow=0, **options)
        connections: list[Any] = []
        event.listen(engine.sync_engine, "connect", lambda raw, _: connections.append(raw))

        async def insert() -> None:
            async with engine.connect() as connection:
                await connection.execute(text("CREATE TEMPORARY TABLE many (n int, s text)"))
                await connection.execute(INSERT, SETS[:2])  # prepares it
                cancel_after(turns)
                await connection.execute(INSERT, SETS)

        def cancel_after(left: int) -> None:
            if left:
                asyncio.get_running_loop().call_soon(cancel_after, left - 1)
            else:
                task.cancel()

        task = asyncio.create_task(insert())
        _, pending = await asyncio.wait({task}, timeout=bound)
        checked_out = pool_of(engine).checkedout()
        if pending:  # nothing but the end of the connection ends it
            for connection in connections:
                connection._connection.terminate()
            await asyncio.wait({task}, timeout=bound)
        assert (
            task.cancelled()
            if dialect.ours
            else task.done() and (task.cancelled() or task.exception())
        )
        return bool(pending), checked_out, codes([await attempt(unit(engine)) for _ in range(3)])

    hung, checked_out, after = asyncio.run(work())
    assert after == [None] * 3
    assert (hung, checked_out) == ((False, 0) if dialect.ours else (True, 1))
