"""Setting a codec without asking the server about the type."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from .capability import is_private

_OIDS = {
    "date": 1082,
    "time": 1083,
    "timestamp": 1114,
    "timestamptz": 1184,
    "interval": 1186,
    "timetz": 1266,
    "numeric": 1700,
}
SetCodec = Callable[[Any, str, Callable[[Any], bytes], Callable[[bytes], Any]], Awaitable[None]]


async def _set_codec_public(connection: Any, name: str, encoder: Any, decoder: Any) -> None:
    await connection.set_type_codec(
        name, schema="pg_catalog", format="binary", encoder=encoder, decoder=decoder
    )


async def _set_codec_private(connection: Any, name: str, encoder: Any, decoder: Any) -> None:
    settings = connection._protocol.get_settings()
    settings.add_python_codec(
        _OIDS[name], name, "pg_catalog", [], "scalar", encoder, decoder, "binary"
    )
    connection._drop_local_statement_cache()


def _codec_setter(version: str, private: bool) -> SetCodec | None:
    # asyncpg 0.30 asks the server about the type, three round trips each time.
    if tuple(map(int, version.split(".")[:2])) >= (0, 31):
        return _set_codec_public
    return _set_codec_private if private else None


set_codec: SetCodec | None = _codec_setter(asyncpg.__version__, is_private())
"""Set the binary codec of one of the types of dates, times and numeric, without a round trip.

``(connection, type name, encoder, decoder)``; None where this asyncpg cannot without one.
"""
