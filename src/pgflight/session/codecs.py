"""The codecs of one connection: of values, set as it opens; of JSON and inet, by the dialect."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import _impl, driver

_BYTES_MODULES = frozenset({"orjson", "msgspec", "pydantic_core"})
"""Packages whose JSON decoders accept ``bytes`` as well as ``str``."""


def takes_bytes(deserializer: Callable[[Any], Any]) -> bool:
    """Tell whether a JSON deserializer is known to accept UTF-8 bytes, which saves a decode."""
    while isinstance(deserializer, functools.partial):
        deserializer = deserializer.func
    owner = getattr(deserializer, "__self__", None)
    modules = {
        getattr(deserializer, "__module__", None),
        getattr(owner, "__name__", None),
        type(owner).__module__ if owner is not None else None,
    }
    return any(
        isinstance(module, str) and module.split(".", 1)[0] in _BYTES_MODULES for module in modules
    )


async def set_json_codec(
    connection: driver.Connection, deserializer: Callable[[Any], Any] | None, *, jsonb: bool
) -> None:
    """Decode json (or jsonb) with ``deserializer``, as ``json.loads`` does when it is None.

    jsonb's binary form starts with a version byte, 1 (``jsonb_recv`` in the server's source).
    Parameters arrive serialized, as ``str`` or as ``bytes``.
    """
    await driver.set_binary_codec(
        connection,
        "jsonb" if jsonb else "json",
        _impl.jsonencode.json_encoder(b"\x01" if jsonb else b""),
        _impl.jsondecode.json_decoder(
            deserializer,
            takes_bytes=deserializer is not None and takes_bytes(deserializer),
            prefix=1 if jsonb else 0,
        ),
    )


_VALUE_CODECS = tuple(
    (name, *codec)
    for piece in (_impl.temporal, _impl.numeric)
    for name, codec in piece.CODECS.items()
    if name in piece.FASTER or name in piece.SAFER
)


async def set_value_codecs(connection: driver.Connection) -> None:
    """Use our own codecs of dates, times and numbers where they are faster or safer than asyncpg's.

    They give the same values, bytes and errors, except where asyncpg's make another value of one.
    A codec that a program sets later, with asyncpg's
    `set_type_codec`, replaces ours; `reset_type_codec` restores asyncpg's own. Do not call this for
    a connection that a program's creator made: ours would replace any codecs that it has set, and
    asyncpg does not say which. Nothing is set where that would cost round trips.
    """
    if driver.set_codec is not None:
        for name, encoder, decoder in _VALUE_CODECS:
            await driver.set_codec(connection, name, encoder, decoder)


def _as_text(value: str) -> str:
    return value


async def set_plain_inet_codecs(connection: driver.Connection) -> None:
    """Exchange inet and cidr values as text instead of :mod:`ipaddress` objects."""
    for name in ("inet", "cidr"):
        await driver.set_type_codec(
            connection, name, format="text", encoder=_as_text, decoder=_as_text
        )
