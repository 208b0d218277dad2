"""The compiled form of jsonencode: a writer of JSON text that knows when to give up.

It writes characters into a buffer of its own and reads objects by the C interface, while the
Python form only calls the standard library's encoder; hence a source of its own.

One rule makes both equal: in doubtful cases (a type other than the eight of JSON, a subclass, a
key that is not text, hundreds of levels, no memory) json.dumps gets the whole value. So the
functions below return False instead of raising, without a reason. None of them runs Python code,
so nothing can change under the pointers.
"""

import json
import json.encoder

from cpython.object cimport PyObject
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

cdef extern from "Python.h":
    PyObject* Py_None
    PyObject* Py_True
    PyObject* Py_False
    void Py_INCREF(PyObject*)
    void Py_DECREF(PyObject*)
    void PyErr_Clear()
    void* PyMem_Malloc(size_t)
    void* PyMem_Realloc(void*, size_t)
    void PyMem_Free(void*)
    Py_ssize_t PY_SSIZE_T_MAX
    bint PyDict_CheckExact(PyObject*)
    bint PyFloat_CheckExact(PyObject*)
    bint PyList_CheckExact(PyObject*)
    bint PyLong_CheckExact(PyObject*)
    bint PyTuple_CheckExact(PyObject*)
    bint PyUnicode_CheckExact(PyObject*)
    PyObject* PyDict_GetItemWithError(PyObject*, PyObject*)  # borrowed; of texts, never an error
    bint PyDict_Next(PyObject*, Py_ssize_t*, PyObject**, PyObject**)
    Py_ssize_t PyList_GET_SIZE(PyObject*)
    PyObject* PyList_GET_ITEM(PyObject*, Py_ssize_t)
    Py_ssize_t PyTuple_GET_SIZE(PyObject*)
    PyObject* PyTuple_GET_ITEM(PyObject*, Py_ssize_t)
    long long PyLong_AsLongLongAndOverflow(PyObject*, int*)
    double PyFloat_AS_DOUBLE(PyObject*)
    PyObject* PyObject_Str(PyObject*)
    char* PyOS_double_to_string(double, char, int, int, int*)
    int Py_DTSF_ADD_DOT_0
    object PyBytes_FromStringAndSize(const char*, Py_ssize_t)
    char* PyBytes_AS_STRING(PyObject*)
    Py_ssize_t PyBytes_GET_SIZE(PyObject*)
    PyObject* PyUnicode_New(Py_ssize_t, int)
    bint PyUnicode_IS_ASCII(PyObject*)
    Py_ssize_t PyUnicode_GET_LENGTH(PyObject*)
    int PyUnicode_KIND(PyObject*)
    void* PyUnicode_DATA(PyObject*)
    unsigned int PyUnicode_READ(int, const void*, Py_ssize_t)

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    #define PGFLIGHT_ONES  UINT64_C(0x0101010101010101)
    #define PGFLIGHT_HIGHS UINT64_C(0x8080808080808080)

    /* The high bit of each byte that json.dumps escapes: '"', '\\\\', control characters, 0x7f.
       For ASCII; exact up to the first such byte, borrows may mark later ones. */
    static inline uint64_t pgflight_marks(uint64_t word) {
        return (((word ^ 0x22 * PGFLIGHT_ONES) - PGFLIGHT_ONES)
                | ((word ^ 0x5c * PGFLIGHT_ONES) - PGFLIGHT_ONES)
                | (word - 0x20 * PGFLIGHT_ONES) | (word + PGFLIGHT_ONES)) & PGFLIGHT_HIGHS;
    }

    /* Bytes in front of the first mark; 0 where the machine cannot tell quickly. */
    #if defined(__GNUC__) && defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    #define pgflight_before(marks) (__builtin_ctzll(marks) >> 3)
    #else
    #define pgflight_before(marks) 0
    #endif

    /* Strings made by interfaces that CPython 3.12 removed may not be in their final form. */
    #if PY_VERSION_HEX >= 0x030C0000
    #define pgflight_ready(text) 1
    #else
    #define pgflight_ready(text) PyUnicode_IS_READY(text)
    #endif

    /* The text of `value` as repr() has it: its decimal places, and its digits without the point
       (perhaps with zeros at the end); -1 when repr() itself is to be asked.

       repr() wants the fewest digits that read as `value` and, of those, the nearest. A double is
       m / 2**s; all is compared here as integers of 128 bits, m * 10**places with the candidate
       times 2**s, hence exactly: what is off by less than half a unit of m reads as `value`.
       At most 15 digits never stand for two doubles; if they do not do, the nearest text of 16
       or 17 is the one, unless it is as near as another. (Below a power of two doubles are twice
       as close, but those powers that come here, 2**-1 to 2**-13, have 10 digits at most.) */
    static int pgflight_shortest(double value, uint64_t *digits) {
    #ifdef __SIZEOF_INT128__
        static const uint64_t tens[] = {
            UINT64_C(1), UINT64_C(10), UINT64_C(100), UINT64_C(1000), UINT64_C(10000),
            UINT64_C(100000), UINT64_C(1000000), UINT64_C(10000000), UINT64_C(100000000),
            UINT64_C(1000000000), UINT64_C(10000000000), UINT64_C(100000000000),
            UINT64_C(1000000000000), UINT64_C(10000000000000), UINT64_C(100000000000000),
            UINT64_C(1000000000000000), UINT64_C(10000000000000000),
            UINT64_C(100000000000000000), UINT64_C(1000000000000000000),
            UINT64_C(10000000000000000000)};
        uint64_t bits, m;
        int two, whole, length;
        if (!(value >= 1e-4 && value < 1e15)) return -1;
        *digits = (uint64_t)value;
        if ((double)*digits == value) return 0;
        whole = value >= 0.1 ? 0 : value >= 0.01 ? -1 : value >= 0.001 ? -2 : -3;
        while (*digits >= tens[whole < 0 ? 0 : whole]) whole++;
        memcpy(&bits, &value, 8);
        m = bits & ((UINT64_C(1) << 52) - 1);
        two = 1075 - (int)(bits >> 52);
        m |= UINT64_C(1) << 52;
        for (length = 15; length <= 17; length++) {
            int places = length - whole;
            unsigned __int128 ten = places < 20 ? tens[places] : (unsigned __int128)tens[19] * 10;
            unsigned __int128 exact = ten * m, unit = (unsigned __int128)1 << two;
            unsigned __int128 near = exact >> two, off = exact & (unit - 1);
            if (off == unit >> 1) return -1;
            if (off > unit >> 1) {
                near++;
                off = unit - off;
            }
            if (off << 1 < ten) {
                *digits = (uint64_t)near;
                return places;
            }
        }
    #endif
        return -1;
    }
    """
    uint64_t pgflight_marks(uint64_t) noexcept
    int pgflight_before(uint64_t) noexcept
    bint pgflight_ready(PyObject*) noexcept
    int pgflight_shortest(double, uint64_t*) noexcept

cdef enum:
    DEEPEST = 200  # json.dumps has its own limit, somewhere beyond
    SHORT = 1024  # a document up to here needs no memory but the stack
    CHUNK = 128  # characters beyond ASCII that one request for room covers
    WIDEST = 12  # bytes of one character: two escaped surrogates

cdef const char* HEX = b"0123456789abcdef"


cdef struct Text:
    char* data
    Py_ssize_t size
    Py_ssize_t room
    bint own  # data was allocated
    char[SHORT] start


cdef bint _grow(Text* out, Py_ssize_t more) noexcept:
    """Make room for `more` bytes by moving to a buffer of at least twice the size."""
    cdef Py_ssize_t room
    cdef char* data
    if more > PY_SSIZE_T_MAX // 4 - out.room:
        return False
    room = 2 * (out.room + more)
    if out.own:
        data = <char*>PyMem_Realloc(out.data, room)
    else:
        data = <char*>PyMem_Malloc(room)
        if data != NULL:
            memcpy(data, out.data, out.size)
    if data == NULL:
        return False
    out.data = data
    out.room = room
    out.own = True
    return True


cdef inline bint _fits(Text* out, Py_ssize_t more) noexcept:
    """Make sure that `more` bytes can be written; False when memory is out."""
    return out.room - out.size >= more or _grow(out, more)


cdef inline bint _put(Text* out, const char* data, Py_ssize_t size) noexcept:
    """Write `size` bytes."""
    if not _fits(out, size):
        return False
    memcpy(out.data + out.size, data, size)
    out.size += size
    return True


cdef inline char* _unit(char* at, unsigned int code) noexcept:
    """Write the six bytes of one escaped UTF-16 unit; return their end."""
    at[0] = c'\\'
    at[1] = c'u'
    at[2] = HEX[code >> 12 & 15]
    at[3] = HEX[code >> 8 & 15]
    at[4] = HEX[code >> 4 & 15]
    at[5] = HEX[code & 15]
    return at + 6


cdef char* _escaped(char* at, unsigned int code) noexcept:
    """Write a character that needs an escape in at most WIDEST bytes; return their end."""
    cdef char letter = 0
    if code == c'"' or code == c'\\':
        letter = <char>code
    elif code == c'\n':
        letter = c'n'
    elif code == c'\r':
        letter = c'r'
    elif code == c'\t':
        letter = c't'
    elif code == c'\f':
        letter = c'f'
    elif code == c'\b':
        letter = c'b'
    if letter:
        at[0] = c'\\'
        at[1] = letter
        return at + 2
    if code >= 0x10000:
        at = _unit(at, 0xD800 + (code - 0x10000 >> 10))
        code = 0xDC00 + (code - 0x10000 & 0x3FF)
    return _unit(at, code)


cdef inline bint _plain(unsigned int code) noexcept:
    """Tell whether json.dumps writes a character as it is."""
    return 0x20 <= code < 0x7F and code != c'"' and code != c'\\'


cdef bint _ascii(Text* out, const char* data, Py_ssize_t size) noexcept:
    """Write the inside of an ASCII string, and a quote behind it."""
    cdef char* at
    cdef uint64_t word = 0
    cdef uint64_t marks
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t run
    while True:
        # What is left, if all of it is plain, one escape, and a whole word too much.
        if not _fits(out, size - i + WIDEST + 8):
            return False
        at = out.data + out.size
        while size - i >= 8:
            memcpy(&word, data + i, 8)
            memcpy(at, &word, 8)
            marks = pgflight_marks(word)
            if marks:
                run = pgflight_before(marks)
                at += run
                i += run
                break
            at += 8
            i += 8
        while i < size and _plain(data[i]):
            at[0] = data[i]
            at += 1
            i += 1
        if i < size:
            at = _escaped(at, data[i])
            i += 1
            out.size = at - out.data
        else:
            at[0] = c'"'
            out.size = at + 1 - out.data
            return True


cdef bint _wide(Text* out, PyObject* text) noexcept:
    """Write the inside of a string beyond ASCII, and a quote behind it."""
    cdef int kind = PyUnicode_KIND(text)
    cdef const void* data = PyUnicode_DATA(text)
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(text)
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t stop
    cdef unsigned int code
    cdef char* at
    while i < size:
        stop = min(size, i + CHUNK)
        if not _fits(out, CHUNK * WIDEST):
            return False
        at = out.data + out.size
        while i < stop:
            code = PyUnicode_READ(kind, data, i)
            i += 1
            if _plain(code):
                at[0] = <char>code
                at += 1
            elif 0x7F <= code < 0x10000:
                at = _unit(at, code)
            else:
                at = _escaped(at, code)
        out.size = at - out.data
    return _put(out, b'"', 1)


cdef inline bint _string(Text* out, PyObject* text) noexcept:
    """Write a string with its quotes."""
    if not pgflight_ready(text) or not _put(out, b'"', 1):
        return False
    if PyUnicode_IS_ASCII(text):
        return _ascii(out, <const char*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
    return _wide(out, text)


cdef inline char* _digits(char* end, uint64_t value) noexcept:
    """Write a number so that it ends before `end`, in at most 20 bytes; return its start."""
    while True:
        end -= 1
        end[0] = <char>(c'0' + value % 10)
        value = value // 10
        if value == 0:
            return end


cdef bint _integer(Text* out, PyObject* value) noexcept:
    """Write an exact int."""
    cdef int overflow = 0
    cdef long long small = PyLong_AsLongLongAndOverflow(value, &overflow)
    cdef char[24] digits
    cdef char* at
    cdef PyObject* text
    cdef bint written
    if overflow:
        text = PyObject_Str(value)  # fails beyond sys.get_int_max_str_digits()
        if text == NULL:
            return False
        written = _put(out, <const char*>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
        Py_DECREF(text)
        return written
    at = _digits(digits + 24, <uint64_t>0 - <uint64_t>small if small < 0 else <uint64_t>small)
    if small < 0:
        at -= 1
        at[0] = c'-'
    return _put(out, at, digits + 24 - at)


cdef bint _float(Text* out, double value) noexcept:
    """Write a float as float.__repr__ does, and the three that are no numbers as json.dumps."""
    cdef uint64_t digits = 0
    cdef int places
    cdef char[40] text
    cdef char* end = text + 40
    cdef char* at
    cdef char* slow
    cdef bint written
    if value != value:
        return _put(out, b"NaN", 3)
    if value - value != 0.0:
        return _put(out, b"Infinity", 8) if value > 0 else _put(out, b"-Infinity", 9)
    places = pgflight_shortest(-value if value < 0 else value, &digits)
    if places < 0:
        slow = PyOS_double_to_string(value, c'r', 0, Py_DTSF_ADD_DOT_0, NULL)
        if slow == NULL:
            return False
        at = slow
        while at[0]:
            at += 1
        written = _put(out, slow, at - slow)
        PyMem_Free(slow)
        return written
    while places > 0 and digits % 10 == 0:
        digits = digits // 10
        places -= 1
    at = end
    if places == 0:
        at -= 1
        at[0] = c'0'
    while places > 0:
        places -= 1
        at -= 1
        at[0] = <char>(c'0' + digits % 10)
        digits = digits // 10
    at -= 1
    at[0] = c'.'
    at = _digits(at, digits)
    if value < 0:
        at -= 1
        at[0] = c'-'
    return _put(out, at, end - at)


cdef bint _value(Text* out, PyObject* value, int depth) noexcept:
    """Write any value; False for any doubt."""
    if PyUnicode_CheckExact(value):
        return _string(out, value)
    if PyLong_CheckExact(value):
        return _integer(out, value)
    if value == Py_None:
        return _put(out, b"null", 4)
    if value == Py_True:
        return _put(out, b"true", 4)
    if value == Py_False:
        return _put(out, b"false", 5)
    if PyFloat_CheckExact(value):
        return _float(out, PyFloat_AS_DOUBLE(value))
    if depth >= DEEPEST:
        return False
    if PyDict_CheckExact(value):
        return _members(out, value, depth + 1)
    if PyList_CheckExact(value) or PyTuple_CheckExact(value):
        return _items(out, value, depth + 1)
    return False


cdef bint _members(Text* out, PyObject* members, int depth) noexcept:
    """Write a dict."""
    cdef Py_ssize_t position = 0
    cdef PyObject* key = NULL
    cdef PyObject* value = NULL
    cdef bint first = True
    cdef bint written
    if not _put(out, b"{", 1):
        return False
    while PyDict_Next(members, &position, &key, &value):
        if not PyUnicode_CheckExact(key):
            return False
        if not first and not _put(out, b", ", 2):
            return False
        first = False
        Py_INCREF(value)
        written = _string(out, key) and _put(out, b": ", 2) and _value(out, value, depth)
        Py_DECREF(value)
        if not written:
            return False
    return _put(out, b"}", 1)


cdef bint _items(Text* out, PyObject* items, int depth) noexcept:
    """Write a list or a tuple."""
    cdef bint listed = PyList_CheckExact(items)
    cdef Py_ssize_t i = 0
    cdef PyObject* value
    cdef bint written
    if not _put(out, b"[", 1):
        return False
    while i < (PyList_GET_SIZE(items) if listed else PyTuple_GET_SIZE(items)):
        if i and not _put(out, b", ", 2):
            return False
        value = PyList_GET_ITEM(items, i) if listed else PyTuple_GET_ITEM(items, i)
        Py_INCREF(value)
        written = _value(out, value, depth)
        Py_DECREF(value)
        if not written:
            return False
        i += 1
    return _put(out, b"]", 1)


cdef object _json = json
cdef dict _names = vars(json)
cdef dict _encoder_names = vars(json.encoder)
cdef object _standard_dumps = json.dumps
cdef object _standard_encoder = getattr(json, "_default_encoder", None)
cdef object _standard_make = getattr(json.encoder, "c_make_encoder", None)


def _proven():
    """Tell whether json.dumps is CPython's own so far, and does to a sample what we do.

    A json.dumps that was replaced before this import is noticed by its globals, which for the
    original are the json module's own.
    """
    if getattr(json.dumps, "__globals__", None) is not _names or _standard_make is None:
        return False
    try:
        return json.dumps({"\u00e9": (1, -2.5, None, True, "\n\x7f"), "b": {}}) == (
            '{"\\u00e9": [1, -2.5, null, true, "\\n\\u007f"], "b": {}}'
        )
    except Exception:
        return False


cdef bint _trusted = _proven()


cdef inline bint _standard() noexcept:
    """Tell whether json.dumps is unchanged, so that the writer may replace it."""
    return (
        _trusted
        and PyDict_GetItemWithError(<PyObject*>_names, <PyObject*>"dumps")
        == <PyObject*>_standard_dumps
        and PyDict_GetItemWithError(<PyObject*>_names, <PyObject*>"_default_encoder")
        == <PyObject*>_standard_encoder
        and PyDict_GetItemWithError(<PyObject*>_encoder_names, <PyObject*>"c_make_encoder")
        == <PyObject*>_standard_make
    )


cdef object _dumps(object value):
    cdef Text out
    cdef PyObject* text = NULL
    cdef object result
    if _standard():
        out.data = out.start
        out.size = 0
        out.room = SHORT
        out.own = False
        if _value(&out, <PyObject*>value, 0):
            text = PyUnicode_New(out.size, 127)
            if text != NULL:
                memcpy(PyUnicode_DATA(text), out.data, out.size)
        if out.own:
            PyMem_Free(out.data)
        if text != NULL:
            result = <object>text
            Py_DECREF(text)
            return result
        PyErr_Clear()
    return _json.dumps(value)


def standard():
    """Tell whether json.dumps is the standard library's own, for which dumps() stands."""
    return _standard()


