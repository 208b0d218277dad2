"""The compiled form of jsondecode: a JSON parser over UTF-8 bytes that knows when to give up.

It reads bytes by pointer and makes objects by the C interface, while the Python form only calls
the standard library's scanner; hence a source of its own.

One rule makes both equal: in doubtful cases (a syntax error, a control character, invalid UTF-8,
NaN, hundreds of levels or digits, no memory) json.loads gets the whole document. So the functions
below return NULL instead of raising, without a reason.
"""

import json

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

ctypedef const unsigned char* Bytes

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX
    PyObject* Py_None
    PyObject* Py_True
    PyObject* Py_False
    void Py_INCREF(PyObject*)
    void Py_DECREF(PyObject*)
    void Py_XDECREF(PyObject*)
    void PyErr_Clear()
    void* PyMem_Malloc(size_t)
    void PyMem_Free(void*)
    PyObject* PyDict_New()
    PyObject* PyDict_GetItemWithError(PyObject*, PyObject*)  # borrowed; of texts, never an error
    int PyDict_SetItem(PyObject*, PyObject*, PyObject*)
    PyObject* PyList_New(Py_ssize_t)
    void PyList_SET_ITEM(PyObject*, Py_ssize_t, PyObject*)
    int PyList_Append(PyObject*, PyObject*)
    PyObject* PyLong_FromLongLong(long long)
    PyObject* PyLong_FromString(const char*, char**, int)
    PyObject* PyFloat_FromDouble(double)
    double PyOS_string_to_double(const char*, char**, PyObject*)
    PyObject* PyErr_Occurred()
    PyObject* PyUnicode_New(Py_ssize_t, unsigned int)
    PyObject* PyUnicode_DecodeLatin1(const char*, Py_ssize_t, const char*)
    void* PyUnicode_DATA(PyObject*)
    const char* PyUnicode_AsUTF8AndSize(PyObject*, Py_ssize_t*)
    char* PyBytes_AS_STRING(PyObject*)
    Py_ssize_t PyBytes_GET_SIZE(PyObject*)

cdef extern from *:
    """
    #include <float.h>
    #include <stdint.h>
    #include <string.h>

    #define PGFLIGHT_ONES  UINT64_C(0x0101010101010101)
    #define PGFLIGHT_HIGHS UINT64_C(0x8080808080808080)

    /* The high bit of each byte that ends a run of plain text: '"', '\\\\', a control character,
       a byte of 0x80 or more. Exact up to the first such byte; borrows may mark later ones. */
    static inline uint64_t pgflight_marks(const unsigned char *at) {
        uint64_t word;
        memcpy(&word, at, 8);
        return (((word ^ 0x22 * PGFLIGHT_ONES) - PGFLIGHT_ONES)
                | ((word ^ 0x5c * PGFLIGHT_ONES) - PGFLIGHT_ONES)
                | (word - 0x20 * PGFLIGHT_ONES) | word) & PGFLIGHT_HIGHS;
    }

    /* Bytes in front of the first mark; 0 where the machine cannot tell quickly. */
    #if defined(__GNUC__) && defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    #define pgflight_before(marks) (__builtin_ctzll(marks) >> 3)
    #else
    #define pgflight_before(marks) 0
    #endif

    /* digits * 10**exponent, correctly rounded (half to even); 0 when it is not for us. */
    static int pgflight_scaled(uint64_t digits, int exponent, double *result) {
    #if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD == 0
        /* Both are exact doubles, so the one operation rounds once, and to double. */
        static const double tens[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10,
            1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
        if (digits <= UINT64_C(1) << 53 && exponent >= -22 && exponent <= 22) {
            double whole = (double)digits;
            *result = exponent < 0 ? whole / tens[-exponent] : whole * tens[exponent];
            return 1;
        }
    #endif
    #ifdef __SIZEOF_INT128__
        /* 5**27 is the last power of five below 2**63: the product is exact in 128 bits, and the
           quotient has at least 63 bits and an exact remainder. */
        double scale;
        uint64_t power = 1, kept;
        int places = exponent < 0 ? -exponent : exponent, shift, two, rest;
        if (digits == 0 || places > 27) return 0;
        for (int i = 0; i < places; i++) power *= 5;
        two = exponent;
        if (exponent < 0) {
            int up = __builtin_clzll(digits), down = __builtin_clzll(power);
            uint64_t divisor = power << down, dividend = digits << up;
            int width = dividend >= divisor ? 63 : 64;
            unsigned __int128 wide = (unsigned __int128)dividend << width;
            kept = (uint64_t)(wide / divisor);
            rest = (unsigned __int128)kept * divisor != wide;
            two += down - up - width;
        } else {
            unsigned __int128 wide = (unsigned __int128)digits * power;
            uint64_t high = (uint64_t)(wide >> 64);
            shift = high ? 64 - __builtin_clzll(high) : 0;
            kept = (uint64_t)(wide >> shift);
            rest = ((unsigned __int128)kept << shift) != wide;
            two += shift;
        }
        shift = 64 - __builtin_clzll(kept) - 53;
        if (shift > 0) {
            uint64_t half = UINT64_C(1) << (shift - 1), tail = kept & (2 * half - 1);
            kept >>= shift;
            if (tail > half || (tail == half && (rest || (kept & 1)))) kept++;
            two += shift;
        }
        /* 2**two by its bits: `two` is far from the ends of a double's range. */
        power = (uint64_t)(1023 + two) << 52;
        memcpy(&scale, &power, 8);
        *result = (double)kept * scale;
        return 1;
    #else
        return 0;
    #endif
    }
    """
    uint64_t pgflight_marks(Bytes) noexcept
    int pgflight_before(uint64_t) noexcept
    int pgflight_scaled(uint64_t, int, double*) noexcept

