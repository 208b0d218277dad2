"""Types that an engine has met: told to asyncpg on each new connection, and always as they are.

What `Engine` connections know about types is asked anew by each of them; other processes change
the types in between.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

import pgflight
from pgflight import driver
from pgflight.driver.introspection import introducer
from pgflight.driver.introspection.built_in import BUILT_IN
from pgflight.driver.introspection.question import ALL_KINDS, question_text
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both
from tests.fixtures.pgbouncer import Pgbouncer
from tests.fixtures.proxy import Proxy
from tests.fixtures.server import Server
from tests.fixtures.waits import Waits

private = pytest.mark.skipif(
    driver.capabilities().level != "private", reason="asyncpg has to be told by its own names"
)

MAKE = [
    "DROP SCHEMA IF EXISTS met CASCADE",
    "CREATE SCHEMA met",
    "CREATE TYPE met.mood AS ENUM ('sad', 'ok')",
    "CREATE TYPE met.pair AS (x int, y int)",
    "CREATE TYPE met.nested AS (p met.pair, moods met.mood[], few int4range)",
    "CREATE DOMAIN met.whole AS int CHECK (value >= 0)",
    "CREATE DOMAIN met.small AS met.whole CHECK (value < 1000)",
    "CREATE TYPE met.floats AS RANGE (subtype = float8<multirange>)",
    "CREATE TABLE met.rows (id int, mood met.mood, pair met.pair)",
    "INSERT INTO met.rows VALUES (1, 'ok', (1, 2))",
]


@pytest.fixture
def types(server: Server) -> None:
    """The types of these tests, made anew."""
    multirange = ", multirange_type_name = met.floats_multi" if server.version >= (14, 0) else ""
    server.execute(*(text.replace("<multirange>", multirange) for text in MAKE))


async def altered(server: Server, *statements: str, database: str | None = None) -> None:
    """Do as another process."""
    connection = await server.connect(database)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


LEVELS: list[dict[str, Any]] = [{}, {"isolation_level": "AUTOCOMMIT"}]
Statement = tuple[str, dict[str, Any]]
NO_TYPES: Statement = "SELECT 1", {}
BUILT: dict[str, Statement] = {
    "int[]": ("SELECT '{1,2}'::int[]", {}),
    "text[]": ("SELECT :x ::text[]", {"x": ["a"]}),
    "range": ("SELECT '[1,5)'::int4range", {}),
    "ranges": ("SELECT :x ::tstzrange[]", {"x": []}),
}
OWN: dict[str, Statement] = {
    "enum": ("SELECT 'ok'::met.mood", {}),
    "enum parameter": ("SELECT CAST(:x AS met.mood) = 'ok'", {"x": "ok"}),
    "enum[]": ("SELECT CAST(:x AS met.mood[])", {"x": ["ok", None, "sad"]}),
    "composite": ("SELECT CAST(:x AS met.pair)", {"x": (1, 2)}),
    "nested": (
        "SELECT ROW(ROW(1, 2), '{ok}', '[1,3)')::met.nested",
        {},
    ),
    "nested[]": ("SELECT ARRAY[ROW(ROW(1, 2), NULL, '[1,3)')::met.nested]", {}),
    "domain": ("SELECT CAST(:x AS met.whole) + 1", {"x": 5}),
    "domain[]": ("SELECT CAST(:x AS met.whole[])", {"x": [5]}),
    "range of floats": ("SELECT CAST(:x AS met.floats)", {"x": (1.5, 2.5)}),
    "row": ("SELECT r FROM met.rows r", {}),
    "oidvector[]": ("SELECT '{}'::oidvector[]", {}),
    "information schema": ("SELECT CAST(:x AS information_schema.sql_identifier)", {"x": "a"}),
    "citext": ("SELECT 'Ab'::citext, '{Ab}'::citext[]", {}),
    "hstore": ("SELECT 'a=>1'::hstore", {}),
}
MULTI: dict[str, Statement] = {
    "multirange": ("SELECT '{[1,5)}'::int4multirange", {}),
    "multirange of floats": ("SELECT '{[1,5)}'::met.floats_multi", {}),
}


async def first(engine: AsyncEngine, statement: Statement) -> Any:
    """Return the row of a statement that is the first on its connection."""
    async with engine.connect() as connection:
        return tuple((await connection.execute(sa.text(statement[0]), statement[1])).one())


async def waits_of_first(waits: Waits, engine: AsyncEngine, statement: Statement) -> int:
    """Return how often it waits, the making of the connection not counted."""
    async with engine.connect() as connection:

        async def work() -> None:
            await connection.execute(sa.text(statement[0]), statement[1])

        return await waits.of(work)


def _skip_what_is_not_there(server: Server, name: str) -> None:
    if name in ("citext", "hstore") and name not in server.extensions:
        pytest.skip(f"the server does not come with {name}")
    if name in MULTI and server.version < (14, 0):
        pytest.skip("there are multiranges since PostgreSQL 14")


@pytest.mark.parametrize("name", [*BUILT, *OWN, *MULTI])
def test_first_use_on_a_new_connection(
    types: None, dialect: Dialect, waits: Waits, name: str
) -> None:
    """Ours waits no more often than for a statement without types, once the engine has met it."""
    _skip_what_is_not_there(dialect.server, name)
    statement = {**BUILT, **OWN, **MULTI}[name]

    async def work() -> None:
        engine = dialect.engine(via=waits.proxy, poolclass=NullPool)
        await first(engine, ("SELECT 2", {}))
        usual = await waits_of_first(waits, engine, NO_TYPES)  # which no connection has met
        if name in BUILT and not name.startswith("multi"):
            met = await waits_of_first(waits, engine, statement)
            if dialect.ours and driver.is_private():
                assert met == usual  # even if it is the first time
        await first(engine, statement)
        again = [await waits_of_first(waits, engine, statement) for _ in range(2)]
        if not dialect.ours or not driver.is_private():
            assert set(again) >= {usual} if name == "text[]" else min(again) > usual
            return
        assert max(again) <= usual
        found = pgflight.stats(engine)
        if name != "text[]":  # which asyncpg knows
            assert found.type_lookups_saved >= 2
        assert found.type_lookups == (name in OWN or name == "multirange of floats")

    asyncio.run(work())


@private
def test_another_statement_with_the_type(
    types: None, pgflight_dialect: Dialect, waits: Waits
) -> None:
    """Also for one that the engine has never sent, at the beginning of a unit of work."""

    async def work() -> None:
        engine = pgflight_dialect.engine(via=waits.proxy, poolclass=NullPool)
        await first(engine, OWN["enum"])
        usual = await waits_of_first(waits, engine, NO_TYPES)
        for number in range(3):
            text = f"SELECT {number}, CAST(:x AS met.mood)"
            assert await waits_of_first(waits, engine, (text, {"x": "ok"})) == usual
        assert pgflight.stats(engine).type_lookups == 1

    asyncio.run(work())


@private
def test_later_in_a_unit(types: None, pgflight_dialect: Dialect, waits: Waits) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(via=waits.proxy, poolclass=NullPool)
        for _ in range(2):
            await first(engine, OWN["nested"])
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))

            async def other() -> None:
                await connection.execute(sa.text("SELECT 2"))

            async def nested() -> None:
                await connection.execute(sa.text(OWN["nested"][0]))

            assert await waits.of(nested) == await waits.of(other) == 2
            assert await waits.of(nested) == 1

    asyncio.run(work())


@private
def test_nothing_is_asked_in_vain_for_ever(types: None, pgflight_dialect: Dialect) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(poolclass=NullPool)
        await first(engine, OWN["enum"])
        async with engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).dbapi_connection
            introduces = raw.session.statements.introducer
            for number in range(2 * introducer.MOST_IN_VAIN):
                await connection.execute(sa.text(f"SELECT {number}"))
                await connection.rollback()
            assert introduces._in_vain == introducer.MOST_IN_VAIN

    asyncio.run(work())


def test_many_rows(types: None, both: Both) -> None:
    """`executemany()`, which asyncpg prepares itself."""

    async def body(engine: AsyncEngine) -> Any:
        insert = sa.text("INSERT INTO met.rows VALUES (:id, CAST(:mood AS met.mood), (:id, :id))")
        for number in range(3):
            rows = [{"id": 10 * number + n, "mood": "sad"} for n in range(5)]
            async with engine.begin() as connection:
                await connection.execute(insert, rows)
            await engine.dispose()
        async with engine.begin() as connection:
            found = await connection.execute(
                sa.text("SELECT id, mood, pair FROM met.rows ORDER BY id, mood")
            )
            rows_found = [tuple(row) for row in found]
            await connection.execute(sa.text("DELETE FROM met.rows WHERE mood = 'sad'"))
            return rows_found

    assert len(both(body)) == 16


@private
def test_many_rows_wait_as_often_as_others(
    types: None, pgflight_dialect: Dialect, waits: Waits
) -> None:
    async def work() -> None:
        engine = pgflight_dialect.engine(via=waits.proxy, poolclass=NullPool)

        async def of(text: str, rows: list[dict[str, Any]]) -> int:
            async with engine.connect() as connection:

                async def insert() -> None:
                    await connection.execute(sa.text(text), rows)

                return await waits.of(insert)

        numbers = "INSERT INTO met.rows (id) VALUES (:x)"
        moods = "INSERT INTO met.rows (mood) VALUES (:x)"
        usual = [await of(numbers, [{"x": 1}, {"x": 2}]) for _ in range(3)][-1]
        found = [await of(moods, [{"x": "ok"}, {"x": "sad"}]) for _ in range(3)]
        assert found[0] > usual
        assert found[1:] == [usual, usual]

    asyncio.run(work())


Change = Callable[[Server], Awaitable[None]]


def _doing(*statements: str) -> Change:
    async def change(server: Server) -> None:
        await altered(server, *statements)

    return change


CHANGES: dict[str, tuple[str, Change]] = {
    "an attribute is renamed": (
        "SELECT pair FROM met.rows",
        _doing("ALTER TYPE met.pair RENAME ATTRIBUTE x TO z"),
    ),
    "attributes change places": (
        "SELECT '(1,2)'::met.pair",
        _doing(
            "DROP TABLE met.rows",
            "ALTER TYPE met.pair DROP ATTRIBUTE x CASCADE",
            "ALTER TYPE met.pair ADD ATTRIBUTE x int CASCADE",
        ),
    ),
    "an attribute is added": (
        "SELECT pair FROM met.rows",
        _doing("ALTER TYPE met.pair ADD ATTRIBUTE z met.mood CASCADE"),
    ),
    "an attribute of an attribute is renamed": (
        "SELECT ROW(ROW(1, 2), '{ok}', '[1,3)')::met.nested",
        _doing("ALTER TYPE met.pair RENAME ATTRIBUTE y TO z"),
    ),
    "an attribute has another type": (
        "SELECT ROW(1, 2)::met.pair",
        _doing("DROP TABLE met.rows", "ALTER TYPE met.pair ALTER ATTRIBUTE y TYPE text CASCADE"),
    ),
    "a label is added": (
        "SELECT unnest(enum_range(NULL::met.mood)) ORDER BY 1 DESC LIMIT 1",
        _doing("ALTER TYPE met.mood ADD VALUE 'happy'"),
    ),
    "a type is made anew": (
        "SELECT '(1,2)'::met.pair, '{ok}'::met.mood[]",
        _doing(
            "DROP TYPE met.pair, met.mood CASCADE",
            "CREATE TYPE met.mood AS (a text)",
            "CREATE TYPE met.pair AS (m int, n text)",
            "DROP TYPE met.mood",
            "CREATE TYPE met.mood AS ENUM ('ok')",
        ),
    ),
    "a type is moved and renamed": (
        "SELECT pair FROM met.rows",
        _doing("ALTER TYPE met.pair RENAME TO couple", "ALTER TYPE met.couple SET SCHEMA public"),
    ),
    "a column is added": (
        "SELECT r FROM met.rows r",
        _doing("ALTER TABLE met.rows ADD later text DEFAULT 'x'"),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_process_changes_a_type(
    server: Server, types: None, dialect: Dialect, name: str
) -> None:
    """A new connection sees the type as it is, as with the built-in dialect; so does the server."""
    text, change = CHANGES[name]

    async def work() -> None:
        engine = dialect.engine(poolclass=NullPool)
        before = [await first(engine, (text, {})) for _ in range(3)]
        assert shown(before) == [shown(before[0])] * 3
        await change(server)
        after = [await first(engine, (text, {})) for _ in range(2)]
        fresh = await server.connect()
        try:
            expected = tuple(await fresh.fetchrow(text))
        finally:
            await fresh.close()
            await altered(server, "DROP TYPE IF EXISTS public.couple CASCADE")
        assert shown(after) == [shown(expected)] * 2

    asyncio.run(work())


def shown(value: Any) -> Any:
    """Return a value with the names of its attributes, which records are equal without."""
    if isinstance(value, asyncpg.Record):
        return [(name, shown(each)) for name, each in value.items()]
    if isinstance(value, (list, tuple)):
        return [shown(each) for each in value]
    return value


def test_dictionaries_go_where_their_names_are(
    server: Server, types: None, dialect: Dialect
) -> None:
    """An argument is sent by the attributes' names of that moment, not those the engine met."""

    async def work() -> None:
        engine = dialect.engine(poolclass=NullPool)
        statement = "SELECT CAST(CAST(:x AS met.pair) AS text)", {"x": {"x": 1, "y": 2}}
        assert [await first(engine, statement) for _ in range(3)] == [("(1,2)",)] * 3
        await altered(
            server,
            "DROP TABLE met.rows",
            "ALTER TYPE met.pair DROP ATTRIBUTE x CASCADE",
            "ALTER TYPE met.pair ADD ATTRIBUTE x int CASCADE",
        )
        assert [await first(engine, statement) for _ in range(2)] == [("(2,1)",)] * 2

    asyncio.run(work())


