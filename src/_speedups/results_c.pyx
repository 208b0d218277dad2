"""Rows, mappings and scalars of a result, made in C; the compiled form of results.py.

Not one source with the Python form: that one calls the row class, this one fills the instances'
slots itself. The place of the slots in SQLAlchemy's two classes is found at import, by looking for
known objects in an instance. If it is not found beyond doubt, and for every other class, the class
is called here, too.
"""

from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM
from libc.string cimport memcmp

import gc
import sys
from collections import deque

from asyncpg import Record
from sqlalchemy.engine import Row, RowMapping
from sqlalchemy.engine.row import BaseRow

try:
    from asyncpg.pgproto.pgproto import UUID
except ImportError:
    from uuid import UUID  # no value is known to be a leaf then, and the collector looks at each

cdef extern from "Python.h":
    bint PyObject_IS_GC(object)
    bint PyType_IS_GC(PyTypeObject *)
    PyTypeObject *Py_TYPE(object)
    bint PyObject_GC_IsTracked(object)
    void PyObject_GC_Track(PyObject *)
    void PyObject_GC_UnTrack(PyObject *)
    object PySequence_GetItem(object, Py_ssize_t)
    int PyGC_Disable()
    int PyGC_Enable()
    Py_ssize_t PyObject_Size(object) except -1
    ctypedef struct PySequenceMethods:
        void *sq_item
    ctypedef struct PyTypeObject:
        PySequenceMethods *tp_as_sequence
        object (*tp_new)(PyTypeObject *, PyObject *, PyObject *)

cdef extern from *:
    """
    /* The functions themselves, as pointers to compare. */
    #define pgflight_tp_new(type) ((void *)((PyTypeObject *)(type))->tp_new)
    #define pgflight_tp_init(type) ((void *)((PyTypeObject *)(type))->tp_init)
    """
    void *pgflight_tp_new(object)
    void *pgflight_tp_init(object)

OWN_ROWS = True
"""Whether many() is worth calling: the loops of SQLAlchemy are compiled, too."""

cdef Py_ssize_t _WORTH_HOLDING = 64  # rows
cdef type _Record = Record
cdef type _Deque = deque
cdef type _UUID = UUID
cdef tuple _NOTHING = ()


cdef bint _holds_numbers_only():
    """Tell whether an asyncpg UUID refers to nothing that could refer back."""
    if UUID.__dictoffset__:
        return False
    value = UUID("00000000-0000-0000-0000-000000000001")
    hash(value)
    value.int
    for referent in gc.get_referents(value):
        if referent is not None and type(referent) is not int and referent is not UUID:
            return False
    return type(value) is _UUID


cdef bint _uuids_are_leaves = _holds_numbers_only()


cdef inline bint _is_leaf(object value):
    """Tell whether `value` cannot be part of a reference cycle through itself.

    As the interpreter's own rule for tuples: what is no container, and tuples of such. An
    asyncpg UUID is a container by type, but holds two integers; the collector need not see it.
    """
    if not PyType_IS_GC(Py_TYPE(value)) or not PyObject_IS_GC(value):
        return True
    if type(value) is tuple:
        return not PyObject_GC_IsTracked(value)
    if type(value) is _UUID and _uuids_are_leaves:
        PyObject_GC_UnTrack(<PyObject *>value)
        return True
    return False


cdef inline tuple _unseen(Py_ssize_t size):
    """Return a tuple to be filled, which nobody can get from the collector before it is full."""
    cdef tuple values = PyTuple_New(size)
    PyObject_GC_UnTrack(<PyObject *>values)
    return values


ctypedef object (*_Item)(object, Py_ssize_t)


cdef _Item _item_of(type sequence):
    """Return the function behind `record[i]` for i from 0 on, without the detour by its type."""
    cdef PySequenceMethods *methods = (<PyTypeObject *>sequence).tp_as_sequence
    if methods is NULL or methods.sq_item is NULL:
        return PySequence_GetItem
    return <_Item>methods.sq_item