cdef enum:
    DEEPEST = 200  # json.loads has its own limit, somewhere beyond
    LONGEST_NUMBER = 320  # below the smallest limit that sys.set_int_max_str_digits() takes
    LIST_START = 16  # values that a list collects before it becomes an object
    TEXT_START = 256  # characters decoded on the stack
    KEY_LONGEST = 32
    KEY_BITS = 10
    KEY_SLOTS = 1024

cdef struct Key:
    PyObject* text  # owned; NULL in an empty slot
    Py_ssize_t size
    unsigned char[KEY_LONGEST] data

# Keys come again and again, row by row: one object, hashed once. Direct-mapped and bounded.
cdef Key[KEY_SLOTS] _keys


cdef inline Bytes _unless_lost(PyObject* made, Bytes at) noexcept:
    """Return `at`, NULL when there was no memory for the object that ends there."""
    if made == NULL:
        return NULL
    return at


cdef inline Bytes _skip(Bytes at, Bytes end) noexcept:
    """Return where the blanks end that begin at `at`."""
    while at < end and (at[0] == c' ' or at[0] == c'\n' or at[0] == c'\r' or at[0] == c'\t'):
        at += 1
    return at


cdef inline Bytes _plain(Bytes at, Bytes end) noexcept:
    """Return the first byte from `at` on that ends a run of plain text, or `end`."""
    cdef uint64_t marks
    while end - at >= 8:
        marks = pgflight_marks(at)
        if marks:
            at += pgflight_before(marks)
            break
        at += 8
    while at < end and at[0] >= 0x20 and at[0] < 0x80 and at[0] != c'"' and at[0] != c'\\':
        at += 1
    return at


cdef inline PyObject* _ascii(Bytes start, Py_ssize_t size) noexcept:
    """Return a str of ASCII bytes."""
    cdef PyObject* text
    if size == 1:  # shared objects, as elsewhere in CPython
        return PyUnicode_DecodeLatin1(<const char*>start, 1, NULL)
    text = PyUnicode_New(size, 127)
    if text != NULL and size:
        memcpy(PyUnicode_DATA(text), start, size)
    return text


