"""INSERTs of many rows through one array per column, and whoever opts for it other changes, too.

With RETURNING the batches of SQLAlchemy's "insertmanyvalues" are sent so; without, what the engine
asks ``executemany()`` for, UPDATE and DELETE by key (``array_dml``) included: programs, their event
hooks and their logs see the statement and the rows that SQLAlchemy has made. Where arrays would not
do the same, or not as fast, the usual way is taken, and counted with its reason in
:func:`pgflight.stats`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine.interfaces import ExecuteStyle

from .. import driver
from ..parameters.plan import PlannedParameters
from ..session.unit_of_work import AUTOCOMMIT
from . import insert_plan, update_delete_plan
from .column_rows import LARGE_ROW, ColumnRows
from .insert_many_values import BatchDialect
from .insert_plan import ArrayInsert

FEWEST_ROWS = 20
"""Rows from which on arrays are faster than ``executemany()``."""
FEWEST_UPDATED = 30
FEWEST_DELETED = 20
"""The same for UPDATE and DELETE."""
FEWEST_RETURNED = 11
"""Rows from which on they are worth their while with RETURNING: so many texts are few."""
_TOO_FEW = {
    fewest: f"fewer than {fewest} rows"
    for fewest in (FEWEST_ROWS, FEWEST_UPDATED, FEWEST_DELETED, FEWEST_RETURNED)
}
MOST_COLUMNS = 40
"""Columns up to which they are."""
COLUMNWISE_FROM = 10
"""Rows from which on parameters are kept column by column."""
_UNNEST_TOGETHER = (10,)
"""The server's version in which several functions of sets in a SELECT list go in step."""

_REWRITTEN = "a statement or parameters that an event hook replaced"
_REFUSED_VALUE = "a value that asyncpg refuses"


def plan_for(context: Any, number: int) -> ArrayInsert | str | None:
    """Return how ``number`` rows go through arrays, or why not; None for what never does."""
    compiled = context.compiled
    adapted = getattr(context.cursor, "_adapt_connection", None)
    if not context.is_crud or compiled is None or number < 2 or adapted is None:
        return None
    if context.isinsert:
        if not _is_on(context, "array_insert", adapted):
            return "array_insert is off"
    elif not _is_on(context, "array_dml", adapted):
        return None
    returned = context.execute_style is ExecuteStyle.INSERTMANYVALUES
    fewest = _fewest(context, returned)
    if number < fewest:
        return _TOO_FEW[fewest]
    version: Any = getattr(context.dialect, "server_version_info", None) or (0,)
    if version < _UNNEST_TOGETHER:
        return "a server before PostgreSQL 10"
    translation = None
    if compiled.schema_translate_map:
        translation = context.execution_options.get("schema_translate_map", {})
    if context.isinsert:
        opted = _is_on(context, "array_dml", adapted)
        plan = insert_plan.plan_of(compiled, context.statement, translation, upserts=opted)
    else:
        plan = update_delete_plan.plan_of(compiled, context.statement, translation)
    if isinstance(plan, ArrayInsert) and not returned and len(plan.inner) > MOST_COLUMNS:
        return f"more than {MOST_COLUMNS} columns"
    return plan


def _is_on(context: Any, name: str, adapted: Any) -> bool:
    option = context.execution_options.get(name)
    return bool(getattr(adapted, name) if option is None else option)


def _fewest(context: Any, returned: bool) -> int:
    if context.isinsert:
        return FEWEST_RETURNED if returned else FEWEST_ROWS
    return FEWEST_UPDATED if context.isupdate else FEWEST_DELETED


def _page_size(context: Any) -> int:
    size: int = context.execution_options.get(
        "insertmanyvalues_page_size", context.dialect.insertmanyvalues_page_size
    )
    return max(size, 1)


class BulkParameters(PlannedParameters):
    """A context whose parameters stay columns where nobody is to see rows."""

    def _positional(self, plan: Any, values: list[tuple[Any, ...]]) -> Any:
        """Return the positional parameters of all sets; what a processor raises comes through."""
        if len(values) < COLUMNWISE_FROM or not self.is_crud or _is_watched(self):
            return super()._positional(plan, values)
        arrays = plan_for(self, len(values))
        if not isinstance(arrays, ArrayInsert):
            return super()._positional(plan, values)
        try:
            return ColumnRows(plan.columns(values), len(values), arrays)
        except Exception:
            # the first in the order of rows is the one to raise
            return super()._positional(plan, values)


