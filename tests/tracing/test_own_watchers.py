"""Whoever replaces a method of asyncpg sees the calls that the built-in dialect makes.

The same units of work on both dialects, with wrappers of ours in every shape that tracers have.
The tracers themselves: `packages/`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import asyncpg
import asyncpg.protocol
import asyncpg.transaction
import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

import pgflight
from pgflight import driver
from pgflight.cli.doctor.tracers import SWITCHED_OFF, SWITCHED_OFF_OF_COPY, watchers_fact
from tests.fixtures.engines import Dialect
from tests.tracing import units
from tests.tracing.recording import CALLER, METHODS, Call, Transparent, plain, traced, wrapped

SHORT = ["read", "write", "many_rows", "returning", "stream", "long_list", "error"]
ELSEWHERE = {
    "Connection.fetchrow",
    "Connection._execute",
    "Connection._Connection__execute",
    "Connection._introspect_types",
    "Connection._cleanup_stmts",
    "Cursor._bind_exec",
    "Protocol.close_portal",
    "Protocol.close_statement",
}
"""Called only for pings, for unknown types, for evicted statements, or not at all."""
ALONE = [
    name
    for name in METHODS
    if not name.endswith((".__init__", "_check_conn_validity")) and name not in ELSEWHERE
]

Watching = AbstractContextManager[None]


def both(
    builtin: Dialect,
    ours: Dialect,
    watching: Any,
    chosen: list[str],
    *,
    early: bool = True,
    **options: Any,
) -> Any:
    """Compare what is traced on both dialects; return it, and the statistics of our engine.

    `watching` is called with the list of calls; `early`: it watches before the engine is made.
    """

    async def run(dialect: Dialect) -> Any:
        calls: list[Call] = []
        with ExitStack() as stack:
            if early:
                stack.enter_context(watching(calls))
            engine = dialect.engine(pool_size=1, max_overflow=0, **options)
            await units.prepare(engine)
            if not early:
                await traced(engine, calls, chosen[:2])
                stack.enter_context(watching(calls))
                # once unseen: asyncpg has not yet prepared the ping, which is its own until now
                await traced(engine, calls, chosen[:1])
            found = await traced(engine, calls, chosen)
            stats = pgflight.stats(engine) if dialect.ours else None
        return found, stats

    expected, _ = asyncio.run(run(builtin))
    found, stats = asyncio.run(run(ours))
    assert any(calls for _, calls in expected.values()), "nothing was seen on the built-in dialect"
    for name in chosen:
        for one, other in zip(found[name][1], expected[name][1]):
            assert one == other, name
        assert found[name] == expected[name], name
    return found, stats


@pytest.mark.parametrize("early", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("wrap", [plain, Transparent])
@pytest.mark.parametrize("pinging", [False, True], ids=["", "pre_ping"])
def test_each_call_is_made(
    builtin: Dialect, pgflight_dialect: Dialect, wrap: Any, early: bool, pinging: bool
) -> None:
    found, stats = both(
        builtin,
        pgflight_dialect,
        lambda calls: wrapped(calls, list(METHODS), wrap),
        list(units.UNITS),
        early=early,
        pool_pre_ping=pinging,
    )
    # a wrapper runs in the context of the task whose call it sees
    assert {caller for _, calls in found.values() for _, _, caller in calls} == set(units.UNITS)
    assert stats is not None
    assert stats.watched
    assert all("tests.tracing.recording" in reason for reason in stats.watched)


@pytest.mark.parametrize("method", ALONE)
def test_a_method_may_be_watched_alone(
    builtin: Dialect, pgflight_dialect: Dialect, method: str
) -> None:
    def watching(calls: list[Call]) -> Watching:
        return wrapped(calls, [method])

    both(builtin, pgflight_dialect, watching, SHORT, early=False)


@pytest.mark.parametrize("method", ["Connection.fetchrow", "Protocol.bind_execute"])
def test_pings_are_seen(builtin: Dialect, pgflight_dialect: Dialect, method: str) -> None:
    both(
        builtin,
        pgflight_dialect,
        lambda calls: wrapped(calls, [method]),
        ["read", "write"],
        pool_pre_ping=True,
    )


@pytest.mark.parametrize("method", ["Connection._cleanup_stmts", "Protocol.close_statement"])
def test_closing_statements_is_seen(
    builtin: Dialect, pgflight_dialect: Dialect, method: str
) -> None:
    both(
        builtin,
        pgflight_dialect,
        lambda calls: wrapped(calls, [method]),
        ["read", "write", "read"],
        connect_args={"prepared_statement_cache_size": 1},
    )


def test_who_is_gone_costs_nothing(pgflight_dialect: Dialect) -> None:
    async def run() -> None:
        calls: list[Call] = []
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        await units.prepare(engine)

        async def costs() -> tuple[int, int, int]:
            before = pgflight.stats(engine)
            await units.read(engine)
            await units.many_rows(engine)
            after = pgflight.stats(engine)
            return (
                after.deferred_ends - before.deferred_ends,
                after.array_inserts - before.array_inserts,
                sum(after.watched.values()) - sum(before.watched.values()),
            )

        deferred = int(driver.can_pipeline())
        assert await costs() == (deferred, 1, 0)
        with wrapped(calls, ["PreparedStatement.fetch"]):
            ends, arrays, watched = await costs()
            assert (ends, arrays) == (0, 0)
            assert watched >= 4 * deferred
            assert calls
        calls.clear()
        assert await costs() == (deferred, 1, 0)
        assert calls == []

    asyncio.run(run())


def test_a_watcher_may_come_and_go_within_a_transaction(
    builtin: Dialect, pgflight_dialect: Dialect
) -> None:
    async def run(dialect: Dialect) -> list[Call]:
        calls: list[Call] = []
        engine = dialect.engine()
        await units.prepare(engine)
        one = sa.text("SELECT 1")
        async with engine.connect() as connection:
            await connection.execute(one)
            with wrapped(calls, ["Connection.execute", "PreparedStatement.fetch"]):
                await connection.execute(one)
                await connection.rollback()
                await connection.execute(one)
            await connection.execute(one)
            await connection.rollback()
            await connection.execute(one)
            with wrapped(calls, ["Transaction.rollback"]):
                pass
            with wrapped(calls, ["Transaction.commit", "Protocol.query"]):
                await connection.commit()
        return calls

    expected = asyncio.run(run(builtin))
    assert len(expected) > 4
    assert asyncio.run(run(pgflight_dialect)) == expected


class Overriding(asyncpg.Connection):  # type: ignore[misc]
    """A tracer in the form of a class for `connection_class`."""

    calls: ClassVar[list[Call]] = []

    def transaction(self, **options: Any) -> Any:
        self.calls.append(("transaction", str(options), CALLER.get()))
        return super().transaction(**options)

    async def execute(self, query: str, *args: Any, **options: Any) -> Any:
        self.calls.append(("execute", query, CALLER.get()))
        return await super().execute(query, *args, **options)

    async def executemany(self, command: str, args: Any, **options: Any) -> Any:
        self.calls.append(("executemany", command, CALLER.get()))
        return await super().executemany(command, args, **options)

    async def prepare(self, query: str, **options: Any) -> Any:
        self.calls.append(("prepare", query, CALLER.get()))
        return await super().prepare(query, **options)


@contextmanager
def overriding(calls: list[Call]) -> Iterator[None]:
    Overriding.calls = calls
    yield


def test_a_derived_class_is_a_watcher(builtin: Dialect, pgflight_dialect: Dialect) -> None:
    _, stats = both(
        builtin,
        pgflight_dialect,
        overriding,
        list(units.UNITS),
        connect_args={"connection_class": Overriding},
    )
    assert any(f"{__name__}" in reason for reason in stats.watched)


class Unrelated(asyncpg.Connection):  # type: ignore[misc]
    """A derived class of which the dialect calls nothing: pgbouncer's users have had such."""

    def _get_unique_id(self, prefix: str) -> str:
        name: str = super()._get_unique_id(prefix)
        return name + "x"