cdef inline int _hex(Bytes at) noexcept:
    """Return the value of four hexadecimal digits, -1 when they are not; all must exist."""
    cdef int value = 0
    cdef int digit
    cdef int i
    for i in range(4):
        digit = at[i]
        if c'0' <= digit <= c'9':
            digit -= c'0'
        elif c'a' <= digit | 0x20 <= c'f':
            digit = (digit | 0x20) - c'a' + 10
        else:
            return -1
        value = value << 4 | digit
    return value


cdef inline Bytes _escape(Bytes at, Bytes end, uint32_t* found) noexcept:
    """Read what follows a backslash; two escaped halves of one character are joined."""
    cdef int code
    cdef int low
    if at >= end:
        return NULL
    code = at[0]
    if code == c'u':
        if end - at < 5:
            return NULL
        code = _hex(at + 1)
        if code < 0:
            return NULL
        at += 5
        if 0xD800 <= code <= 0xDBFF and end - at >= 6 and at[0] == c'\\' and at[1] == c'u':
            low = _hex(at + 2)
            if low < 0:
                return NULL
            if 0xDC00 <= low <= 0xDFFF:
                found[0] = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
                return at + 6
        found[0] = code
        return at
    if code == c'n':
        code = c'\n'
    elif code == c't':
        code = c'\t'
    elif code == c'r':
        code = c'\r'
    elif code == c'b':
        code = c'\b'
    elif code == c'f':
        code = c'\f'
    elif code != c'"' and code != c'\\' and code != c'/':
        return NULL
    found[0] = code
    return at + 1


cdef inline Bytes _sequence(Bytes at, Bytes end, uint32_t* found) noexcept:
    """Read a character of two to four bytes; NULL for what strict UTF-8 does not allow."""
    cdef uint32_t lead = at[0]
    cdef uint32_t code
    if lead < 0xE0:
        if lead < 0xC2 or end - at < 2 or at[1] & 0xC0 != 0x80:
            return NULL
        found[0] = (lead & 0x1F) << 6 | (at[1] & 0x3F)
        return at + 2
    if lead < 0xF0:
        if end - at < 3 or at[1] & 0xC0 != 0x80 or at[2] & 0xC0 != 0x80:
            return NULL
        code = (lead & 0x0F) << 12 | (<uint32_t>at[1] & 0x3F) << 6 | (at[2] & 0x3F)
        if code < 0x800 or 0xD800 <= code <= 0xDFFF:
            return NULL
        found[0] = code
        return at + 3
    if end - at < 4 or at[1] & 0xC0 != 0x80 or at[2] & 0xC0 != 0x80 or at[3] & 0xC0 != 0x80:
        return NULL
    code = (
        (lead & 0x07) << 18
        | (<uint32_t>at[1] & 0x3F) << 12
        | (<uint32_t>at[2] & 0x3F) << 6
        | (at[3] & 0x3F)
    )
    if lead > 0xF4 or code < 0x10000 or code > 0x10FFFF:
        return NULL
    found[0] = code
    return at + 4


cdef PyObject* _narrowed(const uint32_t* characters, Py_ssize_t count, uint32_t seen) noexcept:
    """Return a str of code points; `seen` is all of them or-ed, which tells how wide it must be."""
    cdef Py_ssize_t i
    cdef PyObject* text
    cdef uint8_t* bytes
    cdef uint16_t* pairs
    if seen < 0x100:
        text = PyUnicode_New(count, 127 if seen < 0x80 else 255)
        if text != NULL:
            bytes = <uint8_t*>PyUnicode_DATA(text)
            for i in range(count):
                bytes[i] = <uint8_t>characters[i]
    elif seen < 0x10000:
        text = PyUnicode_New(count, 0xFFFF)
        if text != NULL:
            pairs = <uint16_t*>PyUnicode_DATA(text)
            for i in range(count):
                pairs[i] = <uint16_t>characters[i]
    else:
        text = PyUnicode_New(count, 0x10FFFF)
        if text != NULL:
            memcpy(PyUnicode_DATA(text), characters, count * sizeof(uint32_t))
    return text


