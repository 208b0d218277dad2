"""What a program iterates over: :func:`pgflight.stream`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import exc
from sqlalchemy.engine import RowMapping

from .source import Source

Item = TypeVar("Item", covariant=True)


class AsyncStream(Generic[Item]):
    """An asynchronous iterator over the rows of one execution.

    The statement is executed when the first row is asked for.  Iterating is done by an
    asynchronous generator: one step costs half of what a coroutine for each row would.
    """

    def __init__(
        self,
        source: Source,
        view: Callable[[Any], Any] = lambda result: result,
        size: int | None = None,
        *,
        whole: bool = False,
    ) -> None:
        self._source = source
        self._view = view
        self._whole = whole
        self._items: AsyncGenerator[Item, None] = (
            _batches(source, view, size) if whole else _single_items(source, view)
        )

    def __aiter__(self) -> AsyncIterator[Item]:
        return self._items

    def __anext__(self) -> Any:
        return self._items.__anext__()

    def scalars(self, index: Any = 0) -> AsyncStream[Any]:
        """Return a stream of one column's values, or of the first entity's objects."""
        self._refuse_batches("scalars")
        return AsyncStream(self._source, lambda result: result.scalars(index))

    def mappings(self) -> AsyncStream[RowMapping]:
        """Return a stream of mappings by column name."""
        self._refuse_batches("mappings")
        return AsyncStream(self._source, lambda result: result.mappings())

    def partitions(self, size: int | None = None) -> AsyncStream[Sequence[Item]]:
        """Return a stream of lists of ``size`` items, by default the batches as they are read."""
        self._refuse_batches("partitions")
        if size is not None and size < 1:
            raise exc.ArgumentError("size must be 1 row or more")
        return AsyncStream(self._source, self._view, size, whole=True)

    def _refuse_batches(self, method: str) -> None:
        if self._whole:
            raise exc.InvalidRequestError(f"call {method}() before partitions()")

    async def aclose(self) -> None:
        """Stop reading and free the connection, whichever of the stream's views was read."""
        try:
            await self._items.aclose()
        finally:
            await self._source.close()

    async def __aenter__(self) -> AsyncStream[Item]:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def stream(
    target: Any,
    statement: Any,
    parameters: Any = None,
    *,
    batch: int = 1000,
    max_bytes: int | None = None,
) -> AsyncStream[Any]:
    """Read a statement's rows: see :func:`pgflight.stream`."""
    return AsyncStream(Source(target, statement, parameters, batch, max_bytes))


async def _single_items(source: Source, view: Callable[[Any], Any]) -> AsyncGenerator[Any, None]:
    try:
        result = view(await source.result())
        while True:
            items = await source.fetch(result, None)
            if not items:
                return
            for item in items:
                yield item
            del items  # freed before the next batch is read
    finally:
        # reached when the program lets go of the stream, too, and then nobody can wait here
        source.leave()


async def _batches(
    source: Source, view: Callable[[Any], Any], size: int | None
) -> AsyncGenerator[Any, None]:
    try:
        result = view(await source.result())
        while True:
            items = await source.fetch(result, size)
            if not items:
                return
            yield items
            del items
    finally:
        source.leave()
