"""Built-in types that need no question to the server: their arrays and their codecs.

asyncpg looks up each array type that it meets once per connection, in three round trips, though
the numbers are the same on every server.  It forgets the answers when a codec is set.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Sized
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from operator import itemgetter
from typing import Any
from uuid import UUID

import asyncpg
from asyncpg import exceptions as driver_errors

from .capability import OWNERS, can_tell_types
from .contracts import Connection
from .error_texts import shown
from .introspection.built_in import ARRAY_ROWS
from .introspection.type_codecs import set_type_codec
from .watching.replaced import is_own


def register_array_types(connection: Connection) -> bool:
    """Register the arrays of built-in types with asyncpg; return whether that was possible.

    Called before a statement with arrays is prepared whose description cannot be seen before
    asyncpg sees it.  Types already registered stay as they are.  Arrays use the codec of their
    elements, even if the program has set it.
    """
    if not can_tell_types():
        return False
    try:
        connection._protocol.get_settings().register_data_types(ARRAY_ROWS)
    except (AttributeError, KeyError, TypeError):
        return False  # this asyncpg expects another form: it will ask the server
    return True


_WITH_CODEC = {
    "json": 114,
    "jsonb": 3802,
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


async def _set_codec_public(
    connection: Connection, name: str, encoder: object, decoder: object
) -> None:
    await set_type_codec(connection, name, format="binary", encoder=encoder, decoder=decoder)


async def _set_codec_private(
    connection: Connection, name: str, encoder: object, decoder: object
) -> None:
    settings = connection._protocol.get_settings()
    try:
        settings.add_python_codec(
            _WITH_CODEC[name], name, "pg_catalog", [], "scalar", encoder, decoder, "binary"
        )
    except TypeError:  # this asyncpg expects another form
        await _set_codec_public(connection, name, encoder, decoder)
        return
    connection._drop_local_statement_cache()


def _codec_setter(version: str, private: bool) -> SetCodec | None:
    if private:
        return _set_codec_private  # without a look at the type, which each new connection pays for
    return None if _asks_about_types(version) else _set_codec_public


def _asks_about_types(version: str) -> bool:
    """Tell whether this asyncpg looks a type up on the server, in three round trips each time."""
    return tuple(map(int, version.split(".")[:2])) < (0, 31)


set_codec: SetCodec | None = _codec_setter(asyncpg.__version__, can_tell_types())
"""Set the binary codec of one of the types of dates, times and numeric, without a round trip.

``(connection, type name, encoder, decoder)``; None if this asyncpg needs a round trip.
"""


_ASKS = set_codec is _set_codec_private and _asks_about_types(asyncpg.__version__)


async def set_binary_codec(
    connection: Connection,
    name: str,
    encoder: Callable[[Any], bytes],
    decoder: Callable[[bytes], Any],
) -> None:
    """Set the binary codec of one of the server's own types by asyncpg's ``set_type_codec``.

    Where that would ask the server what the type is, which asyncpg 0.30 does for each new
    connection, past it, unless somebody has replaced it.
    """
    if _ASKS and is_own(getattr(connection.set_type_codec, "__func__", None)):
        await _set_codec_private(connection, name, encoder, decoder)
    else:
        await _set_codec_public(connection, name, encoder, decoder)


UUID_CLASSES: frozenset[type] = frozenset(
    {UUID, *filter(None, [getattr(OWNERS["pgproto"], "UUID", None)])}
)
"""The classes of UUIDs: Python's, and asyncpg's own, which it returns."""


_NUMERIC = frozenset({1700, 1231, 3906, 3907, 4532, 6151})
"""numeric, its range and multirange, and the arrays of the three."""
FIRST_USER_OID = 16384
"""Object identifiers from here up are not the server's own (``FirstNormalObjectId``)."""
_MOST_DIGITS = 131072
"""In front of a numeric's point."""
_MOST_BITS = 435411
"""An int of so many bits has fewer digits."""
_NUMBERLESS = frozenset(
    {
        *(type(None), bool, float, bytes, bytearray),
        *(date, datetime, time, timedelta),
        *UUID_CLASSES,
    }
)
"""Classes whose own instances are no numbers that numeric takes, and contain none."""
_CAST = "::NUMERIC"
_TOO_LARGE = "cannot encode Decimal value into numeric: exponent is too large"
NumericPlaces = tuple[tuple[int, bool], ...]


