"""The execution context, which makes results (what goes in: :mod:`pgflight.parameters.plan`).

Made by SQLAlchemy's engine for each execution, by way of ``PGDialect_asyncpg.execution_ctx_cls``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import exc

from .. import _impl
from ..bulk.array_changes import BulkParameters
from ..compat import capability, connections
from ..compat.builtin import theirs
from ..compat.features import Feature
from ..compat.results import default_fetch
from ..dbapi.cursor import AsyncAdapt_asyncpg_cursor
from .result import PgflightCursorResult

_OWN_ROWS = _impl.results.OWN_ROWS
CURSOR_OPTION = "pgflight_cursor"
"""Execution option of pgflight's own: makes the cursor of a streaming execution."""
TIMEOUT_OPTIONS = ("timeout", "asyncpg_timeout")
"""Execution options of how long one statement may take, in seconds; the first one given counts."""
_TIMEOUTS = frozenset(TIMEOUT_OPTIONS)
_STREAMING = frozenset({"preserve_rowcount", "stream_results", "yield_per"})


class PGExecutionContext_asyncpg(BulkParameters, theirs.PGExecutionContext_asyncpg):  # type: ignore[misc]
    """Runs one statement on an adapted connection: ours, or the built-in one of a `creator`."""

    def pre_exec(self) -> None:
        """Have the cursor return tuples, if making them is cheaper than reading records."""
        cursor: Any = self.cursor
        if cursor.__class__ is AsyncAdapt_asyncpg_cursor or is_ours(cursor):
            cursor._as_tuples = _OWN_ROWS
            options = self.execution_options
            if options and not _TIMEOUTS.isdisjoint(options):
                cursor._timeout = _timeout(options)
        else:
            super().pre_exec()  # type: ignore[no-untyped-call]

    def handle_dbapi_exception(self, e: BaseException) -> None:
        """Invalidate the engine's caches after an error that says so, unless the session has."""
        if not is_ours(self.cursor):
            super().handle_dbapi_exception(e)  # type: ignore[no-untyped-call]

    if capability.has(Feature.RESULTS):

        def _setup_result_proxy(self) -> Any:
            """Return the result; of our own class if it reads a cursor."""
            if self.isddl:
                self._note_schema_change()
            options = self.execution_options
            compiled: Any = self.compiled
            if (
                self.isddl
                or self.is_crud
                or self.is_text
                or connections.is_server_side(self)
                or self.cursor_fetch_strategy is not default_fetch
                or compiled is None
                or (options and not _STREAMING.isdisjoint(options))
                or compiled.has_out_parameters
            ):
                return PgflightCursorResult.adopt(super()._setup_result_proxy())  # type: ignore[no-untyped-call]
            cursor: Any = self.cursor
            own = cursor.__class__ is AsyncAdapt_asyncpg_cursor
            # SQLAlchemy goes through it once, at most: no list is made for that
            description: Any = cursor._description if own else cursor.description
            if description is None:
                return super()._setup_result_proxy()  # type: ignore[no-untyped-call]
            return PgflightCursorResult(self, default_fetch, description)

    else:  # not where there is another place for it: a call less for each statement

        def post_exec(self) -> None:
            super().post_exec()  # type: ignore[no-untyped-call]
            if self.isddl:
                self._note_schema_change()

    def _note_schema_change(self) -> None:
        """Invalidate the engine's caches after DDL, whatever the server calls it."""
        cursor: Any = self.cursor
        if is_ours(cursor):
            cursor._adapt_connection.session.commands.note_schema_change()

    def create_server_side_cursor(self) -> Any:
        """Return a cursor whose rows stay on the server, or the one that a COPY has asked for."""
        make = self.execution_options.get(CURSOR_OPTION)
        if make is not None:
            return make(self)
        return connections.dbapi_connection(self).cursor(server_side=True)


def _timeout(options: Mapping[str, Any]) -> float | None:
    """Return the seconds that execution options allow a statement, None where they say nothing.

    Raises ArgumentError for what is not a positive number.
    """
    for name in TIMEOUT_OPTIONS:
        seconds = options.get(name)
        if seconds is None:
            continue
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
            raise exc.ArgumentError(
                f"execution option {name}={seconds!r}: give it the seconds that the statement may"
                " take, a number greater than 0, or None for the connection's command_timeout"
            )
        return float(seconds)
    return None


def is_ours(cursor: Any) -> bool:
    """Tell whether a cursor is one of ours, perhaps in a program's wrapper."""
    return hasattr(cursor, "_as_tuples")
