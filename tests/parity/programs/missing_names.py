"""Print which private names of SQLAlchemy pgflight cannot do without: none, that is.

For each name of the table (or each one given as an argument) it is hidden from pgflight, which is
then imported anew and has to give the same answers as with all names. SQLAlchemy itself keeps its
names. A hook is only hidden from the look at import: SQLAlchemy calls it in any case.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from importlib import import_module
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql import JSONB, ExcludeConstraint, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

OURS = "pgflight"
KEPT = "pgflight._speedups"
"""Extensions can be imported once only."""


class Base(DeclarativeBase):
    """What the mapped class derives from."""


class Thing(Base):
    """A mapped class, of a table that the server has for the time of a connection."""

    __tablename__ = "missing_names_things"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    kind: Mapped[str] = mapped_column(sa.Enum("a", "b", name="missing_names_kind"), default="a")
    document: Mapped[Any] = mapped_column(JSONB, nullable=True)
    ratio: Mapped[Decimal | None] = mapped_column(sa.Float(asdecimal=True))
    __table_args__ = (ExcludeConstraint(("ratio", "="), name="ratios"),)


things: Any = Thing.__table__
CREATE_TYPE = "CREATE TYPE pg_temp.missing_names_kind AS ENUM ('a', 'b')"
CREATE = (
    "CREATE TEMP TABLE missing_names_things (id int PRIMARY KEY, name text,"
    " kind pg_temp.missing_names_kind, document jsonb, ratio double precision)"
)


TRANSLATED = {"schema_translate_map": {None: "pg_temp"}}


async def answers(url: str) -> dict[str, Any]:
    """Return what a program reads: every feature that uses private names has its part in it."""
    engine = create_async_engine(
        url,
        json_deserializer=lambda text: ["own", json.loads(text)],
        native_inet_types=False,
        connect_args={"array_dml": True},
    )
    try:
        async with engine.connect() as connection:
            await connection.exec_driver_sql(CREATE_TYPE)
            await connection.exec_driver_sql(CREATE)
            found = {"version": engine.dialect.server_version_info}
            for step in (_insert, _change, _read, _lists, _stream, _orm):
                found[step.__name__] = await step(connection)
            await connection.rollback()
    finally:
        await engine.dispose()
    return found


def _rows(start: int, number: int) -> list[dict[str, Any]]:
    return [
        {"id": at, "name": f"n{at}", "document": {"at": at}, "ratio": at / 3}
        for at in range(start, start + number)
    ]


async def _all(connection: AsyncConnection, statement: Any, *parameters: Any) -> list[Any]:
    return [tuple(row) for row in (await connection.execute(statement, *parameters)).all()]


async def _insert(connection: AsyncConnection) -> Any:
    await connection.execute(things.insert(), _rows(0, 30))
    returning = things.insert().returning(things.c.id, things.c.kind, sort_by_parameter_order=True)
    found = [await _all(connection, returning, _rows(at, 25)) for at in (100, 200)]
    for at in (400, 401):
        await connection.execute(things.insert(), _rows(at, 1))
    upsert = insert(things).on_conflict_do_update(
        index_elements=[things.c.id], set_={"name": "again"}
    )
    await connection.execute(upsert, _rows(20, 40))
    await connection.execute(things.insert(), _rows(700, 30), execution_options=TRANSLATED)
    return found, await _all(connection, sa.select(things).order_by(things.c.id))


async def _change(connection: AsyncConnection) -> Any:
    change = things.update().where(things.c.id == sa.bindparam("key"))
    sets = [{"key": at, "to": f"u{at}"} for at in range(40)]
    await connection.execute(change.values(name=sa.bindparam("to")), sets)
    away = things.delete().where(things.c.id == sa.bindparam("key"))
    await connection.execute(away, [{"key": at} for at in range(100, 122)])
    return await _all(connection, sa.select(things.c.id, things.c.name).order_by(things.c.id))


async def _read(connection: AsyncConnection) -> Any:
    one = sa.select(things).where(things.c.id == sa.bindparam("key"))
    found: list[Any] = []
    readers: list[Callable[[Any], Any]] = [
        lambda result: [tuple(row) for row in result],
        lambda result: [dict(row) for row in result.mappings()],
        lambda result: [dict(row) for row in result.mappings().all()],
        lambda result: result.scalars(1).all(),
        lambda result: list(result.unique().scalars(1)),
        lambda result: tuple(result.one()),
        lambda result: [tuple(row) for row in result.columns(1, 0).all()],
    ]
    for read in readers:
        found.append(read(await connection.execute(one, {"key": 3})))
    address = sa.text("SELECT inet '1.2.3.4' AS a, json '[1]' AS j")
    found += await _all(connection, address)
    for _ in range(2):
        result = await connection.execute(one, {"key": 3}, execution_options=TRANSLATED)
        found.append(tuple(result.one()))
    return found


async def _lists(connection: AsyncConnection) -> Any:
    found = []
    for keys in ([], [1], [1, 2, 3], list(range(20))):
        for condition in (things.c.id.in_(keys), things.c.id.not_in(keys)):
            statement = sa.select(things.c.id).where(condition).order_by(things.c.id)
            found += [await _all(connection, statement) for _ in range(2)]
    pairs = sa.tuple_(things.c.id, things.c.name).in_([(1, "u1"), (2, "no")])
    return [*found, await _all(connection, sa.select(things.c.id).where(pairs))]


async def _stream(connection: AsyncConnection) -> Any:
    pgflight: Any = import_module(OURS)
    ids = sa.select(things.c.id).order_by(things.c.id)
    async with connection.stream(ids) as result:
        found: list[Any] = [[tuple(row) async for row in result]]
    found.append([tuple(row) async for row in pgflight.copy_out(connection, ids)])
    found.append(
        b"".join([part async for part in pgflight.copy_out(connection, ids, format="csv")])
    )
    await pgflight.copy_in(connection, things, _rows(500, 3))
    return [*found, await _all(connection, sa.select(sa.func.count()).select_from(things))]


async def _orm(connection: AsyncConnection) -> Any:
    pgflight: Any = import_module(OURS)
    async with AsyncSession(bind=connection) as session:
        session.add_all([Thing(**row) for row in _rows(600, 25)])
        await session.flush()
        sets = [{"id": at, "name": f"orm{at}"} for at in range(600, 635)]
        await session.execute(sa.update(Thing), sets[:25])
        chosen = sa.select(Thing).where(Thing.id >= 600).order_by(Thing.id)
        found: list[Any] = [(thing.id, thing.name) for thing in await session.scalars(chosen)]
        csv = pgflight.copy_out(session, chosen, format="csv")
        return [*found, b"".join([part async for part in csv])]


# hiding


def _asks(prefix: str) -> bool:
    """Tell whether the code that reads an attribute is pgflight's."""
    asking = sys._getframe(2).f_globals.get("__name__", "")
    return bool(asking == prefix or asking.startswith(f"{prefix}."))


