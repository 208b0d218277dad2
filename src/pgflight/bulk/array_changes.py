"""INSERTs of many rows through one array per column; with ``array_dml`` other changes, too.

With RETURNING, the batches of SQLAlchemy's "insertmanyvalues" are sent this way; without, the calls
of ``executemany()``, including UPDATE and DELETE by key (``array_dml``): programs, event hooks and
logs see the statement and the rows that SQLAlchemy has made.  Where arrays would not have the same
effect, or would be slower, this steps aside, and counts the reason in :func:`pgflight.stats`.
What the table must be for that is proven by the server as it runs the statement
(:mod:`pgflight.bulk.table_proof`).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine.interfaces import ExecuteStyle

from .. import driver
from ..compat import capability
from ..compat.connections import watchers
from ..compat.features import Feature
from ..parameters.contracts import Context
from ..parameters.plan import PlannedParameters
from ..session.session import Session
from ..session.statistics import Counters, EngineCounters
from . import guarded, insert_plan, update_delete_plan
from .column_rows import PAGE_ROWS, ColumnRows
from .insert_many_values import BatchDialect
from .insert_plan import ArrayInsert
from .known_tables import KnownTables, Plain

FEWEST_ROWS = 20
"""Number of rows from which arrays are faster than ``executemany()``."""
FEWEST_UPDATED = 30
FEWEST_DELETED = 20
"""The same for UPDATE and DELETE."""
FEWEST_RETURNED = 11
"""Number of rows from which they pay off with RETURNING: fewer rows make few different texts."""
_TOO_FEW = {
    fewest: f"fewer than {fewest} rows"
    for fewest in (FEWEST_ROWS, FEWEST_UPDATED, FEWEST_DELETED, FEWEST_RETURNED)
}
MOST_COLUMNS = 40
"""Number of columns up to which arrays are used."""
COLUMNWISE_FROM = 10
"""Number of rows from which parameters are kept column by column."""
_UNNEST_TOGETHER = (10,)
"""The first server version that advances several set functions in a SELECT list in step."""

_KNOWN_INSERTS = capability.has(Feature.ARRAYS)
_KNOWN_CHANGES = _KNOWN_INSERTS and capability.has(Feature.CHANGES)
_UNKNOWN = "a SQLAlchemy that is not known"
_REWRITTEN = "a statement or parameters that an event hook replaced"
_REFUSED_VALUE = "a value that asyncpg refuses"


def plan_for(context: Context, number: int) -> ArrayInsert | str | None:
    """Return how ``number`` rows go through arrays, or why not; None for what never does."""
    compiled = context.compiled
    session = _session_of(context.cursor)
    if not context.is_crud or compiled is None or number < 2 or session is None:
        return None
    if context.isinsert:
        if not _is_on(context, "array_insert", session):
            return "array_insert is off"
    elif not _is_on(context, "array_dml", session):
        return None
    if not (_KNOWN_INSERTS if context.isinsert else _KNOWN_CHANGES):
        return _UNKNOWN
    returned = context.execute_style is ExecuteStyle.INSERTMANYVALUES
    fewest = _fewest(context, returned)
    if number < fewest:
        return _TOO_FEW[fewest]
    watcher = session.watch.by()
    if watcher is not None:
        return f"asyncpg is watched: {watcher}"
    if not guarded.is_postgresql(context.dialect):
        return "a server that is not PostgreSQL"
    version: Any = getattr(context.dialect, "server_version_info", None) or (0,)
    if version < _UNNEST_TOGETHER:
        return "a server before PostgreSQL 10"
    translation = None
    if compiled.schema_translate_map:
        translation = context.execution_options.get("schema_translate_map", {})
    if context.isinsert:
        opted = _KNOWN_CHANGES and _is_on(context, "array_dml", session)
        plan = insert_plan.plan_of(compiled, context.statement, translation, upserts=opted)
    else:
        plan = update_delete_plan.plan_of(compiled, context.statement, translation)
    if isinstance(plan, ArrayInsert) and not returned and len(plan.inner) > MOST_COLUMNS:
        return f"more than {MOST_COLUMNS} columns"
    if isinstance(plan, ArrayInsert) and plan.proof is not None:
        return guarded.known_refusal(context.dialect, session, plan.proof) or plan
    return plan


def _is_on(context: Context, name: str, session: Session) -> bool:
    option = context.execution_options.get(name)
    return bool(getattr(session.options, name) if option is None else option)


def _fewest(context: Context, returned: bool) -> int:
    if context.isinsert:
        return FEWEST_RETURNED if returned else FEWEST_ROWS
    return FEWEST_UPDATED if context.isupdate else FEWEST_DELETED


def _page_size(context: Context) -> int:
    size: int = context.execution_options.get(
        "insertmanyvalues_page_size", context.dialect.insertmanyvalues_page_size
    )
    return max(size, PAGE_ROWS if context.isinsert else 1)


class BulkParameters(PlannedParameters):
    """A context whose parameters stay columns if nobody will see rows."""

    def _positional(self, plan: Any, values: list[tuple[Any, ...]]) -> Any:
        """Return the positional parameters of all sets; errors of a processor are passed on."""
        if (
            len(values) < COLUMNWISE_FROM
            or not (_KNOWN_INSERTS and self.is_crud)
            or _is_watched(self)
        ):
            return super()._positional(plan, values)
        arrays = plan_for(self, len(values))
        if not isinstance(arrays, ArrayInsert):
            return super()._positional(plan, values)
        try:
            return ColumnRows(plan.columns(values), len(values), arrays)
        except Exception:
            # raise the error that is first in the order of rows
            return super()._positional(plan, values)


def _is_watched(context: Context) -> bool:
    """Tell whether event hooks or the log are shown the parameters."""
    return any(watchers(context.root_connection))


class BulkDialect(BatchDialect):
    """Sends changes of many rows as one array per column."""

    known_tables: KnownTables
    _counters: EngineCounters

    def _step_aside(self, context: Context, reason: str) -> None:
        _counters(context).fell_back(reason)
        if reason not in _TOO_FEW.values():  # not worth a line
            self._counters.tell_once("a change of many rows is not sent as arrays", reason)

    def _deliver_insertmanyvalues_batches(
        self,
        connection: Any,
        cursor: Any,
        statement: Any,
        parameters: object,
        generic_setinputsizes: object,
        context: Any,
    ) -> Any:
        """Yield one batch after the other and take in its rows, as SQLAlchemy would."""
        chosen = _chosen(context, parameters)
        if type(chosen) is ColumnRows:
            obstacle = "input sizes" if generic_setinputsizes else chosen.obstacle()
            if obstacle is None:
                _counters(context).went_through()
                parameters = chosen
            else:
                chosen = obstacle
        if type(chosen) is str:
            self._step_aside(context, chosen)
            if type(parameters) is ColumnRows:
                parameters = parameters.rows()
        return super()._deliver_insertmanyvalues_batches(
            connection, cursor, statement, parameters, generic_setinputsizes, context
        )

    def do_executemany(
        self, cursor: Any, statement: str, parameters: object, context: Any = None
    ) -> None:
        """Run a statement once per parameter sequence: a change through arrays, if it can be."""
        if context is None or not context.is_crud or cursor is not context.cursor:
            super().do_executemany(cursor, statement, parameters, context)  # type: ignore[no-untyped-call]
            return
        try:
            chosen = _chosen(context, parameters)
            if statement != context.statement or parameters is not context.parameters:
                chosen = chosen and _REWRITTEN
            if isinstance(chosen, ColumnRows):
                chosen = self._send(cursor, statement, chosen, context)
                if chosen is None:
                    return
            if chosen is not None:
                self._step_aside(context, chosen)
            rows = parameters.rows() if type(parameters) is ColumnRows else parameters
            super().do_executemany(cursor, statement, rows, context)  # type: ignore[no-untyped-call]
        except BaseException:
            if type(parameters) is ColumnRows:
                parameters.fill()  # the error shows them
            raise

    def _send(self, cursor: Any, statement: str, rows: ColumnRows, context: Context) -> str | None:
        """Send the rows, or return the reason why nothing has been sent."""
        obstacle = rows.obstacle()
        if obstacle is not None:
            return obstacle
        page_size, size = _page_size(context), rows.size()
        if (large := rows.why_large(page_size, size)) is not None:
            return large
        pages = rows.pages(page_size, size)
        if len(pages) > 1 and _session_of(cursor).transactions.autocommit:
            return "more than a page in AUTOCOMMIT"
        text = rows.plan.text
        sent: Plain | None = None
        reason: str | None
        if rows.plan.proof is not None:
            answer = guarded.permitted(cursor, _session_of(cursor), rows.plan.proof, self)
            if isinstance(answer, str):
                return answer
            sent = answer
            text = rows.plan.text_under(sent.condition)
        changed = 0
        for number, page in enumerate(pages):
            try:
                cursor.execute(text, rows.page(page).arrays())
            except self.loaded_dbapi.Error as error:
                if not driver.refused_value(getattr(error, "orig", None)):
                    raise
                reason = _REFUSED_VALUE
            else:
                reason = self._why_refused(cursor, rows.plan, sent)
            if reason is not None:
                if not number:
                    return reason
                self._send_rest(cursor, statement, rows, page.start, context, reason)
                rest = cursor._rowcount
                changed = -1 if rest < 0 else changed + rest
                break
            changed += cursor._rowcount
        else:
            _counters(context).went_through(opted=rows.plan.opted)
        cursor._rowcount = changed
        return None

    def _why_refused(self, cursor: Any, plan: ArrayInsert, sent: Plain | None) -> str | None:
        """Return why the server has not run the statement; it has changed nothing then."""
        if cursor._rowcount or plan.proof is None or sent is None:
            return None
        return guarded.refusal(cursor, _session_of(cursor), plan.proof, self, sent)

    def _send_rest(
        self,
        cursor: Any,
        statement: str,
        rows: ColumnRows,
        start: int,
        context: Context,
        reason: str,
    ) -> None:
        """Send the rows from ``start`` on one by one; an error counts them from the first."""
        self._step_aside(context, reason)
        try:
            more = rows.rows()[start:]
            super().do_executemany(cursor, statement, more, context)  # type: ignore[no-untyped-call]
        except self.loaded_dbapi.Error as error:
            error.args = tuple(
                driver.count_elements_from(text, start) if isinstance(text, str) else text
                for text in error.args
            )
            raise


def _chosen(context: Context, parameters: Any) -> ColumnRows | str | None:
    """Return the parameters as columns, or the reason for stepping aside.

    None if this module does not send it: not a change of many rows, or not the context's cursor.
    """
    if type(parameters) is ColumnRows:
        return parameters
    plan = plan_for(context, len(parameters))
    if plan is None or isinstance(plan, str):
        return plan
    columns = list(map(list, zip(*parameters, strict=True)))
    if len(columns) != plan.width:
        return _REWRITTEN
    return ColumnRows(columns, len(parameters), plan)


def _session_of(cursor: Any) -> Any:
    """Return the session of one of our cursors, None for another one."""
    try:
        # SQLAlchemy 2.0's cursor, which a creator or a patch may bring, has no such attribute
        return None if cursor._rowcount is None else cursor._adapt_connection.session
    except AttributeError:
        return None


def _counters(context: Context) -> Counters:
    # not from the cursor that the engine passes, which a program may have wrapped
    counters: Counters = _session_of(context.cursor).counters
    return counters
