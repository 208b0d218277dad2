"""Checks that SQLAlchemy's code is a version that our replacements of it were written for.

:mod:`pgflight.parameters.plan` replaces the code that makes a context;
:mod:`pgflight.parameters.in_lists` replaces the code that fills in the IN lists of one execution.

A release that changes that code is detected if it uses a name that is not listed here; its own code
is used then, which is slower and just as correct.
"""

from __future__ import annotations

from types import CodeType
from typing import Any

from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.sql import compiler
from sqlalchemy.sql.compiler import SQLCompiler

MAKE_CONTEXT: Any = getattr(
    getattr(DefaultExecutionContext, "_init_compiled", None), "__func__", None
)
"""SQLAlchemy's function that makes the context of a compiled statement."""
CONSTRUCT: Any = SQLCompiler.construct_params
"""SQLAlchemy's function that makes the dictionary of one parameter set."""

CONTEXT_NAMES = frozenset(
    """
    EXECUTEMANY ExecuteStyle INSERTMANYVALUES InvalidRequestError TYPE_CHECKING UpdateBase __new__
    _ad_hoc_textual _bind_processors _dbapi_connection _expanded_parameters _insertmanyvalues
    _is_explicit_returning _is_implicit_returning _is_supplemental_returning
    _loose_column_name_matching _num_sentinel_cols _ordered_columns _process_execute_defaults
    _process_parameters_for_postcompile _render_schema_translates _result_columns _returning
    _sort_by_parameter_order _supplemental_returning _textual_ordered_columns append bool cache_hit
    compile_state compiled compiled_parameters construct_params create_cursor cursor
    delete_executemany_returning dialect dialect_description dict enumerate escaped_bind_names exc
    execute_sequence_format execute_style executemany execution_options extracted_parameters
    for_executemany get implicit_returning insert_executemany_returning
    insert_executemany_returning_sort_by_parameter_order insert_prefetch invoked_statement is_crud
    is_text isdelete isinsert isinstance isplaintext isupdate len literal_execute_params
    num_sentinel_columns parameter_expansion parameters positional positiontup post_compile_params
    preparer processors result_column_struct root_connection schema_translate_map sentinel_columns
    statement string unicode_statement update update_executemany_returning update_prefetch
    use_insertmanyvalues
    """.split()
)
"""Globals and attributes that `MAKE_CONTEXT` uses in SQLAlchemy 2.0.40 to 2.1.9."""

CONSTRUCT_NAMES = frozenset(
    """
    CompileError InvalidRequestError _cache_key_bind_match _collect_params _collected_params
    _post_compile_expanded_state _render_postcompile bind_names bool cache_key callable dict
    effective_value escaped_bind_names exc get items key parameters required value zip
    """.split()
)
"""Globals and attributes that `CONSTRUCT` uses in SQLAlchemy 2.0.40 to 2.1.9."""

EXPAND: Any = getattr(SQLCompiler, "_process_parameters_for_postcompile", None)
"""SQLAlchemy's function that fills in the IN lists of one execution."""

EXPAND_NAMES = frozenset(
    """
    ExpandedState _bind_processors _double_percents _expanded_bind_names_reserved _is_tuple_type
    _literal_execute_expanding_parameter _numeric_binds _numeric_binds_identifier_char
    _pct_escaped_pyformat_pattern _post_compile_expanded_state _post_compile_pattern
    _pre_expanded_positiontup _pre_expanded_string _pyformat_pattern append bind_names binds cast
    enumerate escaped_bind_names extend get group join len list literal_execute
    literal_execute_params next_numeric_pos pop positional positiontup post_compile_params
    preparer re render_literal_bindparam set split statement string sub type update values
    """.split()
)
"""Globals and attributes that `EXPAND` uses in SQLAlchemy 2.0.40 to 2.1.9."""


BATCH_FIELDS = frozenset(
    """
    replaced_statement replaced_parameters processed_setinputsizes batch sentinel_values
    current_batch_size batchnum total_batches rows_sorted is_downgraded
    """.split()
)
"""The fields of a batch of an INSERT of many rows in SQLAlchemy 2.0.40 to 2.1.9."""


def unknown_names(function: object, known: frozenset[str]) -> set[str] | None:
    """Return the globals and attributes of ``function`` outside ``known``, None without code.

    A subset of ``known`` is fine: ``python -O`` drops names that only assertions use.
    """
    code = getattr(function, "__code__", None)
    return _names(code) - known if isinstance(code, CodeType) else None


def _names(code: CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names(constant)
    return names


def context_is_known() -> bool:
    """Tell whether `MAKE_CONTEXT` and `CONSTRUCT` use only known names."""
    return (
        unknown_names(MAKE_CONTEXT, CONTEXT_NAMES) == set()
        and unknown_names(CONSTRUCT, CONSTRUCT_NAMES) == set()
    )


def expansion_is_known() -> bool:
    """Tell whether SQLAlchemy's code for IN lists uses only known names."""
    return unknown_names(EXPAND, EXPAND_NAMES) == set()


def batch_is_known() -> bool:
    """Tell whether SQLAlchemy's batches have exactly the known fields."""
    batch = getattr(compiler, "_InsertManyValuesBatch", None)
    return BATCH_FIELDS == set(getattr(batch, "_fields", ()))
