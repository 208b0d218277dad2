"""Rows for COPY: dictionaries or sequences -> tuples of values for asyncpg, page by page.

Called by :mod:`pgflight.copying.copy_in_cursor`.  Values are processed as an INSERT would process
them: by bind processors, and by the defaults that are made in Python.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NoReturn

import asyncpg
from sqlalchemy import Boolean, Column, exc, inspect
from sqlalchemy.dialects.postgresql.types import BIT
from sqlalchemy.engine import Dialect

from ..compat.sql_types import binds_by_expression
from ..parameters.contracts import Context
from .table import CopyTable

ROWS_AT_FIRST = 100
ROWS_PER_PAGE = 256
"""Few enough that a page does not trigger a garbage collection."""
BYTES_PER_PAGE = 524288
"""Approximate size limit of a page, estimated from its first row."""

_MISSING: Any = object()
_BOOLEANS = frozenset({bool, type(None)})
"""Types that SQLAlchemy's Boolean leaves unchanged, at the cost of two calls a value."""


class _DefaultContext:
    """The argument of a default's function: the execution's context, with one row's values."""

    def __init__(self, context: Any, keys: Sequence[str]) -> None:
        self._context = context
        self._keys = keys
        self._values: Sequence[Any] = ()
        self.current_column: Column[Any] | None = None

    @property
    def current_parameters(self) -> dict[str, Any]:
        return dict(zip(self._keys, self._values, strict=False))

    def get_current_parameters(self, isolate_multiinsert_groups: bool = True) -> dict[str, Any]:
        return self.current_parameters

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


class RowPlan:
    """How the rows of one COPY become tuples; made when the first row is known."""

    def __init__(
        self, source: CopyTable, names: Sequence[Any] | None, first: Any, dialect: Any
    ) -> None:
        """Choose the columns; raise SQLAlchemy's errors if they cannot be filled."""
        self.keyed = isinstance(first, Mapping)
        if not self.keyed and first is not _MISSING:
            _check_sequence(first)
        if isinstance(names, str):
            raise exc.ArgumentError("columns must be a list, not a single name")
        if names is not None:
            given = [source.named(name) for name in names]
        elif self.keyed:
            unknown = [str(key) for key in first if key not in source.columns]
            if unknown:
                raise exc.CompileError(f"Unconsumed column names: {', '.join(sorted(unknown))}")
            given = [item for item in source.columns.items() if item[0] in first]
        else:
            given = [
                item
                for item in source.columns.items()
                if getattr(item[1], "computed", None) is None
            ]
        if len({column for _, column in given}) != len(given):
            raise exc.ArgumentError("a column is named twice")
        taken = {column for _, column in given}
        self._made = [
            (column, _maker(column, source.constants.get(column, _MISSING)))
            for column in source.table.columns
            if column not in taken and _is_made(column, source.constants)
        ]
        self.columns = (*(column for _, column in given), *(column for column, _ in self._made))
        if not self.columns:
            raise exc.ArgumentError("COPY needs at least one column to fill")
        self._keys = [key for key, _ in given]
        self._given = len(given)
        processors = [_processor(column, dialect) for column in self.columns]
        self._processors = [
            (place, process) for place, process in enumerate(processors) if process is not None
        ]
        self._booleans = {
            place
            for place, column in enumerate(self.columns)
            if getattr(type(column.type.dialect_impl(dialect)), "bind_processor", None)
            is Boolean.bind_processor
        }
        self._plain = not self._made and not self._processors
        self._get: Any = itemgetter(*self._keys) if len(self._keys) > 1 else None
        self._all_keys = [*self._keys, *(column.key for column, _ in self._made)]

    def tuples(self, raw: list[Any], before: int, context: Context) -> Sequence[Sequence[Any]]:
        """Return ``raw`` rows as values for asyncpg; ``before`` is the number of earlier rows.

        Raises StatementError for the first row that is wrong, with its row and column.
        """
        rows = self._read_keyed(raw, before) if self.keyed else self._read(raw, before)
        if self._plain:
            return rows
        made = self._make(rows, before, context) if self._made else ()
        changed: dict[int, Sequence[Any]] = {}
        wrong: tuple[int, int, Exception] | None = None
        good = len(raw)
        for place, process in self._processors:
            if place < self._given:
                values: Sequence[Any] = list(map(itemgetter(place), rows[:good]))
            else:
                values = made[place - self._given][:good]
            if place in self._booleans and _BOOLEANS.issuperset(map(type, values)):
                continue
            done: list[Any] = []
            try:
                # values before the failure are kept: their number tells the row
                done.extend(map(process, values))
            except Exception as error:
                good = len(done)
                wrong = good, place, error
            changed[place] = done
        if wrong is not None:
            self.fail(before + wrong[0], wrong[1], wrong[2])
        if not changed and not made:
            return rows
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if self._given else []
        columns.extend(made)
        for place, done_before in changed.items():
            columns[place] = done_before
        return list(zip(*columns, strict=True))

    def _read_keyed(self, raw: list[Any], before: int) -> Sequence[Sequence[Any]]:
        try:
            if self._get is not None:
                return list(map(self._get, raw))
            return [tuple([row[key] for key in self._keys]) for row in raw]
        except (KeyError, TypeError):
            for number, row in enumerate(raw):
                if not isinstance(row, Mapping):
                    self.fail(
                        before + number, None, exc.ArgumentError("the rows before it were mappings")
                    )
                for place, key in enumerate(self._keys):
                    if key not in row:
                        missing = exc.InvalidRequestError(f"A value is required for column {key!r}")
                        self.fail(before + number, place, missing)
            raise

    def _read(self, raw: list[Any], before: int) -> Sequence[Sequence[Any]]:
        try:
            if set(map(len, raw)) == {self._given} and not any(
                issubclass(kind, Mapping) for kind in set(map(type, raw))
            ):
                return raw
        except TypeError:
            pass
        for number, row in enumerate(raw):
            try:
                _check_sequence(row)
                if isinstance(row, Mapping):
                    raise exc.ArgumentError("the rows before it were sequences")
                if len(row) != self._given:
                    raise exc.ArgumentError(f"{len(row)} values for {self._given} columns")
            except exc.ArgumentError as error:
                self.fail(before + number, None, error)
        return raw

    def _make(
        self, rows: Sequence[Sequence[Any]], before: int, context: Context
    ) -> Sequence[Sequence[Any]]:
        shown = _DefaultContext(context, self._all_keys)
        made: list[list[Any]] = [[] for _ in self._made]
        for number, row in enumerate(rows):
            values = [*row]
            shown._values = values
            for place, (column, maker) in enumerate(self._made):
                shown.current_column = column
                try:
                    value = maker(shown)
                except Exception as error:
                    self.fail(before + number, self._given + place, error)
                values.append(value)
                made[place].append(value)
        return made

    def fail(self, row: int, place: int | None, error: Exception) -> NoReturn:
        """Raise StatementError for the row with index ``row``."""
        where = f"row {row + 1}"
        if place is not None:
            where += f", column {self.columns[place].name!r}"
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        raise exc.StatementError(f"({kind}) {error} ({where})", None, None, error) from error


