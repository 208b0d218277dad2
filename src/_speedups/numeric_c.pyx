"""Codec of numeric: the compiled form.

It has a source of its own, not numeric.py's, because it turns digits of base 10,000 into text and
back, character by character.

A decimal context of its own makes a Decimal from text: exact whatever the program's context is, and
faster than the other ways (tried: Decimal(text), Decimal(int) and scaleb).
"""

import decimal

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.string cimport memmove

cdef extern from "Python.h":
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    unsigned char *PyUnicode_1BYTE_DATA(object text)
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef object Decimal = decimal.Decimal
# Wide enough for every numeric, so that it never rounds; quicker than a call of the class.
cdef object exactly = decimal.Context(
    prec=decimal.MAX_PREC, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, clamp=0, traps=[]
).create_decimal
cdef object nan = Decimal("NaN")
cdef object infinity = Decimal("Infinity")
cdef object negative_infinity = Decimal("-Infinity")

cdef int64_t MAX_SCALE = 0x3fff
cdef int64_t MAX_16 = 0xffff
# Of the first group of digits, in a signed number of 16 bits; zero alone may have a greater one.
cdef int64_t MAX_WEIGHT = 0x7fff
cdef Py_ssize_t HEAD = 8
# Digits that an encoder keeps on the stack.
cdef enum:
    SMALL = 96


cdef inline int64_t _read_16(const unsigned char *at) noexcept:
    return <int64_t>at[0] << 8 | <int64_t>at[1]


cdef inline void _write_16(unsigned char *at, int64_t value) noexcept:
    at[0] = <unsigned char>(value >> 8 & 0xff)
    at[1] = <unsigned char>(value & 0xff)


