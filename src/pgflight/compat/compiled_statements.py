"""Private attributes of compiled statements, and the text that SQLAlchemy writes for them.

Each getter takes the compiled statement, and is implemented in C.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from sqlalchemy.dialects.postgresql.base import PGCompiler
from sqlalchemy.sql import compiler

Getter = Callable[[Any], Any]

result_columns: Getter = attrgetter(
    "_result_columns",
    "_ordered_columns",
    "_textual_ordered_columns",
    "_ad_hoc_textual",
    "_loose_column_name_matching",
)
"""Return the value of an execution context's ``result_column_struct``."""

bind_processors: Getter = attrgetter("_bind_processors")
"""Return the conversions of bound parameters that have one, by parameter name."""

has_numbered_parameters: Getter = attrgetter("_numeric_binds")
"""Tell whether parameters are written as ``$1``."""

fills_lists_in_itself: Getter = attrgetter("_render_postcompile")
"""Tell whether IN lists were filled in when the statement was compiled."""

cache_key_matches: Getter = attrgetter("_cache_key_bind_match")
"""Return which parameters match which of the cache key, ``None`` without a key."""

many_values: Getter = attrgetter("_insertmanyvalues")
"""Return how an INSERT with RETURNING sends rows in batches, ``None`` if it does not."""

schema_translator: Getter = attrgetter("preparer._render_schema_translates")
"""Return the function that writes translated schemas into a text: ``(text, names)``."""


def collects_parameters(compiled: Any) -> bool:
    """Tell whether parameters are collected in the order in which the text names them (2.1)."""
    return bool(getattr(compiled, "_collect_params", False))


def expanded(compiled: Any, text: str, parameters: Any) -> Any:
    """Return SQLAlchemy's ``ExpandedState`` of ``text``, with IN lists filled in.

    ``text`` replaces the statement's own, so ``compiled`` must be a copy.
    """
    compiled._pre_expanded_string = text
    return PGCompiler._process_parameters_for_postcompile(compiled, parameters)


LIST_METHODS = ("_process_parameters_for_postcompile", "_literal_execute_expanding_parameter")
"""The compiler's methods that fill in the IN lists of an execution."""


def operator_around(options: dict[str, Any]) -> Any:
    """Return the operator that encloses an expression, from the options of its visitor."""
    return options.get("_binary_op")


InsertBatch: Any = getattr(compiler, "_InsertManyValuesBatch", None)
"""One batch of an INSERT's rows: SQLAlchemy's named tuple."""
