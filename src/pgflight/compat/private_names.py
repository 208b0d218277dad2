"""The table of SQLAlchemy's private names in use: their owners, and what needs them.

Read by :mod:`pgflight.compat.capability` when it is imported. ``tests/unit/
test_house_sqlalchemy.py`` compares it with the names that this folder, and overrides elsewhere,
really use.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy.connectors import asyncio as connectors
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.engine import (
    AdaptedConnection,
    Connection,
    CursorResult,
    Engine,
    MappingResult,
    ScalarResult,
)
from sqlalchemy.engine import cursor as engine_cursor
from sqlalchemy.engine.cursor import CursorResultMetaData
from sqlalchemy.engine.default import DefaultDialect, DefaultExecutionContext
from sqlalchemy.event import attr
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import QueuePool
from sqlalchemy.pool import base as pool_base
from sqlalchemy.sql import annotation, compiler, sqltypes
from sqlalchemy.sql.compiler import IdentifierPreparer, SQLCompiler
from sqlalchemy.sql.dml import Delete, DMLState, Insert, Update, UpdateBase
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.type_api import TypeEngine

from .builtin import theirs
from .features import NONE, Feature

READ = "read"
"""Read, called or set by us; only in this folder."""
HOOK = "hook"
"""A method that SQLAlchemy calls and a class of ours overrides, perhaps calling ``super()``'s."""
OURS = "ours"
"""An attribute of one of our objects that SQLAlchemy reads or sets by this name."""

_ALL = (0, 0), (99, 0)
_FROM_2_1 = (2, 1), (99, 0)
_UNTIL_2_1 = (0, 0), (2, 1)


class PrivateName(NamedTuple):
    """One name of SQLAlchemy."""

    owner: Any
    """The class or module that has it, or the function whose code contains it."""
    attribute: str
    needed_by: Feature
    use: str = READ
    lines: tuple[tuple[int, int], tuple[int, int]] = _ALL
    """The first release that has it, and the first after it that does not: (major, minor)."""

    def __str__(self) -> str:
        return f"{self.owner.__name__.removeprefix('sqlalchemy.')}.{self.attribute}"


def _rows(
    owner: Any, names: str, needed_by: Feature, use: str = READ, lines: Any = _ALL
) -> Iterator[PrivateName]:
    for name in names.split():
        yield PrivateName(owner, name, needed_by, use, lines)


_PARAMETERS, _LISTS, _BATCHES = Feature.PARAMETERS, Feature.IN_LISTS, Feature.BATCHES
_ARRAYS, _CHANGES, _RESULTS = Feature.ARRAYS, Feature.CHANGES, Feature.RESULTS
_FIRST, _VALUES, _DOCUMENTED = Feature.FIRST_CONNECTION, Feature.VALUES, Feature.DOCUMENTED
_RECONNECTING, _QUEUES = Feature.RECONNECTING, Feature.QUEUES

