"""What has become of a transaction whose BEGIN travels, or whose end was interrupted.

The base of the adapted connection: its state between the program and asyncpg.  Transactions begin
in :mod:`fastpg.begin` and end in :mod:`fastpg.transaction`.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any, NoReturn

from sqlalchemy.engine import AdaptedConnection

from . import driver
from .work import Work


class DoubtfulConnection(AdaptedConnection):
    """A connection that asks the server where it stands when it cannot know.

    It is in doubt when an operation was interrupted (cancelled, timed out) that may or may not
    have begun or ended a transaction, or when an end was refused, until its next use.
    """

    __slots__ = (
        "_preamble",
        "_pipeline",
        "_transaction",
        "_doubtful",
        "_ended",
        "_unfinished",
        "_last_used",
        "_work",
    )

    _preamble: driver.Preamble | None
    _pipeline: driver.Pipeline | None
    _transaction: Any
    _doubtful: Any
    """asyncpg's transaction whose first statement was interrupted, or whose end was."""
    _ended: bool
    """Whether that was its end."""
    _unfinished: bool
    """Whether something has to be cleared away before the next transaction begins."""
    _last_used: float
    """When the server last gave an answer that was no error, as ``time.monotonic()`` tells it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._preamble = driver.open_preamble(connection)
        self._pipeline = None
        self._transaction = self._doubtful = None
        self._ended = self._unfinished = False
        self._last_used = monotonic()
        self._work = Work(connection)

    def _handle_exception(self, error: Exception) -> NoReturn:
        raise NotImplementedError

    async def _finish_up(self) -> None:
        """Clear away what an earlier statement has left."""
        self._unfinished = False
        if self._doubtful is not None:
            await self._resolve()
        if self._pipeline is not None:
            await self._pipeline.collected()

    # the first statement, in front of which BEGIN travels

    def _first_answered(self) -> None:
        """Note that BEGIN has arrived, or that nothing had to be sent at all."""
        pipeline = self._pipeline
        if pipeline is not None and pipeline.traveling:
            pipeline.traveling = False
            self._forget_unsent()
        elif self._transaction is None:  # in AUTOCOMMIT
            self._work.units += 1
            self._last_used = monotonic()

    def _forget_unsent(self) -> bool:
        """Forget a BEGIN that has not been sent; tell whether there was one."""
        if self._pipeline is None or not self._pipeline.unsent():
            return False
        self._transaction = None
        self._work.units -= 1
        self._work.saved -= 1
        return True

    async def _first_failed(self, error: Exception) -> None:
        """Find out whether there is a transaction after its first statement has failed."""
        pipeline = self._pipeline
        if pipeline is None or not pipeline.traveling:
            return
        if self._forget_unsent():
            return
        if interrupts(error):
            self._doubt(self._transaction, ended=False)
        elif self._connection.is_closed():
            pipeline.forget()
            self._transaction = None
        elif self._connection.is_in_transaction():
            pipeline.traveling = False
        else:
            # BEGIN has failed, or has left without a Sync behind it
            try:
                self._work.trips += 1
                begun = await pipeline.synchronize()
            except Exception:
                self._connection.terminate()
                begun = False
            except BaseException:
                self._doubt(self._transaction, ended=False)
                raise
            if not begun:
                pipeline.forget()
                self._transaction = None

    def _first_interrupted(self) -> None:
        """Remember to find that out; a cancelled task does not wait."""
        pipeline = self._pipeline
        if pipeline is not None and pipeline.traveling:
            if not self._forget_unsent():
                self._doubt(self._transaction, ended=False)

    def _doubt(self, transaction: Any, *, ended: bool) -> None:
        self._transaction = None
        self._doubtful = transaction
        self._ended = ended
        self._unfinished = True
        if self._pipeline is not None:
            self._pipeline.traveling = False

    async def _resolve(self) -> None:
        """Ask the server what has become of an interrupted transaction."""
        transaction = self._doubtful
        connection, pipeline = self._connection, self._pipeline
        try:
            if pipeline is not None:
                begun = await pipeline.synchronize()
            else:
                await connection.fetchrow(";")  # as level public can; no Sync is missing here
                begun = connection.is_in_transaction()
            if begun and not self._ended:
                self._transaction = transaction
            else:
                driver.forget(connection, transaction)
                if begun:
                    await connection.execute("ROLLBACK")
            self._doubtful = None
        except Exception as error:
            if connection.is_closed():
                self._doubtful = None
                driver.forget(connection, transaction)
            self._handle_exception(error)
        finally:
            self._unfinished = self._doubtful is not None  # then it is asked again


def interrupts(error: BaseException) -> bool:
    """Tell whether an operation was left while the server was still at it."""
    return not isinstance(error, Exception) or isinstance(error, asyncio.TimeoutError)
