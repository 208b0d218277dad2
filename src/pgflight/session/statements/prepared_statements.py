"""Prepared statements of one connection: cache, descriptions, invalidation by generation.

Called by the cursors.  A statement is cached only if it has a name, because the server then checks
that its columns' types are unchanged.  An unnamed one is prepared, and so described, for every
execution: another process may have changed those types in between, and nothing would report it.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from asyncpg import exceptions as driver_errors

from ... import _impl, driver
from ...sqltext.commands import may_move_search_path
from ...sqltext.long_lists import EXECUTIONS_PLANNED, has_long_list
from ...sqltext.side_effects import is_side_effect_free, touches_isolation
from ...sqltext.trace_comments import cache_key, casts_all_parameters, is_traced
from ..statistics import NOTHING, Statistics
from .first_statements import FirstStatements
from .prepared_entry import PreparedEntry
from .search_path import SearchPath

MOST_DROPPED = 100
"""How many statements dropped from asyncpg's own cache may wait for our next Parse."""

MOST_DESCRIBED = 100
"""How many statements without names are remembered, where no named ones are."""

_NEVER = -1
_UNKNOWN_STATEMENT = "26000"
_INTERNAL = "XX"


def unnamed_default() -> None:
    """Leave the statement's name to asyncpg."""
    return None


