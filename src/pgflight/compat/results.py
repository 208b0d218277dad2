"""Private attributes of SQLAlchemy's results; each getter is implemented in C."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from sqlalchemy.engine import CursorResult
from sqlalchemy.engine import cursor as engine_cursor

Getter = Callable[[Any], Any]

default_fetch: Any = getattr(engine_cursor, "_DEFAULT_FETCH", None)
"""The fetch strategy that reads straight from the DBAPI cursor."""

metadata: Getter = attrgetter("_metadata")
"""Return the columns of a result."""

metadata_and_uniqueness: Getter = attrgetter("_metadata", "_unique_filter_state")
"""Return the columns of a result, and the state of its ``unique()`` or ``None``."""

is_echoed: Getter = attrgetter("_echo")
"""Tell whether a result's rows are written to the log."""

column_choice: Getter = attrgetter("_tuplefilter")
"""Given a result's columns, return the function that picks some, ``None`` for all."""

processors_and_places: Getter = attrgetter("_effective_processors", "_key_to_index")
"""Given a result's columns, return their conversions, and their positions by key."""

origin: Getter = attrgetter("_real_result")
"""Return the result from which scalars or mappings are made."""

origin_and_uniqueness: Getter = attrgetter("_real_result", "_unique_filter_state")
"""Return the result behind scalars or mappings, and the state of ``unique()`` or ``None``."""

column_places: Getter = attrgetter("_metadata._translated_indexes")
"""Return the positions, in the driver's row, of the columns of scalars."""

ROW_GETTER = "_row_getter"
"""Where a result memoizes the function with which SQLAlchemy makes rows."""
MEMOIZED = "_memoized_keys"
"""Where a result keeps the names of memoized attributes, which a change discards."""

# methods that our result class has under names of its own
fetch_rest: Any = getattr(CursorResult, "_fetchall_impl", None)
close_softly: Any = getattr(CursorResult, "_soft_close", None)
