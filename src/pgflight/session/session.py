"""One asyncpg connection and all that is known about it.

The PEP 249 connection has one and shares it with its cursors and COPY.  A statement is sent by
:meth:`Session.run`, or by :meth:`Session.execute`, the same in line.  Errors are asyncpg's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from time import monotonic
from typing import Any

from .. import _impl, driver
from ..options.engine_options import EngineOptions
from .command_tags import CommandTags
from .liveness import Liveness
from .recovery.deadline import Deadline
from .request import Begin, Request, interrupts
from .statements.prepared_entry import Description, PreparedEntry
from .statements.prepared_statements import PreparedStatements
from .statements.schema_generation import SchemaGeneration
from .statistics import Counters
from .streams.held_cursors import HeldCursors
from .streams.reads_ahead import ReadsAhead
from .transaction_ends import TransactionEnds
from .transactions import Transactions
from .turn import Turn, running_loop
from .unit_of_work import UnitOfWork

Answer = tuple["Description | None", list[Any], int]
"""The rows' description, the rows as asyncpg gave them, the number returned or changed."""

_rowcount = _impl.rows.rowcount


class Session:
    """One asyncpg connection: what was sent over it, and what its answers tell.

    ``connection`` is asyncpg's.  Two tasks that use one session queue for its ``turn``.
    """

    __slots__ = (
        "connection", "options", "turn", "unit", "counters", "statements", "transactions", "ends",
        "liveness", "commands", "held_cursors", "reads_ahead", "copying_out", "watch", "login",
    )  # fmt: skip

    def __init__(self, connection: driver.Connection, options: EngineOptions) -> None:
        self.connection = connection
        self.options = options
        self.turn = Turn()
        self.unit = UnitOfWork()
        self.watch = driver.open_watch(connection)
        route = driver.Route(connection)
        self.counters = Counters(connection, route, self.watch)
        size, names = options.prepared_statement_cache_size, options.prepared_statement_name_func
        self.statements = PreparedStatements(connection, size, names, route, self.watch)
        self.held_cursors = HeldCursors(connection)
        self.reads_ahead = ReadsAhead()
        self.transactions = Transactions(
            connection, self.unit, self.statements, self.counters, self.held_cursors
        )
        self.ends = TransactionEnds(
            connection, self.transactions, self.unit, self.statements, self.counters
        )
        self.commands = CommandTags(self.unit, self.statements, self.transactions, self.ends)
        self.liveness = Liveness(connection, self.transactions, self.unit, self.counters)
        self.copying_out: Any = None  # the COPY TO whose output is being read
        self.login: Any = None  # what it logged in with, if asyncpg alone did that
        self.use_options(options)

    def use_connection(self, connection: driver.Connection) -> None:
        """Use another object in asyncpg's place, except for preparing statements."""
        self.connection = connection
        for part in (self.transactions, self.ends, self.liveness, self.held_cursors):
            part._connection = connection

    def use_options(self, options: EngineOptions) -> None:
        """Apply ``options`` from now on; the size of the statement cache stays as it is."""
        self.options = options
        self.statements.describes_all = options.heal == "savepoint"
        self.transactions.bounds = options.reset_timeout, options.commit_timeout
        self.transactions.save_waits(options.pipeline, options.pooler, self.watch)

    def join_engine(
        self,
        schema: SchemaGeneration,
        known: driver.Known,
        default_isolation: Callable[[], str | None],
        given: Mapping[str, Any],
    ) -> None:
        """Use an engine's schema generation, what it knows of poolers, and the options it gives."""
        self.statements.route.known = known
        if given:
            self.use_options(replace(self.options, **given))
        else:
            self.statements.route.use(self.options.pooler, self.transactions.pipeline)
        self.statements.schema = schema
        self.statements.adopt(schema.number)
        self.transactions.characteristics.default_isolation = default_isolation

    async def run(self, request: Request) -> Any:
        """Wait for the turn, send a request in a transaction, and return the answer."""
        turn = self.turn
        if turn.taken or turn.loop is not running_loop():
            await turn.acquire()
        else:
            turn.taken = True
        unit, transactions, bound, first = self.unit, self.transactions, request.bound, False
        try:
            first = unit.transaction is None or (
                (self.ends.status.status != driver.IN_TRANSACTION or unit.driver_exposed)
                and self.ends.has_ended()
            )
            if bound is not None:
                bound.set()
            if request.begin is Begin.AWAITED:
                await transactions.begin_awaited()
            elif not first:
                pass
            elif request.begin is Begin.WITH_MANY:
                await transactions.begin_many()
            elif (waiting := transactions.begin()) is not None:
                await waiting
            if not request.notes_side_effects:
                unit.side_effect_free = False
            answer = await request.send()
            if first:
                transactions.first_answered()
            return answer
        except Exception as error:
            unit.side_effect_free = False
            if not (first and await transactions.first_failed(error)):
                self.note_failure(error)
                raise
        except BaseException:
            transactions.interrupted()
            raise
        finally:
            if bound is not None:
                bound.lift()
            if turn.waiting:
                turn.release()
            else:
                turn.taken = False
        return await self.run(request)

    async def execute(
        self,
        operation: str,
        parameters: object,
        alone: bool = False,
        bound: driver.TimeBound | None = None,
    ) -> Answer:
        """Execute one statement and return all its rows; ``alone``: without a BEGIN of ours.

        The same as :meth:`run`, in line, which saves two coroutines; a test compares the two.
        """
        turn = self.turn
        if turn.taken or turn.loop is not running_loop():
            await turn.acquire()
        else:
            turn.taken = True
        unit = self.unit
        entry = None
        first = renewed = False
        try:
            if bound is not None:
                bound.set()
            if unit.transaction is None or (
                (self.ends.status.status != driver.IN_TRANSACTION or unit.driver_exposed)
                and self.ends.has_ended()
            ):
                first = True
                if unit.ended_by_program:
                    alone, renewed = self.ends.begins_again(operation, alone)
                if not alone and (waiting := self.transactions.begin()) is not None:
                    await waiting
            statements = self.statements
            # looked up here and not in prepared(): saves a coroutine on a hit
            entry = statements.cached(operation)
            if entry is None:
                entry = await statements.not_cached(operation)
            if not entry.side_effect_free:
                unit.side_effect_free = False
            if self.counters.by_hand:
                self.counters.ran()
            reply = await entry.execute(parameters)
            unit.operations += 1
            if first:
                self.transactions.first_answered()
            count = _rowcount(reply[1])
            if count < 0:
                self.commands.note(reply[1], operation)
            return entry.description, reply[0], count
        except Exception as error:
            unit.side_effect_free = False
            if not (first and await self.transactions.first_failed(error, operation)):
                if entry is not None:
                    await driver.settle(entry.statement, error)
                self.note_failure(error)
                if not (renewed and await self.ends.left_for(error)):
                    raise
                alone = True
        except BaseException:
            self.transactions.interrupted()
            raise
        finally:
            if bound is not None:
                bound.lift()
            if turn.waiting:
                turn.release()
            else:
                turn.taken = False
        return await self.execute(operation, parameters, alone, bound)

    async def prepared(self, operation: str) -> PreparedEntry:
        """Return the prepared statement for ``operation``, and note its side effects."""
        entry = await self.statements.prepared(operation)
        if not entry.side_effect_free:
            self.unit.side_effect_free = False
        return entry

    async def execute_many(
        self, operation: str, parameter_sets: object, bound: driver.TimeBound | None = None
    ) -> int:
        """Execute one statement once per parameter set, atomically; return the row count or -1."""

        async def send() -> int:
            statements = self.statements
            await statements.synchronize()
            if self.counters.by_hand:
                self.counters.ran()
            if statements.has_moving_names():
                statements.forget_asyncpgs()
            return await statements.left_to_asyncpg(operation, parameter_sets)

        return int(await self.run(Request(operation, send, Begin.WITH_MANY, bound=bound)))

    def note_operations(self, number: int) -> None:
        """Count operations that another object made in the turn, such as fetches of a portal."""
        self.unit.operations += number
        self.counters.ran(number)

    def note_failure(self, error: BaseException) -> None:
        """Act on an error: a lost connection, stale statements, or an operation under way."""
        if self.connection.is_closed():
            self.unit.transaction = None
        elif interrupts(error):
            self.transactions.interrupted()
        self.statements.note_failure(error)

    async def end(self, *, commit: bool) -> None:
        """End the open transaction, if there is one, and wait for the answer if that matters."""
        try:
            with self.transactions.bounded_end(commit=commit):
                await self.ends.end(commit=commit)
        except Exception as error:
            self.note_failure(error)
            raise
        self.transactions.last_used = monotonic()

    async def close_abandoned_cursors(self) -> None:
        """Close the held cursors that are no longer read."""
        async with self.turn:
            try:
                await self.held_cursors.close_abandoned()
            except Exception as error:
                self.note_failure(error)
                raise

    async def ping(self) -> None:
        """Make one empty round trip; raise asyncpg's error when the server is gone."""
        try:
            with Deadline(self.connection, self.options.reset_timeout, "a ping"):
                await self.liveness.ping()
        except Exception as error:
            self.note_failure(error)
            raise

    def reading(self, copy: object) -> None:
        """Note the COPY TO whose output is being read."""
        self.copying_out = copy

    def has_read(self, copy: object) -> None:
        """Note that a COPY TO has ended, after which the next may have begun already."""
        if self.copying_out is copy:
            self.copying_out = None

    def lost(self) -> None:
        """Note that the connection is closed."""
        self.unit.transaction = None

    def expose(self) -> Any:
        """Return asyncpg's connection; the session cannot see what the program does with it."""
        self.unit.side_effect_free = False
        self.unit.driver_exposed = True
        self.transactions.expose()
        self.ends.watch_return()
        return self.connection
