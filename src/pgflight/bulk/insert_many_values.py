"""Inserts of many rows by one statement ("insertmanyvalues"): each text is written once.

SQLAlchemy numbers the parameters of every such statement anew.  The compiler here has it write the
text for a number of rows once, keeps the text, and joins the rows' parameters itself.  SQLAlchemy
still decides what a statement looks like, and which one cannot take many rows at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

from sqlalchemy.dialects.postgresql.base import PGCompiler, PGDialect

from .. import _impl
from ..compat import capability
from ..compat.compiled_statements import InsertBatch, many_values
from ..compat.features import Feature
from ..parameters.plan import UnreadSets
from .column_rows import ColumnRows

_LAYOUTS = "_pgflight_batch_layouts"
_KNOWN = capability.has(Feature.BATCHES)

TEXTS_KEPT = 3
"""Texts per statement: that of a full batch and those of the latest remainders."""
SMALL = 10
"""Rows up to which a text is kept in addition: writing it is a large part of its cost."""


class _AnySet:
    """Stands in for a parameter set when only the shape of the statement is needed."""

    def __getitem__(self, name: str) -> None:
        return None


class BatchLayout:
    """How one statement's rows are cut into batches, and the texts written so far."""

    __slots__ = ("lower", "upper", "_write", "_page", "_blank", "_size", "_fits", "_texts")

    def __init__(
        self, write: Callable[[list[Any], int], Any], page: int, columns: int, bounds: Any
    ) -> None:
        """Keep ``write``, which has SQLAlchemy make the first batch of given rows and page size.

        ``page`` is the number of rows that a batch may have, which SQLAlchemy may lower;
        ``columns`` the number of parameters in a row, of which those from ``bounds[0]`` up to
        ``bounds[1]`` are repeated for each row.
        """
        self._write = write
        self._page = page
        self._blank = (None,) * columns
        self.lower, self.upper = bounds
        self._size: int | None = None
        self._fits = 0
        self._texts: dict[int, Any] = {}

    def size(self, number: int) -> int:
        """Return the rows of a full batch when ``number`` rows are sent."""
        if self._size is None and number > self._fits:
            first = self._keep(self._write([self._blank] * number, self._page))
            if first.total_batches > 1:
                self._size = first.current_batch_size
            else:
                self._fits = number
        return self._size or number

    def batch(self, rows: int) -> Any:
        """Return SQLAlchemy's batch of ``rows`` rows, without their values."""
        return self._texts.get(rows) or self._keep(self._write([self._blank] * rows, rows))

    def _keep(self, first: Any) -> Any:
        first = first._replace(replaced_parameters=(), batch=[], sentinel_values=[])
        large = [rows for rows in list(self._texts) if rows > SMALL]
        if len(large) >= TEXTS_KEPT and first.current_batch_size > SMALL:
            for rows in [rows for rows in large if rows != self._size][:1]:
                self._texts.pop(rows, None)
        self._texts[first.current_batch_size] = first
        return first


def _bounds(write: Callable[[list[Any], int], Any], columns: int) -> tuple[int, int] | None:
    """Return which parameters of a row are repeated for each, None where rows go one by one."""
    one, two = ([(row, column) for column in range(columns)] for row in (1, 2))
    first = write([tuple(one), tuple(two)], 2)
    joined = list(first.replaced_parameters)
    if first.current_batch_size != 2 or first.total_batches != 1 or first.is_downgraded:
        return None
    repeated = [column for row, column in joined if row == 2]
    lower = repeated[0] if repeated else 0
    upper = lower + len(repeated)
    if joined != one[:lower] + one[lower:upper] + two[lower:upper] + one[upper:]:
        return None
    return lower, upper


