"""What the text of a statement, and not only its table, needs for many rows at once.

Each is SQL that is true where it is missing, and a reason in words; a part of the proof of
:mod:`pgflight.bulk.table_proof`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_UNIQUE = (
    "pg_index AS i WHERE i.indrelid = {table} AND (i.indisunique OR i.indisexclusion)"
    " AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL OR EXISTS (SELECT FROM"
    " pg_catalog.pg_attribute AS a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)"
    # a generated column may change with them; PostgreSQL before 12 has none
    " AND (a.attname IN ({names}) OR pg_catalog.to_jsonb(a) ->> 'attgenerated' <> '')))"
)
"""A unique or exclusion constraint, or index, that compares a changed column's values of rows."""


def found(what: str) -> str:
    """Return SQL that is true if a catalog has such a row."""
    # not EXISTS (...), for which the planner would read a small catalog as a whole
    return f"(SELECT true FROM pg_catalog.{what} LIMIT 1) IS NOT NULL"


def of_statement(
    table: str,
    functions: Iterable[str],
    types: Iterable[tuple[str, Sequence[int]]],
    changed: Iterable[str],
) -> list[tuple[str, str]]:
    """Return what is refused because of what the statement says."""
    refusals = []
    for name, oids in types:
        what = found(
            f"pg_attribute AS a WHERE a.attrelid = {table} AND a.attname = '{quoted(name)}'"
            f" AND a.atttypid NOT IN ({', '.join(map(str, oids))})"
        )
        refusals.append((what, "a column whose type is not the Table's"))
    names = ", ".join(f"'{quoted(name)}'" for name in sorted(changed))
    if names:
        what = found(_UNIQUE.format(table=table, names=names))
        refusals.append((what, "a unique index that the Table does not have"))
    named = ",".join(sorted(functions))
    if named:
        what = found(
            f"pg_proc AS p WHERE p.proname = ANY ('{{{named}}}') AND p.pronamespace <> 11"
            " AND p.prolang NOT IN (12, 13)"
        )
        refusals.append((what, "functions of the database"))
    return refusals


def quoted(name: str) -> str:
    """Return ``name`` as it is written between quotes in SQL."""
    return name.replace("'", "''")
