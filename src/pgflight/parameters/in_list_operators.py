"""Whether ``= ANY`` with an array compares as IN does, whatever type the column has on the server.

Only the Table's type is known here.  PostgreSQL converts the elements of IN to the type that they
have in common with the left side, and then compares; for ``= ANY`` it looks for an operator between
the two types as they are.  The two were compared for every pair of a type that SQLAlchemy casts to
and a built-in type of the left side (``tests/parity/test_in_operators.py`` does it again).  They
differ, in a way that can change the rows, for:

- integers and numeric, left of which is a ``real``: IN rounds the elements to real, ``= ANY``
  compares as double precision;
- varchar and text, left of which is a ``name``: IN cuts them off after 63 bytes;
- text, left of which is a ``char(n)``: IN ignores blanks at the end of an element;
- char(n), left of which is a varchar: IN minds blanks at the end of the column's value.

Some lists hold nothing that could be compared differently; the others stay lists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import Any

from sqlalchemy.dialects.postgresql.base import ENUM
from sqlalchemy.types import TypeEngine

from .. import _impl

Proof = Callable[[Sequence[Any]], bool]
"""Tells of a list's elements, as the driver gets them, whether an array of them is the same."""

MOST_PARAMETERS = 32767
"""In one message.  For a longer list the choice is between an array and an error."""

_within, _longest = _impl.params.within, _impl.params.longest

_EXACT = 2**24
"""Every integer up to here is a ``real`` as well."""
_NAME_BYTES = 63
_SURELY_SHORT = 15
"""Characters, of which UTF-8 makes no more bytes than a ``name`` has."""

_ALWAYS = frozenset(
    {
        "SMALLINT", "REAL", "FLOAT", "DOUBLE PRECISION", "BOOLEAN", "DATE", "BYTEA", "UUID",
        "JSON", "JSONB", "OID", "REGCLASS", "INT4RANGE", "INT8RANGE", "NUMRANGE", "DATERANGE",
        "TSRANGE", "TSTZRANGE",
    }
)  # fmt: skip
_ALWAYS_BEGINNING = ("TIME", "TIMESTAMP", "INTERVAL")


def always(values: Sequence[Any]) -> bool:
    """Return True."""
    return True


def never(values: Sequence[Any]) -> bool:
    """Return False."""
    return False


def are_exact(values: Sequence[Any]) -> bool:
    """Tell whether integers are the same as ``real``."""
    try:
        return _within(values, _EXACT)
    except TypeError:
        pass
    numbers = []
    for value in values:
        try:
            numbers.append(index(value))
        except TypeError:
            pass  # None, or what the driver will refuse
    return not numbers or are_exact(numbers)


def fit_a_name(values: Sequence[Any]) -> bool:
    """Tell whether texts are the same as ``name``."""
    try:
        longest = _longest(values)
        if longest <= _SURELY_SHORT or (longest <= _NAME_BYTES and "".join(values).isascii()):
            return True
    except TypeError:  # None, or what the driver will refuse
        values = [value for value in values if isinstance(value, str)]
    return all(
        len(value) <= _SURELY_SHORT or len(value.encode("utf-8", "replace")) <= _NAME_BYTES
        for value in values
    )


def fit_a_name_and_a_char(values: Sequence[Any]) -> bool:
    """Tell whether texts are the same as ``name`` and as ``char(n)``."""
    return fit_a_name(values) and not any(value[-1:] == " " for value in values if value)


_SOMETIMES: dict[str, Proof] = {
    "INTEGER": are_exact,
    "BIGINT": are_exact,
    "VARCHAR": fit_a_name,
    "TEXT": fit_a_name_and_a_char,
}


def type_name(text: str) -> str:
    """Return a type's text without its length or precision, which no operator depends on."""
    return text.partition("(")[0].rstrip()


def proof(impl: TypeEngine[Any], element: str, left: set[str | None]) -> Proof:
    """Return what proves that a list may be an array of ``element``, the text of a type.

    ``impl`` is the type of the list's parameter, ``left`` the types that the statement itself casts
    the left sides to, None for a left side without a cast.
    """
    name = type_name(element)
    if isinstance(impl, ENUM) or name in _ALWAYS or name.startswith(_ALWAYS_BEGINNING):
        return always
    if left == {name}:
        return always
    return _SOMETIMES.get(name, never)
