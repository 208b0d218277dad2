"""Random rows and random statements with IN lists: both dialects return the same."""

from __future__ import annotations

import operator
from functools import partial
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.fixtures.outcome import Both
from tests.parity.scratch import apart, scratch

metadata = sa.MetaData()
things = sa.Table(
    "things_of_in",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("n", sa.Integer),
    sa.Column("b", sa.BigInteger),
    sa.Column("s", sa.String(3)),
    sa.Column("d", sa.Numeric(6, 2)),
)
NUMBERS = st.integers(-3, 12)
TEXTS = st.sampled_from(["", "a", "b", "abc", "abcd", "'", "NULL", "{}", "é"])
DECIMALS = st.decimals(-3, 3, places=3)
SIZES = st.one_of(st.integers(0, 4), st.integers(7, 14), st.just(300))


def _optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "n": _optional(NUMBERS),
            "b": _optional(NUMBERS),
            "s": _optional(TEXTS.filter(lambda text: len(text) < 4)),
            "d": _optional(DECIMALS),
        }
    ),
    min_size=1,
    max_size=25,
)
KINDS: list[tuple[Any, Any, st.SearchStrategy[Any]]] = [
    (sa.Integer, [things.c.id, things.c.n, things.c.b, things.c.n + 1, -things.c.id], NUMBERS),
    (sa.BigInteger, [things.c.b, things.c.n, things.c.b * 2], NUMBERS),
    (sa.String, [things.c.s, things.c.s + "b", sa.func.coalesce(things.c.s, "a")], TEXTS),
    (sa.String(2), [things.c.s, sa.func.lower(things.c.s)], TEXTS),
    (sa.String(collation="C"), [things.c.s, sa.func.lower(things.c.s)], TEXTS),
    (sa.Numeric(6, 2), [things.c.d, things.c.d / 2, sa.cast(things.c.n, sa.Numeric)], DECIMALS),
]


@st.composite
def lists(draw: st.DrawFn) -> Any:
    """Return `x IN (...)` or `x NOT IN (...)`; some have elements that are NULL or SQL."""
    kind, lefts, values = draw(st.sampled_from(KINDS))
    size = draw(SIZES)
    few = draw(st.lists(_optional(values) if draw(st.booleans()) else values, min_size=1))
    elements = [few[n % len(few)] for n in range(size)]
    left = draw(st.sampled_from(lefts))
    within = left.not_in if draw(st.booleans()) else left.in_
    how = draw(st.sampled_from(["typed", "typed", "plain", "named"]))
    if how == "plain":
        return within(elements)
    name = f"x{draw(st.integers(0, 10**6))}" if how == "named" else None
    return within(sa.bindparam(name, elements, type_=kind, expanding=True))


def _combined(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(sa.and_, parts, parts),
        st.builds(sa.or_, parts, parts),
        st.builds(sa.not_, parts),
        st.builds(operator.eq, parts, parts),
        st.builds(lambda part: part.is_(None), parts),
        st.builds(lambda a, b, c: sa.case((a, b), else_=c), parts, parts, parts),
        st.builds(lambda part: things.c.id.in_(sa.select(things.c.n).where(part)), parts),
        st.builds(lambda part: sa.exists(sa.select(things.c.n).where(part)), parts),
    )


CRITERIA = st.recursive(lists(), _combined, max_leaves=4)


@st.composite
def statements(draw: st.DrawFn) -> Any:
    """Return a function of nothing that makes a statement anew, as a program does."""
    criterion = draw(CRITERIA)
    form = draw(st.sampled_from(["select", "select", "column", "cte", "update", "delete"]))
    if form == "select":
        return sa.select(things).where(criterion).order_by(things.c.id)
    if form == "column":
        return sa.select(things.c.id, criterion).order_by(things.c.id)
    if form == "cte":
        found = sa.select(things.c.id).where(criterion).cte()
        return sa.select(found.c.id).where(draw(CRITERIA) & (things.c.id == found.c.id))
    if form == "update":
        return things.update().where(criterion).values(n=things.c.n + 1).returning(things.c.id)
    return things.delete().where(criterion).returning(things.c.id)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rows=ROWS, asked=st.lists(statements(), min_size=1, max_size=8))
def test_random_statements(both: Both, rows: list[dict[str, Any]], asked: list[Any]) -> None:
    async def body(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            numbered = [{"id": number, **row} for number, row in enumerate(rows)]
            await connection.execute(things.insert(), numbered)

            async def answer(statement: Any) -> Any:
                result = await connection.execute(statement)
                return sorted(map(repr, result.all()))

            # each twice: the first execution and the next take different ways
            return [
                getattr(outcome, "pgcode", outcome)
                for statement in asked * 2
                for outcome in [await apart(connection, partial(answer, statement))]
            ]

    both(body)
