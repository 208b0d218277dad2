"""The rows of one COPY while it runs: pages from the program's iterable, progress, failures.

Made for :mod:`pgflight.copying.copy_in_cursor`, which has asyncpg iterate over the rows.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from .. import driver
from . import text_format
from .rows import ROWS_AT_FIRST, RowPlan, no_first_row, rows_for

Progress = Callable[[int, "int | None"], Any]


class _Stopped(Exception):
    """Makes asyncpg give up the COPY; the feed keeps the reason."""

    # a short text: asyncpg up to 0.31 sends it to the server, which accepts 10,000 bytes
    def __init__(self) -> None:
        super().__init__("the rows have ended with an error")


class Feed:
    """Reads rows a page at a time, so that only one page is in memory."""

    def __init__(self, rows: Any, progress: Progress | None, timeout: float | None) -> None:
        self.timeout = timeout
        """Seconds for the whole COPY."""
        self._deadline: float | None = None
        self._progress = progress
        self._async = hasattr(rows, "__aiter__")
        self._source: Any = rows.__aiter__() if self._async else iter(rows)
        self._size = ROWS_AT_FIRST
        self._first: list[Any] | None = None
        self.failure: Exception | None = None
        """The error that ended the rows early, if any."""
        self._iterator: Any = iter(())
        self._running: Any = None
        self.context: Any = None
        self.reserve: Callable[[], None] = _nothing
        """Called by the task that is about to wait for the program's rows."""
        self.plan: RowPlan
        self.schema: str | None = None
        self.table = ""
        self.watch: driver.CopyWatch
        self.page: Sequence[Any] = ()
        self.rows_before = 0
        """Number of rows in the pages before this one."""
        self.numerics: driver.NumericPlaces = ()
        """Columns whose values asyncpg's own codec encodes as numeric."""
        self.rows = 0
        """Number of rows stored, once the server has confirmed it."""

    # before anything is sent

    async def peek(self) -> Any:
        """Return the first row without consuming it, or a marker if there is none."""
        if self.timeout is not None:
            self._deadline = asyncio.get_running_loop().time() + self.timeout
        self._first = await driver.within(self.timeout, self._pull(1))
        if not self._first:
            return no_first_row()
        self._size = min(self._size, rows_for(self._first[0]))
        return self._first[0]

    async def _pull(self, number: int) -> list[Any]:
        if not self._async:
            return list(islice(self._source, number))
        self.reserve()
        return await _up_to(self._source, number)

    def left(self) -> float | None:
        """Return the seconds that are left."""
        if self._deadline is None:
            return None
        return max(0.0, self._deadline - asyncio.get_running_loop().time())

    # while the COPY runs

    async def _pages(self) -> AsyncIterator[Sequence[Any]]:
        while True:
            raw, self._first = self._first or [], None
            raw += await self._pull(self._size - len(raw))
            if not raw:
                return
            self._prepare(raw)
            del raw
            yield self.page
            self._count_page()
            if self._progress is not None:
                await self._report()
            await asyncio.sleep(0)  # let other tasks run: nothing else here is sure to wait
            if self.watch.refused():
                return

    async def _report(self) -> None:
        assert self._progress is not None
        answer = self._progress(self.rows_before, self.watch.sent)
        if inspect.isawaitable(answer):
            await answer

    def records(self) -> AsyncIterator[Any] | Iterator[Any]:
        """Return an iterator over the rows as tuples.

        A synchronous one if nothing has to be awaited: an asynchronous one costs 0.5 us a row.
        """
        if self._async or self._progress is not None or not self.watch.can_breathe:
            return self._records_awaited()
        return chain.from_iterable(self._page_iterators())

    def _page_iterators(self) -> Iterator[Iterator[Any]]:
        try:
            while not self.watch.refused():
                raw, self._first = self._first or [], None
                raw += islice(self._source, self._size - len(raw))
                if not raw:
                    return
                self._prepare(raw)
                del raw
                self._iterator = rows = iter(self.page)
                yield rows
                self._iterator = rows = iter(())
                self._count_page()
                self.watch.breathe()
        except Exception as error:
            self.failure = error
            raise _Stopped from None

    def _prepare(self, raw: list[Any]) -> None:
        self._size = rows_for(raw[0])
        self.page = self.plan.tuples(raw, self.rows_before, self.context)
        for place, texts in self.numerics:
            if found := driver.first_too_large([row[place] for row in self.page], texts):
                raise text_format.Unencodable(found - 1, place, driver.numeric_error())

    def _count_page(self) -> None:
        self.rows_before += len(self.page)
        self.page = ()

    async def _records_awaited(self) -> AsyncIterator[Any]:
        try:
            async for page in self._pages():
                self._iterator = rows = iter(page)
                for row in rows:
                    yield row
        except Exception as error:
            self.failure = error
            raise _Stopped from None

    async def chunks(self, encoders: Sequence[text_format.Encoder]) -> AsyncIterator[bytes]:
        """Yield the rows in text form, a page at a time."""
        try:
            async for page in self._pages():
                yield text_format.lines(page, encoders)
        except Exception as error:
            self.failure = error
            raise _Stopped from None

    async def finished(self) -> None:
        """Note that the server has stored everything."""
        self.rows = self.rows_before
        if self._progress is not None:
            await self._report()

    # after a failure

    def current(self) -> Any:
        """Return the row that was passed to asyncpg last, None before the first."""
        place = len(self.page) - self._iterator.__length_hint__() - 1 if self.page else -1
        return self.page[place] if place >= 0 else None

    def number(self) -> int:
        """Return the number of :meth:`current`'s row, counted from 1."""
        return self.rows_before + len(self.page) - int(self._iterator.__length_hint__())

    async def aclose(self) -> None:
        """Release the rows."""
        self._source = ()
        self.page = ()


def _nothing() -> None:
    return


async def _up_to(source: Any, number: int) -> list[Any]:
    """Return the next ``number`` rows, fewer at the end."""
    page: list[Any] = []
    for _ in range(number):
        try:
            page.append(await source.__anext__())
        except StopAsyncIteration:
            break
    return page
