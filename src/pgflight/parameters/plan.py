"""From a program's parameter sets to positional tuples, without a dictionary per set in between.

The first half of an execution context: :mod:`pgflight.dialect.execution_context` derives its class
from the one here.  SQLAlchemy's own code is used for a statement with parameters that are rendered
for each execution, or expanded in a way that :mod:`pgflight.parameters.in_list_texts` does not
know; for a statement that is executed only once; and if SQLAlchemy's code is not the known one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy.dialects.postgresql.base import PGExecutionContext
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.interfaces import CacheStats, ExecuteStyle

from .. import _impl
from ..compat import capability, connections, known_code, statements
from ..compat import compiled_statements as compiled_names
from ..compat.features import Feature
from .contracts import Compiled, Context
from .in_list_texts import ExpandedSets, are_planned
from .watched_lists import watch_of, written_out

_PLAN = "_pgflight_param_plan"
_UNPLANNED: Any = None
_SETS = "compiled_parameters"
_PENDING = "_pgflight_pending_sets"
_SHOW_UNREAD = "_pgflight_show_unread_sets"
_DBAPI_CONNECTION = connections.DBAPI_CONNECTION
_EXPANDED_PARAMETERS = connections.EXPANDED_PARAMETERS

_KNOWN = capability.has(Feature.PARAMETERS)


class StatementPlan:
    """What is worked out once for a compiled statement and used for each execution."""

    __slots__ = ("params", "attributes", "attributes_of_many", "prefetch", "keyed", "lists")

    def __init__(self, compiled: Any) -> None:
        """Plan a statement that :func:`plannable` accepts."""
        self.lists: Any = compiled.in_lists if compiled.post_compile_params else None
        processors = compiled_names.bind_processors(compiled)
        if self.lists is not None:
            processors = dict(processors)
            for expanded in self.lists.lists:
                processors.pop(expanded.name, None)  # it applies to each element
        self.params = _impl.params.ParamPlan(
            compiled.bind_names,
            _extracted_indexes(compiled),
            compiled.positiontup,
            processors,
        )
        self.attributes = _attributes(compiled)
        self.attributes_of_many = _attributes_of_many(compiled)
        self.keyed = compiled.cache_key is not None
        self.prefetch = bool(compiled.insert_prefetch or compiled.update_prefetch)


def _attributes(compiled: Compiled) -> dict[str, Any]:
    """Return the attributes that each context of ``compiled`` has."""
    found = {  # not the statement, which keeps the plan
        "result_column_struct": compiled_names.result_columns(compiled),
        "isinsert": compiled.isinsert,
        "isupdate": compiled.isupdate,
        "isdelete": compiled.isdelete,
        "is_text": compiled.isplaintext,
    }
    if compiled.isinsert or compiled.isupdate or compiled.isdelete:
        statement = compiled.compile_state.statement
        implicit = bool(compiled.implicit_returning)
        found["is_crud"] = True
        found[connections.IS_EXPLICIT_RETURNING] = bool(statements.returning(statement))
        found[connections.IS_IMPLICIT_RETURNING] = implicit
        if implicit and statements.supplemental_returning(statement):
            found[connections.IS_SUPPLEMENTAL_RETURNING] = True
    return found


def _attributes_of_many(compiled: Compiled) -> dict[str, Any]:
    """Return the attributes that a context has in addition when it is for several sets."""
    many_values = compiled_names.many_values(compiled) if compiled.isinsert else None
    if not many_values:
        return {"execute_style": ExecuteStyle.EXECUTEMANY}
    found: dict[str, Any] = {"execute_style": ExecuteStyle.INSERTMANYVALUES}
    if many_values.sentinel_columns is not None:
        found[connections.SENTINEL_COLUMNS] = many_values.num_sentinel_columns
    return found


class _CompiledParameters:
    """The attribute ``compiled_parameters``: made when it is first read, then as assigned.

    Defaults, ``inserted_primary_key``, sentinels, the ORM and event hooks read it; in most
    executions nobody does.  It shows the values that were sent, even if the program has changed
    its dictionaries since.
    """

    def __get__(self, context: Any, owner: object = None) -> Any:
        if context is None:
            return self
        if context.__dict__.pop(_SHOW_UNREAD, False):
            return UnreadSets(context)
        pending = context.__dict__.pop(_PENDING, None)
        if pending is None:
            raise AttributeError(f"{type(context).__name__!r} object has no attribute {_SETS!r}")
        plan, values = pending
        sets = context.__dict__[_SETS] = plan.sets(values)
        return sets


class UnreadSets(Sequence[Any]):
    """A context's ``compiled_parameters``, for code that passes them on without reading them."""

    def __init__(self, context: Any) -> None:
        """Show the sets of ``context``."""
        self._context = context

    def __getitem__(self, index: object) -> Any:
        return self._context.compiled_parameters[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._context.compiled_parameters)

    def __len__(self) -> int:
        return len(self._context.compiled_parameters)

    @staticmethod
    @contextmanager
    def shown_once(context: Context) -> Iterator[None]:
        """Make the next read of ``compiled_parameters`` return such a sequence."""
        state = context.__dict__
        if _PENDING in state:
            state[_SHOW_UNREAD] = True
        try:
            yield
        finally:
            state.pop(_SHOW_UNREAD, None)


