"""Results of an execution whose rows, mappings and scalars are made by the compiled pieces.

Made by the execution context.  A result that needs more than its rows (echo, uniqueness, a choice
of columns, sentinel columns) uses SQLAlchemy's own methods, each where it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from sqlalchemy.engine import CursorResult, MappingResult, Row, RowMapping, ScalarResult

from .. import _impl
from ..compat import connections, results
from ..compat.versions import SQLALCHEMY_2_1
from ..dbapi.cursor import AsyncAdapt_asyncpg_cursor

_RowFactory = _impl.results.RowFactory
_OWN_ROWS = _impl.results.OWN_ROWS
_FACTORY = "_pgflight_factory"
_ROW_GETTER = results.ROW_GETTER
_MEMOIZED = results.MEMOIZED
_ROW_GETTER_ALONE = frozenset({_ROW_GETTER})


class PgflightCursorResult(CursorResult[Any]):
    """A cursor's result with getters of our own."""

    __slots__ = ()

    close_softly = results.close_softly
    fetch_rest = results.fetch_rest

    if SQLALCHEMY_2_1:

        def _init_metadata(self, context: Any, cursor_description: Any) -> Any:
            metadata = super()._init_metadata(context, cursor_description)
            self._use_own_getters(metadata)
            return metadata

    else:  # 2.0 sets a getter of its own after the metadata

        def __init__(self, context: Any, cursor_strategy: Any, cursor_description: Any) -> None:
            super().__init__(context, cursor_strategy, cursor_description)
            self._use_own_getters(results.metadata(self))

    @classmethod
    def adopt(cls, result: object) -> Any:
        """Turn SQLAlchemy's result into one of ours where its rows are plain; return it."""
        if type(result) is CursorResult:
            metadata = results.metadata(result)
            if metadata.returns_rows:
                result.__class__ = cls
                cls._use_own_getters(cast(Any, result), metadata)
        return result

    def _use_own_getters(self, metadata: Any) -> None:
        if (
            results.is_echoed(self)
            or not metadata.returns_rows
            or results.column_choice(metadata) is not None
            # 2.0 cuts these columns off in its getter, the metadata know nothing of it
            or (not SQLALCHEMY_2_1 and connections.sentinel_columns(self.context))
        ):
            return
        factory = _RowFactory(Row, metadata, *results.processors_and_places(metadata))
        attributes = self.__dict__
        attributes[_FACTORY] = factory
        if _OWN_ROWS:
            # what SQLAlchemy's descriptor would remember, and forget when the result is changed
            attributes[_ROW_GETTER] = (
                (factory, factory.many, factory.interim) if SQLALCHEMY_2_1 else factory
            )
            attributes[_MEMOIZED] = _ROW_GETTER_ALONE

    def _plain(self) -> Any:
        """Return the row factory, None if rows need more than it does."""
        try:
            factory = self.__dict__[_FACTORY]
        except KeyError:
            return None
        metadata, uniqueness = results.metadata_and_uniqueness(self)
        return factory if factory.parent is metadata and uniqueness is None else None

    def _buffered(self) -> Any:
        """Return the cursor if its rows are in memory and can be taken unchanged; else None."""
        cursor: Any = self.cursor
        if (
            self.cursor_strategy is results.default_fetch
            and type(cursor) is AsyncAdapt_asyncpg_cursor
        ):
            return cursor
        return None

    def _take(self) -> list[Any]:
        """Return all rows not read yet as the driver gave them, in a list of the caller's own."""
        cursor: Any = self.cursor
        # _buffered() and the cursor's _take(), written out: most results are read here, once
        if (
            self.cursor_strategy is not results.default_fetch
            or type(cursor) is not AsyncAdapt_asyncpg_cursor
        ):
            return list(self.fetch_rest())
        rows = cursor._rows
        cursor._rows = []
        self.close_softly()
        return rows if type(rows) is list else list(rows)

    def _fetchiter_impl(self) -> Iterator[Any]:
        cursor = self._buffered()
        if cursor is not None:
            rows = cursor._queue()
            result: Any = self  # the program may close it between two rows
            while result.cursor is cursor:
                if not rows:
                    self.close_softly()
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
        real, uniqueness = results.origin_and_uniqueness(self)
        factory = real._plain()
        if factory is None or uniqueness is not None:
            return super()._allrows()
        return factory.column(real._take(), results.column_places(self)[0])


class PgflightMappingResult(MappingResult):
    """Mappings by column name."""

    __slots__ = ()

    def _factory(self) -> Any:
        """Return a factory of mappings, None where they need more than it does."""
        real, uniqueness = results.origin_and_uniqueness(self)
        metadata = results.metadata(self)
        if (
            real._plain() is None
            or metadata is not results.metadata(real)
            or uniqueness is not None
        ):
            return None
        return _RowFactory(RowMapping, metadata, *results.processors_and_places(metadata))

    def _allrows(self) -> Any:
        factory = self._factory()
        if factory is None:
            return super()._allrows()
        return factory.fill(results.origin(self)._take())

    if _OWN_ROWS:

        def _iter_impl(self) -> Iterator[Any]:
            real = results.origin(self)
            return real._iterate(self._factory(), super()._iter_impl)  # type: ignore[no-any-return]
