"""Statements with many parameter sets for `test_bulk_parameters.py`, and the tables they write."""

from __future__ import annotations

import enum
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import TypeDecorator


class Mood(enum.Enum):
    """Stored by name."""

    GOOD = 1
    BAD = 2


class Doubled(TypeDecorator[int]):
    """A number that is stored doubled, and counts how often it is bound."""

    impl = sa.Integer
    cache_ok = True
    bound = 0

    def process_bind_param(self, value: int | None, dialect: Any) -> int | None:
        Doubled.bound += 1
        return None if value is None else value * 2

    def bind_expression(self, bindparam: Any) -> Any:
        return sa.func.abs(bindparam, type_=sa.Integer)


class Numbers:
    """Numbers from 1 on, anew for each body: the Python-side defaults of the table."""

    def __init__(self) -> None:
        self.next = partial(next, count(1))


numbers = Numbers()
metadata = sa.MetaData()
full = sa.Table(
    "full_of_bulk",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("mood", sa.Enum(Mood, name="mood_of_bulk")),
    sa.Column("doc", pg.JSONB),
    sa.Column("doubled", Doubled),
    sa.Column("price", sa.Numeric(10, 2), server_default="7"),
    sa.Column("made", sa.Integer, default=lambda: numbers.next()),
    sa.Column("seen", sa.Text, onupdate="touched"),
    sa.Column("of_context", sa.Text, default=lambda context: _described(context)),
    sa.Column("of_sql", sa.Integer, default=sa.select(sa.literal(40) + 2).scalar_subquery()),
)
plain = sa.Table(
    "plain_of_bulk",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, key="label"),
    sa.Column("mood", sa.Enum(Mood, name="mood_of_bulk")),
    sa.Column("doc", pg.JSONB),
    sa.Column("doubled", Doubled),
    sa.Column("n", sa.Integer),
)
odd = sa.Table(
    "odd_of_bulk",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    *(sa.Column(f"{name}", sa.Text) for name in ("a b", "50%", "x:y", "f(x)", "d.e", "[z]", 'q"q')),
    sa.Column("select", sa.Integer),
)
keyed = sa.Table(
    "keyed_of_bulk",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True, server_default=sa.func.gen_random_uuid()),
    sa.Column("n", sa.Integer, insert_sentinel=False),
    sa.Column("order", sa.Integer, insert_sentinel=True, default=lambda: numbers.next()),
)


def _described(context: Any) -> str:
    return f"doubled={context.get_current_parameters()['doubled']}"


FULL: list[dict[str, Any]] = [
    {"mood": Mood.GOOD, "doc": {"a": [1]}, "doubled": 1},
    {"mood": Mood.BAD, "doc": None, "doubled": 2},
    {"mood": None, "doc": "text", "doubled": None},
]
PLAIN: list[dict[str, Any]] = [{"label": f"l{n}", "n": n, **row} for n, row in enumerate(FULL)]
ODD = [
    {c.key: f"{c.key}{n}" if c.key != "select" else n for c in odd.c if c.key != "id"}
    for n in (1, 2)
]

BULK: dict[str, tuple[Any, Any]] = {
    "defaults": (full.insert(), FULL),
    "defaults returned": (full.insert().returning(full), FULL),
    "defaults sorted": (full.insert().returning(full, sort_by_parameter_order=True), FULL),
    "one": (plain.insert(), PLAIN[0]),
    "one in a list": (plain.insert(), PLAIN[:1]),
    "plain": (plain.insert(), PLAIN),
    "plain returned": (plain.insert().returning(plain), PLAIN),
    "plain sorted": (plain.insert().returning(plain, sort_by_parameter_order=True), PLAIN),
    "plain with value": (plain.insert().values(n=5), [{"label": "x"}, {"label": "y"}]),
    "plain with sql": (plain.insert().values(n=sa.func.length("four")), [{"label": "x"}] * 2),
    "extra key": (plain.insert(), [{"label": "x", "nothing": 1}, {"label": "y", "nothing": 2}]),
    "more keys later": (plain.insert(), [{"label": "x"}, {"label": "y", "n": 2}]),
    "missing key": (plain.insert(), [{"label": "x", "n": 1}, {"label": "y"}]),
    "missing key returned": (plain.insert().returning(plain.c.id), [{"n": 1}, {"label": "y"}]),
    "wrong column": (plain.insert().values(nothing=1), [{"label": "x"}, {"label": "y"}]),
    "odd names": (odd.insert(), ODD),
    "odd names returned": (odd.insert().returning(odd), ODD),
    "sentinels": (
        keyed.insert().returning(keyed.c.n, sort_by_parameter_order=True),
        [{"n": n} for n in range(5)],
    ),
    "empty": (plain.insert(), [{}, {}]),
    "empty returned": (plain.insert().returning(plain), [{}, {}, {}]),
    "wrong mood": (plain.insert(), [{"mood": Mood.GOOD}, {"mood": "no mood"}]),
    "wrong number": (plain.insert(), [{"n": 1}, {"n": "one"}]),
    "wrong number returned": (plain.insert().returning(plain.c.n), [{"n": 1}, {"n": 2**40}]),
    "not serializable": (plain.insert(), [{"doc": {}}, {"doc": object}]),
    "duplicate": (plain.insert(), [{"id": 1}, {"id": 1}]),
    "decimal": (
        full.insert(),
        [{"price": Decimal("1.255"), "doubled": 1}, {"price": 2, "doubled": 0}],
    ),
    "upsert": (
        pg.insert(plain).on_conflict_do_update(index_elements=["id"], set_={"n": sa.literal(9)}),
        [{"id": 1, "n": 1}, {"id": 2, "n": 2}],
    ),
    "update": (
        full.update()
        .where(full.c.doubled == sa.bindparam("which"))
        .values(mood=sa.bindparam("new")),
        [{"which": 1, "new": Mood.BAD}, {"which": 2, "new": None}],
    ),
    "update odd names": (
        odd.update().where(odd.c["a b"] == sa.bindparam("the 100% (key):x")),
        [{"the 100% (key):x": "a b1", "x:y": "new"}, {"the 100% (key):x": "a b2", "x:y": None}],
    ),
    "update missing": (
        full.update().where(full.c.id == sa.bindparam("which")).values(doubled=sa.bindparam("new")),
        [{"which": 1, "new": 2}, {"which": 2}],
    ),
    "delete": (
        plain.delete().where(plain.c.n == sa.bindparam("which")),
        [{"which": 0}, {"which": 9}],
    ),
    "text": (
        sa.text(
            "INSERT INTO plain_of_bulk (name, n) VALUES (:label, :n), (:label, :n + 1)"
        ).bindparams(sa.bindparam("n", type_=sa.Integer), sa.bindparam("label", type_=sa.Text)),
        [{"label": "a", "n": 1}, {"label": "b", "n": 5}],
    ),
    "in list": (
        plain.update().where(plain.c.n.in_([0, 1])).values(label=sa.bindparam("new")),
        [{"new": "a"}, {"new": "b"}],
    ),
    "expanding": (
        plain.delete().where(plain.c.n.in_(sa.bindparam("all", expanding=True))),
        [{"all": [0]}, {"all": [1]}],
    ),
}


def executions_of(engine: AsyncEngine) -> list[Any]:
    """Return a list to which each execution's text, parameters and kind are added from now on."""
    seen: list[Any] = []

    def before(conn: Any, cur: Any, text: str, given: Any, context: Any, many: bool) -> None:
        seen.append([text, given, many])

    event.listen(engine.sync_engine, "before_cursor_execute", before)
    return seen