def test_two_databases_behind_one_engine(server: Server, types: None, dialect: Dialect) -> None:
    """The same numbers mean other types in a copy of the database that was changed afterwards."""

    async def work() -> None:
        base, copy = "met_types_base", "met_types_copy"
        for name in (copy, base):
            await altered(server, f"DROP DATABASE IF EXISTS {name}")
        await altered(server, f"CREATE DATABASE {base}")
        await altered(
            server, "CREATE SCHEMA met", "CREATE TYPE met.pair AS (x int, y int)", database=base
        )
        await altered(server, f"CREATE DATABASE {copy} TEMPLATE {base}")
        await altered(
            server,
            "ALTER TYPE met.pair DROP ATTRIBUTE x CASCADE",
            "ALTER TYPE met.pair ADD ATTRIBUTE x int CASCADE",
            database=copy,
        )
        databases = [base, base, copy, base, copy, copy]
        left = list(databases)

        async def connect(*_: Any, **__: Any) -> Any:
            return await server.connect(left.pop(0))

        engine = dialect.engine(poolclass=NullPool, async_creator=connect)
        text = "SELECT CAST('(1,2)' AS met.pair), current_database()"
        found = [await first(engine, (text, {})) for _ in databases]
        assert [row[1] for row in found] == databases
        ways = {base: [("x", 1), ("y", 2)], copy: [("y", 1), ("x", 2)]}
        assert [shown(row[0]) for row in found] == [ways[name] for name in databases]
        await engine.dispose()
        for name in (copy, base):
            await altered(server, f"DROP DATABASE {name}")

    asyncio.run(work())


