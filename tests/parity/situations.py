"""Tables that look at their own rows, and tables that do not, for `test_array_*situations.py`.

Each situation is SQL that makes `target` (id, n, up) or a view of that name, and the reason that is
counted where its rows do not go through arrays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

TABLE = "CREATE TABLE target (id int PRIMARY KEY, n int, up int, seen int)"
TRIGGERED = "a table with triggers, or with a foreign key to itself"
DEFAULTED = "a default or generated column that calls unknown functions"
CHECKED = "a CHECK constraint that calls unknown functions"
NOT_A_TABLE = "a view, a foreign or a partitioned table, or one with heirs"


def function(name: str, body: str, *, returns: str = "int", kind: str = "STABLE") -> str:
    return f"CREATE FUNCTION {name} RETURNS {returns} {kind} LANGUAGE plpgsql AS $$ {body} $$"


COUNTED = function("counted()", "BEGIN RETURN (SELECT count(*) FROM target); END")
SMALLER = function(
    "smaller(int)",
    "BEGIN RETURN $1 <= (SELECT count(*) + 1 FROM target); END",
    returns="bool",
    kind="IMMUTABLE",
)
BEFORE = function(
    "before_it()",
    "BEGIN NEW.seen := (SELECT count(*) FROM target); RETURN NEW; END",
    returns="trigger",
    kind="",
)
AFTER = function(
    "after_it()",
    "BEGIN UPDATE target SET seen = coalesce(seen, 0) + 1 WHERE n = NEW.n AND id <> NEW.id;"
    " RETURN NULL; END",
    returns="trigger",
    kind="",
)
NOTED = function(
    "noted()",
    "BEGIN INSERT INTO log VALUES ((SELECT count(*) FROM target)); RETURN NULL; END",
    returns="trigger",
    kind="",
)
LOG = "CREATE TABLE log (what int)"


@dataclass(frozen=True)
class Situation:
    """How `target` is made; `reason` is None where its rows go through arrays."""

    ddl: tuple[str, ...]
    reason: str | None
    up: int | None = None
    """What a row's `up` is: so many rows before it, or behind it."""


def _made(reason: str | None, *ddl: str, up: int | None = None) -> Situation:
    return Situation(ddl, reason, up)


