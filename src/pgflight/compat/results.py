"""What SQLAlchemy's results keep of their rows; each getter is one call of C."""

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
"""Return the columns of a result, and what makes its rows unique or ``None``."""

is_echoed: Getter = attrgetter("_echo")
"""Tell whether a result's rows are written into the log."""

column_choice: Getter = attrgetter("_tuplefilter")
"""Return what chooses columns of a row, ``None`` where all are chosen: of a result's columns."""

processors_and_places: Getter = attrgetter("_effective_processors", "_key_to_index")
"""Return the conversion of each column, and the columns' places by key: of a result's columns."""

origin: Getter = attrgetter("_real_result")
"""Return the result that scalars or mappings are of."""

origin_and_uniqueness: Getter = attrgetter("_real_result", "_unique_filter_state")
"""Return what scalars or mappings are of, and what makes them unique or ``None``."""

column_places: Getter = attrgetter("_metadata._translated_indexes")
"""Return the places, in the driver's row, of the columns of scalars."""

ROW_GETTER = "_row_getter"
"""What SQLAlchemy makes rows with, as a result remembers it once it was asked for."""
MEMOIZED = "_memoized_keys"
"""The names of what a result remembers, and forgets when it is changed."""

# methods, for a class of ours that has them under names of its own
fetch_rest: Any = getattr(CursorResult, "_fetchall_impl", None)
close_softly: Any = getattr(CursorResult, "_soft_close", None)
