"""PEP 249's connection, and the function that makes one."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import exc
from sqlalchemy.engine import URL, make_url

from ...options.url import connect_arguments
from .. import errors
from ..connection import AsyncAdapt_asyncpg_connection
from ..cursor import AsyncAdapt_asyncpg_cursor
from .calls import adapter, call, loop_thread, refuse_waiting
from .cursor import Cursor
from .placeholders import Parameters

T = TypeVar("T")

_SCHEMES = ("postgresql", "postgres")
_A_PARENTS = "this connection is the parent process's: a child made by fork() makes its own"


def connect(
    dsn: str | URL | None = None, *, autocommit: bool = False, **options: Any
) -> Connection:
    """Connect to a server and return the connection; from any thread, but not from a coroutine.

    ``dsn`` is a URL, ``postgresql://user:password@host:5432/database?option=value``.  ``options``
    are laid over it: ``host``, ``port``, ``user``, ``password``, ``database`` and those of
    :mod:`pgflight.options.table`; what neither has comes from libpq's variables, such as PGHOST.
    With ``autocommit`` no transaction is begun.  Raises ProgrammingError for a wrong option,
    OperationalError where no connection can be made, and the server's errors.
    """
    refuse_waiting()
    arguments = {**_from_url(dsn), **options} if dsn is not None else options
    return call(partial(_connect, arguments, autocommit))


def _connect(arguments: dict[str, Any], autocommit: bool) -> Connection:
    # in the loop's thread: if the caller is interrupted, the collector closes it
    adapted = adapter.connect(**arguments)
    if autocommit:
        adapted.autocommit = True
    return Connection(adapted)


def _from_url(dsn: str | URL) -> dict[str, Any]:
    try:
        url = make_url(dsn)
    except (exc.ArgumentError, ValueError):  # ValueError of a port that is no number
        url = None
    if url is None or url.drivername.partition("+")[0] not in _SCHEMES:
        # whoever reads it must not find a password: the text is not repeated
        raise errors.ProgrammingError(
            "this is no URL of a PostgreSQL server: write"
            " postgresql://user:password@host:5432/database"
        )
    try:
        return connect_arguments(url)
    except exc.ArgumentError as error:
        raise errors.ProgrammingError(str(error)) from None


class Connection:
    """A connection to a PostgreSQL server; made by :func:`connect`.

    The first statement begins a transaction, unless :attr:`autocommit` is set.  Threads may share
    it: their calls take turns, and their statements are in one transaction.  As a context manager
    it commits, or rolls back after an exception, and closes.  Raises the errors of
    :mod:`pgflight.dbapi`, which it has as attributes.
    """

    Warning = errors.Warning
    Error = errors.Error
    InterfaceError = errors.InterfaceError
    DatabaseError = errors.DatabaseError
    InternalError = errors.InternalError
    OperationalError = errors.OperationalError
    ProgrammingError = errors.ProgrammingError
    IntegrityError = errors.IntegrityError
    DataError = errors.DataError
    NotSupportedError = errors.NotSupportedError

    def __init__(self, adapted: AsyncAdapt_asyncpg_connection) -> None:
        self._closed = False
        self._adapted = adapted
        self._driver_connection: Any = adapted.session.connection
        # a signal handler may use the connection while the thread that it interrupted waits
        self._lock = threading.RLock()
        self._calls = 0  # of the lock's owner: more than one only where a signal handler calls
        loop_thread.enter(self._driver_connection)

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called, or the connection has ended."""
        return self._closed or self._driver_connection.is_closed()

    @property
    def autocommit(self) -> bool:
        """Whether each statement commits by itself; to be changed between transactions."""
        return self._adapted.autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        refuse_waiting()
        self._check(ended=False)
        with self._lock:
            self._check()
            if value != self._adapted.autocommit:
                unit = self._adapted.session.unit
                if unit.transaction is not None or unit.in_doubt is not None:
                    raise errors.ProgrammingError(
                        "a transaction is open: commit() or rollback() before autocommit is changed"
                    )
                self._adapted.autocommit = value

    def cursor(self) -> Cursor:
        """Return a new cursor."""
        self._check()
        return Cursor(self)

    def execute(self, operation: str, parameters: Parameters | None = None) -> Cursor:
        """Execute one statement on a new cursor and return that."""
        return self.cursor().execute(operation, parameters)

    def executemany(self, operation: str, seq_of_parameters: Sequence[Parameters]) -> Cursor:
        """Execute one statement for each set of parameters on a new cursor and return that."""
        return self.cursor().executemany(operation, seq_of_parameters)

    def commit(self) -> None:
        """Commit the open transaction, if there is one.

        Raises OperationalError where no answer has come: it may have been committed.
        """
        self._call(self._adapted.commit)

    def rollback(self) -> None:
        """Roll back the open transaction, if there is one."""
        self._call(self._adapted.rollback)

    def close(self) -> None:
        """Roll back and close.  A second time, nothing happens.

        It does not wait for another thread's statement, which fails with OperationalError.  In a
        child process the parent's connection is let go of, and the server hears nothing.
        """
        if self._adapted.session.turn.is_a_parents():
            self._closed = True
            self._adapted.left_elsewhere()
            return
        # while the interpreter shuts down, the owner of the lock may be a thread that has ended
        if self._closed or sys.is_finalizing():
            self._closed = True
            return
        if loop_thread.inside() or not self._lock.acquire(blocking=False):
            self._closed = True
            self._drop_soon()
            return
        try:
            self._close()
        finally:
            self._lock.release()

    def _close(self) -> None:
        closed, self._closed = self._closed, True
        try:
            # a statement is under way where a signal handler closes
            if not (closed or self._calls or self._driver_connection.is_closed()):
                call(self._adapted.close)
        except errors.Error:
            pass  # it has ended meanwhile, which rolls back, too
        finally:
            self._drop_soon()

    def _drop_soon(self) -> None:
        """Make sure that the socket is closed, also where closing was interrupted."""
        loop_thread.call(self._drop)
        loop_thread.leave(self._driver_connection)

    def _drop(self) -> None:
        if not self._driver_connection.is_closed():
            self._adapted.drop()

    def __enter__(self) -> Connection:
        self._check()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        try:
            if kind is None:
                self.commit()
        finally:
            self.close()

    def __del__(self) -> None:
        if getattr(self, "_closed", True):
            return
        self._closed = True
        if self._adapted.session.turn.is_a_parents():
            self._adapted.left_elsewhere()
        else:
            loop_thread.abandon(self._driver_connection)
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=1)

    def _check(self, *, ended: bool = True) -> None:
        """Raise the error of a connection that was closed, or, with ``ended``, that has ended."""
        if self._adapted.session.turn.is_a_parents():
            raise errors.InterfaceError(_A_PARENTS)
        if self._closed:
            raise errors.InterfaceError("the connection is closed")
        if ended and self._driver_connection.is_closed():
            raise errors.OperationalError("the connection has ended: close it and make another")

    def _call(self, function: Callable[[], T]) -> T:
        """Run ``function`` in the event loop, when no other thread does."""
        refuse_waiting()
        self._check()
        with self._lock:
            if self._closed:
                self._check()  # closed by another thread meanwhile
            self._calls += 1
            try:
                return call(function)
            finally:
                self._calls -= 1

    def _adapted_cursor(self) -> AsyncAdapt_asyncpg_cursor:
        cursor = self._adapted.cursor()
        cursor._as_tuples = True
        return cursor