PRIVATE_NAMES: tuple[PrivateName, ...] = (
    # compiled statements
    *_rows(
        SQLCompiler,
        "_ad_hoc_textual _cache_key_bind_match _loose_column_name_matching _ordered_columns"
        " _result_columns _textual_ordered_columns",
        _PARAMETERS,
    ),
    *_rows(SQLCompiler, "_collect_params", _PARAMETERS, lines=_FROM_2_1),
    *_rows(SQLCompiler, "_bind_processors _render_postcompile", _PARAMETERS | _LISTS),
    *_rows(SQLCompiler, "_insertmanyvalues", _PARAMETERS | _BATCHES | _ARRAYS),
    *_rows(SQLCompiler, "_numeric_binds", _LISTS | _ARRAYS),
    *_rows(SQLCompiler, "_binary_op _pre_expanded_string", _LISTS),
    *_rows(
        SQLCompiler,
        "_literal_execute_expanding_parameter _process_parameters_for_postcompile",
        _LISTS,
        HOOK,
    ),
    *_rows(SQLCompiler, "_deliver_insertmanyvalues_batches", _BATCHES | _ARRAYS, HOOK),
    *_rows(compiler, "_InsertManyValuesBatch", _BATCHES),
    *_rows(IdentifierPreparer, "_render_schema_translates", _PARAMETERS | _ARRAYS),
    # statements and what they consist of
    *_rows(UpdateBase, "_returning _supplemental_returning", _PARAMETERS),
    *_rows(Insert, "_sort_by_parameter_order", _PARAMETERS),
    *_rows(Insert, "_post_values_clause", _ARRAYS),
    *_rows(Update, "_where_criteria", _CHANGES),
    *_rows(Delete, "_where_criteria", _CHANGES),
    *_rows(DMLState, "_dict_parameters", _CHANGES),
    *_rows(ExcludeConstraint, "_render_exprs", _CHANGES),
    *_rows(annotation, "_deep_deannotate", _CHANGES),
    *_rows(ClauseElement, "_annotations _deannotate", _CHANGES),
    *_rows(ClauseElement, "_propagate_attrs", _DOCUMENTED),
    *_rows(compiles, "_compiler_dispatcher", _LISTS),
    # types
    *_rows(TypeEngine, "_unwrapped_dialect_impl", _LISTS | _ARRAYS),
    *_rows(TypeEngine, "_is_tuple_type _isnull", _LISTS),
    *_rows(TypeEngine, "_has_bind_expression", _DOCUMENTED),
    *_rows(sqltypes.JSON, "_make_bind_processor _str_impl", _VALUES),
    *_rows(sqltypes.Enum, "_object_lookup _valid_lookup", _VALUES),
    *_rows(sqltypes.Numeric, "_effective_decimal_return_scale", _DOCUMENTED),
    # dialects, connections, execution contexts
    *_rows(PGDialect, "_json_serializer", _VALUES),
    *_rows(PGDialect, "_json_deserializer _native_inet_types", _DOCUMENTED),
    *_rows(PGDialect, "_bind_typing_render_casts", _LISTS),
    *_rows(DefaultDialect, "_has_events", _ARRAYS),
    *_rows(DefaultDialect, "_deliver_insertmanyvalues_batches", _BATCHES | _ARRAYS, HOOK),
    *_rows(
        PGDialect,
        "_get_default_schema_name _get_server_version_info _set_backslash_escapes",
        _FIRST,
        HOOK,
    ),
    *_rows(Engine, "_has_events", _ARRAYS),
    *_rows(Connection, "_has_events", _ARRAYS),
    *_rows(Connection, "_echo", _ARRAYS | _FIRST),
    *_rows(Connection, "_log_info", _FIRST),
    *_rows(DefaultExecutionContext, "_init_compiled", _PARAMETERS, HOOK),
    *_rows(
        DefaultExecutionContext,
        "_expanded_parameters _is_explicit_returning _is_implicit_returning"
        " _is_supplemental_returning _process_execute_defaults",
        _PARAMETERS,
    ),
    *_rows(DefaultExecutionContext, "_dbapi_connection", _PARAMETERS | _DOCUMENTED),
    *_rows(DefaultExecutionContext, "_num_sentinel_cols", _PARAMETERS | _RESULTS),
    *_rows(DefaultExecutionContext, "_is_server_side", _RESULTS),
    *_rows(DefaultExecutionContext, "_setup_result_proxy", _RESULTS, HOOK),
    *_rows(pool_base._ConnectionFairy, "_pool", _RECONNECTING),
    *_rows(QueuePool, "_pool", _QUEUES),
    *_rows(attr._CompoundListener, "_exec_once_mutex", _DOCUMENTED),
    # results
    *_rows(engine_cursor, "_DEFAULT_FETCH", _RESULTS),
    *_rows(
        CursorResult,
        "_echo _fetchall_impl _memoized_keys _metadata _row_getter _soft_close"
        " _unique_filter_state",
        _RESULTS,
    ),
    *_rows(CursorResult, "_allrows _fetchiter_impl _iter_impl", _RESULTS, HOOK),
    *_rows(CursorResult, "_init_metadata _raw_all_tuples", _RESULTS, HOOK, _FROM_2_1),
    *_rows(CursorResult, "_raw_all_rows", _RESULTS, HOOK, _UNTIL_2_1),
    *_rows(ScalarResult, "_metadata _real_result _unique_filter_state", _RESULTS),
    *_rows(ScalarResult, "_allrows", _RESULTS, HOOK),
    *_rows(MappingResult, "_metadata _real_result _unique_filter_state", _RESULTS),
    *_rows(MappingResult, "_allrows _iter_impl", _RESULTS, HOOK),
    *_rows(
        CursorResultMetaData,
        "_effective_processors _key_to_index _translated_indexes _tuplefilter",
        _RESULTS,
    ),
    # ours, under SQLAlchemy's names
    *_rows(AdaptedConnection, "_connection", NONE, OURS),
    *_rows(connectors, "_async_soft_close", NONE, OURS),
    # methods and slots of the built-in dialect's classes that ours replace
    *_rows(
        theirs.PGDialect_asyncpg,
        "_dbapi_version _disable_asyncpg_inet_codecs _invalidate_schema_cache _isolation_lookup",
        NONE,
        OURS,
    ),
    *_rows(
        theirs.AsyncAdapt_asyncpg_connection,
        "_async_ping _call_and_discard _check_type_cache_invalidation _commit_and_discard"
        " _connection _cursor_cls _execute_mutex _handle_exception"
        " _handle_exception_no_connection _invalidate_schema_cache_asof _isolation_setting"
        " _prepare _prepared_statement_cache _prepared_statement_name_func"
        " _rollback_and_discard _ss_cursor_cls _start_transaction _started"
        " _terminate_force_close _terminate_graceful_close _transaction",
        NONE,
        OURS,
    ),
    *_rows(
        theirs.AsyncAdapt_asyncpg_cursor,
        "_adapt_connection _async_soft_close _awaitable_cursor_close _connection _cursor"
        " _description _executemany _handle_exception _invalidate_schema_cache_asof"
        " _prepare_and_execute _rowcount _rows",
        NONE,
        OURS,
    ),
    *_rows(theirs.AsyncAdapt_asyncpg_ss_cursor, "_all _buffer_rows _rowbuffer", NONE, OURS),
)
