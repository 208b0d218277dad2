"""The ORM's UPDATEs and DELETEs of many rows: same objects, tables and errors with arrays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, relationship, selectinload

import pgflight
from pgflight.bulk import array_changes
from tests.fixtures.outcome import Both, Failure, attempt
from tests.parity.scratch import scratch


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "note_of_dml"
    id = sa.Column(sa.Integer, primary_key=True)
    n = sa.Column(sa.Integer)
    text = sa.Column(sa.Text)
    changed = sa.Column(sa.Integer, server_default="0", onupdate=lambda: 5)
    twice = sa.Column(sa.Integer, sa.Computed("n * 2", persisted=True))
    lines: Mapped[list[Line]] = relationship(cascade="all, delete-orphan", order_by="Line.id")


class Line(Base):
    __tablename__ = "line_of_dml"
    note_id = sa.Column(sa.Integer, sa.ForeignKey("note_of_dml.id"), primary_key=True)
    id = sa.Column(sa.Integer, primary_key=True)
    text = sa.Column(sa.Text)


class Versioned(Base):
    __tablename__ = "versioned_of_dml"
    id = sa.Column(sa.Integer, primary_key=True)
    n = sa.Column(sa.Integer)
    version = sa.Column(sa.Integer, nullable=False)
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class Animal(Base):
    __tablename__ = "animal_of_dml"
    id = sa.Column(sa.Integer, primary_key=True)
    kind = sa.Column(sa.Text)
    name = sa.Column(sa.Text)
    __mapper_args__ = {  # noqa: RUF012
        "polymorphic_on": kind,
        "polymorphic_identity": "animal",
    }


class Dog(Animal):
    __tablename__ = "dog_of_dml"
    id = sa.Column(sa.ForeignKey("animal_of_dml.id"), primary_key=True)
    tricks = sa.Column(sa.Integer)
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012


NUMBER = 40
Work = Callable[[AsyncSession], Awaitable[Any]]


async def dirty(session: AsyncSession) -> Any:
    notes: Any = (await session.scalars(sa.select(Note).order_by(Note.id))).all()
    for note in notes:
        note.n, note.text = note.id + 5, f"text {note.id}"
    await session.flush()
    for note in notes:
        await session.refresh(note, ["twice", "changed"])
    return [(note.id, note.n, note.changed, note.twice) for note in notes]


async def by_key(session: AsyncSession) -> Any:
    rows = [{"id": n + 10, "n": n, "text": None} for n in range(NUMBER)]
    result = await session.execute(sa.update(Note), rows)
    return type(result).__name__


async def by_key_of_two_tables(session: AsyncSession) -> Any:
    rows = [{"id": n, "name": f"Rex {n}", "tricks": n} for n in range(1, NUMBER + 1)]
    await session.execute(sa.update(Dog), rows)
    return [(dog.name, dog.tricks) for dog in await session.scalars(sa.select(Dog))]


async def by_mappings(session: AsyncSession) -> Any:
    rows = [{"id": n + 1, "n": 5} for n in range(NUMBER)]
    await session.run_sync(lambda sync: sync.bulk_update_mappings(sa.inspect(Note), rows))


async def by_where(session: AsyncSession) -> Any:
    """An UPDATE of the ORM with criteria of its own, on its connection."""
    statement = sa.update(Note).where(Note.id == sa.bindparam("pk")).values(n=Note.n + 1)
    connection = await session.connection()
    result: Any = await connection.execute(statement, [{"pk": n} for n in range(NUMBER)])
    return [result.context.compiled_parameters]


async def deleted(session: AsyncSession) -> Any:
    notes = sa.select(Note).options(selectinload(Note.lines)).order_by(Note.id)
    for note in await session.scalars(notes):
        await session.delete(note)
    await session.flush()


async def deleted_lines(session: AsyncSession) -> Any:
    notes = await session.scalars(sa.select(Note).options(selectinload(Note.lines)))
    for note in notes:
        note.lines = note.lines[:1]
    await session.flush()


async def versioned(session: AsyncSession) -> Any:
    things: Any = (await session.scalars(sa.select(Versioned).order_by(Versioned.id))).all()
    for thing in things:
        thing.n = 5
    await session.flush()
    return [(thing.id, thing.version) for thing in things]


async def versioned_by_key(session: AsyncSession) -> Any:
    rows = [{"id": n, "n": 6, "version": 1} for n in range(1, NUMBER + 1)]
    failure = await attempt(session.execute(sa.update(Versioned), rows))
    return failure if isinstance(failure, Failure) else None


async def stale(session: AsyncSession) -> Any:
    things: Any = (await session.scalars(sa.select(Versioned).order_by(Versioned.id))).all()
    await session.execute(sa.text("UPDATE versioned_of_dml SET version = 9 WHERE id = 7"))
    for thing in things:
        thing.n = 5
    return await attempt(session.flush())


async def stale_delete(session: AsyncSession) -> Any:
    things: Any = (await session.scalars(sa.select(Versioned).order_by(Versioned.id))).all()
    await session.execute(sa.text("UPDATE versioned_of_dml SET version = 9 WHERE id = 7"))
    for thing in things:
        await session.delete(thing)
    return await attempt(session.flush())


async def gone(session: AsyncSession) -> Any:
    """Some of the objects to be changed and deleted are not there any more."""
    lines: Any = (await session.scalars(sa.select(Line).order_by(Line.note_id, Line.id))).all()
    await session.execute(sa.text("DELETE FROM line_of_dml WHERE note_id = 7"))
    for number, line in enumerate(lines):
        if number % 2:
            line.text = "changed"
        else:
            await session.delete(line)
    return await attempt(session.flush())


PROGRAMS: dict[str, tuple[Work, int]] = {
    "dirty": (dirty, 1),
    "by key": (by_key, 1),
    "by key of two tables": (by_key_of_two_tables, 2),
    "by mappings": (by_mappings, 1),
    "by where": (by_where, 1),
    "deleted": (deleted, 2),
    "deleted lines": (deleted_lines, 1),
    "versioned": (versioned, 0),
    "versioned by key": (versioned_by_key, 0),
    "stale": (stale, 0),
    "stale delete": (stale_delete, 0),
    "gone": (gone, 2),
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("watched", [False, True], ids=["quiet", "events"])
def test_the_orm_does_the_same(both: Both, name: str, watched: bool) -> None:
    program, arrays = PROGRAMS[name]

    async def work(engine: AsyncEngine) -> Any:
        seen: list[Any] = []
        counts: list[int] = []

        def before(conn: Any, cur: Any, text: str, given: Any, context: Any, many: bool) -> None:
            if many:
                seen.append([text, given])

        def after(conn: Any, cur: Any, text: str, given: Any, context: Any, many: bool) -> None:
            if many and not context.isinsert:
                counts.append(cur.rowcount)

        if watched:
            event.listen(engine.sync_engine, "before_cursor_execute", before)
            event.listen(engine.sync_engine, "after_cursor_execute", after)
        async with scratch(engine, Base.metadata) as connection:
            async with AsyncSession(connection, expire_on_commit=False) as session:
                session.add_all(
                    [Note(n=n, lines=[Line(id=i) for i in (1, 2)]) for n in range(NUMBER)]
                )
                session.add_all([Versioned(n=n) for n in range(NUMBER)])
                session.add_all([Dog(name=f"dog {n}") for n in range(NUMBER)])
                await session.flush()
                session.expunge_all()
                seen.clear()
                found = await program(session)
                if not isinstance(found, Failure):
                    session.expunge_all()
                    found = [found]
                    for model in (Note, Line, Versioned, Animal, Dog):
                        table: Any = model.__table__
                        rows = sa.select(table).order_by(*table.primary_key)
                        found.append((await connection.execute(rows)).all())
        if isinstance(engine.dialect, array_changes.BulkDialect):
            assert pgflight.stats(engine).array_dml == arrays, pgflight.stats(
                engine
            ).array_fallbacks
            assert len(counts) == (arrays if watched else 0)
            assert -1 not in counts
        return [found, seen]

    both(work, execution_options={"array_dml": True})


def test_counts_are_those_of_the_tags(both: Both) -> None:
    """What the ORM and a program read: all rows that were found."""

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, Base.metadata) as connection:
            table: Any = Note.__table__
            await connection.execute(table.insert(), [{"n": n} for n in range(NUMBER)])
            change = table.update().where(table.c.id == sa.bindparam("pk"))
            rows = [{"pk": n * 2, "n": n} for n in range(1, NUMBER + 1)]
            result: Any = await connection.execute(change, rows)
            assert not result.supports_sane_multi_rowcount()
            ours = isinstance(engine.dialect, array_changes.BulkDialect)
            assert result.rowcount == (NUMBER // 2 if ours else -1)
            return None

    both(work, execution_options={"array_dml": True})
