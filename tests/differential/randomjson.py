"""Random JSON from a seed, much cheaper than hypothesis: text with all its liberties, and values.

Texts are valid documents; `damaged` makes most of them invalid. Values are what json.dumps takes
and some that it refuses.
"""

from __future__ import annotations

import enum
import random
from typing import Any

_PLAIN = ["a", "name", "somebody", "x" * 7, "y" * 8, "z" * 33, "0f8fad5b-d9cb", " ", "", "k1", "k2"]
_RAW = [
    "é",
    "ÿ",
    "жук",
    "ключ",
    "日本",
    "😀",
    "\U0010ffff\U00010001",
    "\u2028",
    "\x7f",
    "\ufeff",
    "/",
]
_ESCAPED = [
    "\\n", "\\t", "\\r", "\\b", "\\f", '\\"', "\\\\", "\\/", "\\u0041", "\\u00e9", "\\u0436",
    "\\ud800\\udc00", "\\uDBFF\\uDFFF", "\\ud7ff", "\\ue000", "\\ud83d\\ue000",
    "\\ud83d\\ude00", "\\uD83D", "\\uDE00", "\\ud83d\\u0041", "\\u0000", "\\uFFFF", "\\ud83d\\n",
]  # fmt: skip
_NUMBERS = [
    "0", "-0", "1", "-1", "12345678901234567", "999999999999999999", "1000000000000000000",
    "9223372036854775808", "-9223372036854775809", "123456789012345678901234567890", "0.0", "-0.0",
    "0.1", "1.5", "-2.25", "1e5", "1E+5", "1e-5", "1e22", "1e23", "1e400", "-1e400", "1e-400",
    "9007199254740993.0", "9007199254740992e1", "0.30000000000000004", "179.76931348623157e306",
    "4.9e-324", "2.2250738585072011e-308", "1.7976931348623159e308", "123456789.123456789e-30",
    "NaN", "Infinity", "-Infinity",
]  # fmt: skip
_BLANKS = ["", "", "", "", " ", " ", "\n", "\t \r\n"]


def number(source: random.Random) -> str:
    """Return a number of a random form."""
    kind = source.random()
    if kind < 0.3:
        return source.choice(_NUMBERS)
    if kind < 0.5:
        return str(
            source.randrange(-(10 ** source.randrange(1, 25)), 10 ** source.randrange(1, 25))
        )
    if kind < 0.8:
        return repr(source.uniform(-1000, 1000))
    digits = str(source.randrange(10 ** source.randrange(1, 22)))
    point = source.randrange(len(digits))
    mantissa = f"{digits[: point + 1].lstrip('0') or '0'}.{digits[point:]}"
    return f"{mantissa}e{source.randrange(-330, 330)}" if kind < 0.9 else mantissa


def string(source: random.Random) -> str:
    """Return a string with its quotes."""
    kind = source.random()
    if kind < 0.6:
        return f'"{source.choice(_PLAIN)}"'
    pieces = _PLAIN + _RAW if kind < 0.8 else _PLAIN + _RAW + _ESCAPED
    return f'"{"".join(source.choices(pieces, k=source.randrange(1, 6)))}"'


def document(source: random.Random, depth: int = 0) -> str:
    """Return a document with blanks in all places where they may stand."""
    kind = source.random()
    if kind < 0.5 and depth < 5:
        count = source.choice((0, 1, 2, 3, 3, 20)) if depth < 2 else source.randrange(3)
        blank = source.choice(_BLANKS)
        inner = [document(source, depth + 1) for _ in range(count)]
        if kind < 0.2:
            return f"[{blank}{f'{blank},{blank}'.join(inner)}{blank}]"
        between = source.choice((":", ": ", " :\n"))
        members = [f"{string(source)}{between}{value}" for value in inner]
        return f"{{{blank}{f'{blank}, '.join(members)}{blank}}}"
    if kind < 0.7:
        return string(source)
    if kind < 0.9:
        return number(source)
    return source.choice(("true", "false", "null"))


def damaged(source: random.Random, data: bytes) -> bytes:
    """Return `data` with one to three bytes changed, removed, inserted or swapped."""
    changed = bytearray(data)
    for _ in range(source.randrange(1, 4)):
        at = source.randrange(len(changed) + 1)
        kind = source.randrange(5)
        if kind == 0:
            changed[at:at] = source.choice(
                (b"\\", b'"', b",", b"[", b"}", b"-", b"0", b"\xff", b"\0")
            )
        elif kind == 1:
            del changed[at : at + source.randrange(1, 4)]
        elif kind == 2:
            changed[at:at] = bytes([source.randrange(256)])
        elif kind == 3:
            del changed[at:]
        elif at < len(changed):
            changed[at] ^= 1 << source.randrange(8)
    return bytes(changed)


class Text(str):
    """A str to json.dumps."""

    __slots__ = ()


class Whole(int):
    """An int to json.dumps, whatever it says."""

    def __repr__(self) -> str:
        return "whole"


class Real(float):
    """A float to json.dumps, whatever it says."""

    def __repr__(self) -> str:
        return "real"


class Kind(enum.IntEnum):
    """An int, too."""

    ONE = 1


class Record(dict[Any, Any]):
    """A dict, too."""


_ODD = [
    Text("odd"), Whole(5), Real(2.5), Kind.ONE, Record(a=1), b"bytes", {1}, 1j, object, range(2),
    10**5000, float("nan"), float("inf"), -float("inf"),
]  # fmt: skip
_ODD_KEYS: list[Any] = [1, -(2**70), True, False, None, 1.5, float("nan"), Text("key"), Kind.ONE]
_CHARACTERS = 'abc"\\/\n\t\x00\x1f\x7f\x80éÿжя日\ud800\udfff\uffff😀\U0010ffff'


def text(source: random.Random) -> str:
    """Return the text of a string value."""
    if source.random() < 0.6:
        return source.choice(_PLAIN)
    return "".join(source.choices(_PLAIN + _RAW + list(_CHARACTERS), k=source.randrange(1, 12)))


def real(source: random.Random) -> float:
    """Return a float: of few digits, of many, or a whole number."""
    kind = source.random()
    if kind < 0.5:
        return source.randrange(-(10**9), 10**9) / int(f"1{'0' * source.randrange(12)}")
    if kind < 0.8:
        return source.uniform(-1, 1) * float(f"1e{source.randrange(-20, 25)}")
    return float(source.randrange(-(10 ** source.randrange(1, 18)), 10 ** source.randrange(1, 18)))


def value(source: random.Random, depth: int = 0) -> Any:
    """Return a value; one leaf or key in fifty is odd."""
    kind = source.random()
    if kind < 0.5 and depth < 5:
        count = source.choice((0, 1, 2, 3, 3, 20)) if depth < 2 else source.randrange(3)
        inner = [value(source, depth + 1) for _ in range(count)]
        if kind < 0.15:
            return inner
        if kind < 0.2:
            return tuple(inner)
        odd = source.random() < 0.05
        return {source.choice(_ODD_KEYS) if odd else text(source): each for each in inner}
    if source.random() < 0.02:
        return source.choice(_ODD)
    if kind < 0.7:
        return text(source)
    if kind < 0.8:
        return source.randrange(-(10 ** source.randrange(1, 25)), 10 ** source.randrange(1, 25))
    if kind < 0.9:
        return real(source)
    return source.choice((True, False, None))
