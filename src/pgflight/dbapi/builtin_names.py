"""The private names of the built-in adapter, for programs and patches that use them on ours.

Bases of our connection and cursors, in front of SQLAlchemy's classes.  Nothing of ours calls these
methods.  Each does to our session what the built-in one does to asyncpg's connection, so that also
a method of SQLAlchemy's that calls it, from a patch that wraps it, is right.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from ..session.session import Session
from ..session.turn import Turn
from ..sqltext.commands import is_ddl
from . import errors


class ConnectionNames:
    """The private names of the built-in connection."""

    __slots__ = ()

    dbapi: Any
    session: Session

    @property
    def _execute_mutex(self) -> Turn:
        return self.session.turn

    @property
    def _transaction(self) -> Any:
        return self.session.unit.transaction

    @_transaction.setter
    def _transaction(self, transaction: object) -> None:
        self.session.unit.transaction = transaction

    @property
    def _started(self) -> bool:
        return self.session.unit.transaction is not None

    @_started.setter
    def _started(self, value: bool) -> None:
        if not value:
            self.session.unit.transaction = None

    @property
    def _isolation_setting(self) -> str | None:
        return self.session.transactions.characteristics._setting

    @_isolation_setting.setter
    def _isolation_setting(self, level: str | None) -> None:
        self.session.transactions.characteristics._setting = level

    @property
    def _prepared_statement_cache(self) -> Any:
        return self.session.statements.cache

    @property
    def _prepared_statement_name_func(self) -> Callable[[], str | None]:
        return self.session.statements._name_func

    @_prepared_statement_name_func.setter
    def _prepared_statement_name_func(self, function: Callable[[], str | None]) -> None:
        self.session.statements._name_func = function

    @property
    def _invalidate_schema_cache_asof(self) -> int:
        return 0  # the engine's schema generation takes its place

    @_invalidate_schema_cache_asof.setter
    def _invalidate_schema_cache_asof(self, moment: float) -> None:
        pass

    async def _check_type_cache_invalidation(self, invalidate_timestamp: float) -> None:
        self.session.expose()
        await self.session.statements.synchronize()

    async def _prepare(self, operation: str, invalidate_timestamp: float) -> Any:
        session = self.session
        session.expose()  # the caller executes it
        entry = await session.prepared(operation)
        if is_ddl(operation.lstrip()[:6].rstrip().upper(), operation):
            session.commands.note_schema_change()
        return entry.statement, entry.statement.get_attributes()

    async def _start_transaction(self) -> None:
        try:
            await self.session.transactions.begin_awaited()
        except Exception as error:
            self._handle_exception(error)
        self.session.unit.side_effect_free = False

    async def _rollback_and_discard(self) -> None:
        await self.session.end(commit=False)

    async def _commit_and_discard(self) -> None:
        await self.session.end(commit=True)

    async def _call_and_discard(self, fn: Callable[[], Awaitable[Any]]) -> None:
        # SQLAlchemy 2.1: a method of the open transaction
        await self.session.end(commit=fn.__name__ == "commit")

    async def _async_ping(self) -> None:
        await self.session.ping()

    @classmethod
    def _handle_exception_no_connection(cls, dbapi: object, error: Exception) -> NoReturn:
        translated = None if isinstance(error, errors.Error) else errors.translate(error)
        if translated is None:
            raise error
        raise translated from error

    def _handle_exception(self, error: Exception, lost: str | None = None) -> NoReturn:
        """Raise the PEP 249 error for one of asyncpg's, which the session has already noted.

        ``lost`` is what a program has to expect if the connection has ended without an answer.
        """
        session = self.session
        if session.connection.is_closed() is True or session.liveness.is_leaving():
            if lost is None:
                lost = errors.MAY_HAVE_RUN if session.transactions.autocommit else ""
            ended = errors.translate_loss(error, lost)
            if ended is not None:
                raise ended from error
        self._handle_exception_no_connection(self.dbapi, error)

    async def _terminate_graceful_close(self) -> None:
        await self._close_gracefully()
        self.session.lost()

    def _terminate_force_close(self) -> None:
        self.drop()

    async def _close_gracefully(self) -> None:
        raise NotImplementedError

    def drop(self) -> None:
        """Drop the socket without waiting."""
        raise NotImplementedError


class CursorNames:
    """The private names of the built-in cursor that are not a part of ours."""

    __slots__ = ()

    @property
    def _invalidate_schema_cache_asof(self) -> int:
        return 0  # set by contexts derived from the built-in dialect's

    @_invalidate_schema_cache_asof.setter
    def _invalidate_schema_cache_asof(self, moment: float) -> None:
        pass
