"""Batches of an insert: equal to SQLAlchemy's in every field, their texts written once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects.postgresql.base import PGCompiler

from pgflight.bulk import insert_many_values
from pgflight.dialect import PGDialect_asyncpg

table = sa.Table(
    "t",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("a", sa.Text),
    sa.Column("b", sa.Integer),
)
insert = table.insert().returning(table.c.id)
STATEMENTS: dict[str, tuple[Any, list[str], bool]] = {
    "plain": (insert, ["a", "b"], False),
    "one column": (insert, ["a"], False),
    "sorted": (insert, ["a", "b"], True),
    "sorted by key": (insert, ["id", "a"], True),
    "upsert": (
        pg.insert(table)
        .on_conflict_do_update(index_elements=["id"], set_={"b": sa.literal(9)})
        .returning(table.c.id, sa.literal("100%")),
        ["id", "a"],
        False,
    ),
    "no columns": (insert.values({"a": sa.func.now()}), [], False),
}


def compiled(name: str) -> tuple[Any, list[str]]:
    statement, columns, ordered = STATEMENTS[name]
    if ordered:
        statement = table.insert().returning(table.c.id, sort_by_parameter_order=True)
    dialect = PGDialect_asyncpg()
    return statement.compile(dialect=dialect, column_keys=columns, for_executemany=True), columns


def delivered(subject: Any, deliver: Any, number: int, page: int) -> list[Any]:
    sets = [{name: (name, n) for name in subject.bind_names.values()} for n in range(number)]
    rows = [tuple(made[name] for name in subject.positiontup) for made in sets]
    given = (
        subject.string,
        rows,
        sets,
        None,
        page,
        subject._insertmanyvalues.sort_by_parameter_order,
    )
    return [(type(batch), batch) for batch in deliver(*given, None)]


@pytest.mark.parametrize("name", STATEMENTS)
@pytest.mark.parametrize("page", [1, 2, 5, 1000])
@pytest.mark.parametrize("limit", [0, 7, 32700])
def test_batches_are_sqlalchemys(name: str, page: int, limit: int) -> None:
    subject, _ = compiled(name)
    subject.dialect.insertmanyvalues_max_parameters = limit
    for number in (2, 5, 11, 3, 4, 6, 11, 10, 2):
        ours = delivered(subject, subject._deliver_insertmanyvalues_batches, number, page)

        def stock(*given: Any) -> Any:
            return PGCompiler._deliver_insertmanyvalues_batches(subject, *given)

        assert ours == delivered(subject, stock, number, page)
    assert subject.__dict__[insert_many_values._LAYOUTS]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The number of rows of each text that SQLAlchemy is asked to write."""
    sizes: list[int] = []
    stock = PGCompiler._deliver_insertmanyvalues_batches

    def noting(self: Any, statement: str, parameters: Any, *more: Any) -> Any:
        sizes.append(len(parameters))
        return stock(self, statement, parameters, *more)

    monkeypatch.setattr(PGCompiler, "_deliver_insertmanyvalues_batches", noting)
    yield sizes


def test_a_text_is_written_once(written: list[int]) -> None:
    subject, _ = compiled("plain")
    for _ in range(3):
        delivered(subject, subject._deliver_insertmanyvalues_batches, 23, 10)
    # two rows to see how they are joined, all rows to see how they are cut, the remainder
    assert written == [2, 23, 3]
    delivered(subject, subject._deliver_insertmanyvalues_batches, 10, 10)
    assert written == [2, 23, 3]


def test_few_texts_are_kept_and_none_of_the_programs_values(written: list[int]) -> None:
    subject, _ = compiled("plain")
    for number in range(31, 60):
        delivered(subject, subject._deliver_insertmanyvalues_batches, number, 30)
    (layout,) = subject.__dict__[insert_many_values._LAYOUTS].values()
    assert set(layout._texts) == {*range(1, insert_many_values.SMALL + 1), 28, 29, 30}
    assert insert_many_values.TEXTS_KEPT == 3
    before = list(written)
    for number in range(1, insert_many_values.SMALL + 1):
        delivered(subject, subject._deliver_insertmanyvalues_batches, number, 30)
    assert written == before
    for kept in layout._texts.values():
        assert not kept.batch
        assert not kept.replaced_parameters
        assert not kept.sentinel_values
    for page in range(1, 20):
        delivered(subject, subject._deliver_insertmanyvalues_batches, 5, page)
    assert len(subject.__dict__[insert_many_values._LAYOUTS]) <= insert_many_values.TEXTS_KEPT


@pytest.mark.parametrize("why", ["unknown fields", "input sizes", "no list", "other layout"])
def test_sqlalchemy_makes_the_batches_where_it_must(
    why: str, written: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, _ = compiled("plain")
    sizes: Any = None
    rows: Any = [("x", 1)] * 5
    if why == "unknown fields":
        monkeypatch.setattr(insert_many_values, "_KNOWN", False)
    elif why == "input sizes":
        sizes = [("a", 1, 2)]
    elif why == "no list":
        rows = tuple(rows)
    else:
        monkeypatch.setattr(insert_many_values, "_bounds", lambda *arguments: None)
    sets = [{"a": "x", "b": 1}] * 5
    given = subject.string, rows, sets, sizes, 3, False, None
    found = list(subject._deliver_insertmanyvalues_batches(*given))
    assert [len(batch.batch) for batch in found] == [3, 2]
    assert written == [5]
