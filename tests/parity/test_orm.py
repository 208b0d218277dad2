"""The ORM in async sessions: loading, writing, versions, refresh, merge, streaming."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy import event, select
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import (
    joinedload,
    raiseload,
    selectinload,
    subqueryload,
    undefer,
    with_loader_criteria,
)

from tests.fixtures.outcome import Both, attempt, refused
from tests.parity.orm_models import Author, Base, Book, Comic
from tests.parity.scratch import scratch


def _key(number: int) -> UUID:
    return UUID(int=number)


def _authors() -> list[Author]:
    return [
        Author(
            name=f"author {n}",
            about={"n": n},
            secret=f"s{n}",
            books=[Book(id=_key(n * 10 + b), title=f"book {b}", tags=["a", "é"]) for b in range(n)]
            + [Comic(id=_key(n * 10 + 9), title="comic", artist=None if n % 2 else "x")],
        )
        for n in range(4)
    ]


def _parts(item: Any) -> dict[str, Any]:
    loaded = sa.inspect(item).dict
    return {name: loaded[name] for name in sorted(loaded) if name[0] != "_" and name not in LINKS}


LINKS = {"books", "author"}


async def _loading(session: AsyncSession) -> Any:
    found: list[Any] = []
    for option in (selectinload, joinedload, subqueryload):
        query = select(Author).options(option(Author.books)).order_by(Author.id)
        authors = (await session.scalars(query)).unique().all()
        found += [[_parts(a), [_parts(book) for book in a.books]] for a in authors]
        session.expunge_all()
    only = with_loader_criteria(Book, Book.title != "comic")
    query = select(Author).options(selectinload(Author.books), undefer(Author.secret), only)
    for author in await session.scalars(query.order_by(Author.id.desc())):
        found.append([author.secret, [book.title for book in author.books]])
    session.expunge_all()
    author = await session.get_one(Author, 2)
    found.append([_parts(book) for book in await author.awaitable_attrs.books])
    found.append(await author.awaitable_attrs.secret)
    session.expunge_all()
    raising = await session.get_one(Author, 1, options=[raiseload(Author.books)])
    return [*found, await attempt(_books(raising)), await attempt(session.get_one(Author, 99))]


async def _books(author: Author) -> Any:
    return list(author.books)


async def _writing(session: AsyncSession) -> Any:
    author = await session.get_one(Author, 3, options=[selectinload(Author.books)])
    assert author.about is not None
    author.about["new"] = [1, {"é": None}]
    author.books.pop()
    author.books[0].title = "changed"
    author.books.append(Book(id=_key(500), title="added", price=Decimal("1.5")))
    await session.flush()
    found = [[_parts(book) for book in author.books]]
    await session.refresh(author, ["about", "books"])
    found += [[_parts(author)], [_parts(book) for book in author.books]]
    await session.delete(author)
    await session.flush()
    return [*found, (await session.execute(select(Book.id, Book.version).order_by(Book.id))).all()]


async def _stale(session: AsyncSession) -> Any:
    book = await session.get_one(Book, _key(10))
    changed = sa.update(Book).where(Book.id == book.id).values(version=7)
    await session.execute(changed, execution_options={"synchronize_session": False})
    book.title = "too late"
    failure = await attempt(session.flush())
    await session.rollback()
    return failure


async def _bulk(session: AsyncSession) -> Any:
    rows = [{"name": f"bulk {n}", "about": {"n": n}} for n in range(5)]
    insert = sa.insert(Author).returning(Author, sort_by_parameter_order=True)
    made = (await session.scalars(insert, rows)).all()
    found: list[Any] = [[_parts(author) for author in made]]
    await session.execute(sa.insert(Author), rows)
    comics = [{"id": _key(900 + n), "title": "t", "artist": "a", "version": 1} for n in range(3)]
    await session.execute(sa.insert(Comic), comics)
    updates = [{"id": author.id, "name": f"new {author.id}"} for author in made]
    await session.execute(sa.update(Author), updates)
    update = sa.update(Author).where(Author.name.like("new%")).values(name=Author.name + "!")
    found.append((await session.scalars(update.returning(Author.name))).all())
    result: Any = await session.execute(sa.delete(Author).where(Author.name.like("bulk%")))
    found.append(result.rowcount)
    upsert = (
        pg.insert(Author)
        .values(id=made[0].id, name="up")
        .on_conflict_do_update(index_elements=["id"], set_={"name": "upserted"})
        .returning(Author)
    )
    options = {"populate_existing": True}
    found.append(_parts(await session.scalar(upsert, execution_options=options)))
    everything = await session.scalars(
        select(Author).order_by(Author.id), execution_options=options
    )
    return [*found, [_parts(author) for author in everything]]


async def _merging(session: AsyncSession) -> Any:
    merged = await session.merge(Author(id=1, name="merged", books=[Book(id=_key(700), title="m")]))
    created = await session.merge(Author(id=77, name="created"))
    await session.flush()
    found = [_parts(merged), [_parts(book) for book in merged.books], _parts(created)]
    found.append(sorted(item.name for item in session if isinstance(item, Author)))
    return [*found, await session.scalar(select(sa.func.count()).select_from(Book))]


async def _streaming(session: AsyncSession) -> Any:
    query = select(Author).options(selectinload(Author.books)).order_by(Author.id)
    stream = await session.stream_scalars(query.execution_options(yield_per=2))
    found: list[Any] = [[a.name, [b.title for b in a.books]] async for a in stream]
    pairs = await session.stream(select(Author, Book).join(Author.books).order_by(Book.id))
    async for part in pairs.partitions(3):
        found.append([[author.name, _parts(book)] for author, book in part])
    return found


async def _transactions(session: AsyncSession) -> Any:
    found: list[Any] = []
    async with session.begin_nested():
        session.add(Author(id=50, name="kept"))
    async with session.begin_nested() as savepoint:
        session.add(Author(id=51, name="lost"))
        await session.flush()
        await savepoint.rollback()
    session.add(Author(id=50, name="twice"))
    found.append(await attempt(session.flush()))
    # Its text quotes the whole error before, with the module of the class.
    found.append((await refused(session.scalar(select(sa.literal(1))))).kind)
    await session.rollback()
    return [*found, (await session.scalars(select(Author.id).order_by(Author.id))).all()]


async def _expressions(session: AsyncSession) -> Any:
    rank = sa.func.row_number().over(partition_by=Book.author_id, order_by=Book.title)
    books = select(Book.title, rank, Author.name).join(Author).order_by(Author.id, Book.title)
    exists = select(Author.name).where(Author.books.any(Book.title == "book 1")).order_by(Author.id)
    tags = select(sa.func.array_agg(pg.aggregate_order_by(Book.title, Book.id)), Book.author_id)
    cte = select(Author.id, sa.literal("x").label("x")).cte("c")
    statements = (
        books,
        exists,
        tags.group_by(Book.author_id).order_by(Book.author_id),
        select(cte).where(cte.c.id > 1).order_by(cte.c.id),
        select(Author.about["n"].as_integer()).where(Author.about.has_key("n")).order_by(Author.id),
        sa.union_all(select(Author.id), select(sa.literal(0))).order_by(sa.text("1")),
        select(sa.case((Author.id == 1, "one"), else_=None)).order_by(Author.id),
        select(Book.title).where(Book.tags.contains(["é"])).order_by(Book.id).limit(2).offset(1),
        select(Author.id).where(Author.id.in_([1, 2]), Author.name != sa.bindparam("n", "zzz")),
    )
    return [(await session.execute(statement)).all() for statement in statements]


SCENES = (
    _loading,
    _writing,
    _stale,
    _bulk,
    _merging,
    _streaming,
    _transactions,
    _expressions,
)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__.strip("_"))
def test_sessions(both: Both, scene: Any) -> None:
    async def work(engine: AsyncEngine) -> Any:
        sql: list[Any] = []

        @event.listens_for(engine.sync_engine, "before_cursor_execute")
        def before(conn: Any, cur: Any, statement: str, parameters: Any, ctx: Any, m: bool) -> None:
            sql.append([statement, parameters])

        async with scratch(engine, Base.metadata) as connection:
            options: dict[str, Any] = {"join_transaction_mode": "create_savepoint"}
            async with AsyncSession(connection, expire_on_commit=False, **options) as session:
                session.add_all(_authors())
                await session.commit()
                session.expunge_all()
                return [await scene(session), sql]

    both(work)