def test_a_derived_class_that_watches_nothing_costs_nothing(pgflight_dialect: Dialect) -> None:
    async def run() -> None:
        engine = pgflight_dialect.engine(connect_args={"connection_class": Unrelated})
        await units.prepare(engine)
        await units.read(engine)
        await units.many_rows(engine)
        stats = pgflight.stats(engine)
        assert stats.watched == {}
        assert (stats.deferred_ends, stats.array_inserts) == (int(driver.can_pipeline()), 1)
        calls: list[Call] = []
        with wrapped(calls, ["Connection.execute"]):
            await units.read(engine)
        assert [text for _, text, _ in calls] == ["BEGIN;", "ROLLBACK;"]

    asyncio.run(run())


@contextmanager
def derived_transactions(calls: list[Call]) -> Iterator[None]:
    class Watching(asyncpg.transaction.Transaction):  # type: ignore[misc]
        __slots__ = ()

        async def start(self) -> None:
            calls.append(("start", "", CALLER.get()))
            await super().start()

        async def rollback(self) -> None:
            calls.append(("rollback", "", CALLER.get()))
            await super().rollback()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncpg.transaction, "Transaction", Watching)
        yield


@contextmanager
def derived_statements(calls: list[Call]) -> Iterator[None]:
    class Watching(asyncpg.prepared_stmt.PreparedStatement):  # type: ignore[misc]
        __slots__ = ()

        async def fetch(self, *args: Any, **options: Any) -> Any:
            calls.append(("fetch", self._query, CALLER.get()))
            return await super().fetch(*args, **options)

        def cursor(self, *args: Any, **options: Any) -> Any:
            calls.append(("cursor", self._query, CALLER.get()))
            return super().cursor(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncpg.prepared_stmt, "PreparedStatement", Watching)
        yield


