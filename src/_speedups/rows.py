"""Results of an execution: records become tuples, a command tag becomes a row count.

The cursor calls both functions once for every statement, through pgflight._impl.
"""

from __future__ import annotations

from typing import Any

from asyncpg import Record

from pgflight._speedups import _pure as cython

if cython.compiled:  # never at run time; the compiler has to see the import to know the types
    import cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.cpython.object import PyObject_Size
    from cython.cimports.cpython.ref import Py_INCREF
    from cython.cimports.cpython.sequence import PySequence_GetItem
    from cython.cimports.cpython.tuple import PyTuple_New, PyTuple_SET_ITEM

_Record: type = Record
_SLICE = 1024
_COUNTED = frozenset({"SELECT ", "UPDATE ", "DELETE "})


@cython.annotation_typing(False)
def tuples(records: list[Any]) -> list[Any]:
    """Replace every element of `records` that is not a tuple by a tuple of its values.

    The same list is returned: with a large result, records and tuples are never all alive at
    once. TypeError when `records` is not exactly a list or an element is not iterable; elements
    before that one are converted already.
    """
    if type(records) is not list:
        raise TypeError(
            f"tuples() converts a list in place, not {type(records).__name__}: pass list(records)"
        )
    _convert(records)
    return records


@cython.cfunc
def _convert(records: list[Any]) -> None:
    """Convert the elements of `records`, an exact list, in place."""
    i: cython.Py_ssize_t = 0
    if not cython.compiled:
        i = _convert_in_slices(records)
    # The length is read anew each time: an element's own __iter__ may shorten the list.
    while i < len(records):
        element: Any = records[i]
        if type(element) is _Record:
            records[i] = _from_record(element)
        elif not isinstance(element, tuple):
            # Not in one step: the element's __iter__ runs before the list is looked at again.
            values: tuple[Any, ...] = tuple(element)
            if i < len(records):
                records[i] = values
        i += 1


def _convert_in_slices(records: list[Any]) -> int:
    """Convert records a slice at a time, which interpreted code does twice as fast as one by one.

    Returns the position of the first slice that holds anything else, or the length.
    """
    size = len(records)
    for start in range(0, size, _SLICE):
        part = records[start : start + _SLICE]
        if set(map(type, part)) != {_Record}:
            return start
        records[start : start + _SLICE] = map(tuple, part)
    return size


@cython.cfunc
def _from_record(record: Any) -> tuple[Any, ...]:
    """Return the values of an exact asyncpg Record, in column order."""
    if cython.compiled:
        # A Record's own iterator costs three times as much as its items by position.
        i: cython.Py_ssize_t
        size: cython.Py_ssize_t = PyObject_Size(record)
        values: tuple[Any, ...] = PyTuple_New(size)
        for i in range(size):
            item: object = PySequence_GetItem(record, i)
            Py_INCREF(item)  # PyTuple_SET_ITEM takes a reference over
            PyTuple_SET_ITEM(values, i, item)
        return values
    else:
        return tuple(record)


@cython.annotation_typing(False)
def rowcount(status: str | bytes | None) -> int:
    """Return the row count in the command tag `status`, -1 where it has none that counts.

    SELECT n, UPDATE n, DELETE n and INSERT oid n count; whatever follows the number is ignored.
    TypeError when `status` is neither text, nor bytes, nor None; UnicodeDecodeError when the
    bytes are not UTF-8.
    """
    if status is None:
        return -1
    if isinstance(status, bytes):
        status = status.decode()
    elif not isinstance(status, str):
        raise TypeError(
            f"a command tag is text, bytes or None, not {type(status).__name__}: {status!r}"
        )
    count: int = _count(str(status))
    return count


@cython.cfunc
def _count(tag: str) -> Any:
    """Return the number in `tag`, -1 where it has none that counts."""
    number: str = tag[7:]
    if tag[:7] in _COUNTED and number.isdecimal():
        return int(number)
    size: cython.Py_ssize_t = len(tag)
    start: cython.Py_ssize_t = 7
    if tag.startswith("INSERT "):
        start = _digits_end(tag, 7, size)
        if start == 7 or start >= size or tag[start] != " ":
            return -1
        start += 1
    elif not tag.startswith(("SELECT ", "UPDATE ", "DELETE ")):
        return -1
    end: cython.Py_ssize_t = _digits_end(tag, start, size)
    return int(tag[start:end]) if end > start else -1


@cython.cfunc
def _digits_end(tag: str, start: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return the position after the decimal digits of `tag` that begin at `start`."""
    while start < size and tag[start].isdecimal():
        start += 1
    return start