cdef inline void _write_digits(unsigned char *at, int64_t value) noexcept:
    """Write a digit of base 10,000 as four characters."""
    at[0] = <unsigned char>(c'0' + value // 1000 % 10)
    at[1] = <unsigned char>(c'0' + value // 100 % 10)
    at[2] = <unsigned char>(c'0' + value // 10 % 10)
    at[3] = <unsigned char>(c'0' + value % 10)


cdef Py_ssize_t _write_exponent(unsigned char *at, int64_t exponent) noexcept:
    """Write E and an exponent of at most six digits; return the number of characters."""
    cdef unsigned char digits[8]
    cdef Py_ssize_t count = 0
    cdef Py_ssize_t length = 1
    cdef int64_t rest = exponent if exponent >= 0 else -exponent
    at[0] = c'E'
    if exponent < 0:
        at[1] = c'-'
        length = 2
    while True:
        digits[count] = <unsigned char>(c'0' + rest % 10)
        rest = rest // 10
        count += 1
        if rest == 0 or count == 6:
            break
    while count > 0:
        count -= 1
        at[length] = digits[count]
        length += 1
    return length


cdef object _text(
    const unsigned char *groups, int64_t count, int64_t length, int64_t scale, int64_t exponent,
    bint negative,
):
    """Return a number of `length` digits in text: those of `groups`, cut or filled up with zeros.

    The last `scale` of them stand behind a point; a scale of 0 or beyond `length` has no point.
    """
    cdef unsigned char tail[8]
    cdef unsigned char group[4]
    cdef bint point = 0 < scale <= length
    cdef Py_ssize_t tail_length = 0
    cdef Py_ssize_t skipped = 0
    cdef Py_ssize_t at = 1 if negative else 0
    cdef int64_t whole = length // 4
    cdef int64_t i
    if whole > count:
        whole = count
    if exponent != 0 and not point:
        tail_length = _write_exponent(tail, exponent)
    if whole > 0 and length - scale >= 4:
        # Leading zeros are no digits of a Decimal, but cost time to read.
        _write_digits(group, _read_16(groups))
        while skipped < 3 and group[skipped] == c'0':
            skipped += 1
    text = PyUnicode_New(at + length - skipped + (1 if point else tail_length), 127)
    cdef unsigned char *out = PyUnicode_1BYTE_DATA(text)
    if negative:
        out[0] = c'-'
    if skipped > 0:
        for i in range(skipped, 4):
            out[at] = group[i]
            at += 1
    for i in range(1 if skipped > 0 else 0, whole):
        _write_digits(out + at, _read_16(groups + 2 * i))
        at += 4
    if whole < count:
        _write_digits(group, _read_16(groups + 2 * whole))
        for i in range(length - 4 * whole):
            out[at] = group[i]
            at += 1
    else:
        for i in range(length - 4 * whole):
            out[at] = c'0'
            at += 1
    if point:
        at -= scale
        memmove(out + at + 1, out + at, <size_t>scale)
        out[at] = c'.'
    else:
        for i in range(tail_length):
            out[at] = tail[i]
            at += 1
    return text


def _decode_numeric(data):
    """Return the Decimal in the server's bytes, with its scale."""
    cdef Py_ssize_t size
    cdef const unsigned char *at
    cdef int64_t count, weight, sign, scale, exponent, length
    if type(data) is not bytes:
        raise TypeError(f"a decoder takes bytes, not {type(data).__name__}")
    size = PyBytes_GET_SIZE(data)
    at = <const unsigned char *>PyBytes_AS_STRING(data)
    if size < HEAD or size != HEAD + 2 * _read_16(at):
        raise ValueError(f"a numeric cannot be {size} bytes like these")
    count = _read_16(at)
    weight = _read_16(at + 2)
    if weight > 0x7fff:
        weight -= 0x10000
    sign = _read_16(at + 4)
    scale = _read_16(at + 6)
    if sign == 0xc000:
        return nan
    if sign == 0xd000:
        return infinity
    if sign == 0xf000:
        return negative_infinity
    if count == 0:
        return exactly(f"0E-{scale}" if scale else "0")
    # Without a scale, the zeros that the server leaves out at the end stay out: 1E+4.
    exponent = -scale if scale else 4 * (weight + 1 - count)
    length = 4 * (weight + 1) - exponent
    if length < 1:
        raise ValueError("a numeric has digits beyond its scale only")
    return exactly(_text(at + HEAD, count, length, scale, exponent, sign == 0x4000))


cdef bytes _pack(bint negative, const unsigned char *digits, int64_t count, int64_t exponent):
    """Return the wire form of `count` decimal digits, values 0 to 9, and an exponent of ten."""
    cdef int64_t highest, weight, padding, groups, at, i, j, value
    if exponent < -MAX_SCALE:
        raise ValueError("cannot encode Decimal value into numeric: exponent is too small")
    # First of all, so that the sums below cannot overflow.
    if exponent > 4 * MAX_16 + 4:
        raise ValueError("cannot encode Decimal value into numeric: exponent is too large")
    highest = count + exponent - 1
    if highest >= 0:
        weight = highest // 4
    else:
        weight = -((-highest - 1) // 4 + 1)
    if weight > MAX_16:
        raise ValueError("cannot encode Decimal value into numeric: exponent is too large")
    padding = 4 * (weight + 1) - (highest + 1)
    groups = (count + padding + 3) // 4
    if groups > MAX_16:
        raise ValueError("cannot encode Decimal value into numeric: number of digits is too large")
    if weight > MAX_WEIGHT and not (count == 1 and digits[0] == 0):
        raise ValueError("cannot encode Decimal value into numeric: exponent is too large")
    data = PyBytes_FromStringAndSize(NULL, HEAD + 2 * groups)
    cdef unsigned char *wire = <unsigned char *>PyBytes_AS_STRING(data)
    _write_16(wire, groups)
    _write_16(wire + 2, weight)
    _write_16(wire + 4, 0x4000 if negative else 0)
    _write_16(wire + 6, -exponent if exponent < 0 else 0)
    at = -padding
    for i in range(groups):
        value = 0
        for j in range(at, at + 4):
            value = value * 10
            if 0 <= j < count:
                value += digits[j]
        _write_16(wire + HEAD + 2 * i, value)
        at += 4
    return data


cdef bytes _special(int64_t sign):
    cdef unsigned char wire[8]
    _write_16(wire, 0)
    _write_16(wire + 2, 0)
    _write_16(wire + 4, sign)
    _write_16(wire + 6, 0)
    return PyBytes_FromStringAndSize(<char *>wire, HEAD)


cdef bytes _encode_parts(object parts):
    """Encode what `as_tuple()` returned, for subclasses of Decimal."""
    exponent = parts.exponent
    if exponent == "n" or exponent == "N":
        return _special(0xc000)
    if exponent == "F":
        return _special(0xf000 if parts.sign else 0xd000)
    digits = bytes(parts.digits)
    return _pack(
        True if parts.sign else False,
        <const unsigned char *>PyBytes_AS_STRING(digits),
        PyBytes_GET_SIZE(digits),
        exponent,
    )


def _encode_numeric(value):
    """Return the bytes of a Decimal or of what Decimal() takes; its errors, ValueError."""
    cdef unsigned char small[SMALL]
    cdef unsigned char *digits = small
    cdef const unsigned char *text
    cdef Py_ssize_t size = 0
    cdef Py_ssize_t at = 0
    cdef int64_t count = 0
    cdef int64_t exponent = 0
    cdef int64_t written = 0
    cdef bint negative = False
    cdef bint fraction = False
    cdef bint below = False
    cdef unsigned char character
    if type(value) is not Decimal:
        if isinstance(value, Decimal):
            return _encode_parts(value.as_tuple())
        value = Decimal(value)
    shown = str(value)
    text = <const unsigned char *>PyUnicode_AsUTF8AndSize(shown, &size)
    if size > 0 and text[0] == c'-':
        negative = True
        at = 1
    if at < size and not c'0' <= text[at] <= c'9':
        if text[at] == c'I':
            return _special(0xf000 if negative else 0xd000)
        return _special(0xc000)
    if size > SMALL:
        room = PyBytes_FromStringAndSize(NULL, size)
        digits = <unsigned char *>PyBytes_AS_STRING(room)
    while at < size:
        character = text[at]
        at += 1
        if c'0' <= character <= c'9':
            if fraction:
                exponent -= 1
            if count == 1 and digits[0] == 0:
                count = 0
            digits[count] = character - c'0'
            count += 1
        elif character == c'.':
            fraction = True
        else:
            break
    # What is left is the digits of an exponent and its sign.
    while at < size:
        character = text[at]
        at += 1
        if character == c'-':
            below = True
        elif c'0' <= character <= c'9':
            written = written * 10 + (character - c'0')
    exponent += -written if below else written
    return _pack(negative, digits, count, exponent)


CODECS = {"numeric": (_encode_numeric, _decode_numeric)}
# Types for which this form is faster than asyncpg's own codec: codecs.py registers these.
FASTER = ("numeric",)
# Types of which asyncpg's own codec reads some as another value.
SAFER = ()
