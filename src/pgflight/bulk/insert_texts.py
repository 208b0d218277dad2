"""The text of an INSERT's VALUES: its items, what they call, and what has to be proven for it.

Used by :mod:`pgflight.bulk.insert_plan`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..parameters.array_types import supposed_oid
from ..parameters.contracts import Compiled
from .row_equivalence import PER_ROW, NoPlan, key_types
from .table_proof import TARGET, Change, Proof, unquoted

PARAMETER = re.compile(r"\$(\d+)")
_UNCLEAR = re.compile(r"\\|--|/\*|\$(?!\d)")
_REFUSED = re.compile(r"\b(SELECT|DEFAULT|OVER|WITHIN|FILTER)\b", re.IGNORECASE)
_CALLED = re.compile(r"""(::\s*)?([\w."]+)\s*\(""")
_QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")
_SIGNS = re.compile(r"[-+*/<>=~!@#%^&|`?]+")
_KNOWN_SIGNS = frozenset({*"+-*/%<>=", "<=", ">=", "<>", "!=", "||", "->", "->>"})
_CASTS = re.compile(r"""(?:::\s*|\bAS\s+)([\w".]+)""", re.IGNORECASE)
_KNOWN_CASTS = frozenset(
    """
    BIGINT BOOLEAN BYTEA CHAR DATE DECIMAL DOUBLE FLOAT INT INTEGER INTERVAL JSON JSONB NUMERIC REAL
    SMALLINT TEXT TIME TIMESTAMP UUID VARCHAR
    """.split()
)


_UPDATED = " DO UPDATE SET "


def items_of(text: str) -> tuple[list[str], str]:
    """Split a list at its commas, up to the parenthesis that closes it; return the rest, too."""
    items: list[str] = []
    depth = start = 0
    quote = ""
    for at, character in enumerate(text):
        if quote:
            if character == "$":  # as good as a parameter, to what comes later
                break
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([":
            depth += 1
        elif character == "," and not depth:
            items.append(text[start:at].strip())
            start = at + 1
        elif character in ")]":
            depth -= 1
            if depth < 0:
                items.append(text[start:at].strip())
                if not _UNCLEAR.search(text, 0, at):
                    return items, text[at + 1 :]
                break
    raise NoPlan("VALUES that cannot be taken apart")


def check_expression(item: str) -> None:
    """Raise unless an expression has one value for each row, independent of other rows."""
    refused = _REFUSED.search(item)
    if refused is not None:
        raise NoPlan(f"{refused[1].upper()} in VALUES")
    for cast, name in _CALLED.findall(item):
        if not cast and name.lower() not in PER_ROW:
            raise NoPlan(f"function {name} in VALUES")


def proof_of(
    head: str, items: list[str], tail: str, compiled: Compiled, keys: Sequence[int] | None
) -> Proof:
    """Return what has to be proven for an INSERT without RETURNING; raise NoPlan.

    ``head`` is its text in front of VALUES, ``items`` are the values, ``tail`` is what follows.
    ``keys`` are the places of the parameters that must be different for DO UPDATE, if it has that.
    """
    target = TARGET.search(head)
    if target is None or "\\" in head:
        raise NoPlan("an INSERT that begins in another way")
    columns, behind = items_of(target[2] + ")")
    if behind or len(columns) != len(items):
        raise NoPlan("an INSERT that begins in another way")
    types: list[tuple[str, Sequence[int]]] = []
    functions = called_in(tail.partition(_UPDATED)[2], "SET") if keys else set()
    for column, item in zip(columns, items, strict=True):
        oid = supposed_type(item, compiled)
        if oid is not None:
            types.append((unquoted(column), (oid,)))
        match = PARAMETER.match(item)
        if keys and match is not None and (place := int(match[1]) - 1) in keys:
            kind = compiled.binds[compiled.positiontup[place]].type
            types.append((unquoted(column), key_types(kind, compiled.dialect)))
        functions.update(called_in(item))
    return Proof(
        target[1],
        Change.INSERT if keys is None else Change.UPSERT,
        functions=functions,
        types=types,
        may_change_nothing=bool(tail.strip()),
    )


def supposed_type(item: str, compiled: Compiled) -> int | None:
    """Return the oid that a column's type is supposed to be, if SQLAlchemy writes no cast."""
    match = PARAMETER.fullmatch(item)
    if match is None:
        return None
    kind = compiled.binds[compiled.positiontup[int(match[1]) - 1]].type
    return supposed_oid(kind, compiled.dialect)


def called_in(item: str, place: str = "VALUES") -> set[str]:
    """Return the functions that an expression calls; raise NoPlan for other things of a program.

    ``place`` is what to call the part of the statement that it is in.
    """
    if PARAMETER.match(item) and "(" not in item and not _SIGNS.search(item):
        return set()  # a parameter, with or without a cast that SQLAlchemy has written
    bare = _QUOTED.sub("''", item)
    for sign in _SIGNS.findall(bare):
        if sign not in _KNOWN_SIGNS:
            raise NoPlan(f"operator {sign} in {place}")
    for name in _CASTS.findall(bare):
        if name.upper() not in _KNOWN_CASTS:
            raise NoPlan(f"a cast to a type of the database in {place}")
    return {name.lower() for cast, name in _CALLED.findall(bare) if not cast}