cdef _Item _record_item = _item_of(_Record)


cdef tuple _from_record(object record):
    """Return the values of an exact Record, untracked where they are leaves.

    Nobody else's code runs and nothing is allocated meanwhile, so that nobody sees it half full.
    """
    cdef Py_ssize_t size = PyObject_Size(record)
    cdef tuple values = PyTuple_New(size)
    cdef bint leaves = True
    cdef Py_ssize_t i
    for i in range(size):
        value = _record_item(record, i)
        leaves = leaves and _is_leaf(value)
        Py_INCREF(value)  # PyTuple_SET_ITEM takes a reference over
        PyTuple_SET_ITEM(values, i, value)
    if leaves:
        PyObject_GC_UnTrack(<PyObject *>values)
    return values


cdef inline tuple _plain(object record):
    """Return the values of a row of the driver as an exact tuple."""
    if type(record) is tuple:
        return <tuple>record
    if type(record) is _Record:
        return _from_record(record)
    return tuple(record)


cdef class Layout:
    """Where the instances of a row class keep parent, index and values."""

    cdef object row_class
    cdef bint found
    cdef void *_new
    cdef void *_init
    cdef Py_ssize_t _parent
    cdef Py_ssize_t _index
    cdef Py_ssize_t _data

    def __init__(self, row_class):
        self.row_class = row_class
        try:
            self.found = self._is_plain() and self._look() and self._proves()
        except Exception:
            self.found = False

    cdef bint _is_plain(self):
        """Tell whether to make an instance is to make SQLAlchemy's base class, and no more."""
        cls = self.row_class
        self._new = pgflight_tp_new(cls)
        self._init = pgflight_tp_init(cls)
        return (
            issubclass(cls, BaseRow)
            and cls.__init__ is BaseRow.__init__
            and cls.__new__ is BaseRow.__new__
            and pgflight_tp_new(BaseRow) == self._new
            and cls.__basicsize__ == BaseRow.__basicsize__
            and not cls.__itemsize__
            and not cls.__dictoffset__
            and (cls.__flags__ & (1 << 14)) != 0  # takes part in garbage collection
        )

    cdef bint _holds(self):
        """Tell whether instances can be filled: nobody has given the class a constructor since."""
        return (
            self.found
            and pgflight_tp_new(self.row_class) == self._new
            and pgflight_tp_init(self.row_class) == self._init
        )

    cdef bint _look(self):
        """Find three known objects in an instance, each exactly once."""
        parent, index, data = object(), {"a": 0}, (object(),)
        row = self.row_class(parent, None, index, data)
        cdef Py_ssize_t size = self.row_class.__basicsize__
        cdef Py_ssize_t step = sizeof(void *)
        cdef Py_ssize_t offset = sizeof(PyObject)
        cdef PyObject *held
        self._parent = self._index = self._data = 0
        while offset + step <= size:
            held = (<PyObject **>(<char *><PyObject *>row + offset))[0]
            if held == <PyObject *>parent:
                if self._parent:
                    return False
                self._parent = offset
            elif held == <PyObject *>index:
                if self._index:
                    return False
                self._index = offset
            elif held == <PyObject *>data:
                if self._data:
                    return False
                self._data = offset
            offset += step
        return self._parent != 0 and self._index != 0 and self._data != 0

    cdef bint _proves(self):
        """Tell whether a filled instance is what the constructor makes of the same values."""
        parent, index, data = object(), {"a": 0, "b": 1}, (object(), 2)
        before = [sys.getrefcount(each) for each in (parent, index, data)]
        filled = self.fill(parent, index, data)
        made = self.row_class(parent, None, index, data)
        cdef Py_ssize_t head = sizeof(PyObject)
        cdef char *left = <char *><PyObject *>filled
        cdef char *right = <char *><PyObject *>made
        same = (
            type(filled) is type(made)
            and memcmp(left + head, right + head, self.row_class.__basicsize__ - head) == 0
            and filled._parent is parent
            and filled._key_to_index is index
            and filled._data is data
            and filled._to_tuple_instance() is data
            and filled.__getstate__() == made.__getstate__()
            and [sys.getrefcount(each) - 2 for each in (parent, index, data)] == before
        )
        del filled, made
        return same and [sys.getrefcount(each) for each in (parent, index, data)] == before

    cdef object fill(self, object parent, object index, tuple data):
        """Return a new instance of the row class over `data`."""
        cdef object row = (<PyTypeObject *>self.row_class).tp_new(
            <PyTypeObject *>self.row_class, <PyObject *>_NOTHING, NULL
        )
        cdef char *base = <char *><PyObject *>row
        _put(<PyObject **>(base + self._parent), parent)
        _put(<PyObject **>(base + self._index), index)
        _put(<PyObject **>(base + self._data), data)
        if not PyObject_GC_IsTracked(data):
            # nothing that a result's metadata refers to refers to its rows
            PyObject_GC_UnTrack(<PyObject *>row)
        return row


