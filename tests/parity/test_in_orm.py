"""What the ORM makes IN lists for, or carries them in: loaders, criteria, lambdas, baked ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import ForeignKey
from sqlalchemy.ext import baked
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    query_expression,
    relationship,
    selectin_polymorphic,
    selectinload,
    subqueryload,
    with_expression,
    with_loader_criteria,
)

from tests.fixtures.outcome import Both
from tests.parity.scratch import scratch


class Base(DeclarativeBase):
    """The tables of these tests."""


class Tree(Base):
    """Something with leaves."""

    __tablename__ = "trees_of_in"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    leaves: Mapped[list[Leaf]] = relationship(order_by="Leaf.id", back_populates="tree")
    known: Mapped[bool] = query_expression()

    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "tree"}  # noqa: RUF012


class Oak(Tree):
    """A tree with a table of its own."""

    __tablename__ = "oaks_of_in"

    id: Mapped[int] = mapped_column(ForeignKey(Tree.id), primary_key=True)
    acorns: Mapped[int]

    __mapper_args__ = {"polymorphic_identity": "oak"}  # noqa: RUF012


class Leaf(Base):
    """What hangs on a tree."""

    __tablename__ = "leaves_of_in"

    id: Mapped[int] = mapped_column(primary_key=True)
    tree_id: Mapped[int] = mapped_column(ForeignKey(Tree.id))
    tree: Mapped[Tree] = relationship(back_populates="leaves")


def _planted(session: Session) -> None:
    for n in range(60):
        kind = {"id": n} if n % 3 else {"id": n, "acorns": n}
        session.add((Oak if "acorns" in kind else Tree)(**kind))
        session.add_all(Leaf(id=n * 10 + leaf, tree_id=n) for leaf in range(n % 4))


def _leaves(trees: Any) -> list[Any]:
    return [(type(tree).__name__, tree.id, [leaf.id for leaf in tree.leaves]) for tree in trees]


def selectin(session: Session, ids: list[int]) -> Any:
    query = sa.select(Tree).where(Tree.id.in_(ids)).order_by(Tree.id)
    return _leaves(session.scalars(query.options(selectinload(Tree.leaves))).all())


def selectin_of_parents(session: Session, ids: list[int]) -> Any:
    query = sa.select(Leaf).where(Leaf.tree_id.in_(ids)).order_by(Leaf.id)
    leaves = session.scalars(query.options(selectinload(Leaf.tree))).all()
    return [(leaf.id, leaf.tree.id) for leaf in leaves]


def subquery(session: Session, ids: list[int]) -> Any:
    query = sa.select(Tree).where(Tree.id.in_(ids)).order_by(Tree.id)
    return _leaves(session.scalars(query.options(subqueryload(Tree.leaves))).all())


def polymorphic(session: Session, ids: list[int]) -> Any:
    query = sa.select(Tree).where(Tree.id.in_(ids)).order_by(Tree.id)
    trees = session.scalars(query.options(selectin_polymorphic(Tree, [Oak]))).all()
    return [(tree.id, getattr(tree, "acorns", None)) for tree in trees]


def criteria(session: Session, ids: list[int]) -> Any:
    query = sa.select(Tree).order_by(Tree.id).options(selectinload(Tree.leaves))
    wanted = [n * 10 for n in ids]
    only = with_loader_criteria(Leaf, lambda leaf: leaf.id.in_(wanted))
    return _leaves(session.scalars(query.options(only)).all())


def expression(session: Session, ids: list[int]) -> Any:
    query = sa.select(Tree).order_by(Tree.id)
    trees = session.scalars(query.options(with_expression(Tree.known, Tree.id.in_(ids)))).all()
    return [(tree.id, tree.known) for tree in trees]


def closure(session: Session, ids: list[int]) -> Any:
    statement = sa.lambda_stmt(lambda: sa.select(Tree.id))
    statement += lambda s: s.where(Tree.id.in_(ids)).order_by(Tree.id)
    return session.scalars(statement).all()


BAKERY: Any = baked.bakery()  # type: ignore[no-untyped-call]


def baked_query(session: Session, ids: list[int]) -> Any:
    query = BAKERY(lambda s: s.query(Tree.id))
    query += lambda q: q.filter(Tree.id.in_(sa.bindparam("ids", expanding=True))).order_by(Tree.id)
    return [tuple(row) for row in query(session).params(ids=ids).all()]


def written(session: Session, ids: list[int]) -> Any:
    """The session's own objects follow what the statement did."""
    leaves = session.scalars(sa.select(Leaf).order_by(Leaf.id)).all()
    for how in ("evaluate", "fetch"):
        moved = sa.update(Leaf).where(Leaf.tree_id.in_(ids)).values(tree_id=Leaf.tree_id + 1)
        session.execute(moved, execution_options={"synchronize_session": how})
    seen = [(leaf.id, leaf.tree_id) for leaf in leaves]
    gone = sa.delete(Leaf).where(Leaf.tree_id.not_in(ids))
    session.execute(gone, execution_options={"synchronize_session": "fetch"})
    left = [leaf.id for leaf in leaves if leaf in session]
    session.rollback()
    return seen, left


def aggregate(session: Session, ids: list[int]) -> Any:
    return session.query(Tree).filter(Tree.id.in_(ids), ~Tree.leaves.any(Leaf.id.in_(ids))).count()


USES: list[Callable[[Session, list[int]], Any]] = [
    selectin,
    selectin_of_parents,
    subquery,
    polymorphic,
    criteria,
    expression,
    closure,
    baked_query,
    written,
    aggregate,
]


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_uses(both: Both, use: Callable[[Session, list[int]], Any]) -> None:
    async def body(engine: AsyncEngine) -> Any:
        async with scratch(engine, Base.metadata) as connection:

            def turns(sync: Any) -> Any:
                with Session(sync, join_transaction_mode="create_savepoint") as session:
                    _planted(session)
                    session.commit()
                    found = []
                    for size in (0, 1, 5, 12, 40, 5, 12, 40):
                        session.expunge_all()
                        found.append(use(session, list(range(size))))
                    return found

            return await connection.run_sync(turns)

    found = both(body)
    assert found[2:5] == found[5:8]
    assert found[2] != found[3] != found[4]
