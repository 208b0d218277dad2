"""What a table must be for one statement to change many rows as one statement for each would.

The statement itself asks the server: ``INSERT INTO t (...) SELECT unnest(...) WHERE (proof)``.
Where the proof fails no row is changed, nothing has happened, and the rows are sent one by one.  It
cannot be stale: the statement has locked the table before its snapshot is taken, so that nobody
else can add a trigger, rule, policy, constraint, default or index.  In REPEATABLE READ and
SERIALIZABLE the snapshot may be older than the lock, so there is no proof.

The proof is a list of what is allowed.  Whatever may look at the table's other rows is refused:
triggers except those of foreign keys to other tables, policies, rules, views, partitions, other
storage; constraints, defaults, generated columns and indexes that call anything except PostgreSQL's
own functions that read no table; domains.  Used by the plans of :mod:`pgflight.bulk`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum

from .. import driver
from .statement_proof import found, of_statement, quoted

_NAME = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
NAME = rf"{_NAME}(?:\.{_NAME})*"
"""Pattern of a table's name in SQL, with or without schema."""

_TRIGGERS_ON_INSERT = 4  # bits of pg_trigger.tgtype
_TRIGGERS_ON_DELETE = 8
_TRIGGERS_ON_UPDATE = 16
_UNIQUE_RECHECK = 1250  # oid of the function that checks deferrable unique constraints
_CHECKS_INSERT = 1644  # oids of RI_FKey_check_ins and so on, the same in all versions
_CHECKS_UPDATE = 1645
_RESTRICTS_DELETE = (1648, 1654)
_RESTRICTS_UPDATE = (1649, 1655)


class Change(Enum):
    """A kind of statement: the events of its triggers, and the functions that may be theirs."""

    INSERT = _TRIGGERS_ON_INSERT, (_UNIQUE_RECHECK, _CHECKS_INSERT)
    UPDATE = _TRIGGERS_ON_UPDATE, (_UNIQUE_RECHECK, _CHECKS_UPDATE, *_RESTRICTS_UPDATE)
    DELETE = _TRIGGERS_ON_DELETE, _RESTRICTS_DELETE
    UPSERT = (
        _TRIGGERS_ON_INSERT | _TRIGGERS_ON_UPDATE,
        (_UNIQUE_RECHECK, _CHECKS_INSERT, _CHECKS_UPDATE, *_RESTRICTS_UPDATE),
    )


PROOF = "\0proof\0"
"""Stands for the condition in a plan's text."""
SNAPSHOT = "a transaction of REPEATABLE READ or SERIALIZABLE"

_ALLOWED = """
    nextval now transaction_timestamp clock_timestamp timeofday random gen_random_uuid uuidv4 uuidv7
    timezone age extract date_part date_trunc date date_pl_interval date_mi_interval time timetz
    timestamp timestamptz timestamptz_pl_interval timestamptz_mi_interval interval_pl_timestamptz
    to_char to_date to_number to_timestamp to_tsvector to_json to_jsonb row_to_json array_to_string
    json_build_object jsonb_build_object json_build_array jsonb_build_array concat concat_ws format
    current_setting current_user session_user current_database current_schema inet_client_addr
    pg_backend_pid text
""".split()
"""PostgreSQL's own functions that are not IMMUTABLE and nevertheless give a row the same value in
one statement for all rows as in a statement for each.  Not ``statement_timestamp``."""

_SERIAL = (
    " :funcretset false :funcvariadic false :funcformat {} :funccollid 0 :inputcollid 0 :args ({}"
)
_NEXTVAL = "{FUNCEXPR :funcid 1574 :funcresulttype 20" + _SERIAL.format(0, "{CONST %")
_COMMON = (
    "{CONST %",
    "{SQLVALUEFUNCTION %",
    "{FUNCEXPR :funcid 1299 %",  # now()
    "{FUNCEXPR :funcid 3432 %",  # gen_random_uuid()
    _NEXTVAL,  # of BIGSERIAL, SERIAL, SMALLSERIAL
    "{FUNCEXPR :funcid 480 :funcresulttype 23" + _SERIAL.format(2, _NEXTVAL),
    "{FUNCEXPR :funcid 714 :funcresulttype 21" + _SERIAL.format(2, _NEXTVAL),
)
"""How the server stores the most common defaults: recognized sooner than taken apart."""

