"""Text of UUIDs: the compiled form.

It has a source of its own, not uuids.py's, because it writes the 36 characters one by one, where
the Python form leaves that to uuid.UUID, whose own formatting takes ten times as long.
"""

import uuid

from cpython.long cimport PyLong_AsUnsignedLongLong, PyLong_AsUnsignedLongLongMask
from libc.stdint cimport uint64_t

cdef extern from "Python.h":
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    unsigned char *PyUnicode_1BYTE_DATA(object text)

cdef object UUID = uuid.UUID


cdef void _write(unsigned char *at, uint64_t bits, int digits) noexcept:
    """Write the lowest bits in hexadecimal digits."""
    cdef int place
    cdef unsigned char digit
    for place in range(digits - 1, -1, -1):
        digit = <unsigned char>(bits & 0xf)
        at[place] = c'0' + digit if digit < 10 else c'a' + digit - 10
        bits = bits >> 4


def uuid_text(value):
    """Return the canonical lower-case text of a UUID of uuid or asyncpg; None stays None."""
    cdef uint64_t high, low
    if value is None:
        return None
    if type(value) is not UUID:
        return str(value)  # asyncpg's own class is fast at it
    number = value.int
    if type(number) is not int:
        return str(value)
    try:
        high = PyLong_AsUnsignedLongLong(number >> 64)
    except OverflowError:
        return str(value)
    low = PyLong_AsUnsignedLongLongMask(number)
    text = PyUnicode_New(36, 127)
    cdef unsigned char *at = PyUnicode_1BYTE_DATA(text)
    at[8] = at[13] = at[18] = at[23] = c'-'
    _write(at, high >> 32, 8)
    _write(at + 9, high >> 16, 4)
    _write(at + 14, high, 4)
    _write(at + 19, low >> 48, 4)
    _write(at + 24, low, 12)
    return text
