"""Built-in types that need no question to the server: their arrays and their codecs.

asyncpg looks up each array type that it meets once per connection, in three round trips, though
the numbers are the same on every server.  It forgets the answers when a codec is set.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg

from .capability import OWNERS, can_tell_types
from .contracts import Connection

_ARRAYS = {
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
"""The numbers of each type and of its array type, as in the server's catalog sources."""

_RECORDS = [
    {
        "oid": array,
        "ns": "pg_catalog",
        "name": f"_{name}",
        "kind": b"b",
        "basetype": None,
        "basetype_name": None,
        "elemtype": element,
        "elemtype_name": name,
        "elemdelim": b",",
        "range_subtype": None,
        "range_subtype_name": None,
        "attrtypoids": None,
        "attrnames": None,
        "depth": 0,
    }
    for name, (element, array) in _ARRAYS.items()
]


def register_array_types(connection: Connection) -> bool:
    """Register the arrays of built-in types with asyncpg; return whether that was possible.

    Called before a statement with arrays is prepared.  Types already registered stay as they are.
    Arrays use the codec of their elements, even if the program has set it.
    """
    if not can_tell_types():
        return False
    try:
        connection._protocol.get_settings().register_data_types(_RECORDS)
    except (AttributeError, KeyError, TypeError):
        return False  # this asyncpg expects another form: it will ask the server
    return True


_WITH_CODEC = {
    "date": 1082,
    "time": 1083,
    "timestamp": 1114,
    "timestamptz": 1184,
    "interval": 1186,
    "timetz": 1266,
    "numeric": 1700,
}
SetCodec = Callable[
    [Connection, str, Callable[[Any], bytes], Callable[[bytes], Any]], Awaitable[None]
]


async def _set_codec_public(connection: Connection, name: str, encoder: Any, decoder: Any) -> None:
    await connection.set_type_codec(
        name, schema="pg_catalog", format="binary", encoder=encoder, decoder=decoder
    )


async def _set_codec_private(connection: Connection, name: str, encoder: Any, decoder: Any) -> None:
    settings = connection._protocol.get_settings()
    settings.add_python_codec(
        _WITH_CODEC[name], name, "pg_catalog", [], "scalar", encoder, decoder, "binary"
    )
    connection._drop_local_statement_cache()


def _codec_setter(version: str, private: bool) -> SetCodec | None:
    # asyncpg 0.30 looks the type up on the server, in three round trips each time.
    if tuple(map(int, version.split(".")[:2])) >= (0, 31):
        return _set_codec_public
    return _set_codec_private if private else None


set_codec: SetCodec | None = _codec_setter(asyncpg.__version__, can_tell_types())
"""Set the binary codec of one of the types of dates, times and numeric, without a round trip.

``(connection, type name, encoder, decoder)``; None if this asyncpg needs a round trip.
"""


UUID_CLASSES: frozenset[type] = frozenset(
    {UUID, *filter(None, [getattr(OWNERS["pgproto"], "UUID", None)])}
)
"""The classes of UUIDs: Python's, and asyncpg's own, which it returns."""