cdef inline void _put(PyObject **slot, object value):
    """Store `value` in a slot of an instance that nobody else has seen yet."""
    cdef PyObject *old = slot[0]
    Py_INCREF(value)
    slot[0] = <PyObject *>value
    Py_XDECREF(old)


cdef Layout _rows = Layout(Row)
cdef Layout _mappings = Layout(RowMapping)


cdef Layout _layout(object row_class):
    """Return the layout of a class whose instances can be filled, else None."""
    cdef Layout layout = None
    if row_class is _rows.row_class:
        layout = _rows
    elif row_class is _mappings.row_class:
        layout = _mappings
    if layout is not None and layout._holds():
        return layout
    return None


def layout_found(row_class):
    """Tell whether the instances of `row_class` can be filled without calling it."""
    return _layout(row_class) is not None


cdef class RowFactory:
    """Makes the rows of one result: instances of `row_class`, or single values."""

    cdef readonly object parent
    cdef object _row_class
    cdef object _index
    cdef tuple _processors
    cdef Layout _layout

    def __init__(self, row_class, parent, processors, key_to_index):
        """Make rows over `parent` and `key_to_index` (str to int).

        `processors` is a sequence with a function of one value, or None, for each column; None
        where there are none.
        """
        self.parent = parent
        self._row_class = row_class
        self._index = key_to_index
        self._processors = _needed(processors)
        self._layout = _layout(row_class) if type(key_to_index) is dict else None

    def __call__(self, record):
        """Return the row of one record."""
        return self._row(self._values(record))

    def many(self, records):
        """Return the rows of a sequence of records, as a new list."""
        return self._fill(list(records))

    def fill(self, list records not None):
        """Replace the records in a list by their rows, and return the list."""
        return self._fill(records)

    def interim(self, records):
        """Return processed tuples of a sequence of records, as a new list."""
        return self.tuples(list(records))

    def tuples(self, list records not None):
        """Replace the records in a list by processed tuples, and return the list."""
        cdef Py_ssize_t i = 0
        if self._processors is None and PyList_GET_SIZE(records) >= _WORTH_HOLDING:
            i = self._convert_plain(records, False)
        while i < PyList_GET_SIZE(records):
            values = self._values(records[i])
            if i >= PyList_GET_SIZE(records):
                break
            records[i] = values
            i += 1
        return records

    def column(self, list records not None, Py_ssize_t position):
        """Replace the records in a list by the value at `position` of each; return the list."""
        cdef object processor = None
        cdef Py_ssize_t i = 0
        if position < 0:
            raise IndexError(f"position={position}: columns are counted from 0")
        if self._processors is not None:
            processor = self._processors[position]
        while i < PyList_GET_SIZE(records):
            value = PySequence_GetItem(records[i], position)
            if processor is not None:
                value = processor(value)
            if i >= PyList_GET_SIZE(records):
                break
            records[i] = value
            i += 1
        return records

    def iterate(self, result, cursor, rows, stock):
        """Return an iterator that takes rows from the deque `rows` of an open `cursor`.

        When `result.cursor` is no longer `cursor`, the iterator that `stock()` returns is asked
        for the rest; when no row is left, `result` is closed softly.
        """
        return RowIterator.__new__(RowIterator, self, result, cursor, rows, stock)

    cdef list _fill(self, list records):
        cdef Py_ssize_t i = 0
        if self._processors is None and PyList_GET_SIZE(records) >= _WORTH_HOLDING:
            i = self._convert_plain(records, True)
        # The length is read anew each time: a processor may do anything.
        while i < PyList_GET_SIZE(records):
            values = self._values(records[i])
            row = self._row(values)
            if i >= PyList_GET_SIZE(records):
                break
            records[i] = row
            i += 1
        return records

    cdef Py_ssize_t _convert_plain(self, list records, bint rows) except -1:
        """Replace what is a record or a tuple beyond doubt, up to the first element that is not.

        By rows, or else by tuples. Where no class is called nobody else's code runs meanwhile (what
        a record refers to, its tuple does, but for its names), so that the garbage collector can
        be held: it would find nothing, and look at all rows made so far again.
        """
        cdef Py_ssize_t i = 0
        cdef bint held = False
        if not rows or self._layout is not None:
            held = PyGC_Disable()
        try:
            while i < PyList_GET_SIZE(records):
                record = records[i]
                if type(record) is not _Record and type(record) is not tuple:
                    break
                made = _plain(record)
                if rows:
                    made = self._row(made)
                    if i >= PyList_GET_SIZE(records):  # a class that is called may do anything
                        break
                records[i] = made
                i += 1
        finally:
            if held:
                PyGC_Enable()
        return i

    cdef object _row(self, tuple values):
        if self._layout is not None:
            return self._layout.fill(self.parent, self._index, values)
        return self._row_class(self.parent, None, self._index, values)

    cdef tuple _values(self, object record):
        """Return the processed values of a record."""
        if self._processors is None:
            return _plain(record)
        cdef tuple processors = self._processors
        cdef Py_ssize_t size = PyTuple_GET_SIZE(processors)
        cdef tuple values = _unseen(size)
        cdef bint leaves = True
        cdef Py_ssize_t i
        for i in range(size):
            value = PySequence_GetItem(record, i)
            processor = <object>PyTuple_GET_ITEM(processors, i)
            if processor is not None:
                value = processor(value)
            leaves = leaves and _is_leaf(value)
            Py_INCREF(value)
            PyTuple_SET_ITEM(values, i, value)
        if not leaves:
            PyObject_GC_Track(<PyObject *>values)
        return values