class PlannedParameters(PGExecutionContext):
    """A context whose parameters are translated with a plan, which the compiled statement keeps."""

    compiled_parameters: Any = _CompiledParameters()

    @classmethod
    def _init_compiled(
        cls,
        dialect: Any,
        connection: Any,
        dbapi_connection: Any,
        execution_options: Any,
        compiled: Any,
        parameters: Any,
        invoked_statement: Any,
        extracted_parameters: Any,
        cache_hit: CacheStats = CacheStats.CACHING_DISABLED,
        param_dict: Any = None,
    ) -> Any:
        """Make the context of one execution of ``compiled``; raise what SQLAlchemy's code does."""
        make = super()._init_compiled
        number = len(parameters) or 1
        plan: Any = compiled.__dict__.get(_PLAN, _UNPLANNED)
        if plan is _UNPLANNED and (number > 1 or cache_hit is CacheStats.CACHE_HIT):
            # not for a statement that may never run again: planning costs more than it saves
            plan = compiled.__dict__[_PLAN] = (
                StatementPlan(compiled) if plannable(compiled, dialect) else False
            )
        if compiled.post_compile_params and (watch := watch_of(dbapi_connection)) is not None:
            make, plan = written_out(make, watch), False
        values: Any = 0
        if (
            plan
            and not param_dict
            and (plan.keyed or not extracted_parameters)
            and getattr(make, "__func__", None) is known_code.MAKE_CONTEXT
        ):
            values = plan.params.values(parameters or ({},), extracted_parameters)
        listed: Any = None
        expanded: Any = ()
        if type(values) is not int and plan.lists is not None:
            if number == 1:
                listed = plan.lists.positional(compiled, plan.params.rows(values)[0])
            if listed is None:
                values = 0
        if type(values) is int:
            # no plan; or a set lacks a parameter, which SQLAlchemy finds again and reports; or a
            # list that SQLAlchemy has to fill in, if only to raise an error
            more = {} if param_dict is None else {"param_dict": param_dict}
            return make(
                dialect, connection, dbapi_connection, execution_options, compiled, parameters,
                invoked_statement, extracted_parameters, cache_hit=cache_hit, **more,
            )  # fmt: skip

        self: Any = cls.__new__(cls)
        state = self.__dict__
        state.update(plan.attributes)
        if number > 1:
            state.update(plan.attributes_of_many)
        self.root_connection = connection
        state[_DBAPI_CONNECTION] = dbapi_connection
        self.dialect = connection.dialect
        self.extracted_parameters = extracted_parameters
        self.invoked_statement = invoked_statement
        self.compiled = compiled
        self.cache_hit = cache_hit
        self.execution_options = execution_options
        if listed is None:
            statement = compiled.string
            state[_PENDING] = plan.params, values
        else:
            wording, expanded, found = listed
            statement = wording.statement
            lists: Any = plan.lists
            sets = ExpandedSets(plan.params.sets, lists, wording, found)
            state[_PENDING] = sets, values
            state[_EXPANDED_PARAMETERS] = wording.keys

        self.unicode_statement = statement
        self.cursor = self.create_cursor()
        if plan.prefetch:
            connections.process_defaults(self)
            values = plan.params.named(self.compiled_parameters)
        if compiled.schema_translate_map:
            names = execution_options.get("schema_translate_map", {})
            statement = compiled_names.schema_translator(compiled)(statement, names)
            self.unicode_statement = statement
        self.statement = statement
        if listed is not None:
            self.parameters = [expanded]
        elif number == 1:
            self.parameters = plan.params.rows(values)
        else:
            self.parameters = self._positional(plan.params, values)
        return self

    def _positional(self, plan: Any, values: list[tuple[Any, ...]]) -> Any:
        """Return the positional parameters of several sets; errors of a processor are passed on."""
        return plan.rows(values)


def plannable(compiled: Compiled, dialect: Dialect) -> bool:
    """Tell whether a statement's parameters can be planned and its execution is allowed."""
    names = list(compiled.bind_names.values())
    return bool(
        _KNOWN
        and getattr(type(compiled), "construct_params", None) is known_code.CONSTRUCT
        and compiled.positional
        and dialect.execute_sequence_format is tuple
        and not compiled.literal_execute_params
        and not (compiled.post_compile_params and not are_planned(compiled))
        and not compiled_names.fills_lists_in_itself(compiled)
        and not compiled_names.collects_parameters(compiled)
        and compiled.positiontup is not None
        # one name for two parameters, one parameter in two places: rare
        and len(set(names)) == len(names) == len(compiled.positiontup)
        and set(names) == set(compiled.positiontup)
        and (compiled.cache_key is None or compiled_names.cache_key_matches(compiled) is not None)
        and _returning_is_served(compiled, dialect)
    )


def _returning_is_served(compiled: Compiled, dialect: Dialect) -> bool:
    """Tell whether SQLAlchemy would make a context; if not, its own code raises the error."""
    if not (compiled.isinsert or compiled.isupdate or compiled.isdelete):
        return True
    statement = compiled.compile_state.statement
    explicit, implicit = statements.returning(statement), compiled.implicit_returning
    if explicit and implicit:
        return False
    if not (explicit or implicit) or not compiled.for_executemany:
        return True
    if compiled.isinsert:
        ordered = dialect.insert_executemany_returning_sort_by_parameter_order
        return bool(
            dialect.insert_executemany_returning
            and (ordered or not statements.returns_in_order(statement))
            and (compiled_names.many_values(compiled) or not dialect.use_insertmanyvalues)
        )
    return bool(
        dialect.update_executemany_returning
        if compiled.isupdate
        else dialect.delete_executemany_returning
    )


def _extracted_indexes(compiled: Compiled) -> dict[Any, int]:
    """Return each bound parameter's place among those that a cached statement's key holds."""
    if compiled.cache_key is None:
        return {}
    matches, _ = compiled_names.cache_key_matches(compiled)
    return {
        bind: index
        for index, original in enumerate(compiled.cache_key[1])
        for bind in matches[original]
    }
