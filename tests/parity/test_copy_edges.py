"""COPY where an INSERT of the same rows is the measure: numbers, zones, bits, codecs, engines."""

from __future__ import annotations

import asyncio
import datetime as dt
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_scoped_session
from sqlalchemy.ext.asyncio import async_sessionmaker as sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pgflight
from pgflight import driver
from tests.fixtures.engines import Dialect
from tests.fixtures.outcome import Both, Failure
from tests.parity.scratch import apart, committed, own, scratch
from tests.parity.value_cases import BITS

pytestmark = pytest.mark.filterwarnings("ignore:Type object:sqlalchemy.exc.SADeprecationWarning")
BETWEEN_TWO_REALS = 1 + 2**-24
LATE = dt.time(23, 5, tzinfo=dt.timezone(dt.timedelta(hours=-3)))
VALUES: dict[str, tuple[Any, list[Any]]] = {
    "numeric": (sa.Numeric, [0.1, True, 5, "1.50"]),
    "real": (sa.REAL, [BETWEEN_TWO_REALS, 0.1, 7, 3.4e38, float("inf")]),
    "varbit": (pg.BIT(4, varying=True), [BITS("1"), BITS("101010")]),
    "bit": (pg.BIT(4), [BITS("1"), BITS("101010")]),
    "timetz": (sa.Time(timezone=True), [LATE]),
    "time": (sa.Time, [LATE]),
}
FEE = pytest.mark.parametrize("fee", [False, True], ids=["binary", "text"])


def table_of(type_: Any, fee: bool) -> sa.Table:
    others = [sa.Column("fee", pg.MONEY)] if fee else []
    return sa.Table("copy_edge", sa.MetaData(), sa.Column("v", type_), *others)


def rows_of(values: list[Any], fee: bool) -> list[dict[str, Any]]:
    return [{"v": value, **({"fee": "$1.00"} if fee else {})} for value in values]


@FEE
@pytest.mark.parametrize("case", VALUES)
def test_stored_as_by_an_insert(both: Both, case: str, fee: bool) -> None:
    type_, values = VALUES[case]

    async def body(engine: AsyncEngine) -> Any:
        table = table_of(type_, fee)
        async with scratch(engine, table.metadata) as connection:
            if connection.dialect.__class__.__module__ == "pgflight.dialect":
                await pgflight.copy_in(connection, table, rows_of(values, fee))
            else:
                await connection.execute(table.insert(), rows_of(values, fee))
            stored = sa.select(table.c.v, sa.cast(table.c.v, sa.Text))
            return sorted(map(str, (await connection.execute(stored)).all()))

    assert len(both(body)) == len(values)


@FEE
@pytest.mark.parametrize(
    ("type_", "actual", "good", "bad"),
    [
        (sa.REAL, "real", 1.5, 1e39),
        (sa.Integer, "smallint", 1, 2**15),
        (sa.BigInteger, "integer", 1, 2**31),
        (sa.Time(timezone=True), "timetz", LATE, dt.time(1)),
    ],
)
def test_what_only_the_server_has_no_room_for(
    pgflight_dialect: Dialect, type_: Any, actual: str, good: Any, bad: Any, fee: bool
) -> None:
    async def run() -> Any:
        table = table_of(type_, fee)
        ddl = f"CREATE TABLE copy_edge (v {actual}{', fee money' if fee else ''})"
        async with scratch(pgflight_dialect.engine(), None, ddl) as connection:
            rows = rows_of([good, bad], fee)
            return await apart(connection, partial(pgflight.copy_in, connection, table, rows))

    failure: Failure = asyncio.run(run())
    assert failure.kind == "DataError"
    assert "(row 2, column 'v')" in failure.text