cdef uint32_t* _moved(uint32_t* characters, Py_ssize_t count, Bytes at, Bytes end) noexcept:
    """Return a copy of the characters with room for all that may follow up to the closing quote.

    A character comes from at least one byte, so the bytes bound the writes.
    """
    cdef Bytes close = at
    cdef uint32_t* moved = NULL
    cdef Py_ssize_t room
    while close < end and close[0] != c'"':
        if close[0] == c'\\':
            close += 1
        if close < end:
            close += 1
    room = count + (close - at)
    if room <= PY_SSIZE_T_MAX // 4:
        moved = <uint32_t*>PyMem_Malloc(room * sizeof(uint32_t))
    if moved != NULL:
        memcpy(moved, characters, count * sizeof(uint32_t))
    return moved


cdef Bytes _decoded(Bytes start, Bytes at, Bytes end, PyObject** out) noexcept:
    """Read a string with escapes or beyond ASCII; it is plain from `start` up to `at`."""
    cdef uint32_t[TEXT_START] small
    cdef uint32_t* characters = small
    cdef uint32_t* moved
    cdef uint32_t code = 0
    cdef uint32_t seen = 0
    cdef Py_ssize_t count = 0
    cdef bint closed = False
    at = start
    while at < end:
        if count == TEXT_START and characters == small:
            moved = _moved(characters, count, at, end)
            if moved == NULL:
                break
            characters = moved
        code = at[0]
        if 0xC2 <= code < 0xE0 and end - at >= 2 and at[1] & 0xC0 == 0x80:  # the most frequent
            code = (code & 0x1F) << 6 | (at[1] & 0x3F)
            at += 2
        elif code >= 0x80:
            at = _sequence(at, end, &code)
        elif code == c'"':
            closed = True
            break
        elif code == c'\\':
            at = _escape(at + 1, end, &code)
        elif code >= 0x20:
            at += 1
        else:
            break
        if at == NULL:
            break
        characters[count] = code
        seen |= code
        count += 1
    out[0] = _narrowed(characters, count, seen) if closed else NULL
    if characters != small:
        PyMem_Free(characters)
    if not closed:
        return NULL
    return _unless_lost(out[0], at + 1)


cdef inline Bytes _string(Bytes at, Bytes end, PyObject** out) noexcept:
    """Read a string whose opening quote stands before `at`."""
    cdef Bytes close = _plain(at, end)
    if close >= end:
        return NULL
    if close[0] != c'"':
        return _decoded(at, close, end, out)
    out[0] = _ascii(at, close - at)
    return _unless_lost(out[0], close + 1)


cdef inline uint64_t _slot(Bytes data, Py_ssize_t size) noexcept:
    """Return the number of the slot for 1 to KEY_LONGEST bytes."""
    cdef uint64_t word = 0
    cdef uint64_t mixed = size
    cdef uint32_t half = 0
    cdef Py_ssize_t i = 0
    while size - i > 8:
        memcpy(&word, data + i, 8)
        mixed = (mixed ^ word) * <uint64_t>0x9E3779B97F4A7C15
        mixed ^= mixed >> 32
        i += 8
    # The last bytes, some of them twice.
    if size >= 8:
        memcpy(&word, data + size - 8, 8)
    elif size >= 4:
        memcpy(&half, data, 4)
        word = half
        memcpy(&half, data + size - 4, 4)
        word = word << 32 | half
    else:
        word = data[0] | data[size >> 1] << 8 | data[size - 1] << 16
    mixed = (mixed ^ word) * <uint64_t>0x9E3779B97F4A7C15
    mixed = (mixed ^ mixed >> 32) * <uint64_t>0x9E3779B97F4A7C15
    return mixed >> (64 - KEY_BITS)