class Around:
    """Stands in for an object of asyncpg and records what is called of it."""

    def __init__(self, inside: Any, calls: list[Call], names: tuple[str, ...]) -> None:
        self.inside = inside
        self.calls = calls
        self.names = names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inside, name)
        if name in self.names:
            return plain(name, lambda _, *args, **more: found(*args, **more), self.calls).__get__(
                self
            )
        return found


@contextmanager
def protocols_inside(calls: list[Call]) -> Iterator[None]:
    made = asyncpg.protocol.Protocol
    watched = ("query", "prepare", "bind_execute", "bind_execute_many", "bind", "execute")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            asyncpg.protocol,
            "Protocol",
            lambda *args, **options: Around(made(*args, **options), calls, watched),
        )
        yield


@pytest.mark.parametrize("watching", [derived_transactions, derived_statements, protocols_inside])
def test_a_class_may_be_replaced_by_its_name(
    builtin: Dialect, pgflight_dialect: Dialect, watching: Any
) -> None:
    both(builtin, pgflight_dialect, watching, SHORT)


@pytest.mark.parametrize("watching", [derived_transactions])
def test_a_class_may_be_replaced_later(
    builtin: Dialect, pgflight_dialect: Dialect, watching: Any
) -> None:
    both(builtin, pgflight_dialect, watching, SHORT, early=False)


def test_a_connection_may_be_inside_another_object(
    builtin: Dialect, pgflight_dialect: Dialect
) -> None:
    calls: list[Call] = []
    watched = ("execute", "executemany", "prepare", "transaction", "fetchrow")

    async def connect(*args: Any, **options: Any) -> Any:
        return Around(await asyncpg.connect(*args, **options), calls, watched)

    @contextmanager
    def watching(found: list[Call]) -> Iterator[None]:
        nonlocal calls
        calls = found
        yield

    both(
        builtin,
        pgflight_dialect,
        watching,
        SHORT,
        connect_args={"async_creator_fn": connect},
        pool_pre_ping=True,
    )


def on_each_connection(engine: AsyncEngine, act: Any) -> None:
    """Call `act` with asyncpg's connection of each connection that the engine makes."""

    @event.listens_for(engine.sync_engine, "connect")
    def made(connection: Any, _record: Any) -> None:
        act(connection.driver_connection)


@pytest.mark.parametrize("kind", ["query logger", "attribute of the protocol"])
def test_an_object_may_be_watched_itself(
    builtin: Dialect, pgflight_dialect: Dialect, kind: str
) -> None:
    async def run(dialect: Dialect) -> Any:
        calls: list[Call] = []

        def logged(record: Any) -> None:
            calls.append(("", record.query, CALLER.get()))

        def act(connection: Any) -> None:
            if kind == "query logger":
                connection.add_query_logger(logged)
                return
            protocol = connection._protocol
            for name in ("query", "bind_execute", "bind_execute_many"):
                wrap = plain(name, getattr(type(protocol), name), calls)
                setattr(protocol, name, wrap.__get__(protocol))

        engine = dialect.engine(pool_size=1, max_overflow=0, pool_pre_ping=True)
        on_each_connection(engine, act)
        await units.prepare(engine)
        found = {}
        for name in SHORT:
            calls.clear()
            await units.UNITS[name](engine)
            await asyncio.sleep(0)  # loggers are called by the loop
            found[name] = [text for _, text, _ in calls]
        return found, pgflight.stats(engine) if dialect.ours else None

    expected, _ = asyncio.run(run(builtin))
    found, stats = asyncio.run(run(pgflight_dialect))
    assert expected["many_rows"]
    assert found == expected
    assert stats is not None
    assert stats.watched
    assert any("is watched" in reason for reason in stats.array_fallbacks)