cdef tuple _needed(object processors):
    """Return processors as a tuple, None where not one of them is a function."""
    if processors is None:
        return None
    cdef tuple each = tuple(processors)
    for processor in each:
        if processor is not None:
            return each
    return None


cdef class RowIterator:
    """What RowFactory.iterate() returns."""

    cdef RowFactory _factory
    cdef object _result
    cdef object _cursor
    cdef object _rows
    cdef object _popleft
    cdef object _stock
    cdef object _rest

    def __cinit__(self, RowFactory factory not None, result, cursor, rows, stock):
        if type(rows) is not _Deque:
            raise TypeError(f"rows wait in a deque, not in a {type(rows).__name__}")
        self._factory = factory
        self._result = result
        self._cursor = cursor
        self._rows = rows
        self._popleft = rows.popleft
        self._stock = stock

    def __iter__(self):
        return self

    def __next__(self):
        if self._rest is None:
            result = self._result
            if result is None:
                raise StopIteration
            self._result = None  # as a generator, this one ends with the first error
            if result.cursor is self._cursor:
                if PyObject_Size(self._rows):
                    row = self._factory._row(self._factory._values(self._popleft()))
                    self._result = result
                    return row
                result.close_softly()
                raise StopIteration
            self._rest = self._stock()
        return next(self._rest)
