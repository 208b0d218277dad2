"""The execution context: parameters in, result out.

Made by SQLAlchemy's engine for each execution, by way of ``PGDialect_asyncpg.execution_ctx_cls``.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.postgresql.base import PGExecutionContext
from sqlalchemy.engine.interfaces import ExecuteStyle

from . import _impl
from ._sqlalchemy import default_fetch
from .result import FastpgCursorResult

_OWN_ROWS = _impl.results.OWN_ROWS
_PLAN = "_fastpg_param_plan"
_STREAMING = frozenset({"preserve_rowcount", "stream_results", "yield_per"})


class PGExecutionContext_asyncpg(PGExecutionContext):
    """Runs one statement on an adapted connection."""

    @classmethod
    def _init_compiled(
        cls,
        dialect: Any,
        connection: Any,
        dbapi_connection: Any,
        execution_options: Any,
        compiled: Any,
        parameters: Any,
        *rest: Any,
        **options: Any,
    ) -> Any:
        """Build the context; translate many parameter sets with a plan instead of one by one.

        The first set goes through SQLAlchemy, which decides everything that depends on the
        statement alone; the plan then serves the others.  So the first set's bind processors have
        run when a later set is found to lack a parameter.
        """
        if len(parameters) < 2 or options.get("param_dict") or not _plannable(compiled):
            return super()._init_compiled(
                dialect, connection, dbapi_connection, execution_options, compiled, parameters,
                *rest, **options,
            )  # fmt: skip
        self: Any = super()._init_compiled(
            dialect, connection, dbapi_connection, execution_options, compiled, parameters[:1],
            *rest, **options,
        )  # fmt: skip
        imv = compiled._insertmanyvalues if self.isinsert else None
        if imv is not None:
            self.execute_style = ExecuteStyle.INSERTMANYVALUES
            if imv.sentinel_columns is not None:
                self._num_sentinel_cols = imv.num_sentinel_columns
        else:
            self.execute_style = ExecuteStyle.EXECUTEMANY
        construct = compiled.construct_params
        extracted = self.extracted_parameters
        rest_of_parameters = [
            construct(row, extracted, escape_names=False, _group_number=group)
            for group, row in enumerate(parameters[1:], start=1)
        ]
        self.compiled_parameters = self.compiled_parameters + rest_of_parameters
        # the first set is not processed again: a bind processor may have side effects
        self.parameters = [*self.parameters, *_plan(compiled).rows(rest_of_parameters)]
        return self

    def pre_exec(self) -> None:
        """Have the cursor return tuples, where making them is cheaper than what reads records."""
        self.cursor._as_tuples = _OWN_ROWS  # type: ignore[attr-defined]

    def _setup_result_proxy(self) -> Any:
        """Return the result; of our own class wherever it is a cursor's."""
        options = self.execution_options
        compiled: Any = self.compiled
        if (
            self.isddl
            or self.is_crud
            or self.is_text
            or self._is_server_side
            or self.cursor_fetch_strategy is not default_fetch
            or compiled is None
            or (options and not _STREAMING.isdisjoint(options))
            or compiled.has_out_parameters
        ):
            return FastpgCursorResult.adopt(super()._setup_result_proxy())  # type: ignore[no-untyped-call]
        description: Any = self.cursor.description
        if description is None:
            return super()._setup_result_proxy()  # type: ignore[no-untyped-call]
        self._soft_closed = False
        return FastpgCursorResult(self, default_fetch, description)

    def post_exec(self) -> None:
        """Invalidate the engine's caches after DDL, whatever the server calls it."""
        super().post_exec()  # type: ignore[no-untyped-call]
        if self.isddl:
            cursor: Any = self.cursor
            cursor._adapt_connection._note_schema_change()

    def create_server_side_cursor(self) -> Any:
        """Return a cursor whose rows stay on the server."""
        return self._dbapi_connection.cursor(server_side=True)


def _plannable(compiled: Any) -> bool:
    """Tell whether parameters depend on the statement alone: no defaults, no expansion."""
    return bool(
        compiled.positional
        and not compiled.insert_prefetch
        and not compiled.update_prefetch
        and not compiled.literal_execute_params
        and not compiled.post_compile_params
    )


def _plan(compiled: Any) -> Any:
    plan = compiled.__dict__.get(_PLAN)
    if plan is None:
        plan = _impl.params.ParamPlan(compiled.positiontup, compiled._bind_processors)
        compiled.__dict__[_PLAN] = plan
    return plan
