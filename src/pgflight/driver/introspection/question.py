"""The question what some types are, and its answer.

It has one row for each type that exists, all columns in binary.  asyncpg's own question finds the
types that those consist of, too, for which it needs a recursion that takes far longer to plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from struct import Struct, unpack_from

from ..sender import message
from .built_in import TypeRow, type_row

_count = Struct("!H").unpack_from
_oid = Struct("!I").unpack_from
_MULTIRANGES_SINCE = (14, 0)
_BINARY = bytes(2) + bytes(4) + b"\0\1\0\1"
"""Bind of the unnamed portal and statement, without parameters; all results in binary."""

_ATTRIBUTES = """\
CASE t.typtype WHEN 'c' THEN ARRAY(SELECT a.{0} FROM pg_catalog.pg_attribute a\
 WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) END"""
_RANGE = """\
CASE t.typtype WHEN '{0}' THEN (SELECT r.rngsubtype FROM pg_catalog.pg_range r\
 WHERE r.{1} = t.oid) ELSE {2} END"""
_TEXT = """\
SELECT t.oid, n.nspname, t.typname, t.typtype, t.typbasetype, t.typelem, e.typdelim,\
 {0}, {1}, {2}\
 FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace\
 LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typlen = -1\
 WHERE t.oid = ANY ('{{{3}}}'::pg_catalog.oid[])"""

ALL_KINDS = frozenset((b"c", b"r", b"m"))
"""Kinds of types that the question has parts for, which take half of the time to plan it."""


def question_text(types: Iterable[int], version: tuple[int, ...], kinds: Set[bytes]) -> str:
    """Return the question about ``types`` for a server of that version.

    ``kinds`` are those that may be among them.  A type of another kind is described in part, and
    asyncpg does not accept that.
    """
    element, attributes = "NULL::pg_catalog.oid", ("NULL", "NULL")
    if b"r" in kinds:
        element = _RANGE.format("r", "rngtypid", element)
    if b"m" in kinds and version[:2] >= _MULTIRANGES_SINCE:
        element = _RANGE.format("m", "rngmultitypid", element)
    if b"c" in kinds:
        names = "attname::pg_catalog.text"
        attributes = _ATTRIBUTES.format("atttypid"), _ATTRIBUTES.format(names)
    return _TEXT.format(element, *attributes, ",".join(map(str, types)))


def question_messages(types: Iterable[int], version: tuple[int, ...], kinds: Set[bytes]) -> bytes:
    """Return unnamed Parse, Bind and Execute of the question."""
    text = question_text(types, version, kinds).encode()
    return (
        message(b"P", b"\0" + text + b"\0\0\0") + message(b"B", _BINARY) + message(b"E", bytes(5))
    )


def read_type(row: bytes, decode: Callable[[bytes], str]) -> TypeRow:
    """Return the row for asyncpg that a DataRow of the answer tells.

    ``decode`` decodes names.  Raises ValueError for a row of another form.
    """
    number, schema, name, kind, base, element, delimiter, bound, types, names = values_of(row)
    if number is None or schema is None or name is None or kind is None:
        raise ValueError("a type without a name")
    return type_row(
        _number(number), decode(schema), decode(name), kind,
        basetype=_number(base),
        elemtype=_number(element),
        elemdelim=delimiter,
        range_subtype=_number(bound),
        attrtypoids=None if types is None else [_number(each) for each in _elements(types)],
        attrnames=None if names is None else [decode(each) for each in _elements(names)],
    )  # fmt: skip


def values_of(row: bytes) -> Iterator[bytes | None]:
    """Yield the values of a DataRow, None for NULL."""
    at = 7
    for _ in range(int.from_bytes(row[5:7], "big")):
        size = int.from_bytes(row[at : at + 4], "big", signed=True)
        at += 4
        yield None if size < 0 else row[at : at + size]
        at += max(size, 0)


def _number(value: bytes | None) -> int:
    """Return an ``oid``, 0 for NULL."""
    if value is not None and len(value) != 4:
        raise ValueError("no oid")
    return int.from_bytes(value or b"", "big")


def _elements(array: bytes) -> Iterator[bytes]:
    """Yield the elements of a one-dimensional array, none of which is NULL."""
    at = 20
    for _ in range(int.from_bytes(array[12:16], "big")):
        size = int.from_bytes(array[at : at + 4], "big")
        at += 4
        yield array[at : at + size]
        at += size


def types_of_parameters(description: bytes) -> tuple[int, ...]:
    """Return the types of a ParameterDescription."""
    return unpack_from(f"!{(len(description) - 7) // 4}I", description, 7)


def types_of_columns(description: bytes) -> list[int]:
    """Return the types of a RowDescription's columns."""
    types = []
    at = 7
    for _ in range(_count(description, 5)[0]):
        at = description.index(0, at) + 7  # behind the name: table and number of the column
        types.append(_oid(description, at)[0])
        at += 12
    return types