cdef inline Bytes _key(Bytes at, Bytes end, PyObject** out) noexcept:
    """Read a key whose opening quote stands before `at`; take its object from the last time."""
    cdef Bytes close = _plain(at, end)
    cdef Py_ssize_t size
    cdef Key* slot
    cdef PyObject* forgotten
    while close < end and close[0] >= 0x20 and close[0] != c'"' and close[0] != c'\\':
        close += 1
    if close >= end:
        return NULL
    size = close - at
    if close[0] != c'"' or not 0 < size <= KEY_LONGEST:
        return _string(at, end, out)
    slot = &_keys[_slot(at, size)]
    if slot.text != NULL and slot.size == size and memcmp(slot.data, at, size) == 0:
        out[0] = slot.text
        Py_INCREF(out[0])
        return close + 1
    if _string(at, end, out) != close + 1:
        return NULL
    forgotten = slot.text
    slot.text = out[0]
    slot.size = size
    memcpy(slot.data, at, size)
    Py_INCREF(out[0])
    Py_XDECREF(forgotten)
    return close + 1


cdef Bytes _long_number(Bytes start, Bytes at, bint whole, PyObject** out) noexcept:
    """Let CPython convert the number from `start` to `at`, which is valid."""
    cdef char[LONGEST_NUMBER + 1] text
    cdef char* stop = NULL
    cdef double value
    if at - start > LONGEST_NUMBER:
        return NULL
    memcpy(text, start, at - start)
    text[at - start] = 0
    if whole:
        out[0] = PyLong_FromString(text, NULL, 10)
    else:
        value = PyOS_string_to_double(text, &stop, NULL)
        if stop != text + (at - start) or PyErr_Occurred() != NULL:
            return NULL
        out[0] = PyFloat_FromDouble(value)
    return _unless_lost(out[0], at)


cdef inline Bytes _number(Bytes at, Bytes end, PyObject** out) noexcept:
    """Read a number: -?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?"""
    cdef Bytes start = at
    cdef Bytes first
    cdef bint negative = at[0] == c'-'
    cdef bint minus
    cdef uint64_t digits = 0  # wraps in a number of more than 19 digits, which is not used then
    cdef Py_ssize_t count
    cdef Py_ssize_t places = 0
    cdef int exponent = 0
    cdef double value = 0.0
    if negative:
        at += 1
    first = at
    while at < end and c'0' <= at[0] <= c'9':
        digits = digits * 10 + (at[0] - c'0')
        at += 1
    count = at - first
    if count == 0 or (count > 1 and first[0] == c'0'):
        return NULL
    if at >= end or (at[0] != c'.' and at[0] | 0x20 != c'e'):
        if count > 18:
            return _long_number(start, at, True, out)
        out[0] = PyLong_FromLongLong(-<int64_t>digits if negative else <int64_t>digits)
        return _unless_lost(out[0], at)
    if at[0] == c'.':
        at += 1
        first = at
        while at < end and c'0' <= at[0] <= c'9':
            digits = digits * 10 + (at[0] - c'0')
            at += 1
        places = at - first
        if places == 0:
            return NULL
        count += places
    if at < end and at[0] | 0x20 == c'e':
        at += 1
        minus = at < end and at[0] == c'-'
        if at < end and (at[0] == c'-' or at[0] == c'+'):
            at += 1
        first = at
        while at < end and c'0' <= at[0] <= c'9':
            if exponent < 100000:
                exponent = exponent * 10 + (at[0] - c'0')
            at += 1
        if at == first:
            return NULL
        if minus:
            exponent = -exponent
    if count > 19:
        return _long_number(start, at, False, out)
    exponent -= <int>places
    if not pgflight_scaled(digits, exponent, &value):
        return _long_number(start, at, False, out)
    out[0] = PyFloat_FromDouble(-value if negative else value)
    return _unless_lost(out[0], at)


cdef inline Bytes _word(
    Bytes at, Bytes end, const char* word, Py_ssize_t size, PyObject* value, PyObject** out
) noexcept:
    """Read one of the three literals."""
    if end - at < size or memcmp(at, word, size) != 0:
        return NULL
    Py_INCREF(value)
    out[0] = value
    return at + size


