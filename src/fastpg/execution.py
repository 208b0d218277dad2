"""The execution context: result out (:mod:`fastpg.parameters`: parameters in).

Made by SQLAlchemy's engine for each execution, by way of ``PGDialect_asyncpg.execution_ctx_cls``.
"""

from __future__ import annotations

from typing import Any

from .parameters import PlannedParameters


class PGExecutionContext_asyncpg(PlannedParameters):
    """Runs one statement on an adapted connection."""

    def pre_exec(self) -> None:
        """Have the cursor return tuples, which is what SQLAlchemy's rows are filled from."""
        self.cursor._as_tuples = True  # type: ignore[attr-defined]

    def post_exec(self) -> None:
        """Invalidate the engine's caches after DDL, whatever the server calls it."""
        super().post_exec()  # type: ignore[no-untyped-call]
        if self.isddl:
            cursor: Any = self.cursor
            cursor._adapt_connection._note_schema_change()

    def create_server_side_cursor(self) -> Any:
        """Return a cursor whose rows stay on the server."""
        return self._dbapi_connection.cursor(server_side=True)