class _Hidden:
    """An attribute that code of some modules does not find, in a class or in its instances."""

    def __init__(self, name: str, held: Any, there: bool, prefix: str) -> None:
        self.name, self.held, self.there, self.prefix = name, held, there, prefix

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if _asks(self.prefix):
            raise AttributeError(self.name)
        if instance is not None and self.name in getattr(instance, "__dict__", ()):
            return instance.__dict__[self.name]
        if not self.there:
            raise AttributeError(self.name)
        get = getattr(type(self.held), "__get__", None)
        return self.held if get is None else get(self.held, instance, owner)

    def __set__(self, instance: Any, value: Any) -> None:
        if hasattr(type(self.held), "__set__"):
            self.held.__set__(instance, value)
        else:
            instance.__dict__[self.name] = value

    def __delete__(self, instance: Any) -> None:
        del instance.__dict__[self.name]


@contextmanager
def hidden(row: Any) -> Iterator[None]:
    """Hide a name of the table from pgflight."""
    owner, name = row.owner, row.attribute
    prefix = f"{OURS}.compat" if row.use == "hook" else OURS
    if isinstance(owner, type):
        there, own = hasattr(owner, name), name in vars(owner)
        held = next((vars(cls)[name] for cls in owner.__mro__ if name in vars(cls)), None)
        setattr(owner, name, _Hidden(name, held, there, prefix))
        try:
            yield
        finally:
            if own:
                setattr(owner, name, held)
            else:
                delattr(owner, name)
    elif isinstance(owner, ModuleType):

        class Without(ModuleType):
            def __getattribute__(self, asked: str) -> Any:
                if asked == name and _asks(prefix):
                    raise AttributeError(asked)
                return ModuleType.__getattribute__(self, asked)

        owner.__class__ = Without
        try:
            yield
        finally:
            owner.__class__ = ModuleType
    else:
        yield


def forget() -> None:
    """Have pgflight imported anew the next time."""
    for module in list(sys.modules):
        if module == OURS or (module.startswith(f"{OURS}.") and not module.startswith(KEPT)):
            del sys.modules[module]
    gc.collect()


def without(row: Any, url: str, expected: Any) -> str:
    """Return what is wrong without a name, or nothing."""
    forget()
    table: Any = import_module(f"{OURS}.compat.private_names")
    if row is not None:
        # the look at import finds nothing in such a class, whatever way it looks
        nobody = type(row.owner.__name__, (), {})
        table.PRIVATE_NAMES = tuple(
            each._replace(owner=nobody) if str(each) == str(row) else each
            for each in table.PRIVATE_NAMES
        )
    registry.register("postgresql.pgflight", "pgflight.dialect", "PGDialect_asyncpg")
    found = asyncio.run(answers(url))
    environment: Any = import_module(f"{OURS}.cli.environment")
    said = environment.private_name_facts()
    if row is None:
        return "" if len(said) == 1 else f"doctor says {said}"
    if not all(str(row) in fact.text for fact in said[1:]) or len(said) < 2:
        return f"doctor says {said}"
    wrong = [step for step in expected if found[step] != expected[step]]
    return f"other answers: {', '.join(wrong)}" if wrong else ""


def main(url: str, chosen: list[str]) -> None:
    """Print a line for each name: what is wrong without it."""
    capability: Any = import_module(f"{OURS}.compat.capability")
    rows = [row for row in capability.LOOKED_FOR if not chosen or str(row) in chosen]
    if chosen and len(rows) != len(chosen):
        raise SystemExit(f"not all of these are names of the table: {' '.join(chosen)}")
    problem = without(None, url, None)
    expected = asyncio.run(answers(url))
    print(f"all: {problem or 'right'}")
    for row in rows:
        try:
            with hidden(row):
                problem = without(row, url, expected)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            problem = f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
        print(f"{row}: {problem or 'right'}", flush=True)


if __name__ == "__main__":
    main(os.environ["DATABASE_URL"], sys.argv[1:])