cdef Bytes _value(Bytes at, Bytes end, int depth, PyObject** out) noexcept:
    """Read any value and return where it ends; NULL for any doubt, with nothing in `out`."""
    cdef int byte
    if at >= end:
        return NULL
    byte = at[0]
    if byte == c'"':
        return _string(at + 1, end, out)
    if byte == c'{':
        return _object(at + 1, end, depth + 1, out)
    if byte == c'[':
        return _array(at + 1, end, depth + 1, out)
    if byte == c't':
        return _word(at, end, "true", 4, Py_True, out)
    if byte == c'f':
        return _word(at, end, "false", 5, Py_False, out)
    if byte == c'n':
        return _word(at, end, "null", 4, Py_None, out)
    if byte == c'-' or c'0' <= byte <= c'9':
        return _number(at, end, out)
    return NULL


cdef Bytes _object(Bytes at, Bytes end, int depth, PyObject** out) noexcept:
    """Read an object whose opening brace stands before `at`."""
    cdef PyObject* members
    cdef PyObject* key = NULL
    cdef PyObject* value = NULL
    cdef int failed
    if depth > DEEPEST:
        return NULL
    members = PyDict_New()
    if members == NULL:
        return NULL
    at = _skip(at, end)
    if at < end and at[0] == c'}':
        out[0] = members
        return at + 1
    while at < end and at[0] == c'"':
        at = _key(at + 1, end, &key)
        if at == NULL:
            break
        at = _skip(at, end)
        if at >= end or at[0] != c':':
            Py_DECREF(key)
            break
        at = _value(_skip(at + 1, end), end, depth, &value)
        if at == NULL:
            Py_DECREF(key)
            break
        failed = PyDict_SetItem(members, key, value)
        Py_DECREF(key)
        Py_DECREF(value)
        if failed:
            break
        at = _skip(at, end)
        if at >= end:
            break
        if at[0] == c'}':
            out[0] = members
            return at + 1
        if at[0] != c',':
            break
        at = _skip(at + 1, end)
    Py_DECREF(members)
    return NULL


cdef PyObject* _listed(PyObject** values, Py_ssize_t count) noexcept:
    """Return a list that takes over `count` references; NULL with them dropped."""
    cdef PyObject* items = PyList_New(count)
    cdef Py_ssize_t i
    for i in range(count):
        if items == NULL:
            Py_DECREF(values[i])
        else:
            PyList_SET_ITEM(items, i, values[i])
    return items


cdef Bytes _array(Bytes at, Bytes end, int depth, PyObject** out) noexcept:
    """Read an array whose opening bracket stands before `at`."""
    cdef PyObject* values[LIST_START]
    cdef PyObject* value = NULL
    cdef PyObject* items = NULL
    cdef Py_ssize_t count = 0
    cdef int failed
    if depth > DEEPEST:
        return NULL
    at = _skip(at, end)
    if at < end and at[0] == c']':
        out[0] = PyList_New(0)
        return _unless_lost(out[0], at + 1)
    while True:
        at = _value(at, end, depth, &value)
        if at == NULL:
            break
        if items == NULL and count < LIST_START:
            values[count] = value
            count += 1
        else:
            if items == NULL:
                items = _listed(values, count)
                count = 0
                if items == NULL:
                    Py_DECREF(value)
                    break
            failed = PyList_Append(items, value)
            Py_DECREF(value)
            if failed:
                break
        at = _skip(at, end)
        if at >= end:
            break
        if at[0] == c']':
            out[0] = _listed(values, count) if items == NULL else items
            return _unless_lost(out[0], at + 1)
        if at[0] != c',':
            break
        at = _skip(at + 1, end)
    if items != NULL:
        Py_DECREF(items)
    while count > 0:
        count -= 1
        Py_DECREF(values[count])
    return NULL


