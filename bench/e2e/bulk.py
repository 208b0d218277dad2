"""INSERTs of many rows, by Core and by the ORM, rows by COPY, UPDATE and DELETE by key.

Where sizes vary they come from one sequence, the same for every peer; SQLAlchemy writes another
statement for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from random import Random
from time import perf_counter
from typing import Any, NamedTuple

from sqlalchemy import Delete, Insert, Table, Update, bindparam, delete, insert, text, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import registry

from bench.e2e import schema
from bench.e2e.core import OnConnection
from bench.e2e.workload import Workload

VARYING = (2, 1_000)
FEW = (2, 10)
# Half of the rows of an INSERT with ON CONFLICT are there already, and the others are new.
_WINDOW = 1_000
_AHEAD = 6 * _WINDOW


class Sizes(NamedTuple):
    """The smallest and the largest number of rows of one statement."""

    least: int
    most: int


class Inserts(OnConnection):
    """Inserts the first rows of a list into an empty temporary table, and fetches what returns."""

    unique = False

    def __init__(self, url: URL, statement: Insert | Update | Delete, sizes: Sizes) -> None:
        super().__init__(url)
        self.statement = statement
        self._sizes = sizes
        self.records = schema.new_records(sizes.most)
        self.restart()

    async def open(self) -> None:
        await super().open()
        await self.connection.execute(text(schema.records(unique=self.unique)))

    def restart(self) -> None:
        self._random = Random(1)

    def chosen(self) -> list[dict[str, Any]]:
        """Return the rows of the next statement."""
        number = self._random.randint(*self._sizes)
        return self.records[:number]

    async def step(self) -> Any:
        result = await self.connection.execute(self.statement, self.chosen())
        return result.all() if result.returns_rows else None

    async def reset(self) -> None:
        # In the transaction that made it, the table is emptied in place.
        await self.connection.execute(text("TRUNCATE records"))

    async def rows(self, result: Any) -> Iterable[Any]:
        stored = await self.connection.execute(text("SELECT * FROM records ORDER BY num"))
        return [*(result or ()), *stored.all()]


class Upserts(Inserts):
    """Inserts 1,000 rows, of which 500 are in the table: the statement says what is done then."""

    unique = True

    def __init__(self, url: URL, statement: Insert) -> None:
        super().__init__(url, statement, Sizes(_AHEAD, _AHEAD))
        self._first = 0

    async def open(self) -> None:
        await super().open()
        await self.reset()

    def chosen(self) -> list[dict[str, Any]]:
        first = self._first
        self._first = (first + _WINDOW // 2) % (_AHEAD - _WINDOW)
        return self.records[first : first + _WINDOW]

    async def reset(self) -> None:
        await super().reset()
        first = f"SELECT n, 'old ' || n FROM generate_series(1, {_WINDOW // 2}) AS n"
        await self.connection.execute(text(f"INSERT INTO records (num, name) {first}"))
        self._first = 0


class ByKey(Inserts):
    """Changes or deletes 1,000 rows by their key, those that no statement before has touched."""

    own: Mapping[str, Any] = {"array_dml": True}

    def __init__(self, url: URL, statement: Update | Delete) -> None:
        super().__init__(url, statement, Sizes(0, 0))
        self._first, self._filled = 0, False

    def chosen(self) -> list[dict[str, Any]]:
        first = self._first
        self._first += _WINDOW
        keys = range(first + 1, first + _WINDOW + 1)
        if isinstance(self.statement, Delete):
            return [{"key": key} for key in keys]
        return [{"key": key, "value": f"new {key}", "number": -key} for key in keys]

    async def batch(self, count: int) -> None:
        start = perf_counter()
        await self._fill(count * _WINDOW)
        self.idle += perf_counter() - start
        await super().batch(count)

    async def step(self) -> Any:
        # The digest's comes without a batch.
        if not self._filled:
            await self._fill(_WINDOW)
        await super().step()

    async def _fill(self, count: int) -> None:
        """Have rows with the keys from 1 to `count`, no others, and the server know about them."""
        await super().reset()
        stored = f"SELECT n, n, 'old ' || n, n / 8.0 FROM generate_series(1, {count}) AS n"
        await self.connection.execute(text(f"INSERT INTO records (id, num, name, f) {stored}"))
        await self.connection.execute(text("ANALYZE records"))
        self._first, self._filled = 0, True

    async def reset(self) -> None:
        await super().reset()
        self._first, self._filled = 0, False


class Kept(Inserts):
    """Inserts into a table that is not temporary: those are kept in the backend's own memory."""

    async def open(self) -> None:
        await OnConnection.open(self)


