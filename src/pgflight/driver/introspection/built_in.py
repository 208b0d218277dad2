"""Types that are the same on every server: what there is to know about each stands here.

Their numbers are those of the server's catalog sources, where they do not change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TypeRow = Mapping[str, Any]
"""What asyncpg registers a type from: a row of its own question, or the same by name."""

ARRAYS = {
    "bool": (16, 1000),
    "bytea": (17, 1001),
    "int8": (20, 1016),
    "int2": (21, 1005),
    "int4": (23, 1007),
    "text": (25, 1009),
    "oid": (26, 1028),
    "json": (114, 199),
    "cidr": (650, 651),
    "float4": (700, 1021),
    "float8": (701, 1022),
    "macaddr8": (774, 775),
    "macaddr": (829, 1040),
    "inet": (869, 1041),
    "bpchar": (1042, 1014),
    "varchar": (1043, 1015),
    "date": (1082, 1182),
    "time": (1083, 1183),
    "timestamp": (1114, 1115),
    "timestamptz": (1184, 1185),
    "interval": (1186, 1187),
    "timetz": (1266, 1270),
    "numeric": (1700, 1231),
    "uuid": (2950, 2951),
    "jsonb": (3802, 3807),
}
"""The numbers of each type and of its array type."""

RANGES = {
    "int4range": (23, 3904, 3905),
    "numrange": (1700, 3906, 3907),
    "tsrange": (1114, 3908, 3909),
    "tstzrange": (1184, 3910, 3911),
    "daterange": (1082, 3912, 3913),
    "int8range": (20, 3926, 3927),
}
"""The numbers of each range's element type, of the range, and of its array type."""

MULTIRANGES = {
    "int4multirange": (23, 4451, 6150),
    "nummultirange": (1700, 4532, 6151),
    "tsmultirange": (1114, 4533, 6152),
    "tstzmultirange": (1184, 4534, 6153),
    "datemultirange": (1082, 4535, 6155),
    "int8multirange": (20, 4536, 6157),
}
"""The same of multiranges, which servers have since PostgreSQL 14."""


def type_row(number: int, schema: str, name: str, kind: bytes, **parts: Any) -> TypeRow:
    """Return a row for asyncpg; ``parts`` are the columns that are not empty.

    It uses names of parts, which are left out, only for parts that it does not know.
    """
    return {
        "oid": number,
        "ns": schema,
        "name": name,
        "kind": kind,
        "basetype": None,
        "basetype_name": None,
        "elemtype": None,
        "elemtype_name": None,
        "elemdelim": None,
        "range_subtype": None,
        "range_subtype_name": None,
        "attrtypoids": None,
        "attrnames": None,
        "depth": 0,
        **parts,
    }


def _array(number: int, name: str, element: int) -> TypeRow:
    return type_row(
        number, "pg_catalog", f"_{name}", b"b",
        elemtype=element, elemtype_name=name, elemdelim=b",",
    )  # fmt: skip


ARRAY_ROWS = [_array(array, name, element) for name, (element, array) in ARRAYS.items()]


def _rows() -> dict[int, TypeRow]:
    rows = list(ARRAY_ROWS)
    for kind, several in ((b"r", RANGES), (b"m", MULTIRANGES)):
        for name, (element, number, array) in several.items():
            rows.append(type_row(number, "pg_catalog", name, kind, range_subtype=element))
            rows.append(_array(array, name, number))
    return {row["oid"]: row for row in rows}


BUILT_IN = _rows()
"""The rows of types that asyncpg does not know by itself, by their numbers."""


def parts_of(row: TypeRow) -> tuple[int, ...]:
    """Return the types that have to be known before a type, in asyncpg's order of precedence."""
    if row["elemtype"]:
        return (row["elemtype"],)
    kind = row["kind"]
    if kind == b"c":
        return tuple(row["attrtypoids"] or ())
    if kind == b"d":
        return (row["basetype"],)
    return (row["range_subtype"],) if kind in (b"r", b"m") else ()
