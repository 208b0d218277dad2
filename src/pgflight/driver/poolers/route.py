"""What a connection leads to: a server session of its own, or a pooler.

One :class:`Route` per connection, held by the session; one :class:`Known` per engine.  A shortcut
that needs a server session of its own asks here, and is taken only where that is proven.
"""

from __future__ import annotations

import os

from ..capability import can_tell_poolers, pipelines
from ..contracts import Connection, ConnectionConfig, Statement
from ..execution import receiver_of
from ..pipeline import Pipeline
from ..sender import close_message, open_sender
from ..time_bounds import configure
from .described import Listening
from .followed_names import NAMES_QUESTION, FollowedNames
from .known import Known
from .proof import QUESTION, Proof

_NOTHING_FITS = -1
"""As asyncpg's max_cacheable_statement_size: its own statements get no name and are not kept."""

_FOREIGN_STATEMENT = frozenset(("26000", "42P05", "08P01"))
"""SQLSTATEs of a name that the session does not know, knows already, or knows with another text."""


class Route:
    """What one connection leads to.

    ``sender`` and ``receiver`` write to it and read from it besides asyncpg, if that is possible.
    """

    __slots__ = (
        "wanted",
        "known",
        "pooled",
        "direct",
        "asks",
        "refused",
        "settings",
        "names",
        "sender",
        "receiver",
        "_connection",
        "_config",
        "_pipeline",
        "_tells",
    )

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.sender = open_sender(connection)
        self.receiver = receiver_of(connection)
        self._tells = (
            can_tell_poolers()
            and pipelines(connection)
            and self.sender is not None
            and self.receiver is not None
        )
        self._config = connection._config if self._tells else None
        self._pipeline: Pipeline | None = None
        self.known = Known()
        self.wanted = "auto"
        """What the program says: ``auto``, ``none``, ``session`` or ``transaction``."""
        self.pooled = False
        """Whether each transaction may run in another server session."""
        self.direct = False
        """Whether the connection is known to be a server session of its own."""
        self.asks = False
        """Whether the question is to be sent in front of a statement."""
        self.settings: tuple[str, ...] = ()
        """Statements with which each transaction begins."""
        self.refused = False
        """Whether the server did not know the question, for which a statement has failed."""
        self.names = FollowedNames()
        """Whether a pooler follows the names of prepared statements."""

    def use(self, wanted: str, pipeline: Pipeline | None) -> None:
        """Do what the program says from now on; find out only if it says ``auto``."""
        known = self.known
        self.wanted, self._pipeline = wanted, pipeline
        self.direct = wanted == "none"
        self.pooled = wanted == "transaction" or (wanted == "auto" and known.pooler)
        can_ask = wanted == "auto" and self._tells and pipeline is not None and known.answers
        self.asks = can_ask and known.is_worth_asking()
        self._set_driver()
        if pipeline is not None:
            pipeline.direct = self.direct
            pipeline.settings = self.settings

    def set_in_transactions(self, settings: tuple[str, ...]) -> None:
        """Have each transaction begin with ``settings``, which are statements."""
        self.settings = settings
        if self._pipeline is not None:
            self._pipeline.settings = settings

    def note_parse(self) -> None:
        """Note that a statement is about to be prepared."""
        if self._pipeline is not None:
            self._pipeline.parses = True

    async def make_settings(self) -> None:
        """Make the settings of a transaction that has begun; roll it back if one is refused."""
        try:
            for setting in self.settings:
                await self._connection.execute(setting)
        except Exception:
            if not self._connection.is_closed():
                await self._connection.execute("ROLLBACK")
            raise

    def _set_driver(self) -> None:
        """Have asyncpg name and keep its own statements only where that is safe."""
        connection, config = self._connection, self._config
        if config is None:
            return
        if self.keeps_nothing:
            made = self.known.config
            if made is None or made[0] is not config:
                self.known.config = made = (config, _with_largest(config, _NOTHING_FITS))
            configure(connection, made[1])
            # off would mean that asyncpg parses unnamed statements twice
            connection._stmt_cache_enabled = True
        else:
            configure(connection, config)
            connection._stmt_cache_enabled = config.statement_cache_size > 0

    @property
    def keeps_nothing(self) -> bool:
        """Whether what a transaction leaves in the session may not be there for the next one."""
        return self.pooled or self.asks

    @property
    def forgets_names(self) -> bool:
        """Whether a named statement may be unknown to the next transaction's server session."""
        return self.pooled and not self.names.followed

    def ask_for_names(self, begins: int) -> bool:
        """Put the question about names in front of asyncpg's next message, a Parse, if it is open.

        In front of the first statement of a transaction only, which is executed again where the
        server does not know the question; ``begins`` as in :attr:`begins`.
        """
        receiver = self.receiver
        if not (self.pooled and self.can_ask and receiver is not None) or self.settings:
            return False  # with settings, such as a search path, a shared text means something else
        if not self.names.is_worth_asking(self.known):
            return False
        if receiver.screen is not None and not isinstance(receiver.screen, Proof):
            return False
        if not self.put_in_front(NAMES_QUESTION):
            return False
        self.names.expect(receiver, self.known, begins, self._names_refused)
        return True

    def _names_refused(self) -> None:
        self.refused = True

    def ask(self) -> bool:
        """Put the question in front of asyncpg's next message; tell whether that was possible.

        That message must be Parse, or belong to an ``executemany()``.
        """
        receiver, begins = self.receiver, self.begins
        if receiver is None or not self.put_in_front(QUESTION):
            return False
        Proof(receiver, begins, self._proven).install()
        return True

    @property
    def can_ask(self) -> bool:
        """Whether a question can be put in front of asyncpg's next message, and its answer seen."""
        return self._tells and self._pipeline is not None

    def begins_now(self) -> bool:
        """Tell whether asyncpg's next message is the first of a transaction."""
        pipeline = self._pipeline
        if pipeline is None:
            return False
        return pipeline.begin_under_way or not pipeline.in_transaction()

    @property
    def begins(self) -> int:
        """How many answers, to BEGIN and settings, precede that to asyncpg's next message."""
        pipeline = self._pipeline
        return 1 + len(self.settings) if pipeline is not None and pipeline.begin_under_way else 0

    def put_in_front(self, question: bytes) -> bool:
        """Put messages in front of asyncpg's next one; tell whether that is possible."""
        pipeline, sender = self._pipeline, self.sender
        if pipeline is None or sender is None:
            return False
        if not (sender.can_hold_back or pipeline.begin_under_way or pipeline.is_idle()):
            return False
        sender.put(question)
        return True

    def unsent(self) -> None:
        """Take the question back if asyncpg has refused what it was to travel with."""
        sender, receiver, pipeline = self.sender, self.receiver, self._pipeline
        if sender is None or not sender.has_unsent:
            return
        while receiver is not None and receiver.screen is not None:
            receiver.screen.remove()
        if pipeline is None or not pipeline.begin_under_way:
            sender.drop_unsent()  # else the session drops it together with BEGIN

    def _proven(self, process: int | None) -> None:
        if process is None:
            self.refused = True
            self.known.answers = self.asks = False
            self._set_driver()
        else:
            self.answered(process)

    def answered(self, process: object) -> None:
        """Take the number of the process that executes the connection's statements."""
        own = getattr(self._connection, "get_server_pid", None)
        if self.wanted != "auto" or own is None or not isinstance(process, int):
            return
        self.asks = False
        if process == own():
            self.direct, self.pooled = True, False
            self.known.found_direct()
        else:
            self.found_pooler()
        self._set_driver()
        if self._pipeline is not None:
            self._pipeline.direct = self.direct

    def found_pooler(self) -> None:
        """Treat the connection as a pooler's from now on."""
        self.direct, self.pooled = False, True
        self.known.found_pooler()

    def suspect(self, sqlstate: str) -> bool:
        """Doubt what was known if an error is one of a pooler's; tell whether it is.

        The next statement brings a new proof; without a way to get one the error is proof enough,
        unless the connection has been proven direct.
        """
        if self.wanted != "auto" or self.pooled or sqlstate not in _FOREIGN_STATEMENT:
            return False
        if self._tells and self._pipeline is not None and self.known.answers:
            self.asks, self.direct = True, False
            self._connection._drop_local_statement_cache()
        elif not self.direct:
            self.found_pooler()
        else:
            return False
        self._set_driver()
        if self._pipeline is not None:
            self._pipeline.direct = self.direct
        return True

    async def withdrawn(self) -> bool:
        """Tell whether a first statement has failed only because the question was refused.

        Rolls back the transaction that this has aborted.  Raises asyncpg's errors.
        """
        connection, refused = self._connection, self.refused
        self.refused = False
        if not refused or connection.is_closed():
            return False
        if connection.is_in_transaction():
            await connection.execute("ROLLBACK")
        return True

    def listen(self) -> Listening | None:
        """Listen to how the server describes the statement that is prepared next."""
        receiver = self.receiver
        if not self._tells or receiver is None or receiver.screen is not None:
            return None
        if not receiver.whole or self._connection._protocol._is_cancelling():
            return None  # what comes next is the rest of something else
        heard = Listening(receiver)
        heard.install()
        return heard

    def disown(self, statement: Statement) -> None:
        """Close a named statement that turned out to be a pooler's, with asyncpg's next message."""
        if self.sender is not None:
            self.sender.put(close_message(statement.get_name()))
            statement._state.mark_closed()  # or asyncpg would close it, in a flight of its own


def _with_largest(config: ConnectionConfig, size: int) -> ConnectionConfig:
    """Return ``config`` with another size of the largest statement that asyncpg keeps."""
    fields = dict(zip(type(config).__match_args__, config, strict=True))  # type: ignore[attr-defined, call-overload]
    return type(config)(**{**fields, "max_cacheable_statement_size": size})


def unique_name() -> str:
    """Return a name for a prepared statement that no other client has given to another one."""
    return f"__pgflight_{os.urandom(10).hex()}__"
