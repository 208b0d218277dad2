"""Random tables, rows, UPDATEs, DELETEs and upserts: both dialects end up with the same tables."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import replace
from functools import partial
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

import pgflight
from pgflight.bulk import array_changes
from tests.fixtures.outcome import Both, Failure
from tests.parity.scratch import apart, scratch
from tests.parity.test_array_random import KINDS

KEYS: list[tuple[Any, Any]] = [
    (sa.Integer(), lambda n: n),
    (sa.BigInteger(), lambda n: n * 2**33),
    (sa.SmallInteger(), lambda n: -n),
    (sa.Uuid(), lambda n: uuid.UUID(int=n)),
    (sa.Uuid(as_uuid=False), lambda n: str(uuid.UUID(int=n))),
    (sa.Date(), lambda n: dt.date(2024, 1, 1) + dt.timedelta(n)),
    (sa.Text(), lambda n: f"key {n}"),
]
SHAPES = ["update", "add", "two keys", "delete", "delete by two", "upsert", "upsert adds"]


@st.composite
def programs(draw: Any) -> dict[str, Any]:
    """Return the types of the columns, what is stored, the parameters and the kind of statement."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))
    key, make = draw(st.sampled_from(KEYS))
    row = st.fixed_dictionaries(
        {f"c{n}": st.one_of(values, st.none()) for n, (_, values) in enumerate(kinds)}
    )
    some = draw(st.lists(row, min_size=1, max_size=3))
    number = draw(st.sampled_from([30, 31, 45, 10]))
    numbers = draw(st.permutations(range(number)))
    if draw(st.integers(0, 3)) == 0:
        numbers[-1] = numbers[0]
    keys = [make(n) for n in numbers]
    if draw(st.integers(0, 3)) == 0:
        keys[draw(st.integers(0, number - 1))] = None
    sets = [
        {**draw(st.sampled_from(some)), "pk": k, "part": n % 3, "more": n}
        for n, k in enumerate(keys)
    ]
    stored = draw(st.integers(1, 50))
    return {
        "kinds": [kind for kind, _ in kinds],
        "key": key,
        "shape": draw(st.sampled_from(SHAPES)),
        "sets": sets,
        "stored": [(make(n), n % 2 + 1) for n in range(stored)],
        "page": draw(st.sampled_from([7, 1000])),
        "twice": draw(st.booleans()),
    }


def made(table: sa.Table, program: dict[str, Any]) -> tuple[Any, list[dict[str, Any]]]:
    """Return the statement and its parameter sets."""
    pk, part, more = (
        sa.bindparam(name, type_=kind)
        for name, kind in (("pk", program["key"]), ("part_", sa.Integer()), ("more", sa.Integer()))
    )
    columns = [column.name for column in table.c if column.name.startswith("c")]
    shape = program["shape"]
    if shape.startswith("upsert"):
        insert = pg.insert(table)
        changes: dict[str, Any] = {name: insert.excluded[name] for name in columns}
        if shape == "upsert adds":
            changes = {"n": sa.func.coalesce(table.c.n, 0) + insert.excluded.n}
        statement: Any = insert.on_conflict_do_update(index_elements=["k", "part"], set_=changes)
        taken = {"pk": "k", "part": "part", "more": "n", **{name: name for name in columns}}
    else:
        statement = table.delete() if shape.startswith("delete") else table.update()
        statement = statement.where(table.c.k == pk)
        taken = {"pk": "pk"}
        if shape in ("two keys", "delete by two"):
            statement = statement.where(table.c.part == part)
            taken["part"] = "part_"
        if shape == "add":
            statement = statement.values(n=table.c.n + more, note=sa.func.concat("x", table.c.n))
            taken["more"] = "more"
        elif not shape.startswith("delete"):
            taken.update({name: name for name in columns})
    return statement, [{new: row[old] for old, new in taken.items()} for row in program["sets"]]


async def _changed(connection: AsyncConnection, statement: Any, sets: Any, page: int) -> Any:
    options = {"insertmanyvalues_page_size": page}
    return await connection.execute(statement, sets, execution_options=options)


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(programs())
def test_random_changes(both: Both, program: dict[str, Any]) -> None:
    metadata = sa.MetaData()
    table = sa.Table(
        "random_of_dml",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("k", program["key"]),
        sa.Column("part", sa.Integer),
        sa.Column("n", sa.Integer),
        sa.Column("note", sa.Text, onupdate="touched"),
        *(sa.Column(f"c{n}", kind) for n, kind in enumerate(program["kinds"])),
        sa.UniqueConstraint("k", "part"),
        prefixes=["TEMPORARY"],
    )
    statement, sets = made(table, program)

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            rows = [{"k": k, "part": p, "n": n} for n, (k, p) in enumerate(program["stored"])]
            if program["twice"]:  # the same keys with another part
                rows += [{**row, "part": 0} for row in rows]
            await connection.execute(table.insert(), rows)
            before: Any = await connection.scalar(sa.select(sa.func.count()).select_from(table))
            send = partial(_changed, connection, statement, sets, program["page"])
            outcome = await apart(connection, send)
            after: Any = await connection.scalar(sa.select(sa.func.count()).select_from(table))
            if isinstance(outcome, Failure):
                if isinstance(outcome.params, tuple):  # of a list of its own kind
                    outcome = replace(outcome, params=outcome.params[-1])
            else:
                is_ours = isinstance(engine.dialect, array_changes.BulkDialect)
                if is_ours and pgflight.stats(engine).array_dml and statement.is_delete:
                    assert outcome.rowcount == before - after
                elif is_ours and pgflight.stats(engine).array_dml and statement.is_insert:
                    assert outcome.rowcount == len(sets)
                outcome = None
            contents = (await connection.execute(sa.select(table).order_by(*table.c[:5]))).all()
            return [outcome, sorted((tuple(row)[1:] for row in contents), key=repr)]

    both(work, execution_options={"array_dml": True})