def no_first_row() -> Any:
    """Return the marker that stands for the first row if there is none."""
    return _MISSING


def rows_for(row: Any) -> int:
    """Return how many rows like this one make a page."""
    values = row.values() if isinstance(row, Mapping) else row
    if not hasattr(values, "__iter__"):
        return ROWS_PER_PAGE
    try:
        size = sum(len(value) for value in values if isinstance(value, (str, bytes, list, dict)))
    except Exception:  # of a value's own methods, which need not matter
        return 1
    return max(1, min(ROWS_PER_PAGE, BYTES_PER_PAGE // (size + 1)))


def _check_sequence(row: object) -> None:
    if isinstance(row, (str, bytes)) or not hasattr(row, "__getitem__"):
        hint = ""
        if inspect(row, raiseerr=False) is not None:
            hint = " (COPY returns no keys, so objects could not become persistent)"
        raise exc.ArgumentError(
            f"a row for COPY is a mapping or a sequence, not {type(row).__name__}{hint}"
        )


def _is_made(column: Column[Any], constants: Mapping[Column[Any], Any]) -> bool:
    """Tell whether a column that is not in the rows is filled in Python."""
    default: Any = column.default
    if column in constants:
        return True
    if default is None or getattr(default, "is_sentinel", False):
        return False
    if default.is_sequence or default.is_clause_element:
        if column.server_default is not None:
            return False
        what = "a sequence" if default.is_sequence else "an SQL expression"
        raise exc.ArgumentError(
            f"the default of {column} is {what}, which COPY cannot evaluate: "
            "give values for the column, or make it a server default"
        )
    return True


def _maker(column: Column[Any], constant: object) -> Callable[[Any], Any]:
    default: Any = column.default
    if constant is _MISSING and default.is_callable:
        function: Callable[[Any], Any] = default.arg
        return function
    value = default.arg if constant is _MISSING else constant
    return lambda _context: value


def _processor(column: Column[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    type_: Any = column.type.dialect_impl(dialect)
    if binds_by_expression(type_):
        raise exc.ArgumentError(
            f"the type of {column} binds its values through an SQL expression, which COPY cannot do"
        )
    process: Callable[[Any], Any] | None = type_.bind_processor(dialect)
    inner = type_.impl_instance if hasattr(type_, "impl_instance") else type_
    if isinstance(inner, BIT) and inner.length:
        return _fit_bits(process, inner.length, inner.varying)
    return process


def _fit_bits(
    process: Callable[[Any], Any] | None, length: int, varying: bool
) -> Callable[[Any], Any]:
    """Return ``process`` followed by the effect of an INSERT's cast: truncation or zero padding."""

    def fit(value: object) -> Any:
        bits = value if process is None else process(value)
        if not isinstance(bits, asyncpg.BitString) or len(bits) == length:
            return bits
        text: Any = bits.as_string().replace(" ", "")[:length]
        return asyncpg.BitString(text if varying else text.ljust(length, "0"))

    return fit
