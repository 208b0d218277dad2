"""Codec of numeric: the Python form.

pgflight.session.codecs registers it if `FASTER` names it, through pgflight._impl. The encoder
takes what asyncpg's own takes and returns the same bytes, except that it refuses what has more
than 131,072 digits before its point: the wire form counts them in a signed number of 16 bits, and
asyncpg's lets that overflow, so that the server stores 0. The decoder returns a Decimal of the
same digits and exponent; both raise the same errors. Bytes that are not a numeric are a TypeError
or ValueError. The compiled form is numeric_c.pyx.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

_HEAD = struct.Struct("!HhHH")
_NEGATIVE, _NAN, _INFINITY, _NEGATIVE_INFINITY = 0x4000, 0xC000, 0xD000, 0xF000
_SPECIAL = {
    _NAN: Decimal("NaN"),
    _INFINITY: Decimal("Infinity"),
    _NEGATIVE_INFINITY: Decimal("-Infinity"),
}
_MAX_SCALE = 0x3FFF
_MAX_16 = 0xFFFF
_MAX_WEIGHT = 0x7FFF


def _decode_numeric(data: bytes) -> Decimal:
    """Return the Decimal in the server's bytes, with its scale."""
    if type(data) is not bytes:
        raise TypeError(f"a decoder takes bytes, not {type(data).__name__}")
    if len(data) < _HEAD.size or len(data) != _HEAD.size + 2 * int.from_bytes(data[:2], "big"):
        raise ValueError(f"a numeric cannot be {len(data)} bytes like these")
    count, weight, sign, scale = _HEAD.unpack_from(data)
    if sign in _SPECIAL:
        return _SPECIAL[sign]
    if not count:
        return Decimal(f"0E-{scale}")
    # Without a scale, the zeros that the server leaves out at the end stay out: 1E+4.
    exponent = -scale if scale else 4 * (weight + 1 - count)
    length = 4 * (weight + 1) - exponent
    if length < 1:
        raise ValueError("a numeric has digits beyond its scale only")
    groups = struct.unpack_from(f"!{count}H", data, _HEAD.size)
    digits = "".join([f"{group:04}" for group in groups])[:length].ljust(length, "0")
    return Decimal(f"{'-' if sign == _NEGATIVE else ''}{digits}E{exponent}")


def _encode_numeric(value: Any) -> bytes:
    """Return the bytes of a Decimal or of what Decimal() takes; its errors, ValueError."""
    parts = (value if isinstance(value, Decimal) else Decimal(value)).as_tuple()
    exponent = parts.exponent
    if isinstance(exponent, str):
        infinite = _NEGATIVE_INFINITY if parts.sign else _INFINITY
        return _HEAD.pack(0, 0, infinite if exponent == "F" else _NAN, 0)
    if -exponent > _MAX_SCALE:
        raise ValueError("cannot encode Decimal value into numeric: exponent is too small")
    # The weight of the first group is that of the first digit in steps of four, rounded down.
    highest = len(parts.digits) + exponent - 1
    weight = highest // 4
    if weight > _MAX_16:
        raise ValueError("cannot encode Decimal value into numeric: exponent is too large")
    digits = "0" * (3 - highest % 4) + "".join(map(str, parts.digits))
    count = -(-len(digits) // 4)
    if count > _MAX_16:
        raise ValueError("cannot encode Decimal value into numeric: number of digits is too large")
    if weight > _MAX_WEIGHT and any(parts.digits):
        raise ValueError("cannot encode Decimal value into numeric: exponent is too large")
    digits = digits.ljust(4 * count, "0")
    groups = [int(digits[at : at + 4]) for at in range(0, 4 * count, 4)]
    if weight > _MAX_16 >> 1:
        weight -= _MAX_16 + 1
    sign = _NEGATIVE if parts.sign else 0
    return _HEAD.pack(count, weight, sign, max(-exponent, 0)) + struct.pack(f"!{count}H", *groups)


CODECS: dict[str, tuple[Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    "numeric": (_encode_numeric, _decode_numeric)
}
"""Type in pg_catalog -> encoder, decoder."""
FASTER: tuple[str, ...] = ()
"""The types for which this form is faster than asyncpg's own codec: none, interpreted."""
SAFER: tuple[str, ...] = ()
"""The types of which asyncpg's own codec reads some as another value."""