_CALLS = r"(COERCETODOMAIN|SUBLINK)|opno ([0-9]{5,})|(?::|elem)funcid ([1-9][0-9]*)"
"""What is found in a stored expression: what is refused, operators, functions."""

_HARMLESS_LIBRARIES = (
    "'$libdir/uuid-ossp', '$libdir/pgcrypto', '$libdir/citext', '$libdir/hstore', '$libdir/ltree',"
    " '$libdir/unaccent', '$libdir/pg_trgm'"
)


def _strange(expression: str) -> str:
    """Return SQL that is true if a stored expression (``pg_node_tree``) is not allowed."""
    return (
        f"EXISTS (SELECT FROM pg_catalog.regexp_matches({expression}::pg_catalog.text,"
        f" '{_CALLS}', 'g') AS m WHERE m[1] IS NOT NULL OR m[2]::pg_catalog.oid"
        f" >= {driver.FIRST_USER_OID}"
        " OR m[3] IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc AS p"
        f" WHERE p.oid = m[3]::pg_catalog.oid AND CASE WHEN p.oid < {driver.FIRST_USER_OID}"
        f" THEN p.provolatile = 'i' OR p.proname = ANY ('{{{','.join(_ALLOWED)}}}')"
        f" ELSE p.prolang = 13 AND p.probin IN ({_HARMLESS_LIBRARIES}) END))"
    )


def _triggers(change: Change) -> str:
    events, functions = change.value
    allowed = ", ".join(map(str, functions))
    return (
        "c.relhastriggers AND "
        + found(
            f"pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgtype & {events} <> 0"
            f" AND t.tgenabled <> 'D' AND (t.tgfoid NOT IN ({allowed})"
            " OR t.tgconstrrelid = c.oid)"
        )
    )  # fmt: skip


_CHECKED = "c.relchecks > 0 AND " + found(
    "pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype = 'c' AND " + _strange("k.conbin")
)
_DEFAULTED = found(
    "pg_attrdef AS d WHERE d.adrelid = c.oid AND d.adbin::pg_catalog.text NOT LIKE ALL (ARRAY["
    + ", ".join(f"'{common}'" for common in _COMMON)
    + f"]) AND {_strange('d.adbin')}"
)
_INDEXED = found(
    "pg_index AS i WHERE i.indrelid = c.oid AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)"
    f" AND ({_strange('i.indexprs')} OR {_strange('i.indpred')})"
)
_OF_DOMAIN = found(
    "pg_depend AS u JOIN pg_catalog.pg_type AS y ON y.oid = u.refobjid WHERE u.classid = 1259"
    " AND u.objid = c.oid AND u.refclassid = 1247 AND y.typtype = 'd'"
)

_OTHERS = "a view, a foreign or a partitioned table, or one with heirs"


_OLD_SNAPSHOT = (
    "pg_catalog.current_setting('transaction_isolation')"
    " NOT IN ('read committed', 'read uncommitted')"
)


def _refusals(change: Change) -> list[tuple[str, str]]:
    """Return what is refused: an SQL condition and the reason in words, cheap ones first."""
    refusals = [
        (_OLD_SNAPSHOT, SNAPSHOT),
        ("c.relkind <> 'r'", _OTHERS),
        ("c.relispartition", "a partition"),
        ("c.relrowsecurity", "a table with row-level security"),
        ("c.relhasrules", "a table with rules"),
        # its library takes over the statements of distributed tables
        (
            "c.relam NOT IN (0, 2)"
            " OR pg_catalog.current_setting('citus.shard_count', true) IS NOT NULL",
            "a table that is not stored by PostgreSQL itself",
        ),
        (_triggers(change), "a table with triggers, or with a foreign key to itself"),
        (_CHECKED, "a CHECK constraint that calls unknown functions"),
        (_DEFAULTED, "a default or generated column that calls unknown functions"),
        (_INDEXED, "an index that calls unknown functions"),
        (_OF_DOMAIN, "a column of a domain"),
    ]
    if change in (Change.UPDATE, Change.DELETE):
        refusals[1] = "c.relkind <> 'r' OR c.relhassubclass", _OTHERS
    return refusals


_DEPENDENTS = (
    "pg_catalog.pg_depend AS u WHERE u.refclassid = 1259 AND u.refobjid = {table}"
    " AND (u.classid IN (1259, 2604, 2606, 2620)"
    " OR u.classid IN (2618, 3256) AND u.deptype <> 'n')"
)
"""Indexes, heirs and partitions, defaults, constraints (also foreign keys of others), triggers; the
table's own rules and policies, but not views, and policies of others, that read it."""
_NEEDED = "pg_catalog.pg_depend AS u WHERE u.classid = 1259 AND u.objid = {table}"
"""Its schema, parents, types, access method, foreign server, where not PostgreSQL's own."""


