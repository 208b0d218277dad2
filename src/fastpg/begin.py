"""The begin of one adapted connection's transactions, and their state.

asyncpg is always in autocommit; the transaction that PEP 249 expects is begun with the first
statement: in its flight, unless ``pipeline`` is off.  What becomes of it is in
:mod:`fastpg.doubt`, the end in :mod:`fastpg.transaction`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from . import driver
from ._sqlalchemy import await_only
from .doubt import DoubtfulConnection, interrupts
from .statements import SchemaGeneration

AUTOCOMMIT = "autocommit"


class BeginningConnection(DoubtfulConnection):
    """PEP 249's implicit BEGIN over asyncpg's connection.

    ``isolation_level`` is ``None`` (the server's default), ``"autocommit"`` or one of asyncpg's
    names such as ``"repeatable_read"``; ``readonly`` and ``deferrable`` go into BEGIN.
    """

    __slots__ = (
        "isolation_level",
        "_isolation_setting",
        "readonly",
        "deferrable",
        "pipeline",
        "ping_bypass_window",
        "_plain",
        "_ran",
        "_foreign",
        "_handed_out",
        "_reads_only",
        "_schema",
        "_schema_changed",
        "_arrived",
    )

    await_: Callable[[Any], Any] = staticmethod(await_only)

    isolation_level: str | None
    _isolation_setting: str | None
    readonly: bool
    deferrable: bool
    pipeline: str
    """The waits that are saved: ``auto``, ``begin`` or ``off``, see :mod:`fastpg.options`."""
    ping_bypass_window: float
    _plain: bool
    """Whether nothing but plain SELECTs have run: nobody waits for what the end does."""
    _ran: int
    """Operations of asyncpg's protocol in the transaction."""
    _foreign: bool
    """Whether the program has got hold of asyncpg's connection in this unit of work."""
    _handed_out: bool
    """Whether it ever has: the session's defaults may be others since."""
    _reads_only: bool
    """Whether the transaction's COMMIT cannot fail."""
    _arrived: Callable[[], Any] | None

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.isolation_level = self._isolation_setting = None
        self.readonly = False
        self.deferrable = False
        self.pipeline = "off"
        self._foreign = self._handed_out = self._plain = self._reads_only = False
        self._ran = 0
        self._schema = SchemaGeneration()
        self._schema_changed = False
        self._arrived = None

    def use_pipeline(self, wanted: str) -> None:
        """Save the waits that ``wanted`` (``auto``, ``begin`` or ``off``) stands for.

        ``pipeline`` is then what this connection can do: ``off`` where asyncpg is not the one that
        the pipeline knows.
        """
        pipeline = None
        if wanted != "off":
            pipeline = driver.open_pipeline(self._connection, self._preamble)
        self._pipeline = pipeline
        self.pipeline = "off" if pipeline is None else wanted

    # the begin

    def _begin(self) -> Awaitable[None] | None:
        """Begin a transaction with the next statement; return what has to be awaited first."""
        pipeline = self._pipeline
        if self._unfinished or (pipeline is not None and pipeline.held_up):
            return self._begin_later()
        if self.isolation_level == AUTOCOMMIT:
            return None
        if pipeline is None:
            return self._start_transaction()
        try:
            begun = pipeline.begin(self.isolation_level, self.readonly, self.deferrable)
        except Exception as error:
            self._handle_exception(error)
        if begun is None:
            return self._start_transaction()
        self._transaction = begun
        self._plain = not self._foreign and self.pipeline == "auto"
        self._ran = 0
        self._work.units += 1
        self._work.saved += 1
        self._reads_only = self.readonly and self._never_serializable()
        return None

    def _never_serializable(self) -> bool:
        """Tell whether a transaction that begins now is surely not SERIALIZABLE."""
        if self.isolation_level is not None:
            return self.isolation_level != "serializable"
        return self._default_isolation() not in (None, "SERIALIZABLE")

    def _default_isolation(self) -> str | None:
        """Return SQLAlchemy's name of the session's default level, None where it is not known."""
        raise NotImplementedError

    def _in_transaction(self) -> bool:
        """Tell whether what is sent next runs in a transaction, unless BEGIN fails."""
        pipeline = self._pipeline
        if pipeline is not None:
            return pipeline.in_transaction()
        return bool(self._connection.is_in_transaction())

    async def _begin_many(self) -> None:
        """Begin a transaction with an ``executemany()``."""
        pipeline = self._pipeline
        if pipeline is not None and not pipeline.joins_many:
            await self._finish_up()
            if self._transaction is None:
                await self._start_transaction()
            return
        waiting = self._begin()
        if waiting is not None:
            await waiting
        if pipeline is not None and pipeline.traveling:
            pipeline.expect_many()

    async def _begin_later(self) -> None:
        await self._finish_up()
        if self._transaction is None:
            waiting = self._begin()
            if waiting is not None:
                await waiting

    async def _start_transaction(self) -> None:
        """Send BEGIN and wait for its answer."""
        if self.isolation_level == AUTOCOMMIT:
            return
        try:
            transaction = self._connection.transaction(
                isolation=self.isolation_level,
                readonly=self.readonly,
                deferrable=self.deferrable,
            )
            try:
                await transaction.start()
            except BaseException as error:
                # asyncpg would take it for an open one, and every later one for a savepoint in it
                driver.forget(self._connection, transaction)
                if interrupts(error):
                    self._doubt(transaction, ended=True)
                raise
        except Exception as error:
            self._handle_exception(error)
        self._work.units += 1
        self._work.ran()
        # kept only once BEGIN has succeeded: what never began has nothing to roll back
        self._transaction = transaction
        self._plain = False