def test_codecs_stay_with_their_connection(types: None, both: Both) -> None:
    """What a program sets is not replaced by what another connection has met, and not shared."""

    async def body(engine: AsyncEngine) -> Any:
        found: list[Any] = []
        text = "SELECT 'ok'::met.mood, CAST(:x AS met.mood[]), '(1,2)'::met.pair"
        for sets in ("", "mood", "", "pair", "mood", ""):
            async with engine.connect() as connection:
                raw: Any = (await connection.get_raw_connection()).driver_connection
                if sets == "mood":
                    await raw.set_type_codec(
                        "mood", schema="met", encoder=str.lower, decoder=str.upper
                    )
                elif sets == "pair":
                    await raw.set_type_codec(
                        "pair", schema="met", format="tuple", encoder=tuple, decoder=sum
                    )
                moods = {"x": ["OK" if sets == "mood" else "ok"]}
                row = (await connection.execute(sa.text(text), moods)).one()
                found.append(shown(tuple(row)))
                if sets:
                    await raw.reset_type_codec(sets, schema="met")
                    again = text.replace("SELECT", "SELECT ")
                    row = (await connection.execute(sa.text(again), {"x": ["ok"]})).one()
                    found.append(shown(tuple(row)))
            await engine.dispose()
        return found

    found = both(body)
    pair = [("x", 1), ("y", 2)]
    plain = ["ok", ["ok"], pair]
    loud = ["OK", ["OK"], pair]
    assert found == [plain, loud, plain, plain, ["ok", ["ok"], 3], plain, loud, plain, plain]