class Record:
    """A row of the table `records`."""

    id: int
    num: int


class OnSession(Inserts):
    """Inserts by a session, which is emptied afterwards, within the measured time."""

    def __init__(self, url: URL, table: Table, sizes: Sizes) -> None:
        if "__mapper__" not in vars(Record):
            registry().map_imperatively(Record, table)
        super().__init__(url, insert(Record), sizes)

    async def open(self) -> None:
        await super().open()
        self._session = AsyncSession(self.connection)

    async def step(self) -> Any:
        await self._session.execute(self.statement, self.chosen())

    async def close(self) -> None:
        await self._session.close()
        await super().close()


class Flush(OnSession):
    """Adds objects and flushes them, which gives them their keys."""

    async def step(self) -> Any:
        made = []
        for values in self.chosen():
            record = Record()
            for name, value in values.items():
                setattr(record, name, value)
            made.append(record)
        self._session.add_all(made)
        await self._session.flush()
        keys = [(record.id, record.num) for record in made]
        self._session.expunge_all()
        return keys


class Copy(Inserts):
    """Copies the rows, which only pgflight does."""

    def __init__(self, url: URL, table: Table, sizes: Sizes) -> None:
        super().__init__(url, insert(table), sizes)
        self._table = table

    async def step(self) -> Any:
        from pgflight import copy_in

        await copy_in(self.connection, self._table, self.chosen())


def _do_nothing(table: Table) -> Insert:
    return pg_insert(table).on_conflict_do_nothing(index_elements=["num"])


def _do_update(table: Table) -> Insert:
    made = pg_insert(table)
    new = {column: made.excluded[column] for column in ("name", "f", "ts", "ok", "code", "uid")}
    return made.on_conflict_do_update(index_elements=["num"], set_=new).returning(table.c.id)


def _update(table: Table) -> Update:
    changed: dict[str, Any] = {"name": bindparam("value"), "num": bindparam("number")}
    return update(table).where(table.c.id == bindparam("key")).values(changed)


def _delete(table: Table) -> Delete:
    return delete(table).where(table.c.id == bindparam("key"))


def _returning(table: Table) -> Insert:
    return insert(table).returning(table.c.id)


def _sorted(table: Table) -> Insert:
    return insert(table).returning(table.c.id, sort_by_parameter_order=True)


_CORE: dict[str, tuple[Callable[[Table], Insert], tuple[int, int]]] = {
    "bulk_insert": (insert, (1_000, 1_000)),
    "bulk_returning": (_returning, (1_000, 1_000)),
    "bulk_sorted": (_sorted, VARYING),
    "few_insert": (insert, FEW),
    "few_returning": (_returning, FEW),
    "few_sorted": (_sorted, FEW),
    "insert_100000": (insert, (100_000, 100_000)),
    "insert_200000": (insert, (200_000, 200_000)),
}
_UPSERTS = {"bulk_do_nothing": _do_nothing, "bulk_do_update": _do_update}
_BY_KEY: dict[str, Callable[[Table], Update | Delete]] = {
    "bulk_update": _update,
    "bulk_delete": _delete,
}
_OTHERS: dict[str, tuple[Callable[[URL, Table, Sizes], Workload], tuple[int, int]]] = {
    "bulk_orm": (OnSession, (1_000, 1_000)),
    "bulk_flush": (Flush, VARYING),
    "few_flush": (Flush, FEW),
    "copy_100000": (Copy, (100_000, 100_000)),
}


def make(name: str, url: URL, schema_name: str) -> Workload | None:
    """Return the workload of that name, None if it does not write many rows."""
    tables = schema.Tables(schema_name)
    if name == "bulk_kept":
        return Kept(url, _sorted(tables.kept), Sizes(*VARYING))
    table = tables.records
    if name in _CORE:
        statement, sizes = _CORE[name]
        return Inserts(url, statement(table), Sizes(*sizes))
    if name in _UPSERTS:
        return Upserts(url, _UPSERTS[name](table))
    if name in _BY_KEY:
        return ByKey(url, _BY_KEY[name](table))
    if name in _OTHERS:
        workload, sizes = _OTHERS[name]
        return workload(url, table, Sizes(*sizes))
    return None
