"""What an adapted connection knows of its unit of work; a base of :mod:`pgflight.session.begin`."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, NoReturn

from sqlalchemy.engine import AdaptedConnection

from .. import driver
from ..compat.versions import await_only
from .counters import Work
from .prepared_statements import SchemaGeneration

AUTOCOMMIT = "autocommit"


class UnitOfWorkConnection(AdaptedConnection):
    """The state of one connection's transaction, and how its next one is to begin.

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
        "_sender",
        "_pipeline",
        "_transaction",
        "_doubtful",
        "_ended",
        "_plain",
        "_ran",
        "_foreign",
        "_isolation_unknown",
        "_reads_only",
        "_schema",
        "_schema_changed",
        "_last_used",
        "_arrived",
        "_work",
    )

    await_: Callable[[Any], Any] = staticmethod(await_only)

    _connection: Any
    """asyncpg's own: SQLAlchemy gives it a type that tells nothing of it."""
    isolation_level: str | None
    _isolation_setting: str | None
    readonly: bool
    deferrable: bool
    pipeline: str
    """The waits that are saved: ``auto``, ``begin`` or ``off``, an option of the URL."""
    ping_bypass_window: float
    _sender: driver.Sender | None
    _pipeline: driver.Pipeline | None
    _transaction: Any
    _doubtful: Any
    """asyncpg's transaction whose first statement, or whose end, was interrupted."""
    _ended: bool
    """Whether that was its end."""
    _plain: bool
    """Whether nothing but plain SELECTs have run: nobody waits for what the end does."""
    _ran: int
    """Operations of asyncpg's protocol in the transaction."""
    _foreign: bool
    """Whether the program has got hold of asyncpg's connection in this unit of work."""
    _isolation_unknown: bool
    """Whether the program may have changed the session's default isolation level."""
    _reads_only: bool
    """Whether the transaction's COMMIT cannot fail."""
    _last_used: float
    """When the server last gave an answer that was no error, as ``time.monotonic()`` tells it."""
    _arrived: Callable[[], Any] | None

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.isolation_level = self._isolation_setting = None
        self.readonly = False
        self.deferrable = False
        self.pipeline = "off"
        self._sender = driver.open_sender(connection)
        self._pipeline = None
        self._transaction = self._doubtful = None
        self._ended = self._foreign = False
        self._plain = self._reads_only = self._isolation_unknown = False
        self._ran = 0
        self._schema = SchemaGeneration()
        self._schema_changed = False
        self._last_used = monotonic()
        self._arrived = None
        self._work = Work(connection)

    def _handle_exception(self, error: Exception) -> NoReturn:
        raise NotImplementedError

    def use_pipeline(self, wanted: str) -> None:
        """Save the waits that ``wanted`` (``auto``, ``begin`` or ``off``) stands for.

        ``pipeline`` is then what this connection can do: ``off`` where asyncpg is not the one that
        the pipeline knows.
        """
        pipeline = None
        if wanted != "off":
            pipeline = driver.open_pipeline(self._connection, self._sender)
        self._pipeline = pipeline
        self.pipeline = "off" if pipeline is None else wanted

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