def test_a_codec_that_text_form_cannot_use_is_refused(pgflight_dialect: Dialect) -> None:
    async def run() -> Any:
        table = table_of(sa.Numeric, False)
        async with scratch(pgflight_dialect.engine(), table.metadata) as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            await raw.set_type_codec(
                "numeric", schema="pg_catalog", encoder=lambda v: f"{v}00", decoder=str
            )
            with pytest.raises(sa.exc.ArgumentError, match="codec of the program's own"):
                await pgflight.copy_in(connection, table, [(1,)])
            # nothing was sent, the transaction goes on
            await connection.execute(table.insert(), {"v": 1})
            stored = await connection.scalar(sa.text("SELECT v::text FROM copy_edge"))
            await raw.reset_type_codec("numeric", schema="pg_catalog")
            return stored

    assert asyncio.run(run()) == "100"


class Base(DeclarativeBase):
    pass


class Place(Base):
    __tablename__ = own("copy_places")
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column()


places = Base.metadata.tables[Place.__tablename__]


def test_a_session_with_several_engines_asks_for_the_right_one(pgflight_dialect: Dialect) -> None:
    async def run() -> Any:
        engine = pgflight_dialect.engine()
        async with committed(engine, Base.metadata):
            session = AsyncSession(binds={Place: engine})
            subjects = (Place, places, sa.select(Place.id, Place.name), places.select())
            async with session:
                assert await pgflight.copy_in(session, Place, [(1, "one")]) == 1
                assert await pgflight.copy_in(session, places, [(2, "two")]) == 1
                outs: list[Any] = []
                for subject in subjects:
                    outs.append([tuple(row) async for row in pgflight.copy_out(session, subject)])
                    pieces = pgflight.copy_out(session, subject, format="csv")
                    outs.append(b"".join([piece async for piece in pieces]))
            return outs

    assert asyncio.run(run()) == [[(1, "one"), (2, "two")], b"1,one\n2,two\n"] * 4


def test_a_scoped_session(pgflight_dialect: Dialect) -> None:
    async def run() -> Any:
        engine = pgflight_dialect.engine()
        async with committed(engine, Base.metadata):
            scoped = async_scoped_session(sessionmaker(engine), asyncio.current_task)
            assert await pgflight.copy_in(scoped, Place, [{"name": "x"}], ["name"]) == 1
            found = [row.name async for row in pgflight.copy_out(scoped, Place, [Place.name])]
            await scoped.remove()
            return found

    assert asyncio.run(run()) == ["x"]


def test_a_table_that_is_a_name_and_columns(pgflight_dialect: Dialect) -> None:
    async def body(connection: AsyncConnection) -> Any:
        for columns in ([sa.column("id", sa.Integer), sa.column("name")], ["id", "name"]):
            named = [sa.column(c) if isinstance(c, str) else c for c in columns]
            table = sa.table(places.name, *named)
            await pgflight.copy_in(connection, table, [(1, "x")])
            await pgflight.copy_in(connection, table, [{"id": 2, "name": None}])
            out = pgflight.copy_out(connection, table, format="text")
            assert b"".join([piece async for piece in out]) == b"1\tx\n2\t\\N\n"
            await connection.execute(sa.delete(table))
        text = sa.text("SELECT :n AS n").bindparams(n=7)
        rows = [row.n async for row in pgflight.copy_out(connection, text)]
        out = pgflight.copy_out(connection, text, format="csv")
        return rows, b"".join([piece async for piece in out])

    async def run() -> Any:
        async with scratch(pgflight_dialect.engine(), Base.metadata) as connection:
            return await body(connection)

    assert asyncio.run(run()) == ([7], b"7\n")


def test_columns_are_a_list(pgflight_dialect: Dialect) -> None:
    async def run() -> None:
        async with pgflight_dialect.engine().connect() as connection:
            with pytest.raises(sa.exc.ArgumentError, match="not a single name"):
                await pgflight.copy_in(connection, places, [("x",)], "name")
            with pytest.raises(sa.exc.ArgumentError, match="not a single name"):
                pgflight.copy_out(connection, places, "name")

    asyncio.run(run())