def dumps(value):
    """Return the JSON document of `value`: what json.dumps returns or raises."""
    return _dumps(value)


def json_binder(json_type, null_type):
    """Return the bind processor of SQLAlchemy's JSON type `json_type`, with json.dumps inside.

    `json_type.NULL` becomes JSON's null; SQL's NULL (None) stands for instances of `null_type`,
    and for None where `json_type.none_as_null` says so at that moment.
    """

    def process(value):
        if type(value) is not dict and type(value) is not list:  # those are none of the three
            if value is json_type.NULL:
                value = None
            elif isinstance(value, null_type) or (value is None and json_type.none_as_null):
                return None
        return _dumps(value)

    return process


def json_encoder(prefix):
    """Return a function from a serializer's result to the server's bytes.

    `prefix` is put in front: b"\\x01" for jsonb, b"" for json. The function raises TypeError for
    what is neither text nor bytes, UnicodeEncodeError for lone surrogates.
    """
    if not isinstance(prefix, bytes):
        raise TypeError(f"prefix={prefix!r}: use b'\\x01' for jsonb, b'' for json")
    cdef bytes front = bytes(prefix)

    def encode(document):
        cdef PyObject* text = <PyObject*>document
        cdef PyObject* start = <PyObject*>front
        cdef Py_ssize_t before = PyBytes_GET_SIZE(start)
        cdef Py_ssize_t size
        if PyUnicode_CheckExact(text) and pgflight_ready(text) and PyUnicode_IS_ASCII(text):
            size = PyUnicode_GET_LENGTH(text)
            data = PyBytes_FromStringAndSize(NULL, before + size)
            memcpy(PyBytes_AS_STRING(<PyObject*>data), PyBytes_AS_STRING(start), before)
            memcpy(PyBytes_AS_STRING(<PyObject*>data) + before, PyUnicode_DATA(text), size)
            return data
        if isinstance(document, str):
            return front + str.encode(document)
        if isinstance(document, bytes):
            return front + document
        raise TypeError(
            f"a JSON document is text or bytes, not {type(document).__name__}: "
            "json_serializer must return str or bytes"
        )

    return encode