def unchecked_numerics(connection: Connection, types: Iterable[Any]) -> NumericPlaces:
    """Return which values of these types asyncpg's own codec would encode as numeric.

    It sends a number with more than 131,072 digits before its point as another one, which the
    server stores as 0: the field for that number overflows.  Each place comes with whether text
    there is a number, too; in a type of the program's own it may be text.  None where another
    codec is in its place: ours refuses such a number, and so does the server for a codec's text.
    """
    places = tuple(
        (place, each.oid in _NUMERIC)
        for place, each in enumerate(types)
        if each.oid in _NUMERIC or each.oid >= FIRST_USER_OID
    )
    return places if places and has_own_numeric(connection) else ()


def has_own_numeric(connection: Connection) -> bool:
    """Tell whether asyncpg's own codec of numeric is in use."""
    settings = getattr(connection, "get_settings", None)
    find = getattr(settings() if callable(settings) else None, "get_data_codec", None)
    if find is None:
        return False  # another object stands in for asyncpg's connection
    # binary first, which is ours where there is one
    return find(1700, 1) is find(1700, 1, True) and find(1700, 0) is find(1700, 0, True)


def check_numerics(places: NumericPlaces, values: Sequence[Any], element: str = "") -> None:
    """Raise asyncpg's DataError for an argument that its codec would change to another number.

    No other error: what a value's own methods raise here, they raise again in asyncpg, which says
    of which argument.
    """
    for place, texts in places:
        if place < len(values) and _too_large(values[place], texts):
            raise driver_errors.DataError(
                f"invalid input for query argument ${place + 1}{element}: "
                f"{shown(values[place])} ({_TOO_LARGE})"
            ) from numeric_error()


def check_numeric_rows(statement: str, rows: Sequence[Sequence[Any]]) -> None:
    """Raise the error of :func:`check_numerics` for rows of arguments whose types are unknown."""
    try:
        values = list(chain.from_iterable(rows))
    except Exception:  # no sequences: asyncpg says so
        return
    if _surely_fit(values, _CAST in statement):
        return  # most often, and quicker than column by column
    for place in range(_width(rows)):
        try:
            column = list(map(itemgetter(place), rows))
        except Exception:  # no sequences: asyncpg says so
            return
        texts = f"${place + 1}{_CAST}" in statement
        if found := first_too_large(column, texts):
            element = f" in element #{found - 1} of executemany() sequence"
            check_numerics(((place, texts),), rows[found - 1], element)


def _width(rows: Sequence[Sequence[Any]]) -> int:
    try:
        return min(map(len, rows), default=0)
    except Exception:  # the same
        return 0


def first_too_large(column: Sequence[Any], texts: bool) -> int:
    """Return the number, from 1, of the first value that is too large for numeric, else 0."""
    if _surely_fit(column, texts):
        return 0
    return next((n for n, value in enumerate(column, 1) if _too_large(value, texts)), 0)


def _surely_fit(column: Sequence[Any], texts: bool) -> bool:
    kinds = set(map(type, column)) - _NUMBERLESS
    if not texts:
        kinds.discard(str)
    if not kinds <= {int, Decimal}:
        return False
    # zeros are left out: their exponent does not matter
    decimals = [v for v in column if type(v) is Decimal and v] if Decimal in kinds else ()
    if max(map(Decimal.adjusted, decimals), default=0) >= _MOST_DIGITS:
        return False
    whole = [value for value in column if type(value) is int] if int in kinds else ()
    return max(map(int.bit_length, whole), default=0) <= _MOST_BITS


def numeric_error() -> ValueError:
    """Return the reason why asyncpg refuses a number that is larger still."""
    return ValueError(_TOO_LARGE)


def _too_large(value: Any, texts: bool, around: dict[int, Any] | None = None) -> bool:
    """Tell whether a value is, or contains, a number that is too large; ``around``: what was met.

    A container is looked into once, so that one inside itself comes to an end.
    """
    kind = type(value)
    try:
        if kind is Decimal:
            return value.adjusted() >= _MOST_DIGITS and bool(value)
        if kind in _NUMBERLESS:
            return False
        if isinstance(value, Decimal):
            return _too_large(Decimal(value), texts)
        if isinstance(value, int):
            whole = int.__int__(value)  # whatever a subclass says of itself
            return whole.bit_length() > _MOST_BITS and abs(whole) >= 10**_MOST_DIGITS
        if isinstance(value, str):
            return texts and _too_large(Decimal(value), False)
        met = {} if around is None else around
        if id(value) in met:
            return False
        met[id(value)] = value  # which keeps the number its own
        column = _parts(value)
        return not _surely_fit(column, texts) and any(
            _too_large(each, texts, met) for each in column
        )
    except Exception:  # of its own methods, or too deep
        return False


def _parts(value: Any) -> Sequence[Any]:
    if isinstance(value, asyncpg.Range):
        return value.lower, value.upper
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, (bytes, bytearray, memoryview)) or not isinstance(value, Sized):
        return ()
    return list(value) if isinstance(value, Iterable) else ()