@FEE
def test_in_a_transaction_that_only_reads(pgflight_dialect: Dialect, fee: bool) -> None:
    async def run() -> Any:
        table = table_of(sa.Integer, fee)
        async with committed(pgflight_dialect.engine(), table.metadata):
            async with pgflight_dialect.engine().connect() as connection:
                await connection.execution_options(postgresql_readonly=True)
                with pytest.raises(sa.exc.DBAPIError, match="read-only") as refused:
                    await pgflight.copy_in(connection, table, rows_of([1], fee))
                await connection.rollback()
                pieces = pgflight.copy_out(connection, table, format="csv")
                return getattr(refused.value.orig, "pgcode", None), [p async for p in pieces]

    assert asyncio.run(run()) == ("25006", [])


@pytest.mark.parametrize("form", [None, "csv"])
def test_after_a_failed_statement(pgflight_dialect: Dialect, form: Any) -> None:
    async def run() -> Any:
        codes = []
        async with pgflight_dialect.engine().connect() as connection:
            for copy in (
                lambda: pgflight.copy_in(connection, places, [(1, "x")]),
                lambda: pgflight.copy_out(connection, sa.text("SELECT 1"), format=form).__anext__(),
            ):
                with pytest.raises(sa.exc.DBAPIError):
                    await connection.execute(sa.text("SELECT 1 / 0"))
                with pytest.raises(sa.exc.DBAPIError) as refused:
                    await copy()
                codes.append(getattr(refused.value.orig, "pgcode", None))
                await connection.rollback()
            assert await connection.scalar(sa.text("SELECT 42")) == 42
        return codes

    assert asyncio.run(run()) == ["25P02", "25P02"]


@FEE
def test_a_statement_timeout(pgflight_dialect: Dialect, fee: bool) -> None:
    async def run() -> Any:
        table = table_of(sa.Integer, fee)

        async def slowly() -> Any:
            for row in rows_of([1] * 400, fee):
                await asyncio.sleep(0.02)
                yield row

        async with scratch(pgflight_dialect.engine(), table.metadata) as connection:
            # long enough for SAVEPOINT and ROLLBACK on a busy machine
            await connection.execute(sa.text("SET LOCAL statement_timeout = 2000"))
            with pytest.raises(sa.exc.DBAPIError) as stopped:
                async with connection.begin_nested():
                    await pgflight.copy_in(connection, table, slowly())
            await connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
            counted = await connection.scalar(sa.select(sa.func.count()).select_from(table))
            return getattr(stopped.value.orig, "pgcode", None), counted

    assert asyncio.run(run()) == ("57014", 0)


def test_tables_of_one_name(pgflight_dialect: Dialect) -> None:
    """The texts that are kept are those of the same names, quotes and types."""
    unquoted = sa.sql.quoted_name("V", False)

    async def work() -> None:
        made = 'CREATE TEMP TABLE copy_alike (v int, "V" int)'
        async with scratch(pgflight_dialect.engine(), None, made) as connection:
            for name, type_, value in [
                ("v", sa.Integer, 1),
                ("v", sa.String, "2"),
                ("V", sa.Integer, 3),
                (unquoted, sa.Integer, 4),
                ("v", sa.Integer, 5),
            ]:
                table = sa.Table("copy_alike", sa.MetaData(), sa.Column(name, type_))
                copy = partial(pgflight.copy_in, connection, table, [(value,)])
                assert isinstance(await apart(connection, copy), Failure) is (type_ is sa.String)
            stored = (await connection.exec_driver_sql("SELECT * FROM copy_alike")).all()
            # asyncpg's own method, at level public, quotes all names
            fourth = (4, None) if driver.is_private() else (None, 4)
            assert [*stored] == [(1, None), (None, 3), fourth, (5, None)]

    asyncio.run(work())
