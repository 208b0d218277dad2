"""The cursor that sends a COPY: transaction, types, rows, and the location of errors.

Made by the execution context of :func:`pgflight.copy_in`, so that events, echo, autobegin and
SQLAlchemy's handling of errors and lost connections are those of every other statement.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from asyncpg import exceptions as driver_errors
from sqlalchemy import exc

from .. import driver
from ..compat.connections import dbapi_connection
from ..dbapi import errors
from ..dbapi.cursor import AsyncAdapt_asyncpg_cursor
from ..dbapi.timeouts import timed_out
from ..parameters.contracts import Context
from ..session.request import Begin, Request, interrupts
from . import text_format
from .column_types import check_types, fits
from .feed import Feed

# of the server's CONTEXT, in whatever language: COPY name, line 3, column "n": "x"
_WHERE = re.compile(r"^COPY .+?, \w+ (\d+)(?:, \w+ ([^:]+))?", re.MULTILINE)

_OF_DIALECT = frozenset({114, 3802, 650, 869, "json[]", "jsonb[]"})
"""Numbers and names of types whose codecs, set by the dialect, send text as it is."""

_BUSY = "the connection is busy with a COPY: whatever produces its rows needs its own connection"


class CopyJob:
    """What one COPY is to do; ``statement`` is the COPY itself, without options."""

    def __init__(
        self,
        feed: Feed,
        statement: str,
        select: str,
        insert: str,
    ) -> None:
        self.feed = feed
        self.statement = statement
        self.select = select
        """Describes the columns as the server has them."""
        self.insert = insert
        """Describes the values as an INSERT sends them; never executed."""


class AsyncAdapt_asyncpg_copy_cursor(AsyncAdapt_asyncpg_cursor):
    """A cursor whose :meth:`execute` copies the rows of its job to the server."""

    __slots__ = ("_job",)

    def __init__(self, adapt_connection: Any, job: CopyJob) -> None:
        super().__init__(adapt_connection)
        self._job = job

    def execute(self, operation: str, parameters: Sequence[Any] | None = None) -> None:
        """Copy the rows; in a transaction of its own in AUTOCOMMIT."""
        adapted, feed = self._adapt_connection, self._job.feed
        try:
            adapted.await_(adapted.session.run(Request(operation, self._send, Begin.AWAITED)))
        except Exception as error:
            if error is feed.failure or isinstance(error, exc.SQLAlchemyError):
                raise
            if interrupts(error):
                raise timed_out(
                    adapted, error, operation, seconds=feed.timeout, source="timeout of the COPY"
                ) from error
            self._handle_exception(error)
        self._rowcount = feed.rows

    async def _send(self) -> None:
        session, connection, feed = self._adapt_connection.session, self._connection, self._job.feed
        own = None
        try:
            if not session.unit.transaction and not connection.is_in_transaction():
                # AUTOCOMMIT: the types must not change between description and use
                own = connection.transaction()
                await own.start()
            left = feed.left()
            # asyncpg's own timeout would let COPY go on sending; a cancellation ends it
            await driver.within(left, self._copy())
            if own is not None:
                await own.commit()
        except BaseException as error:
            if own is not None:
                await self._undo(own, error)
            raise
        finally:
            session.turn.reserve(None)
            await feed.aclose()

    async def _undo(self, own: Any, error: BaseException) -> None:
        if interrupts(error):
            self._adapt_connection.session.transactions.doubt(own, ended=True)
        elif not self._connection.is_closed():
            try:
                await own.rollback()
            except Exception:
                self._connection.terminate()

    async def _copy(self) -> None:
        session, connection, job = self._adapt_connection.session, self._connection, self._job
        statements, feed, turn = session.statements, job.feed, session.turn
        # called by the task that waits for the rows, which may be one of asyncpg's own
        feed.reserve = lambda: turn.reserve(asyncio.current_task(), errors.InterfaceError(_BUSY))
        await statements.synchronize()
        insert = await statements.prepare_unnamed(job.insert)
        described = await statements.prepare_unnamed(job.select)
        declared = insert.get_parameters()  # asked now: at level public asyncpg forgets it below
        check_types(feed.plan.columns, declared, described.get_attributes())
        target = driver.CopyTarget(
            job.statement,
            feed.schema,
            feed.table,
            tuple(column.name for column in feed.plan.columns),
            described,
            session.watch,
        )
        binary = await driver.has_binary_form(connection, target)
        if binary:
            feed.numerics = driver.unchecked_numerics(connection, declared)
        encoders = [] if binary else [self._encoder(x.type) for x in described.get_attributes()]
        session.counters.trips += 1
        session.watch.steps_aside("COPY in without asyncpg's methods", driver.COPIES)
        with driver.CopyWatch(connection) as feed.watch:
            try:
                if binary:
                    await driver.copy_records(connection, target, feed.records())
                else:
                    await driver.copy_text(connection, target, feed.chunks(encoders))
            except Exception as error:
                await self._explain(feed.failure or error, insert, described)
            await feed.finished()

    def _encoder(self, type_: Any) -> text_format.Encoder:
        number: int = type_.oid
        oid = text_format.ARRAYS.get(number, number)
        form = driver.custom_codec_format(self._connection, oid)
        # our own binary codecs store the same values as the text encoders used here
        ours = form == "binary" and oid in text_format.ENCODERS
        if form is not None and not ours and not _OF_DIALECT & {oid, type_.name}:
            raise exc.ArgumentError(
                f"{type_.name} has a codec of the program's own, which COPY in text form cannot "
                "use: give it format='binary', and leave out columns that have no binary codec"
            )
        return text_format.encoder(type_)

    async def _explain(self, error: Exception, insert: Any, described: Any) -> NoReturn:
        """Raise the error with its row and column, as far as they are known."""
        feed, connection = self._job.feed, self._connection
        if error is feed.failure and not isinstance(error, text_format.Unencodable):
            raise error
        if isinstance(error, driver_errors.PostgresError):
            found = _WHERE.search(getattr(error, "context", None) or "")
            if found is None:
                raise error
            column = found[2]
            self._raise_located(error, int(found[1]), column and column.strip('"'))
        if isinstance(error, text_format.Unencodable):
            place = error.column
            number = feed.rows_before + error.row + 1
            refused = driver_errors.DataError(
                f"invalid input for query argument ${place + 1}: "
                f"{driver.shown(feed.page[error.row][place])} ({error.reason})"
            )
            refused.__cause__ = error.reason
            self._raise_located(refused, number, feed.plan.columns[place].name)
        if isinstance(error, (driver_errors.InterfaceError, OSError)) or interrupts(error):
            raise error
        row = feed.current()
        if row is None or connection.is_closed():
            raise error
        # a codec's error: asyncpg refuses the same values in an INSERT before anything is sent, and
        # says which one is wrong; the transaction is aborted, so nothing could be stored anyway
        try:
            await driver.fetch(insert, row, self._adapt_connection.session.watch)
        except Exception as failure:
            refused = driver.refusal(failure, [row])
            if isinstance(refused, driver_errors.DataError):
                found = re.search(r"query argument \$(\d+)", str(refused))
                name = None if found is None else feed.plan.columns[int(found[1]) - 1].name
                self._raise_located(refused, feed.number(), name)
        wrong = driver_errors.DataError(f"invalid input: {error}")
        wrong.__cause__ = error
        # else the value is in the range of the Table's type, but not of the server's
        for column, value, found in zip(
            feed.plan.columns, row, described.get_attributes(), strict=True
        ):
            if not fits(value, found.type.oid):
                self._raise_located(wrong, feed.number(), column.name)
        self._raise_located(wrong, feed.number(), None)

    def _raise_located(self, error: Exception, row: int, column: str | None) -> NoReturn:
        self._adapt_connection.session.note_failure(error)
        try:
            self._handle_exception(error)
        except errors.Error as translated:
            column = column or translated.column_name  # for NOT NULL it is a field
            where = f"row {row}" if column is None else f"row {row}, column {column!r}"
            translated.args = (f"{translated.args[0]} ({where})", *translated.args[1:])
            translated.row = row
            if column is not None and translated.column_name is None:
                translated.column_name = column
            raise


def cursor_factory(job: CopyJob) -> Callable[[Any], AsyncAdapt_asyncpg_copy_cursor]:
    """Return the function that makes the cursor of one COPY for its execution context."""

    def make(context: Context) -> AsyncAdapt_asyncpg_copy_cursor:
        job.feed.context = context
        # not the pool's proxy of it
        adapted = dbapi_connection(context).dbapi_connection
        return AsyncAdapt_asyncpg_copy_cursor(adapted, job)

    return make