def test_the_code_of_a_function_may_be_replaced(
    builtin: Dialect, pgflight_dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    # where the new code finds it, whose globals stay those of asyncpg's module
    monkeypatch.setattr(asyncpg.connection, "SEEN", seen, raising=False)

    async def execute(self: Any, query: str, *args: Any, timeout: Any = None) -> Any:
        SEEN.append(query)  # type: ignore[name-defined]  # noqa: F821
        return await self._protocol.query(query, timeout)

    async def run(dialect: Dialect) -> list[str]:
        seen.clear()
        engine = dialect.engine()
        await units.prepare(engine)
        await units.read(engine)
        return list(seen)

    monkeypatch.setattr(asyncpg.Connection.execute, "__code__", execute.__code__)
    expected = asyncio.run(run(builtin))
    assert len(expected) > 2
    assert asyncio.run(run(pgflight_dialect)) == expected


def test_copying_goes_by_a_method_that_is_watched(pgflight_dialect: Dialect) -> None:
    async def run() -> None:
        calls: list[str] = []
        engine = pgflight_dialect.engine()
        await units.prepare(engine)
        with pytest.MonkeyPatch.context() as patch:
            for name in ("copy_records_to_table", "copy_from_query"):
                original = getattr(asyncpg.Connection, name)

                def copy(
                    self: Any, *args: Any, _f: Any = original, _n: str = name, **more: Any
                ) -> Any:
                    calls.append(_n)
                    return _f(self, *args, **more)

                patch.setattr(asyncpg.Connection, name, copy)
            async with engine.begin() as connection:
                rows = [{"id": 50 + each, "note": "copied"} for each in range(3)]
                assert await pgflight.copy_in(connection, units.PLAIN, rows) == 3
            async with engine.connect() as connection:
                output = [
                    piece
                    async for piece in pgflight.copy_out(connection, units.PLAIN, format="csv")
                ]
            assert b"".join(output).count(b"copied") == 3
            # nothing but COPY is watched, and at level public it always goes by these methods
            watched = pgflight.stats(engine).watched
            assert [reason.split(" ")[:2] for reason in watched] == [
                ["COPY", "in"],
                ["COPY", "out"],
            ]
        assert "copy_records_to_table" in calls and "copy_from_query" in calls

    asyncio.run(run())


def test_nobody_watches_here() -> None:
    assert driver.watchers() == {}
    assert "watched" not in pgflight.implementation().reason
    assert watchers_fact().text.startswith("nobody watches asyncpg in this process")


def test_who_watches_is_told() -> None:
    with wrapped([], ["Connection.execute", "Protocol.query"], Transparent):
        reason = pgflight.implementation().reason
        fact = watchers_fact()
    assert reason.endswith("; asyncpg is watched by tests.tracing.recording.Transparent")
    assert fact.good
    methods = ["asyncpg.Connection.execute", "asyncpg.Protocol.query"]
    assert fact.data["wraps"] == {"tests.tracing.recording.Transparent": methods}
    assert fact.data["switches_off"] == [*SWITCHED_OFF]
    assert "Transparent wraps asyncpg.Connection.execute, asyncpg.Protocol.query" in fact.text


def test_what_a_watched_copy_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    copy = asyncpg.Connection.copy_to_table

    async def watched(*args: Any, **options: Any) -> str:
        return str(await copy(*args, **options))

    monkeypatch.setattr(asyncpg.Connection, "copy_to_table", watched)
    assert watchers_fact().data["switches_off"] == [*SWITCHED_OFF_OF_COPY]


def test_doctor_knows_what_steps_aside() -> None:
    """Every name that the code gives to Watch.steps_aside()."""
    package = Path(str(pgflight.__file__)).parent
    texts = {path: path.read_text("utf-8") for path in package.rglob("*.py")}
    constants = {
        name: text
        for source in texts.values()
        for name, text in re.findall(r'^(_?[A-Z_]+) = "([^"]+)"$', source, re.MULTILINE)
    }
    given = {
        argument
        for source in texts.values()
        for argument in re.findall(r"\.steps_aside\(([^,)]+(?:\(\))?[^,)]*)", source)
    }
    named = {
        argument.strip('"') if argument.startswith('"') else constants[argument.rpartition(".")[2]]
        for argument in given
    }
    assert len(named) > 6
    assert named <= {*SWITCHED_OFF, *SWITCHED_OFF_OF_COPY}