cdef PyObject* _document(Bytes at, Bytes end) noexcept:
    """Return the value of a whole document, NULL (and no error) for any doubt."""
    cdef PyObject* value = NULL
    at = _value(_skip(at, end), end, 0, &value)
    if at == NULL:
        PyErr_Clear()
        return NULL
    if _skip(at, end) != end:
        Py_DECREF(value)
        return NULL
    return value


cdef object _sample = b' [{"a": [1, -2.5e1, null, true]}, "\\u00e9\\n"] '
cdef object _json = json
cdef dict _names = vars(json)
cdef object _standard_loads = json.loads
cdef object _standard_decoder = getattr(json, "_default_decoder", None)


def _proven():
    """Tell whether json.loads is CPython's own so far, and does to a sample what we do.

    A json.loads that was replaced before this import is noticed by its globals, which for the
    original are the json module's own.
    """
    if getattr(json.loads, "__globals__", None) is not _names:
        return False
    try:
        return _standard_decoder.decode(_sample.decode()) == [
            {"a": [1, -25.0, None, True]}, "\u00e9\n"
        ]
    except Exception:
        return False


cdef bint _trusted = _proven()


cdef inline bint _standard() noexcept:
    """Tell whether json.loads is unchanged, so that the parser may replace it."""
    return (
        _trusted
        and PyDict_GetItemWithError(<PyObject*>_names, <PyObject*>"loads")
        == <PyObject*>_standard_loads
        and PyDict_GetItemWithError(<PyObject*>_names, <PyObject*>"_default_decoder")
        == <PyObject*>_standard_decoder
    )


cdef object _taken(PyObject* value):
    """Return `value`, taking over the reference."""
    cdef object result = <object>value
    Py_DECREF(value)
    return result


def loads(text):
    """Return the value of the JSON document `text`: what json.loads returns or raises."""
    cdef Py_ssize_t size = 0
    cdef Bytes start
    cdef PyObject* value
    if type(text) is str and _standard():
        start = <Bytes>PyUnicode_AsUTF8AndSize(<PyObject*>text, &size)
        if start == NULL:  # lone surrogates
            PyErr_Clear()
        else:
            value = _document(start, start + size)
            if value != NULL:
                return _taken(value)
    return _json.loads(text)


cdef object _refusal(object data):
    return TypeError(f"a JSON decoder takes bytes, not {type(data).__name__}")


cdef inline object _without(object data, Py_ssize_t dropped):
    """Return the value of UTF-8 bytes without the first `dropped`."""
    cdef Bytes start
    cdef Py_ssize_t size
    cdef PyObject* value
    if type(data) is not bytes:
        raise _refusal(data)
    size = PyBytes_GET_SIZE(<PyObject*>data)
    if size >= dropped and _standard():
        start = <Bytes>PyBytes_AS_STRING(<PyObject*>data)
        value = _document(start + dropped, start + size)
        if value != NULL:
            return _taken(value)
    return _json.loads((<bytes>data)[dropped:].decode())


def _decode_json(data):
    """Return the value of a document as the server sends json: UTF-8."""
    return _without(data, 0)


def _decode_jsonb(data):
    """Return the value of a document as the server sends jsonb: a version byte, then UTF-8."""
    return _without(data, 1)


def json_decoder(deserializer, *, bint takes_bytes, prefix):
    """Return a function from the server's bytes to a value.

    The first `prefix` bytes (1 for jsonb's version, 0 for json) are dropped. `deserializer` gets
    the rest as bytes when `takes_bytes`, else as text; None stands for json.loads. Bytes that are
    not UTF-8 raise UnicodeDecodeError. ValueError for another `prefix`.
    """
    if prefix not in (0, 1):
        raise ValueError(f"prefix={prefix!r}: use 1 for jsonb, 0 for json")
    cdef Py_ssize_t dropped = prefix
    if deserializer is None:
        return _decode_jsonb if dropped else _decode_json

    def decode(data):
        if type(data) is not bytes:
            raise _refusal(data)
        rest = (<bytes>data)[dropped:]
        return deserializer(rest if takes_bytes else (<bytes>rest).decode())

    return decode