@private
def test_a_server_that_does_not_know_the_question(
    types: None, pgflight_dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first statement runs again without; in the middle of a unit none is at risk."""
    asked: list[str] = []

    def wrong(*arguments: Any) -> str:
        asked.append("asked")
        return question_text(*arguments).replace("pg_type", "pg_tope")

    monkeypatch.setattr("pgflight.driver.introspection.question.question_text", wrong)

    async def work() -> None:
        for options in LEVELS:
            engine = pgflight_dialect.engine(poolclass=NullPool, **options)
            assert await first(engine, OWN["enum"]) == ("ok",)
            if not options:
                async with engine.connect() as connection:
                    await connection.execute(sa.text("SELECT 1"))  # asks, is refused, runs again
                    assert asked == ["asked"]
            for _ in range(2):
                assert await first(engine, OWN["enum"]) == ("ok",)
            async with engine.connect() as connection:
                await connection.execute(sa.text("SELECT 1"))
                assert await connection.scalar(sa.text(OWN["enum"][0])) == "ok"
            assert len(asked) == 1
            asked.clear()

    asyncio.run(work())


@private
@pytest.mark.parametrize("via", ["execute", "executemany"])
def test_cancelled_while_it_is_asked(types: None, pgflight_dialect: Dialect, via: str) -> None:
    """At each turn of the loop: what comes later is not taken for something else."""

    async def work() -> None:
        engine = pgflight_dialect.engine(pool_size=1, max_overflow=0)
        await first(engine, OWN["nested"])
        insert = sa.text("INSERT INTO met.rows (mood) VALUES (CAST(:x AS met.mood))")
        async with engine.begin() as connection:
            await connection.execute(insert, [{"x": "ok"}, {"x": "sad"}])
        for turns in range(25):
            await engine.dispose()
            async with engine.connect() as connection:
                doing = (
                    connection.execute(sa.text(OWN["nested"][0]))
                    if via == "execute"
                    else connection.execute(insert, [{"x": "ok"}, {"x": "sad"}])
                )
                task = asyncio.ensure_future(doing)
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
            for _ in range(2):
                (value,) = await first(engine, OWN["nested"])
                assert shown(value)[1] == ("moods", ["ok"])

    asyncio.run(work())


def test_a_type_that_asyncpg_does_not_support(types: None, both: Both) -> None:
    """Its error is the same each time."""

    async def body(engine: AsyncEngine) -> Any:
        errors: list[str] = []
        async with engine.begin() as connection:
            await connection.execute(sa.text("CREATE TYPE met.odd AS (a met.pair, b tid)"))
        for _ in range(3):
            async with engine.connect() as connection:
                try:
                    value = await connection.scalar(sa.text("SELECT ROW(NULL, '(0,1)')::met.odd"))
                    errors.append(repr(value))
                except Exception as error:
                    errors.append(f"{type(error).__name__} {error}")
            await engine.dispose()
        async with engine.begin() as connection:
            await connection.execute(sa.text("DROP TYPE met.odd"))
        return errors

    assert len(set(both(body))) == 1


_COMPARED = "oid ns name kind elemtype elemdelim range_subtype attrtypoids attrnames".split()


@private
def test_the_question_tells_what_asyncpg_s_own_does(server: Server, types: None) -> None:
    """Of every type in the database."""

    async def work() -> None:
        connection: Any = await server.connect()
        try:
            numbers = [row[0] for row in await connection.fetch("SELECT oid FROM pg_type")]
            version = connection.get_server_version()
            own, _ = await connection._introspect_types(numbers, None)
            ours = await connection.fetch(question_text(numbers, version, ALL_KINDS))
            assert len(ours) == len(numbers)
            names = _COMPARED
            told = {
                row[0]: dict(zip(names[:4], tuple(row)[:4], strict=True))
                | dict(zip(names[4:], tuple(row)[5:], strict=True))
                for row in ours
            }
            for row in own:
                expected = {name: row[name] or None for name in _COMPARED}
                got = {name: told[row["oid"]][name] or None for name in _COMPARED}
                assert got == expected
            bases = {row["oid"]: row["basetype"] for row in own if row["kind"] == b"d"}
            direct = {row[0]: row[4] for row in ours}
            for number, base in bases.items():
                while direct[number]:
                    number = direct[number]
                assert number == base
            if server.version < (14, 0):
                return
            rows = {row["oid"]: row for row in own}
            for number, row in BUILT_IN.items():
                found = {name: rows[number][name] or None for name in _COMPARED}
                assert {name: row[name] for name in _COMPARED} == found
        finally:
            await connection.close()

    asyncio.run(work())


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop does not run there")
def test_uvloop_whose_transports_take_no_attribute(
    types: None, pgflight_dialect: Dialect, proxy: Proxy
) -> None:
    import uvloop

    trips: list[int] = []
    insert = sa.text("INSERT INTO met.rows (mood) VALUES (:x)")

    async def work() -> None:
        url = pgflight_dialect.url(host=proxy.host, port=proxy.port)
        for options in LEVELS:
            engine = create_async_engine(url, poolclass=NullPool, **options)
            for number in range(4):
                async with engine.connect() as connection:
                    with proxy.counting() as counted:
                        row = (await connection.execute(sa.text(OWN["nested"][0]))).one()
                    trips.append(counted.count)
                    assert shown(row[0])[1] == ("moods", ["ok"])
                    text = f"SELECT CAST(:x AS met.pair), {number}"
                    row = (await connection.execute(sa.text(text), {"x": (1, 2)})).one()
                    assert shown(row[0]) == [("x", 1), ("y", 2)]
                    await connection.execute(insert, [{"x": "ok"}, {"x": "sad"}])
            assert pgflight.stats(engine).type_lookups <= 2

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(asyncio.wait_for(work(), 60))
    finally:
        loop.close()
    if driver.is_private():
        assert max(trips[1:4]) < trips[0]
        assert max(trips[5:]) < trips[4]


def test_through_a_pooler(
    types: None, pgflight_dialect: Dialect, pgbouncer: Pgbouncer, server: Server
) -> None:
    """Each statement goes to any server session, and sees the types as they are then."""

    async def work() -> None:
        text = "SELECT CAST('(1,2)' AS met.pair), CAST('{ok}' AS met.mood[])"
        statement: Statement = (text, {})
        # what asyncpg prepares by itself on a connection whose pooler nobody has found yet
        named = {} if driver.can_pipeline() else {"connect_args": {"pooler": "transaction"}}
        for options in LEVELS:
            await altered(server, "ALTER TYPE met.pair RENAME ATTRIBUTE x TO z")
            chosen = {"poolclass": NullPool, **options, **named}
            engine = pgflight_dialect.engine(pgbouncer.url(), **chosen)
            for _ in range(2):
                for _ in range(3):
                    pair, moods = await first(engine, statement)
                    assert (shown(pair), moods) == ([("z", 1), ("y", 2)], ["ok"])
                found = await asyncio.gather(*(first(engine, statement) for _ in range(10)))
                assert {shown_text(row) for row in found} == {shown_text((pair, moods))}
            await altered(server, "ALTER TYPE met.pair RENAME ATTRIBUTE z TO x")
            for _ in range(3):
                pair, _ = await first(engine, statement)
                assert shown(pair) == [("x", 1), ("y", 2)]
            if driver.is_private():
                assert pgflight.stats(engine).type_lookups <= 3

    asyncio.run(work())


def shown_text(value: Any) -> str:
    """Return what can be a member of a set."""
    return repr(shown(value))
