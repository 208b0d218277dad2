"""Row counts, keys that the server made, and the cursor's description of a result."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.fixtures.outcome import Both, attempt
from tests.parity.counts import common, told_by_both
from tests.parity.scratch import apart, scratch
from tests.parity.test_result_rows import ROWS, SELECT, metadata, things


async def _counts(connection: AsyncConnection) -> Any:
    found = []
    update, delete = things.update(), things.delete()
    statements: tuple[tuple[Any, Any], ...] = (
        (things.insert(), ROWS[0]),
        (things.insert(), ROWS),
        (things.insert().values(ROWS), None),
        (things.insert().from_select(["name"], sa.select(things.c.name)), None),
        (things.insert().returning(things.c.id), ROWS),
        (update.where(things.c.name == "b").values(kind="x"), None),
        (update.where(things.c.name == "zzz").values(kind="x"), None),
        (
            update.where(things.c.name == sa.bindparam("n")).values(kind="y"),
            [{"n": "a"}, {"n": "b"}],
        ),
        (update.values(kind="z").returning(things.c.id), None),
        (SELECT, None),
        (delete.where(things.c.name == "a"), None),
        (delete.where(things.c.name == sa.bindparam("n")), [{"n": "b"}, {"n": "c"}]),
        (delete, None),
        (sa.text("CREATE TEMPORARY TABLE t_of_counts AS SELECT generate_series(1, 3) AS n"), None),
        (sa.text("WITH w AS (DELETE FROM t_of_counts RETURNING n) SELECT * FROM w"), None),
        (sa.text("TRUNCATE t_of_counts"), None),
        (sa.text("DECLARE c_of_counts CURSOR FOR SELECT 1"), None),
        (sa.text("FETCH ALL FROM c_of_counts"), None),
        (sa.text("MOVE 1 FROM c_of_counts"), None),
        (sa.text("DROP TABLE t_of_counts"), None),
    )
    for statement, parameters in statements:
        result = await connection.execute(statement, parameters)
        sane = result.supports_sane_rowcount(), result.supports_sane_multi_rowcount()
        count = told_by_both(result)
        found.append([count, result.returns_rows, result.is_insert, *sane])
    return found


async def _inserted_keys(connection: AsyncConnection) -> Any:
    insert = things.insert()
    found: list[Any] = []
    for statement, parameters in (
        (insert, ROWS[0]),
        (insert, {"id": 100, "name": "x"}),
        (insert, ROWS),
        (insert.return_defaults(), ROWS),
        (insert.return_defaults(things.c.price, sort_by_parameter_order=True), ROWS),
        (insert.returning(things.c.id), ROWS[0]),
        (things.update().values(name="u").return_defaults(things.c.price), None),
    ):
        result = await connection.execute(statement, parameters)
        for name in (
            "inserted_primary_key",
            "inserted_primary_key_rows",
            "returned_defaults",
            "returned_defaults_rows",
            "lastrow_has_defaults",
            "last_inserted_params",
            "last_updated_params",
            "prefetch_cols",
            "postfetch_cols",
        ):
            found.append([name, await attempt(_attribute(result, name))])
    return found


async def _attribute(result: Any, name: str) -> Any:
    value = getattr(result, name)
    value = value() if callable(value) else value
    return [str(item) for item in value] if name.endswith("_cols") else value


async def _descriptions(connection: AsyncConnection) -> Any:
    found: list[Any] = []
    sync: Any = connection.sync_connection

    def after(conn: Any, cursor: Any, *rest: Any) -> None:
        count = common(rest[-2], cursor.rowcount)
        found.append([cursor.description, count, cursor.arraysize])

    event.listen(sync, "after_cursor_execute", after)
    await connection.execute(SELECT)
    await connection.execute(things.insert(), ROWS)
    await connection.execute(things.insert().returning(things.c.price), ROWS)
    await connection.execute(things.update().values(kind=None))
    await (await connection.stream(SELECT)).all()
    await connection.exec_driver_sql("SELECT '{1}'::int[] AS a, '[1,2)'::int4range, 'x'::char(3)")
    return found


READERS = (_counts, _inserted_keys, _descriptions)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__.strip("_"))
def test_counts(both: Both, reader: Any) -> None:
    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            await connection.execute(things.insert(), ROWS)
            return await reader(connection)

    both(work)


def test_merge_counts(both: Both) -> None:
    merge = sa.text(
        f"MERGE INTO {things.name} t USING (VALUES (1, 'new'), (99, 'more')) s(id, name)"
        " ON t.id = s.id WHEN MATCHED THEN UPDATE SET name = s.name"
        " WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name)"
    )

    async def work(engine: AsyncEngine) -> Any:
        async with scratch(engine, metadata) as connection:
            await connection.execute(things.insert(), ROWS)

            async def send() -> Any:
                result = await connection.execute(merge)
                return [result.rowcount, result.returns_rows]

            outcome = await apart(connection, partial(send))
            return [outcome, (await connection.execute(SELECT)).all()]

    outcome, rows = both(work)
    # MERGE is there from PostgreSQL 15 on; before, both refuse it alike.
    assert (len(rows) == 5) == (both.server.version >= (15, 0)), outcome