def _facts(table: str) -> str:
    dependents, needed = _DEPENDENTS.format(table=table), _NEEDED.format(table=table)
    return (
        f"ARRAY(SELECT DISTINCT u.objid FROM {dependents} ORDER BY 1),"
        f" ARRAY(SELECT DISTINCT u.refobjid FROM {needed} ORDER BY 1),"
        # what CREATE OR REPLACE or ENABLE can change without a trace in pg_depend
        f" EXISTS (SELECT FROM {dependents} AND (u.classid IN (2620, 3256)"
        " OR EXISTS (SELECT FROM pg_catalog.pg_depend AS v WHERE v.classid = u.classid"
        " AND v.objid = u.objid AND v.refclassid IN (1255, 2617))))"
    )


_MOST_LISTED = 200


class Proof:
    """The proof for one table, as a condition to add to a statement.

    ``key`` is the table's name and the kind of change, for remembering the server's answer.
    ``may_change_nothing`` tells whether the statement may find no row to change where the proof
    holds, ``repeatable`` whether it may be run again then: an INSERT has used up values of
    sequences even if each row was in conflict.
    """

    __slots__ = (
        *("key", "question", "may_change_nothing", "repeatable"),
        *("_table", "_whole", "_same"),
    )

    def __init__(
        self,
        table: str,
        change: Change,
        *,
        functions: Iterable[str] = (),
        types: Iterable[tuple[str, Sequence[int]]] = (),
        changed: Iterable[str] = (),
        may_change_nothing: bool,
    ) -> None:
        """Write the proof for ``table``, a name in SQL that the statement has as well.

        ``functions`` are the names that the statement calls without a schema, ``types`` names of
        columns, and the type oids that each may have, ``changed`` the columns that no unique index
        may have.
        """
        name = quoted(table)
        self._table = f"'{name}'::pg_catalog.regclass"
        stated = of_statement(self._table, functions, types, changed)
        refusals = [*_refusals(change), *stated]
        source = f"FROM pg_catalog.pg_class AS c WHERE c.oid = {self._table}"
        self._whole = f"(SELECT {_none_of(refusals)} {source})"
        self._same = _none_of([(_OLD_SNAPSHOT, SNAPSHOT), *stated])
        reasons = " ".join(
            f"WHEN {condition} THEN '{quoted(reason)}'" for condition, reason in refusals
        )
        self.question = f"SELECT CASE {reasons} END, {_facts('c.oid')} {source}"
        self.key = table, change.name, self._same
        self.may_change_nothing = may_change_nothing
        self.repeatable = change in (Change.UPDATE, Change.DELETE)

    def condition(self, dependents: list[int], needed: list[int], replaceable: bool) -> str:
        """Return the condition for a table that was found plain, with these facts about it.

        It looks for anything that did not exist then, which is done by reading one catalog: the
        objects that depend on the table, and those that it depends on.  What could become something
        else without another oid is proven anew each time.
        """
        if replaceable or len(dependents) + len(needed) > _MOST_LISTED:
            return self._whole
        # not EXISTS (...), which costs more
        new = " AND ".join(
            f"(SELECT true FROM {what.format(table=self._table)} AND {column} <> ALL"
            f" ('{{{','.join(map(str, known))}}}'::pg_catalog.oid[]) LIMIT 1) IS NULL"
            for what, column, known in (
                (_DEPENDENTS, "u.objid", dependents),
                (_NEEDED, "u.refobjid", needed),
            )
        )
        return f"({self._same} AND {new})"


def _none_of(refusals: list[tuple[str, str]]) -> str:
    return " AND ".join(f"NOT ({condition})" for condition, _ in refusals)


def unquoted(name: str) -> str:
    """Return the name that the server knows for one as it is written in SQL."""
    name = name.strip()
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


TARGET = re.compile(rf"(?:^|\)\s+)INSERT INTO ({NAME}) \((.*)\)$", re.DOTALL)
"""The beginning of an INSERT, up to VALUES: its table, and its columns."""
CHANGED = re.compile(rf"^(?:UPDATE|DELETE FROM) ({NAME}) (?:SET|USING|WHERE) ")
"""The beginning of an UPDATE or DELETE."""
