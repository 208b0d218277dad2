"""How one session's transactions begin: the implicit BEGIN, and what becomes of it.

asyncpg is always in autocommit; the transaction that PEP 249 expects is begun with the first
statement.  Used by whoever has the session's turn.  Errors are asyncpg's.  See `transaction_ends`.
"""

from __future__ import annotations

from collections.abc import Awaitable
from time import monotonic

from asyncpg import exceptions as driver_errors

from .. import driver
from .characteristics import AUTOCOMMIT, Characteristics, ReadOnlyChoice
from .recovery.deadline import Deadline
from .recovery.doubt import ask_whether_begun, resolve
from .recovery.lost_connection import USED
from .recovery.stale_statements import SHARED, roll_back_stale
from .request import interrupts
from .statements.prepared_statements import PreparedStatements
from .statistics import Counters
from .streams.held_cursors import HeldCursors
from .unit_of_work import UnitOfWork


class Transactions:
    """How one session's transactions begin, and what becomes of interrupted ones."""

    __slots__ = (
        "characteristics", "read_only", "saves", "pipeline", "last_used", "renewed", "use",
        "bounds", "exposed", "_connection", "_counters", "_held", "_statements", "_unit",
    )  # fmt: skip

    characteristics: Characteristics
    read_only: ReadOnlyChoice
    saves: str
    """The waits that are saved: ``auto``, ``begin`` or ``off``."""
    pipeline: driver.Pipeline | None
    last_used: float
    """When the server last gave an answer other than an error, by ``time.monotonic()``."""
    renewed: bool
    """Whether a statement was stale, and is executed for the second and last time."""
    use: int
    """``USED``, ``CHECKED_OUT`` or ``BEGUN``."""
    exposed: bool
    """Whether the program has ever been given asyncpg's connection."""
    bounds: tuple[float, float]
    """Seconds in which a ROLLBACK and a COMMIT have to be answered, 0 for no bound."""

    def __init__(
        self,
        connection: driver.Connection,
        unit: UnitOfWork,
        statements: PreparedStatements,
        counters: Counters,
        held: HeldCursors,
    ) -> None:
        self._connection = connection
        self._unit = unit
        self._statements = statements
        self._counters = counters
        self._held = held
        self.characteristics = Characteristics()
        self.read_only = ReadOnlyChoice(connection)
        self.saves = "off"
        self.pipeline = None
        self.last_used = monotonic()
        self.renewed, self.exposed, self.use, self.bounds = False, False, USED, (0.0, 0.0)

    def save_waits(self, wanted: str, pooler: str, watch: driver.Watch) -> None:
        """Save the waits that ``wanted`` names, as far as connection and ``pooler`` allow it."""
        route = self._statements.route
        saved = wanted != "off"
        pipeline = driver.open_pipeline(self._connection, route.sender, watch) if saved else None
        self.pipeline = pipeline
        self.saves = "off" if pipeline is None else wanted
        self._statements.in_transaction = None if pipeline is None else pipeline.in_transaction
        route.use(pooler, pipeline)

    @property
    def autocommit(self) -> bool:
        """Whether each statement commits by itself."""
        return self.characteristics.isolation_level == AUTOCOMMIT

    def is_read_only_by_choice(self) -> bool:
        """Tell whether the program made this session read-only, as far as we can see."""
        return self.characteristics.readonly or self.read_only.stands()

    def expose(self) -> None:
        """Note that the program may change the session unseen."""
        self.characteristics.default_unknown = self.exposed = True
        self.use = USED

    def bounded_end(self, *, commit: bool) -> Deadline:
        """Return the bound on a transaction's end."""
        return Deadline(self._connection, self.bounds[commit], "COMMIT" if commit else "ROLLBACK")

    def in_transaction(self) -> bool:
        """Tell whether the next message runs in a transaction, unless BEGIN fails."""
        if self.pipeline is not None:
            return self.pipeline.in_transaction()
        return bool(self._connection.is_in_transaction())

    def begin(self) -> Awaitable[None] | None:
        """Begin a transaction with the next statement; return what to await first, if anything."""
        pipeline = self.pipeline
        if (
            self._unit.in_doubt is not None
            or self._held.abandoned
            or (pipeline is not None and pipeline.end_refused)
        ):
            return self._begin_later()
        return self._begin_now()

    def _begin_now(self) -> Awaitable[None] | None:
        pipeline, wanted = self.pipeline, self.characteristics
        if wanted.isolation_level == AUTOCOMMIT:
            return None
        if pipeline is None:
            return self.start()
        begun = pipeline.begin(wanted.isolation_level, wanted.readonly, wanted.deferrable)
        if begun is None:
            return self.start()
        unit, counters = self._unit, self._counters
        unit.begin(
            begun,
            side_effect_free=not unit.driver_exposed and self.saves == "auto",
            commit_cannot_fail=wanted.readonly
            and wanted.never_serializable(self._statements.touched_isolation),
        )
        counters.units += 1
        counters.saved += 1
        return None

    async def begin_many(self) -> None:
        """Begin a transaction with an ``executemany()``."""
        pipeline = self.pipeline
        if pipeline is not None and not pipeline.begin_fits_executemany:
            await self.begin_awaited()
            return
        if (waiting := self.begin()) is not None:
            await waiting
        if pipeline is not None and pipeline.begin_under_way:
            pipeline.expect_executemany()

    async def begin_awaited(self) -> None:
        """Begin a transaction now, for a request that BEGIN cannot travel with."""
        self.use = USED  # a COPY may have read rows that are gone if it fails
        await self.clear_up()
        if self._unit.transaction is None:
            await self.start()

    async def _begin_later(self) -> None:
        await self.clear_up()
        if self._unit.transaction is None:
            # not begin(): anything that could not be cleared up yet is left for later
            waiting = self._begin_now()
            if waiting is not None:
                await waiting

    async def clear_up(self) -> None:
        """Finish what earlier units of work left behind."""
        with Deadline(self._connection, self.bounds[0], "the end of an earlier transaction"):
            if self.pipeline is not None:
                await self.pipeline.wait_for_ends()
            if self._unit.in_doubt is not None:
                await resolve(self._connection, self._unit, self.pipeline)
            if self._held.abandoned:
                await self._held.close_abandoned()

    async def start(self) -> None:
        """Send BEGIN and wait for its answer."""
        if self.autocommit:
            return
        if self._counters.watch.no_pipeline:
            self._counters.watch.steps_aside(driver.BEGIN_EARLY)
        wanted = self.characteristics
        transaction = self._connection.transaction(
            isolation=wanted.isolation_level,
            readonly=wanted.readonly,
            deferrable=wanted.deferrable,
        )
        try:
            await transaction.start()
            await self._statements.route.make_settings()
        except BaseException as error:
            self._unit.begin_failed = True
            # else asyncpg would treat it as open, and every later one as a savepoint in it
            driver.forget_transaction(self._connection, transaction)
            if interrupts(error):
                self.doubt(transaction, ended=True)
            raise
        self._counters.units += 1
        self._counters.ran()
        # kept only once BEGIN has succeeded: before that there is nothing to roll back
        self._unit.begin(transaction, side_effect_free=False)

    # the first statement, behind BEGIN in the same flight

    def first_answered(self) -> None:
        """Note that BEGIN has arrived, or that none had to be sent."""
        pipeline = self.pipeline
        self.renewed = False
        self.use = USED
        if pipeline is not None and pipeline.begin_under_way:
            pipeline.begin_under_way = False
            self._forget_unsent()
        elif self._unit.transaction is None:  # in AUTOCOMMIT
            self._counters.units += 1
            self.last_used = monotonic()

    def _forget_unsent(self) -> bool:
        """Forget a BEGIN that has not been sent; tell whether there was one."""
        if self.pipeline is None or not self.pipeline.drop_unsent_begin():
            return False
        self._unit.transaction = None
        self._counters.units -= 1
        self._counters.saved -= 1
        return True

    async def first_failed(self, error: Exception, operation: str = "") -> bool:
        """Find out whether a transaction is open after its first statement has failed.

        Tell whether to execute it, ``operation``, again, because it failed by no fault of its own.
        """
        if (route := self._statements.route).refused:
            self._forget_unsent()
        if await route.withdrawn():
            self._never_began()
            return True
        pipeline = self.pipeline
        if pipeline is not None and pipeline.begin_under_way and await self._begin_answered(error):
            return True
        again, self.renewed = not self.renewed, False
        shared = self._statements.is_shared(operation)
        with self.bounded_end(commit=False):
            parts = self._connection, self._unit, pipeline
            stale = again and await roll_back_stale(*parts, error, shared=shared)
        if not stale:
            return False
        self._statements.renew_all(error)
        if stale == SHARED:
            route.known.unshare(operation)
        self._counters.heal(stale)
        self.renewed = True
        return True

    async def _begin_answered(self, error: Exception) -> bool:
        """Find out about a BEGIN in front of what failed; tell whether to execute that again."""
        pipeline = self.pipeline
        assert pipeline is not None
        if self._forget_unsent():
            return False
        if interrupts(error):
            self.doubt(self._unit.transaction, ended=False)
        elif self._connection.is_closed():
            self._never_began()
        elif pipeline.end_refused:
            # it ran in the previous transaction, whose end the server had refused
            self._never_began()
            try:
                await pipeline.roll_back_refused_end()
            except Exception:
                self._connection.terminate()
                return False
            return isinstance(error, driver_errors.InFailedSQLTransactionError)
        elif self._connection.is_in_transaction():
            pipeline.begin_under_way = False
        else:
            self._counters.trips += 1
            if not await ask_whether_begun(self._connection, self._unit, pipeline):
                self._never_began()
        return False

    def _never_began(self) -> None:
        if self.pipeline is not None:
            self.pipeline.forget_transaction()
        self._unit.transaction = None

    def interrupted(self) -> None:
        """Note that the transaction is in doubt: the first statement, or perhaps a COMMIT."""
        unit, pipeline = self._unit, self.pipeline
        unit.side_effect_free = self.renewed = False
        self.use = USED
        if pipeline is not None and pipeline.begin_under_way and self._forget_unsent():
            return
        if unit.transaction is not None:
            self.doubt(unit.transaction, ended=False)

    # doubt

    def doubt(self, transaction: object, *, ended: bool) -> None:
        """Note an interrupted transaction; the server is asked about it before the next begins.

        ``ended`` is whether to roll it back if it is open.
        """
        self._unit.doubt(transaction, ended=ended)
        if self.pipeline is not None:
            self.pipeline.begin_under_way = False
