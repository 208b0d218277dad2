"""The adapted connection: an asyncpg connection behind PEP 249's synchronous interface.

Made by the DBAPI.  The session keeps what is known about the connection and does the sending;
cursors are in :mod:`pgflight.dbapi.cursor`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from .. import driver
from ..compat.builtin import theirs
from ..compat.versions import SQLALCHEMY_2_1, await_only, in_greenlet
from ..options.engine_options import EngineOptions
from ..session.session import Session
from . import errors
from .builtin_names import ConnectionNames
from .cursor import AsyncAdapt_asyncpg_cursor
from .recovery.closing import Farewells
from .server_side_cursor import AsyncAdapt_asyncpg_ss_cursor
from .timeouts import commit_timed_out

_DEFAULTS = EngineOptions()
_FAREWELLS = Farewells()


class AsyncAdapt_asyncpg_connection(
    ConnectionNames,
    theirs.AsyncAdapt_asyncpg_connection,  # type: ignore[misc]
):
    """A PEP 249 connection over one :class:`asyncpg.Connection`.

    ``prepared_statement_cache_size`` statements are kept prepared, 0 for none;
    ``prepared_statement_name_func`` names each new one.  Both override these fields of ``options``.
    Methods that wait run inside SQLAlchemy's greenlet.  Two tasks that use one connection queue.
    """

    __slots__ = ("session",)

    await_ = staticmethod(await_only)

    _cursor_cls: type[AsyncAdapt_asyncpg_cursor] = AsyncAdapt_asyncpg_cursor
    _ss_cursor_cls: type[AsyncAdapt_asyncpg_ss_cursor] = AsyncAdapt_asyncpg_ss_cursor

    session: Session
    """All that is known about the connection; not meant for programs."""

    def __init__(
        self,
        dbapi: Any,
        connection: Any,
        prepared_statement_cache_size: int | None = None,
        prepared_statement_name_func: Callable[[], str | None] | None = None,
        *,
        options: EngineOptions = _DEFAULTS,
    ) -> None:
        if prepared_statement_cache_size is not None:
            options = replace(options, prepared_statement_cache_size=prepared_statement_cache_size)
        if prepared_statement_name_func is not None:
            options = replace(options, prepared_statement_name_func=prepared_statement_name_func)
        self.dbapi = dbapi
        self.session = Session(connection, options)

    @classmethod
    async def create(
        cls, dbapi: object, connection_awaitable: Awaitable[Any], **arguments: Any
    ) -> AsyncAdapt_asyncpg_connection:
        """Await asyncpg's connection and wrap it; ``arguments`` are the constructor's.

        SQLAlchemy 2.1 expects PEP 249 errors here, 2.0 asyncpg's own.
        """
        try:
            connection = await connection_awaitable
        except Exception as error:
            if SQLALCHEMY_2_1:
                cls._handle_exception_no_connection(dbapi, error)
            raise
        driver.receive_in_bulk(connection)
        return cls(dbapi, connection, **arguments)

    # cursors

    def cursor(self, server_side: bool = False) -> AsyncAdapt_asyncpg_cursor:
        """Return a new cursor, server-side if requested."""
        return self._ss_cursor_cls(self) if server_side else self._cursor_cls(self)

    def execute(
        self, operation: str, parameters: Sequence[Any] | None = None
    ) -> AsyncAdapt_asyncpg_cursor:
        """Run one statement on a new cursor and return the cursor."""
        cursor = self.cursor()
        cursor.execute(operation, parameters)
        return cursor

    # the slot of the same name is not used

    @property
    def _connection(self) -> Any:
        return self.session.connection

    @_connection.setter
    def _connection(self, connection: Any) -> None:
        # another object in asyncpg's place, as unittest.mock puts it there
        self.session.use_connection(connection)

    @_connection.deleter
    def _connection(self) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        del self.session.connection  # unittest.mock deletes, looks, and then restores

    # how transactions begin

    @property
    def isolation_level(self) -> str | None:
        """``None`` (the server's default), ``"autocommit"`` or asyncpg's name of a level."""
        return self.session.transactions.characteristics.isolation_level

    @isolation_level.setter
    def isolation_level(self, level: str | None) -> None:
        self.session.transactions.characteristics.isolation_level = level

    def set_isolation_level(self, level: str | None) -> None:
        """Use ``level`` from the next transaction on; roll back an open one."""
        self.rollback()
        self.session.transactions.characteristics.set_isolation_level(level)

    @property
    def autocommit(self) -> bool:
        """Whether each statement commits by itself."""
        return self.session.transactions.characteristics.autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self.session.transactions.characteristics.autocommit = value

    @property
    def readonly(self) -> bool:
        """Whether transactions begin READ ONLY."""
        return self.session.transactions.characteristics.readonly

    @readonly.setter
    def readonly(self, value: bool) -> None:
        self.session.transactions.characteristics.readonly = value

    @property
    def deferrable(self) -> bool:
        """Whether transactions begin DEFERRABLE."""
        return self.session.transactions.characteristics.deferrable

    @deferrable.setter
    def deferrable(self, value: bool) -> None:
        self.session.transactions.characteristics.deferrable = value

    # how they end

    def commit(self) -> None:
        """Commit the open transaction, if there is one."""
        session = self.session
        if session.turn.is_elsewhere() and self.left_elsewhere():
            self._handle_exception(session.turn.refusal())
        if session.reads_ahead.tasks:
            self._settle_reads(commit=True)
        unit = session.unit
        if unit.transaction is not None or unit.in_doubt is not None:
            # outside a greenlet the awaited end is tried, which raises MissingGreenlet
            soon = unit.side_effect_free and unit.commit_cannot_fail and self._can_wait()
            if not (soon and session.ends.end_soon(commit=True)):
                self._wait_for(session.end(commit=True), errors.MAY_HAVE_COMMITTED)
        unit.ended_by_program = False
        if session.ends.status.status != driver.IDLE or unit.begin_failed:
            self._end_others(commit=True)

    def rollback(self) -> None:
        """Roll back the open transaction, if there is one, and end streams in AUTOCOMMIT."""
        session = self.session
        if session.turn.is_elsewhere() and self.left_elsewhere():
            return  # closed, which rolls back, too
        if session.copying_out is not None and self._can_wait():
            self.await_(session.copying_out.stop())
        if session.reads_ahead.tasks:
            self._settle_reads(commit=False)
        unit = session.unit
        if unit.transaction is not None or unit.in_doubt is not None:
            soon = unit.side_effect_free and self._can_wait()
            if not (soon and session.ends.end_soon(commit=False)):
                self._wait_for(session.end(commit=False))
        if session.held_cursors.names:
            session.held_cursors.abandon_all()
        if session.held_cursors.abandoned:
            self.close_abandoned_cursors()
        # the program's own use of asyncpg's connection may have left it unsettled
        pipeline = session.transactions.pipeline
        if pipeline is not None and pipeline.unsettled and self._can_wait():
            self.await_(pipeline.settle())
        unit.ended_by_program = False
        if session.ends.status.status != driver.IDLE or unit.begin_failed:
            self._end_others(commit=False)

    def _settle_reads(self, *, commit: bool) -> None:
        """Wait for what streams are reading ahead, if the caller may wait."""
        if self._can_wait():
            session = self.session
            bound = session.transactions.bounded_end(commit=commit)
            self._wait_for(session.reads_ahead.settle(bound))

    def _end_others(self, *, commit: bool) -> None:
        """End a transaction that is not the session's, if the server is in one.

        One that was begun by text, now; one of asyncpg's connection is the program's, until the
        connection goes back to its pool.
        """
        ends = self.session.ends
        if ends.begun_by_program and ends.is_left_open():
            self._wait_for(ends.end_begun_by_program(commit=commit))
        else:
            ends.watch_return()

    def close_abandoned_cursors(self) -> None:
        """Close held cursors that are no longer read, if the caller may wait."""
        session = self.session
        abandoned = session.held_cursors.abandoned
        if abandoned and self._can_wait() and not self._connection.is_closed():
            self._wait_for(session.close_abandoned_cursors())

    def _wait_for(self, awaitable: Awaitable[Any], lost: str = "") -> Any:
        try:
            return self.await_(awaitable)
        except Exception as error:
            if lost and isinstance(error, asyncio.TimeoutError):
                raise commit_timed_out(self, error) from error
            self._handle_exception(error, lost)

    # the end of the connection

    def _can_wait(self) -> bool:
        return in_greenlet()

    def ping(self) -> None:
        """Make one empty round trip; raise the translated error when the server is gone."""
        self._wait_for(self.session.ping())

    def left_elsewhere(self) -> bool:
        """Let go of a connection of another event loop or process; tell whether it is one."""
        turn = self.session.turn
        if not turn.is_elsewhere():
            return False
        if not turn.abandoned:
            turn.abandoned = True
            driver.abandon(self._connection, turn.loop, forked=turn.is_a_parents())
            self.session.lost()
        return True

    def close(self) -> None:
        """Roll back and close, waiting for the server for two seconds at most."""
        if self.left_elsewhere():
            return
        self.rollback()
        try:
            self.await_(self._close_gracefully())
        except asyncio.TimeoutError:
            self.drop()

    def terminate(self) -> None:
        """Close in any case: gracefully within two seconds, else by dropping the socket."""
        if self.left_elsewhere():
            return
        if not self._can_wait():
            self.drop()
            return
        try:
            self.await_(self._close_gracefully())
        except Exception:
            self.drop()
        except asyncio.CancelledError:
            self.drop()
            raise
        else:
            self.session.lost()

    def drop(self) -> None:
        """Drop the socket without waiting."""
        if not self.left_elsewhere():
            driver.drop(self._connection)
            self.session.lost()

    async def _close_gracefully(self) -> None:
        await getattr(self.dbapi, "farewells", _FAREWELLS).close(self.session)

    # asyncpg's connection in the program's hands

    @property
    def driver_connection(self) -> Any:
        """asyncpg's connection; the session cannot see what the program does with it."""
        return self.session.expose()

    def run_async(self, fn: Callable[[Any], Awaitable[Any]]) -> Any:
        """Run ``fn`` with asyncpg's connection and return what its awaitable returns."""
        return self.await_(fn(self.driver_connection))
