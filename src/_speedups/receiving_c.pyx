"""The receiver: reads what the server sends before asyncpg does; the compiled form of receiving.py.

Not one source with the Python form: here the interpreter's C functions pause the collector, and no
other thread can run between them unless a codec is Python code.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from libc.string cimport memcmp

from collections import deque

cdef extern from "Python.h":
    int PyGC_Disable()
    int PyGC_Enable()

WORTH_HOLDING = 16384
"""Bytes from which on the collector is held while they are decoded."""

cdef Py_ssize_t _WORTH_HOLDING = WORTH_HOLDING
cdef Py_ssize_t _SMALL = 4096
cdef bytes _ASYNCHRONOUS = b"NSA"  # NoticeResponse, ParameterStatus, NotificationResponse


cdef int _status(object data) except -1:
    """Return the transaction status that `data` ends with, 0 where it does not."""
    cdef Py_ssize_t size
    cdef const char *end
    if PyBytes_CheckExact(data):
        size = PyBytes_GET_SIZE(data)
        if size < 6:
            return 0
        end = PyBytes_AS_STRING(data) + size - 6
        return (<const unsigned char *>end)[5] if memcmp(end, b"Z\0\0\0\x05", 5) == 0 else 0
    return data[-1] if bytes(data[-6:-1]) == b"Z\0\0\0\x05" else 0


cdef bint _ends_whole(bytes data) except -1:
    """Tell whether `data`, which begins with a message, ends with a whole one."""
    cdef const unsigned char *bytes_ = <const unsigned char *>PyBytes_AS_STRING(data)
    cdef Py_ssize_t at = 0
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef unsigned int length
    while at < size:
        if size - at < 5:
            return False
        length = (
            <unsigned int>bytes_[at + 1] << 24 | <unsigned int>bytes_[at + 2] << 16
            | <unsigned int>bytes_[at + 3] << 8 | bytes_[at + 4]
        )
        if length < 4:
            return False
        at += 1 + <Py_ssize_t>length
    return at == size


cdef bint _is_fatal(object error) except -1:
    """Tell whether an ErrorResponse is the last message of its connection."""
    return b"VFATAL\0" in error or b"VPANIC\0" in error


cdef class Receiver:
    """Passes everything on to a protocol; holds the garbage collector while rows are decoded."""

    cdef readonly object protocol
    cdef readonly int status
    cdef readonly bint farewell
    cdef readonly bint whole
    cdef public object overhear
    cdef public object screen
    cdef public object when_collected
    cdef public object when_refused
    cdef object _data_received
    cdef object _owed
    cdef bytes _part
    cdef bint _owing
    cdef bint _refused

    def __init__(self, protocol):
        """Receive in front of `protocol`, an asyncio.Protocol."""
        self.protocol = protocol
        self.status = 0
        self.farewell = False
        self.whole = True
        self.overhear = self.screen = None
        self.when_collected = self.when_refused = None
        self._data_received = protocol.data_received
        self._owed = deque()
        self._part = b""
        self._owing = self._refused = False

    @property
    def owed(self):
        """The number of foretold answers that the server has not given yet."""
        return len(self._owed)

    def foretell(self, bytes answer not None):
        """Give the protocol `answer` now, and nothing when the server gives the same one.

        `answer` is a CommandComplete and a ReadyForQuery. If the server gives an error and a
        ReadyForQuery, the protocol gets neither, and `when_refused` is called; without that, and
        for any other answer, the protocol is aborted. What has come so far must end with a whole
        message.
        """
        self._owed.append(answer)
        self._owing = True
        self.status = _status(answer)
        self.whole = True
        self._data_received(answer)

    def owe(self, bytes answer not None):
        """Keep `answer` from the protocol, which needs no telling, when the server gives it."""
        self._owed.append(answer)
        self._owing = True

    def data_received(self, data):
        """Pass on bytes, without a collection in between where they are many."""
        if self._owing:
            data = self._collect(bytes(data))
            if not data:
                return
        if self.screen is not None:
            data = self.screen(bytes(data))
            if not data:
                self.status = 0
                return
        self.status = _status(data)
        self.whole = self.status != 0 or (
            self.whole and len(data) < _SMALL and _ends_whole(bytes(data))
        )
        if self.overhear is not None:
            self.overhear(data)
        if data[:1] == b"E" and _is_fatal(data):
            self.farewell = True
        if len(data) < _WORTH_HOLDING or not PyGC_Disable():
            self._data_received(data)
            return
        try:
            self._data_received(data)
        finally:
            PyGC_Enable()

    cdef bytes _collect(self, bytes data):
        """Take what was foretold off the front of `data`; return what is left to pass on."""
        cdef Py_ssize_t length
        cdef bytes answer, message, kind
        owed = self._owed
        if self._part:
            data = self._part + data
            self._part = b""
        while owed:
            answer = owed[0]
            if not self._refused and data.startswith(answer):
                data = data[len(answer):]
                owed.popleft()
                continue
            length = 1 + int.from_bytes(data[1:5], "big") if len(data) >= 5 else 0
            if not length or len(data) < length:
                self._part = data
                return b""
            message = data[:length]
            kind = message[:1]
            if kind in _ASYNCHRONOUS:
                self._data_received(message)
            elif self._refused:
                if kind == b"Z":
                    self._refused = False
                    owed.popleft()
                    self.when_refused()
            elif answer.startswith(message):
                owed[0] = answer[length:]
            elif kind == b"E" and _is_fatal(message):
                break  # the end of the connection: what waits is told why
            elif kind == b"E" and self.when_refused is not None:
                self._refused = True
            else:
                self._settle()
                self.protocol.abort()
                return b""
            data = data[length:]
        self._settle()
        return data

    cdef _settle(self):
        self._owed.clear()
        self._owing = self._refused = False
        self._part = b""
        if self.when_collected is not None:
            self.when_collected()

    def connection_lost(self, error):
        """Pass the end on; nothing is owed any more."""
        self.protocol.connection_lost(error)
        self._settle()

    def __getattr__(self, name):
        return getattr(self.protocol, name)