class BatchCompiler(PGCompiler):
    """Cuts many rows into batches as SQLAlchemy does, without writing each one's text."""

    def _deliver_insertmanyvalues_batches(
        self,
        statement: str,
        parameters: Any,
        compiled_parameters: Any,
        generic_setinputsizes: Any,
        batch_size: int,
        sort_by_parameter_order: bool,
        schema_translate_map: Any,
    ) -> Iterator[Any]:
        """Yield one batch after the other, as SQLAlchemy would."""
        if type(parameters) is ColumnRows:
            yield from self._array_batches(
                parameters, compiled_parameters, batch_size, sort_by_parameter_order
            )
            return
        deliver = super()._deliver_insertmanyvalues_batches
        layout = None
        if _KNOWN and not generic_setinputsizes and type(parameters) is list:

            def write(rows: list[Any], page: int) -> Any:
                sets: Any = [_AnySet()] * len(rows)
                batches = deliver(
                    statement, rows, sets, None, page, sort_by_parameter_order, schema_translate_map
                )
                return next(iter(batches))

            layout = self._layout(write, statement, parameters, batch_size, sort_by_parameter_order)
        if layout is None:
            yield from deliver(
                statement, parameters, compiled_parameters, generic_setinputsizes, batch_size,
                sort_by_parameter_order, schema_translate_map,
            )  # fmt: skip
            return

        rows = list(parameters)  # an event hook may change the program's view of them
        sentinels = self._sentinels(compiled_parameters)
        size = layout.size(len(rows))
        total = -(-len(rows) // size)
        for number in range(total):
            chosen = slice(number * size, (number + 1) * size)
            batch = rows[chosen]
            yield layout.batch(len(batch))._replace(
                replaced_parameters=_impl.params.flatten(batch, layout.lower, layout.upper),
                batch=batch,
                sentinel_values=sentinels[chosen],
                batchnum=number + 1,
                total_batches=total,
            )

    def _sentinels(self, sets: Any) -> list[Any]:
        """Return the values by which the rows that come back are told apart."""
        imv = many_values(self)
        if not imv.sentinel_param_keys:
            return []
        return list(map(itemgetter(*imv.sentinel_param_keys), sets))

    def _array_batches(
        self, rows: ColumnRows, sets: object, page: int, ordered: bool
    ) -> Iterator[Any]:
        """Yield batches that all have the plan's text, and an array per column."""
        sentinels = self._sentinels(sets)
        # pages of the same number of rows as SQLAlchemy's, which has a parameter for each value and
        # a limit for those: a page is a statement, and triggers and functions notice
        most = getattr(self.dialect, "insertmanyvalues_max_parameters", None)
        if most:
            repeated = len(many_values(self).insert_crud_params)
            page = max(min(page, (most - len(self.bind_names) + repeated) // repeated), 1)
        pages = [slice(at, at + page) for at in range(0, rows.number, page)]
        for number, chosen in enumerate(pages, 1):
            batch = rows.page(chosen)
            yield InsertBatch(
                replaced_statement=rows.plan.text,
                replaced_parameters=batch.arrays(),
                processed_setinputsizes=None,
                batch=batch,
                sentinel_values=sentinels[chosen],
                current_batch_size=batch.number,
                batchnum=number,
                total_batches=len(pages),
                rows_sorted=ordered,
                is_downgraded=False,
            )

    def joins_rows(self, statement: str, columns: int, translation: Any) -> bool:
        """Tell whether SQLAlchemy sends several rows of ``statement`` (with RETURNING) at once."""
        if not _KNOWN:
            return False
        ordered = many_values(self).sort_by_parameter_order
        two = [(None,) * columns] * 2
        sets: Any = [_AnySet()] * 2
        deliver = super()._deliver_insertmanyvalues_batches
        first = next(iter(deliver(statement, two, sets, None, 2, ordered, translation)))
        return bool(first.current_batch_size == 2 and not first.is_downgraded)

    def _layout(
        self, write: Any, statement: str, parameters: list[Any], page: int, ordered: bool
    ) -> BatchLayout | None:
        """Return the layout of the statement's batches, None where SQLAlchemy has to make them."""
        columns = len(parameters[0])
        layouts = self.__dict__.setdefault(_LAYOUTS, {})
        # the text itself tells which schemas it was translated to
        key = statement, page, ordered, columns
        if key not in layouts:
            bounds = _bounds(write, columns)
            if len(layouts) >= TEXTS_KEPT:
                layouts.clear()
            layouts[key] = None if bounds is None else BatchLayout(write, page, columns, bounds)
        return layouts[key]  # type: ignore[no-any-return]


class BatchDialect(PGDialect):
    """Lets parameter sets become dictionaries only where a statement's batches need them."""

    def _deliver_insertmanyvalues_batches(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        connection: Any,
        cursor: Any,
        statement: Any,
        parameters: Any,
        generic_setinputsizes: Any,
        context: Any,
    ) -> Any:
        """Yield one batch after the other and take in its rows, as SQLAlchemy would."""
        batches = super()._deliver_insertmanyvalues_batches(  # type: ignore[no-untyped-call]
            connection, cursor, statement, parameters, generic_setinputsizes, context
        )
        with UnreadSets.shown_once(context):
            # until now SQLAlchemy has read the sets only to pass them to the compiler
            first = next(batches, None)
        if first is not None:
            yield first
            yield from batches