def _is_watched(context: Any) -> bool:
    """Tell whether event hooks or the log are shown the parameters."""
    connection = context.root_connection
    return bool(
        connection._has_events
        or connection.engine._has_events
        or context.dialect._has_events
        or connection._echo
    )


class BulkDialect(BatchDialect):
    """Sends changes of many rows as one array per column."""

    def _deliver_insertmanyvalues_batches(
        self,
        connection: Any,
        cursor: Any,
        statement: Any,
        parameters: Any,
        generic_setinputsizes: Any,
        context: Any,
    ) -> Any:
        """Yield one batch after the other and take in its rows, as SQLAlchemy would."""
        chosen = _chosen(context, parameters)
        if type(chosen) is ColumnRows:
            obstacle = "input sizes" if generic_setinputsizes else chosen.obstacle()
            if obstacle is None:
                _work(context).went_through()
                parameters = chosen
            else:
                chosen = obstacle
        if type(chosen) is str:
            _work(context).fell_back(chosen)
            if type(parameters) is ColumnRows:
                parameters = parameters.rows()
        return super()._deliver_insertmanyvalues_batches(
            connection, cursor, statement, parameters, generic_setinputsizes, context
        )

    def do_executemany(
        self, cursor: Any, statement: str, parameters: Any, context: Any = None
    ) -> None:
        """Run a statement once per parameter sequence: a change through arrays, if it can be."""
        if context is None or not context.is_crud or cursor is not context.cursor:
            super().do_executemany(cursor, statement, parameters, context)  # type: ignore[no-untyped-call]
            return
        try:
            chosen = _chosen(context, parameters)
            if statement != context.statement or parameters is not context.parameters:
                chosen = chosen and _REWRITTEN
            if type(chosen) is ColumnRows:
                chosen = self._send(cursor, statement, chosen, context)
                if chosen is None:
                    return
            if chosen is not None:
                _work(context).fell_back(chosen)
            rows = parameters.rows() if type(parameters) is ColumnRows else parameters
            super().do_executemany(cursor, statement, rows, context)  # type: ignore[no-untyped-call]
        except BaseException:
            if type(parameters) is ColumnRows:
                parameters.fill()  # the error shows them
            raise

    def _send(self, cursor: Any, statement: str, rows: ColumnRows, context: Any) -> str | None:
        """Send the rows, or return the reason why nothing has been sent."""
        obstacle = rows.obstacle()
        if obstacle is not None:
            return obstacle
        size = rows.size()
        if size > LARGE_ROW * rows.number:
            return "rows of more than 10 KB"
        pages = rows.pages(_page_size(context), size)
        if len(pages) > 1 and cursor._adapt_connection.isolation_level == AUTOCOMMIT:
            return "more than a page in AUTOCOMMIT"
        changed = 0
        for number, page in enumerate(pages):
            try:
                cursor.execute(rows.plan.text, rows.page(page).arrays())
            except self.loaded_dbapi.Error as error:
                if not driver.refused_value(getattr(error, "orig", None)):
                    raise
                if not number:
                    return _REFUSED_VALUE
                self._send_rest(cursor, statement, rows, page.start, context)
                rest = cursor._rowcount
                changed = -1 if rest < 0 else changed + rest
                break
            changed += cursor._rowcount
        else:
            _work(context).went_through(opted=rows.plan.opted)
        cursor._rowcount = changed
        return None

    def _send_rest(
        self, cursor: Any, statement: str, rows: ColumnRows, start: int, context: Any
    ) -> None:
        """Send the rows from ``start`` on one by one; an error counts them from the first."""
        _work(context).fell_back(_REFUSED_VALUE)
        try:
            more = rows.rows()[start:]
            super().do_executemany(cursor, statement, more, context)  # type: ignore[no-untyped-call]
        except self.loaded_dbapi.Error as error:
            error.args = tuple(
                driver.count_elements_from(text, start) if isinstance(text, str) else text
                for text in error.args
            )
            raise


def _chosen(context: Any, parameters: Any) -> ColumnRows | str | None:
    """Return the parameters as columns, or the reason why the usual way is taken.

    None for what is not ours to send: no change of many rows, or another one's cursor.
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


def _work(context: Any) -> Any:
    # not of the cursor that the engine hands on, which a program may have wrapped
    return context.cursor._adapt_connection._work