class PreparedStatements(FirstStatements):
    """The prepared statements of one connection.

    ``capacity`` is the number of statements kept, 0 for none; ``name_func`` returns the name of
    the next statement, ``None`` for asyncpg's choice.
    """

    __slots__ = (
        "in_transaction",
        "seen",
        "_epoch",
        "_known_types",
        "_capacity",
        "_retired",
        "cache",
        "renewals",
        "touched_isolation",
        "search_path",
        "describes_all",
        "__weakref__",
    )

    def __init__(
        self,
        connection: driver.Connection,
        capacity: int,
        name_func: Callable[[], str | None] | None,
        route: driver.Route,
        watch: driver.Watch,
    ) -> None:
        super().__init__(connection, route, name_func or unnamed_default, watch)
        self.in_transaction: Callable[[], bool] | None = None
        """Tells whether the next message runs in a transaction, if asyncpg cannot."""
        self._retired: deque[Statistics] | None = None
        self.seen = 0
        self._epoch = 0  # grows when all statements prepared so far on this connection become stale
        self._known_types: set[int] = set()
        self.cache: Any = _impl.stmtcache.StatementCache(capacity) if capacity else None
        self._capacity = capacity
        self.renewals = 0
        """How many cached statements were prepared again because the schema had changed."""
        self.touched_isolation = False
        """Whether the session's default isolation level may have changed since it began."""
        self.search_path = SearchPath()
        self.describes_all = False
        """Whether no statement is kept, so that nobody's DDL can make one stale."""

    def goes_without_name(self, operation: str) -> bool:
        """Tell whether a statement is parsed each time: for its values, or for its trace.

        That is, whether it has a long IN list and, by its text, no side effects, or a comment that
        it will not have again.
        """
        return is_traced(operation) or (has_long_list(operation) and is_side_effect_free(operation))

    def keeps_statements(self) -> bool:
        """Tell whether statements are kept, so that names pay."""
        return bool(self._capacity) and not self.has_moving_names()

    def has_moving_names(self) -> bool:
        """Tell whether a text may mean other columns in its next execution: none is kept."""
        return self.search_path.moves or self.describes_all

    def totals(self) -> Statistics:
        """Return this connection's numbers; an entry found stale counts as a miss."""
        cache, stale = self.cache, self.renewals
        own = NOTHING._replace(
            statements_prepared=self.prepares,
            round_trips=self.prepares,
            type_lookups=self.introducer.looked_up,
            type_lookups_saved=self.introducer.saved,
        )
        if cache is None:
            return own
        return own._replace(
            cache_hits=cache.hits - stale,
            cache_misses=cache.misses + stale,
            cache_evictions=cache.evictions,
            cache_invalidations=cache.invalidations + stale,
        )

    def retire_into(self, retired: deque[Statistics]) -> None:
        """Append the totals to ``retired`` when this connection is gone."""
        self._retired = retired

    def __del__(self) -> None:
        if self._retired is not None:
            self._retired.append(self.totals())

    def adopt(self, generation: int) -> None:
        """Treat this connection's caches as up to date with ``generation``.

        For a new connection, and for one whose own COMMIT caused the advance.
        """
        self.seen = generation

    def clear(self) -> None:
        """Forget all statements; they are closed on the server with the next Parse."""
        if self.cache is not None:
            self.cache.clear()

    def note_failure(self, error: BaseException) -> None:
        """Discard the statements that one of asyncpg's errors shows to be stale."""
        if isinstance(error, driver_errors.InternalClientError):
            self.schema.advance()
        elif isinstance(error, driver_errors.PostgresError):
            state: str = getattr(error, "sqlstate", None) or ""
            stale = isinstance(error, driver_errors.InvalidCachedStatementError)
            if stale or state.startswith(_INTERNAL):
                self.schema.advance()
            elif self.route.suspect(state) or state == _UNKNOWN_STATEMENT:
                self.clear()
            if state == _UNKNOWN_STATEMENT:
                self.route.names.failed(self.route.known)

    def renew_all(self, error: BaseException) -> None:
        """Have everything prepared again on this connection, of which an error shows a part stale.

        And on the engine's other connections, if the error is theirs, too.
        """
        self.note_failure(error)
        self.seen = _NEVER

    async def synchronize(self) -> None:
        """Drop asyncpg's type and statement caches if the schema has changed.

        Our own statements are prepared again when next used: closing those that never will be
        is not worth a round trip each.
        """
        if len(self._dropped) < MOST_DROPPED:
            # asyncpg may prepare a statement itself next, and would close these one by one
            driver.take_dropped(self._connection, self._dropped, self._watch)
        generation = self.schema.number
        if generation != self.seen:
            self._known_types.clear()
            await self._connection.reload_schema_state()
            self.seen = generation
            self._epoch += 1

    def cached(self, operation: str) -> PreparedEntry | None:
        """Return the entry for ``operation`` if it is usable as it is, else ``None``."""
        if self.schema.number != self.seen or self.cache is None:
            return None
        entry: PreparedEntry | None = self.cache.get(operation)
        if entry is not None and not entry.timeless and entry.epoch != self._epoch:
            self.renewals += 1
            return None
        return entry

    async def prepared(self, operation: str) -> PreparedEntry:
        """Return the entry for ``operation``, from the cache or by preparing it now."""
        if self.schema.number != self.seen:
            await self.synchronize()
        entry = self.cached(operation)
        if entry is None or entry.in_flight:
            entry = await self.prepare(operation)
        return entry

    async def not_cached(self, operation: str) -> PreparedEntry:
        """Return the entry for a statement that :meth:`cached` did not find."""
        if self.schema.number != self.seen:
            return await self.prepared(operation)
        entry = self.described_elsewhere(operation, self._epoch)
        if entry is not None:
            return entry
        key = cache_key(operation)
        entry = self.cached(key) if key is not operation else None
        if entry is not None:
            return entry.with_text(operation)
        return await self.prepare(operation)

    async def prepare(self, operation: str) -> PreparedEntry:
        """Prepare a statement that :meth:`cached` did not find, and cache it."""
        entry = await self._prepare(operation)
        if self.route.known.short_lived:
            self.note_for_others(operation)
        moves = may_move_search_path(operation)
        if moves:
            self._watch_search_path(entry, operation)
        if self.route.forgets_names or (self._heard is not None and self._stays_unnamed(operation)):
            self._keep_description(entry, operation, moves=moves)
        elif self._capacity and driver.name_of(entry.statement):
            if has_long_list(operation):
                entry.expire_after(EXECUTIONS_PLANNED)
            if self.has_moving_names():
                entry.expire()  # it has a name only because that proves what the connection is
            self.cache.put(operation, entry)
            # before asyncpg spends a round trip on closing each evicted statement
            driver.take_dropped(self._connection, self._dropped, self._watch)
        return entry

    def _stays_unnamed(self, operation: str) -> bool:
        """Tell whether a statement without a name will have none the next time."""
        return not self.is_shared(operation) or self.describes_each_time(operation)

    def _keep_description(self, entry: PreparedEntry, operation: str, *, moves: bool) -> None:
        """Have the next executions parse and describe the statement in the same flight."""
        key = cache_key(operation)
        if key is not operation and (moves or not casts_all_parameters(operation)):
            return
        free = entry.side_effect_free
        described = self._described(entry.statement, operation, side_effect_free=free)
        if described is not None:
            if self.cache is None:  # nothing is kept on the server
                self.cache = _impl.stmtcache.StatementCache(MOST_DESCRIBED)
            kept = entry.in_flight_by(described)
            described.renewed = weakref.WeakMethod(kept.renew)  # no cycle
            if moves:
                self._watch_search_path(kept, operation)
            self.cache.put(key, kept)

    def _watch_search_path(self, entry: PreparedEntry, operation: str) -> None:
        """Have it noted, whenever the statement is executed, that names may mean other tables."""
        execute, statements = entry.execute, weakref.ref(self)

        def note_and_execute(values: Any) -> Any:
            mine = statements()
            if mine is not None:
                mine.note_search_path(operation, values)
            return execute(values)

        entry.execute = note_and_execute

    def note_search_path(self, operation: str, values: Any) -> None:
        """Note a statement that may set the search path or the role."""
        in_transaction = self.in_transaction or self._connection.is_in_transaction
        if self.search_path.note(operation, values, in_transaction=in_transaction()):
            self._epoch += 1

    def _entry(self, statement: Any, epoch: int, operation: str) -> PreparedEntry:
        return PreparedEntry(statement, epoch, operation, self._connection, self._watch)

    async def prepare_once(self, operation: str) -> PreparedEntry:
        """Prepare a statement that will not be used again, bypassing the cache."""
        epoch = self._epoch
        return self._entry(await self._ask(operation), epoch, operation)

    async def _prepare(self, operation: str) -> PreparedEntry:
        epoch = self._epoch
        statement = await self._ask(operation)
        if touches_isolation(operation):
            self.touched_isolation = True
        in_transaction = self.in_transaction or self._connection.is_in_transaction
        if not self.described_at_once and not driver.name_of(statement) and not in_transaction():
            # asyncpg looks up unknown types between description and execution, which ends the
            # implicit transaction whose locks keep the description valid: describe again
            types = [attribute.type for attribute in statement.get_attributes()]
            types += driver.parameters_of(statement)
            used = {each.oid for each in types if each.oid >= driver.FIRST_USER_OID}
            if not used <= self._known_types:
                self._known_types |= used
                statement = await self._ask(operation)
        return self._entry(statement, epoch, operation)