SITUATIONS: dict[str, Situation] = {
    "plain": _made(None, TABLE),
    "much that is harmless": _made(
        None,
        "CREATE TYPE mood AS ENUM ('good', 'bad')",
        "CREATE TABLE other (id int PRIMARY KEY)",
        "INSERT INTO other VALUES (0), (1), (2), (3), (4), (5), (6)",
        "CREATE TABLE target (id int PRIMARY KEY, n int REFERENCES other CHECK (n BETWEEN 0 AND 9),"
        " up int CHECK (abs(up) < 10000), seen int, s serial, b bigserial, t smallserial,"
        " u uuid DEFAULT gen_random_uuid(), made timestamptz DEFAULT now(),"
        " late timestamp DEFAULT timezone('utc', now()) + interval '1 day', i int GENERATED ALWAYS"
        " AS IDENTITY, mood mood DEFAULT 'good', doc jsonb DEFAULT '{}', today date DEFAULT"
        " CURRENT_DATE, code varchar(9) DEFAULT upper('x') || 'y', twice int GENERATED ALWAYS AS"
        " (n * 2) STORED, UNIQUE (id, n) DEFERRABLE)",
        "CREATE INDEX ON target (lower(code)) WHERE n > 3",
        "CREATE TABLE child (id int REFERENCES target)",
        BEFORE,
        "CREATE TRIGGER t BEFORE UPDATE ON target FOR EACH ROW EXECUTE FUNCTION before_it()",
    ),
    "inherited": _made(
        None,
        TABLE,
        LOG,
        "CREATE TABLE child () INHERITS (target)",
        NOTED,
        "CREATE TRIGGER t AFTER INSERT ON child FOR EACH ROW EXECUTE FUNCTION noted()",
    ),
    "before row": _made(
        TRIGGERED,
        TABLE,
        BEFORE,
        "CREATE TRIGGER t BEFORE INSERT ON target FOR EACH ROW EXECUTE FUNCTION before_it()",
    ),
    "after row": _made(
        TRIGGERED,
        TABLE,
        AFTER,
        "CREATE TRIGGER t AFTER INSERT ON target FOR EACH ROW EXECUTE FUNCTION after_it()",
    ),
    "statement": _made(
        TRIGGERED,
        TABLE,
        LOG,
        NOTED,
        "CREATE TRIGGER t AFTER INSERT ON target EXECUTE FUNCTION noted()",
    ),
    "constraint trigger": _made(
        TRIGGERED,
        TABLE,
        AFTER,
        "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON target FOR EACH ROW EXECUTE FUNCTION"
        " after_it()",
    ),
    "deferred constraint trigger": _made(
        TRIGGERED,
        TABLE,
        AFTER,
        "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON target DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION after_it()",
    ),
    "rule": _made(
        "a table with rules",
        TABLE,
        LOG,
        "CREATE RULE r AS ON INSERT TO target DO ALSO"
        " INSERT INTO log VALUES ((SELECT count(*) FROM target))",
    ),
    "rule instead": _made(
        "a table with rules",
        TABLE,
        LOG,
        "CREATE RULE r AS ON INSERT TO target WHERE NEW.n = 3 DO INSTEAD"
        " INSERT INTO log VALUES (NEW.id)",
    ),
    "policies": _made(
        "a table with row-level security",
        TABLE,
        "ALTER TABLE target ENABLE ROW LEVEL SECURITY",
        "GRANT ALL ON target TO pg_read_all_data",
        "CREATE POLICY p ON target USING (true)",
        "CREATE POLICY q ON target AS RESTRICTIVE FOR INSERT WITH CHECK"
        " (up IS NULL OR EXISTS (SELECT FROM target AS t WHERE t.id = target.up))",
        "SET ROLE pg_read_all_data",
        up=-1,
    ),
    "view": _made(
        NOT_A_TABLE,
        "CREATE TABLE base (id int PRIMARY KEY, n int, up int, seen int)",
        "CREATE VIEW target AS SELECT * FROM base WHERE n < 1000 WITH CHECK OPTION",
    ),
    "view that looks": _made(
        NOT_A_TABLE,
        "CREATE TABLE base (id int PRIMARY KEY, n int, up int, seen int)",
        "CREATE VIEW target AS SELECT * FROM base AS b WHERE (SELECT count(*) FROM base) < 20"
        " WITH CHECK OPTION",
    ),
    "view with a trigger": _made(
        NOT_A_TABLE,
        "CREATE TABLE base (id int PRIMARY KEY, n int, up int, seen int)",
        "CREATE VIEW target AS SELECT * FROM base",
        function(
            "instead_of_it()",
            "BEGIN INSERT INTO base VALUES (NEW.id, NEW.n, NEW.up, (SELECT count(*) FROM base));"
            " RETURN NEW; END",
            returns="trigger",
            kind="",
        ),
        "CREATE TRIGGER t INSTEAD OF INSERT ON target FOR EACH ROW"
        " EXECUTE FUNCTION instead_of_it()",
    ),
    "partitioned": _made(
        NOT_A_TABLE,
        "CREATE TABLE target (id int, n int, up int, seen int) PARTITION BY LIST (n)",
        "CREATE TABLE one PARTITION OF target FOR VALUES IN (1, 2)",
        "CREATE TABLE rest PARTITION OF target DEFAULT",
        LOG,
        NOTED,
        "CREATE TRIGGER t AFTER INSERT ON one FOR EACH ROW EXECUTE FUNCTION noted()",
    ),
    "partition": _made(
        "a partition",
        "CREATE TABLE parent (id int, n int, up int, seen int) PARTITION BY RANGE (id)",
        "CREATE TABLE target PARTITION OF parent FOR VALUES FROM (0) TO (100000)",
        LOG,
        NOTED,
        "CREATE TRIGGER t AFTER INSERT ON parent FOR EACH ROW EXECUTE FUNCTION noted()",
    ),
    "check": _made(CHECKED, TABLE, SMALLER, "ALTER TABLE target ADD CHECK (smaller(id))"),
    "check in an operator": _made(
        CHECKED,
        function(
            "as_many(int, int)",
            "BEGIN RETURN $1 <= $2 + (SELECT count(*) FROM target); END",
            returns="bool",
            kind="IMMUTABLE",
        ),
        "CREATE OPERATOR <<<= (LEFTARG = int, RIGHTARG = int, FUNCTION = as_many)",
        TABLE,
        "ALTER TABLE target ADD CHECK (id <<<= 1)",
    ),
    "default": _made(
        DEFAULTED, TABLE, COUNTED, "ALTER TABLE target ALTER seen SET DEFAULT counted()"
    ),
    "default in a default": _made(
        DEFAULTED,
        TABLE,
        COUNTED,
        "ALTER TABLE target ALTER seen SET DEFAULT coalesce(NULL, abs(counted() + 1))",
    ),
    "default of a query": _made(
        DEFAULTED,
        TABLE,
        "ALTER TABLE target ALTER seen SET DEFAULT"
        " length(query_to_xml('SELECT id FROM target', true, false, '')::text)",
    ),
    "default of the statement": _made(
        DEFAULTED,
        "CREATE TABLE target (id int PRIMARY KEY, n int, up int, seen int,"
        " at timestamptz DEFAULT statement_timestamp())",
    ),
    "copied default": _made(
        DEFAULTED,
        "CREATE TABLE base (id int PRIMARY KEY, n int, up int, seen int)",
        COUNTED.replace("target", "base"),
        "ALTER TABLE base ALTER seen SET DEFAULT counted() + 1",
        "CREATE TABLE target (LIKE base INCLUDING ALL)",
    ),
    "generated": _made(
        DEFAULTED,
        function("made(int)", "BEGIN RETURN (SELECT count(*) FROM log); END", kind="IMMUTABLE"),
        LOG,
        "CREATE TABLE target (id int PRIMARY KEY, n int, up int, seen int"
        " GENERATED ALWAYS AS (made(n)) STORED)",
    ),
    "domain": _made(
        "a column of a domain",
        SMALLER,
        "CREATE DOMAIN small AS int CHECK (smaller(VALUE))",
        "CREATE TABLE target (id small PRIMARY KEY, n int, up int, seen int)",
    ),
    "index": _made(
        "an index that calls unknown functions",
        TABLE,
        function("looks(int)", "BEGIN RETURN (SELECT count(*) FROM target); END", kind="IMMUTABLE"),
        "CREATE UNIQUE INDEX ON target (looks(n), id)",
    ),
    "partial index": _made(
        "an index that calls unknown functions",
        TABLE,
        SMALLER,
        "CREATE UNIQUE INDEX ON target (n) WHERE NOT smaller(n + 6)",
    ),
    "self before": _made(TRIGGERED, TABLE.replace("up int", "up int REFERENCES target"), up=-1),
    "self behind": _made(TRIGGERED, TABLE.replace("up int", "up int REFERENCES target"), up=1),
    "self deferred": _made(
        TRIGGERED,
        TABLE.replace("up int", "up int REFERENCES target INITIALLY DEFERRED"),
        up=1,
    ),
    "not unique": _made(None, TABLE, "CREATE UNIQUE INDEX ON target (n)"),
}


def rows_of(situation: Situation, number: int) -> list[dict[str, Any]]:
    """Return rows for `target`; some share their `n`."""
    rows = []
    for n in range(1, number + 1):
        up = None if situation.up is None else n + situation.up
        rows.append({"id": n, "n": n % 7, "up": up if up and 0 < up <= number else None})
    return rows


async def make(connection: AsyncConnection, schema: str, ddl: Iterable[str]) -> None:
    """Make a schema anew that everybody may use, and what is in it."""
    for statement in (
        f"DROP SCHEMA IF EXISTS {schema} CASCADE",
        f"CREATE SCHEMA {schema}",
        f"GRANT ALL ON SCHEMA {schema} TO PUBLIC",
        f"SET search_path = {schema}",
        *ddl,
    ):
        await connection.exec_driver_sql(statement)
