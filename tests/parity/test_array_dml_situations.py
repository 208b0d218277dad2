"""UPDATE, DELETE and upserts of many rows where the table, or its database, looks at the rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

import pgflight
from pgflight.bulk.array_changes import BulkDialect
from tests.fixtures.outcome import Both, Failure
from tests.parity.scratch import apart, own
from tests.parity.situations import (
    BEFORE,
    CHECKED,
    DEFAULTED,
    LOG,
    NOT_A_TABLE,
    NOTED,
    SMALLER,
    TABLE,
    TRIGGERED,
    function,
    make,
)

target = sa.Table(
    "target",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("n", sa.Integer),
    sa.Column("up", sa.Integer),
    sa.Column("seen", sa.Integer),
)
UNIQUE = "a unique index that the Table does not have"
INDEXED = "an index that calls unknown functions"
TYPED = "a column whose type is not the Table's"
FUNCTIONS = "functions of the database"
ALL = ("update", "delete", "upsert")
ROWS = 60

update = target.update().where(target.c.id == sa.bindparam("key"))
insert = pg.insert(target)
_MOVED = [{"key": key, "n": key * 10 + 10} for key in range(ROWS, 10, -1)]
"""Each value is free when its turn comes, but not in every order."""
STATEMENTS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "update": (update.values(n=sa.bindparam("n")), _MOVED),
    "computed": (
        update.values(n=sa.func.abs(target.c.n) + sa.bindparam("more", type_=sa.Integer)),
        [{"key": key, "more": 10} for key in range(ROWS, 10, -1)],
    ),
    "delete": (
        target.delete().where(target.c.id == sa.bindparam("key")),
        [{"key": key} for key in range(ROWS, 20, -1)],
    ),
    "upsert": (
        insert.on_conflict_do_update(
            index_elements=["id"], set_={"n": target.c.n + insert.excluded.n}
        ),
        [{"id": key, "n": key * 1000} for key in range(20, ROWS + 20)],
    ),
    "upsert of near keys": (
        insert.on_conflict_do_update(
            index_elements=["id"], set_={"n": target.c.n + insert.excluded.n}
        ),
        [{"id": 2**24 + key, "n": key} for key in range(ROWS)],
    ),
    "computed upsert": (
        insert.on_conflict_do_update(
            index_elements=["id"], set_={"n": sa.func.abs(insert.excluded.n)}
        ),
        [{"id": key, "n": -key * 1000} for key in range(20, ROWS + 20)],
    ),
}


def trigger(when: str, what: str, *, row: bool = True) -> str:
    each = "FOR EACH ROW" if row else "FOR EACH STATEMENT"
    name = "before_it" if when == "BEFORE" else "noted"
    return f"CREATE TRIGGER t {when} {what} ON target {each} EXECUTE FUNCTION {name}()"


ANY = "INSERT OR UPDATE OR DELETE"
LOOKS = function(
    "abs(int)", "BEGIN RETURN $1 + (SELECT count(*) FROM target WHERE n > 300); END"
)  # fmt: skip
FILLED = (
    f"INSERT INTO target SELECT g, g * 10 FROM generate_series(1, {ROWS}) AS g",
    "ANALYZE target",
)

SITUATIONS: dict[str, tuple[dict[str, str | None], tuple[str, ...]]] = {
    "plain": (dict.fromkeys(STATEMENTS), (TABLE,)),
    "before row": (
        dict.fromkeys(("update", "upsert"), TRIGGERED),
        (TABLE, BEFORE, trigger("BEFORE", "INSERT OR UPDATE")),
    ),
    "after row": (dict.fromkeys(ALL, TRIGGERED), (TABLE, LOG, NOTED, trigger("AFTER", ANY))),
    "update of a column": (
        {"update": TRIGGERED, "delete": None},
        (TABLE, LOG, NOTED, trigger("AFTER", "UPDATE OF n")),
    ),
    "statement": (
        dict.fromkeys(ALL, TRIGGERED),
        (TABLE, LOG, NOTED, trigger("AFTER", ANY, row=False)),
    ),
    "deferred": (
        dict.fromkeys(ALL, TRIGGERED),
        (
            TABLE,
            LOG,
            NOTED,
            f"CREATE CONSTRAINT TRIGGER t AFTER {ANY} ON target DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION noted()",
        ),
    ),
    "rule": (
        dict.fromkeys(("update", "delete"), "a table with rules"),
        (
            TABLE,
            LOG,
            *(
                f"CREATE RULE r{kind} AS ON {kind} TO target DO ALSO"
                " INSERT INTO log VALUES ((SELECT sum(n) FROM target))"
                for kind in ("UPDATE", "DELETE")
            ),
        ),
    ),
    "policies": (
        dict.fromkeys(("update", "delete"), "a table with row-level security"),
        (
            TABLE,
            "ALTER TABLE target ENABLE ROW LEVEL SECURITY",
            "GRANT ALL ON target TO pg_read_all_data",
            "CREATE POLICY p ON target USING (n > 100 AND id % 3 <> 0)",
            *FILLED,
            "SET ROLE pg_read_all_data",
        ),
    ),
    "view": (
        dict.fromkeys(("update", "delete"), NOT_A_TABLE),
        (TABLE.replace("target", "base"), "CREATE VIEW target AS SELECT * FROM base WHERE n < 400"),
    ),
    "partitioned": (
        dict.fromkeys(("update", "delete"), NOT_A_TABLE),
        (
            "CREATE TABLE target (id int, n int, up int, seen int) PARTITION BY RANGE (n)",
            "CREATE TABLE low PARTITION OF target FOR VALUES FROM (0) TO (300)",
            "CREATE TABLE high PARTITION OF target DEFAULT",
            LOG,
            NOTED,
            "CREATE TRIGGER t AFTER INSERT OR DELETE ON high FOR EACH ROW EXECUTE FUNCTION noted()",
        ),
    ),
    "heirs": (
        dict.fromkeys(("update", "delete"), NOT_A_TABLE),
        (
            TABLE,
            "CREATE TABLE heir () INHERITS (target)",
            "INSERT INTO heir VALUES (20, 20), (21, 21)",
            LOG,
            NOTED,
            "CREATE TRIGGER t AFTER UPDATE OR DELETE ON heir FOR EACH ROW EXECUTE FUNCTION noted()",
        ),
    ),
    "check": (
        dict.fromkeys(("update", "upsert"), CHECKED),
        (TABLE, SMALLER, "ALTER TABLE target ADD CHECK (smaller(n / 1000))"),
    ),
    "generated": (
        dict.fromkeys(("update", "upsert"), DEFAULTED),
        (
            LOG,
            function("made(int)", "BEGIN RETURN (SELECT count(*) FROM log); END", kind="IMMUTABLE"),
            "CREATE TABLE target (id int PRIMARY KEY, n int, up int, seen int"
            " GENERATED ALWAYS AS (made(n)) STORED)",
        ),
    ),
    "domain": (
        {"update": "a column of a domain"},
        (
            SMALLER,
            "CREATE DOMAIN small AS int CHECK (smaller(VALUE / 1000))",
            "CREATE TABLE target (id int PRIMARY KEY, n small, up int, seen int)",
        ),
    ),
    "index": (
        {"update": INDEXED},
        (
            TABLE,
            function("looks(int)", "BEGIN RETURN $1; END", kind="IMMUTABLE"),
            "CREATE INDEX ON target (looks(n))",
        ),
    ),
    "self": (
        dict.fromkeys(ALL, TRIGGERED),
        (TABLE.replace("up int", "up int REFERENCES target ON DELETE CASCADE"),),
    ),
    "cascade": (
        {"update": None, "delete": TRIGGERED},
        (TABLE, "CREATE TABLE child (id int REFERENCES target ON DELETE CASCADE)"),
    ),
    "restrict": (
        {"update": None, "delete": None},
        (TABLE, "CREATE TABLE child (id int REFERENCES target)"),
    ),
    "unique": (
        {"update": UNIQUE, "computed": UNIQUE, "delete": None, "upsert": None},
        (TABLE, "CREATE UNIQUE INDEX ON target (n)"),
    ),
    "unique with another": (
        {"update": UNIQUE},
        (TABLE, "CREATE UNIQUE INDEX ON target ((1), n)"),
    ),
    "unique in part": (
        {"update": UNIQUE},
        (TABLE, "CREATE UNIQUE INDEX ON target (seen) WHERE n > 0"),
    ),
    "unique otherwise": (
        {"update": None},
        (TABLE, "CREATE UNIQUE INDEX ON target (seen)"),
    ),
    "unique and deferrable": (
        {"update": UNIQUE},
        (TABLE, "ALTER TABLE target ADD UNIQUE (n) DEFERRABLE"),
    ),
    "exclusion": (
        {"update": UNIQUE},
        (TABLE, "ALTER TABLE target ADD EXCLUDE USING btree (n WITH =)"),
    ),
    "unique and generated": (
        {"update": UNIQUE},
        (
            "CREATE TABLE target (id int PRIMARY KEY, n int, up int, seen int"
            " GENERATED ALWAYS AS (n + 1) STORED UNIQUE)",
        ),
    ),
    "function": (
        {"computed": FUNCTIONS, "computed upsert": FUNCTIONS, "update": None},
        (TABLE, LOOKS, "SELECT set_config('search_path', current_schema() || ',pg_catalog', true)"),
    ),
    "real key": (
        {"upsert": TYPED, "upsert of near keys": TYPED, "update": None},
        (TABLE.replace("id int", "id real"),),
    ),
}
"""Name -> statement and the reason for which it steps aside, None if it does not; SQL."""
CASES = [(name, kind) for name, (kinds, _) in SITUATIONS.items() for kind in kinds]


async def fill(connection: AsyncConnection, schema: str, ddl: tuple[str, ...]) -> None:
    """Make a situation with rows in it."""
    await make(connection, schema, (*ddl, *(() if FILLED[0] in ddl else FILLED)))
    if LOG in ddl:
        await connection.exec_driver_sql("DELETE FROM log")


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_rows_are_those_of_single_statements(both: Both, name: str, kind: str) -> None:
    kinds, ddl = SITUATIONS[name]
    statement, given = STATEMENTS[kind]
    schema = own("dml_situations")

    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            await fill(connection, schema, ddl)

            async def send() -> None:
                await connection.execute(statement, given)
                await connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")

            outcome = await apart(connection, send)
            if isinstance(outcome, Failure):
                outcome = replace(outcome, params=None)
            await connection.exec_driver_sql("RESET ROLE")
            read = "SELECT id, n, seen FROM target ORDER BY id, n"
            rows: list[Any] = [*(await connection.exec_driver_sql(read)).all()]
            if LOG in ddl:
                rows += (await connection.exec_driver_sql("SELECT what FROM log")).all()
            await connection.rollback()
        if isinstance(engine.dialect, BulkDialect):
            counted = pgflight.stats(engine)
            reason = kinds[kind]
            assert counted.array_fallbacks == ({} if reason is None else {reason: 1})
            assert counted.array_dml == (reason is None and outcome is None)
        return [outcome, rows]

    both(work, execution_options={"array_dml": True})
