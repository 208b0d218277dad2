"""What stands between a transport and asyncpg's protocol; the compiled form of receiving.py.

Not one source with the Python form: the collector is held by the interpreter's C functions here,
between which no other thread can run unless a codec is Python code.
"""

cdef extern from "Python.h":
    int PyGC_Disable()
    int PyGC_Enable()

WORTH_HOLDING = 16384
"""Bytes from which on the collector is held while they are decoded."""

cdef Py_ssize_t _WORTH_HOLDING = WORTH_HOLDING


cdef class Receiver:
    """Passes everything on to a protocol; holds the garbage collector while rows are decoded."""

    cdef readonly object protocol
    cdef object _data_received

    def __init__(self, protocol):
        """Stand in front of `protocol`, an asyncio.Protocol."""
        self.protocol = protocol
        self._data_received = protocol.data_received

    def data_received(self, data):
        """Pass on bytes, without a collection in between where they are many."""
        if len(data) < _WORTH_HOLDING or not PyGC_Disable():
            self._data_received(data)
            return
        try:
            self._data_received(data)
        finally:
            PyGC_Enable()

    def __getattr__(self, name):
        return getattr(self.protocol, name)
