"""The sum of the row counts in the command tags of a stream of messages.

asyncpg discards the tags of an ``executemany()``. pgflight.driver makes a tally for each, through
pgflight._impl, which sees what the server answers.

Layout: the documentation of PostgreSQL, "Message Formats": one byte for the kind of a message, four
for its length without that byte, and what the message says.
"""

from __future__ import annotations

import re
import sys

from pgflight._speedups import _pure as cython

if cython.compiled:  # never at run time; the compiler has to see the import to know the types
    import cython  # type: ignore[no-redef]

# BindComplete and CommandComplete, once and again and again
_PAIR = rb"2\0\0\0\x04C\0\0\0(?:\x0fINSERT 0|\x0dUPDATE|\x0dDELETE|\x0cMERGE) ([0-9])\0"
_ONE = re.compile(_PAIR)
_MANY = re.compile(rb"(?:%b)+" % _PAIR)


@cython.cfunc
@cython.exceptval(check=False)
def _length(text: cython.p_uchar, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return the length in four bytes; less than 4 is not the length of a message."""
    first: cython.Py_ssize_t = text[at]
    if first > 0x7F:
        return 0
    return first << 24 | text[at + 1] << 16 | text[at + 2] << 8 | text[at + 3]


@cython.cfunc
@cython.exceptval(check=False)
def _number(
    text: cython.p_uchar, start: cython.Py_ssize_t, last: cython.Py_ssize_t
) -> cython.longlong:
    """Return the number that the tag between two positions ends with, -1 where there is none."""
    number: cython.longlong = 0
    scale: cython.longlong = 1
    at: cython.Py_ssize_t = last
    while at > start and last - at < 18 and 48 <= text[at] <= 57:  # what fits in; "0" to "9"
        number += (text[at] - 48) * scale
        scale *= 10
        at -= 1
    return number if start <= at < last and text[at] == 32 else -1  # " "


@cython.cclass
class Tally:
    """Adds up the row counts in what the server answers, which may come cut at any byte."""

    _rest: bytes
    _skipped: cython.Py_ssize_t
    _sum: cython.longlong
    _total: cython.longlong

    def __init__(self) -> None:
        self._rest = b""  # the beginning of a message
        self._skipped = 0  # bytes to come of a message that is not looked at
        self._sum = -1
        self._total = -1

    @property
    def total(self) -> int:
        """The sum of what the last ReadyForQuery ended, -1 where no command tag had a number.

        What an earlier one ended was something else: asyncpg asking for types, a first try.
        """
        return self._total

    @cython.annotation_typing(False)
    def take(self, data: bytes) -> None:
        """Look at the bytes that come next, the first ones at the beginning of a message."""
        whole: bytes = bytes(data)
        if self._rest:
            whole = self._rest + whole
            self._rest = b""
        self._walk(whole)

    @cython.cfunc
    def _walk(self, data: bytes) -> None:
        text: cython.p_uchar = data
        size: cython.Py_ssize_t = len(data)
        at: cython.Py_ssize_t = self._skipped
        if at > size:
            self._skipped = at - size
            return
        self._skipped = 0
        while True:
            if not cython.compiled:
                at = self._pairs(data, at)
            if size - at < 5:
                break
            length: cython.Py_ssize_t = _length(text, at + 1)
            if length < 4:
                # not a message: what asyncpg makes of it is what the program is told
                self._skipped = sys.maxsize
                self._sum = self._total = -1
                return
            end: cython.Py_ssize_t = at + 1 + length
            if text[at] == 67 and length <= 100:  # "C", CommandComplete: the longest is shorter
                if end > size:
                    break
                number: cython.longlong = _number(text, at + 5, end - 2)
                if number >= 0:
                    self._sum = number if self._sum < 0 else self._sum + number
            elif text[at] == 90:  # "Z", ReadyForQuery
                self._total = self._sum
                self._sum = -1
            if end > size:
                self._skipped = end - size
                return
            at = end
        if at < size:
            self._rest = data[at:]

    @cython.cfunc
    def _pairs(self, data: bytes, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Add what can be added in one go; return the position of what follows.

        For interpreted code, which takes twenty times as long to look at each message.
        """
        one = _ONE.match(data, at)
        if one is None:
            return at
        pair: bytes = one[0]
        times: int = (len(data) - at) // len(pair)
        if data.startswith(pair * times, at):
            end: int = at + times * len(pair)
            count: int = times * int(one[1])
        else:
            end = (_MANY.match(data, at) or one).end()
            count = sum(n * data.count(b" %d\0" % n, at, end) for n in range(1, 10))
        self._sum = max(self._sum, 0) + count
        return end
