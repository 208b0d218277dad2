"""Results of an execution whose rows, mappings and scalars are made by the compiled pieces.

Made by the execution context.  A result that is more than plain rows (echo, uniqueness, a choice
of columns, sentinel columns) takes SQLAlchemy's own way, method by method.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from sqlalchemy.engine import CursorResult, MappingResult, Row, RowMapping, ScalarResult

from .. import _impl
from ..compat.versions import SQLALCHEMY_2_1, default_fetch
from ..dbapi.cursor import AsyncAdapt_asyncpg_cursor

_RowFactory = _impl.results.RowFactory
_OWN_ROWS = _impl.results.OWN_ROWS
_FACTORY = "_pgflight_factory"
_ROW_GETTER = frozenset({"_row_getter"})


class PgflightCursorResult(CursorResult[Any]):
    """A cursor's result with getters of our own."""

    __slots__ = ()

    if SQLALCHEMY_2_1:

        def _init_metadata(self, context: Any, cursor_description: Any) -> Any:
            metadata = super()._init_metadata(context, cursor_description)
            self._use_own_getters(metadata)
            return metadata

    else:  # 2.0 sets a getter of its own after the metadata

        def __init__(self, context: Any, cursor_strategy: Any, cursor_description: Any) -> None:
            super().__init__(context, cursor_strategy, cursor_description)
            self._use_own_getters(self._metadata)

    @classmethod
    def adopt(cls, result: Any) -> Any:
        """Turn SQLAlchemy's result into one of ours where its rows are plain; return it."""
        if type(result) is CursorResult and result._metadata.returns_rows:
            result.__class__ = cls
            cls._use_own_getters(cast(Any, result), result._metadata)
        return result

    def _use_own_getters(self, metadata: Any) -> None:
        if (
            self._echo
            or not metadata.returns_rows
            or metadata._tuplefilter is not None
            # 2.0 cuts these columns off in its getter, the metadata know nothing of it
            or (not SQLALCHEMY_2_1 and self.context._num_sentinel_cols)
        ):
            return
        factory = _RowFactory(Row, metadata, metadata._effective_processors, metadata._key_to_index)
        attributes = self.__dict__
        attributes[_FACTORY] = factory
        if _OWN_ROWS:
            # what SQLAlchemy's descriptor would remember, and forget when the result is changed
            attributes["_row_getter"] = (
                (factory, factory.many, factory.interim) if SQLALCHEMY_2_1 else factory
            )
            attributes["_memoized_keys"] = _ROW_GETTER

    def _plain(self) -> Any:
        """Return the row factory, None where rows need more than it does."""
        factory = self.__dict__.get(_FACTORY)
        if (
            factory is None
            or factory.parent is not self._metadata
            or self._unique_filter_state is not None
        ):
            return None
        return factory

    def _buffered(self) -> Any:
        """Return the cursor if its rows wait in memory, to be taken as they are; else None."""
        cursor: Any = self.cursor
        if self.cursor_strategy is default_fetch and type(cursor) is AsyncAdapt_asyncpg_cursor:
            return cursor
        return None

    def _take(self) -> list[Any]:
        """Return all rows not read yet as the driver gave them, in a list of the caller's own."""
        cursor = self._buffered()
        if cursor is None:
            return list(self._fetchall_impl())
        rows: list[Any] = cursor._take()
        self._soft_close()
        return rows

    def _fetchiter_impl(self) -> Iterator[Any]:
        cursor = self._buffered()
        if cursor is not None:
            rows = cursor._queue()
            result: Any = self  # the program may close it between two rows
            while result.cursor is cursor:
                if not rows:
                    self._soft_close()
                    return
                yield rows.popleft()
        yield from super()._fetchiter_impl()

    if _OWN_ROWS:

        def _allrows(self) -> Any:
            factory = self._plain()
            return super()._allrows() if factory is None else factory.fill(self._take())

        def _raw_all_tuples(self) -> Sequence[tuple[Any, ...]]:
            # for the ORM of SQLAlchemy 2.1
            factory = self._plain()
            if factory is None:
                return super()._raw_all_tuples()
            return factory.tuples(self._take())  # type: ignore[no-any-return]

        def _raw_all_rows(self) -> list[Any]:
            # for the ORM of SQLAlchemy 2.0
            factory = self._plain()
            if factory is None:
                return super()._raw_all_rows()  # type: ignore[misc,no-any-return]
            return factory.fill(self._take())  # type: ignore[no-any-return]

        def _iter_impl(self) -> Iterator[Any]:
            return self._iterate(self._plain(), super()._iter_impl)

    def _iterate(self, factory: Any, stock: Any) -> Iterator[Any]:
        """Return an iterator over what `factory` makes; `stock()` where there is no factory."""
        cursor = None if factory is None else self._buffered()
        if cursor is None:
            return stock()  # type: ignore[no-any-return]
        return factory.iterate(self, cursor, cursor._queue(), stock)  # type: ignore[no-any-return]

    def scalars(self, index: Any = 0) -> ScalarResult[Any]:
        """Return a result of one column's values; see SQLAlchemy's method."""
        return PgflightScalarResult(self, index)

    def mappings(self) -> MappingResult:
        """Return a result of mappings by column name; see SQLAlchemy's method."""
        return PgflightMappingResult(self)


class PgflightScalarResult(ScalarResult[Any]):
    """One column of a result."""

    __slots__ = ()

    def _allrows(self) -> Any:
        real: Any = self._real_result
        factory = real._plain()
        if factory is None or self._unique_filter_state is not None:
            return super()._allrows()
        metadata: Any = self._metadata
        return factory.column(real._take(), metadata._translated_indexes[0])


class PgflightMappingResult(MappingResult):
    """Mappings by column name."""

    __slots__ = ()

    def _factory(self) -> Any:
        """Return a factory of mappings, None where they need more than it does."""
        real: Any = self._real_result
        metadata: Any = self._metadata
        if (
            real._plain() is None
            or metadata is not real._metadata
            or self._unique_filter_state is not None
        ):
            return None
        return _RowFactory(
            RowMapping, metadata, metadata._effective_processors, metadata._key_to_index
        )

    def _allrows(self) -> Any:
        factory = self._factory()
        if factory is None:
            return super()._allrows()
        real: Any = self._real_result
        return factory.fill(real._take())

    if _OWN_ROWS:

        def _iter_impl(self) -> Iterator[Any]:
            real: Any = self._real_result
            return real._iterate(self._factory(), super()._iter_impl)  # type: ignore[no-any-return]
