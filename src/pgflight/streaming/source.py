"""The execution behind a stream, and how many of its rows are fetched at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session

from ..dialect.execution_context import CURSOR_OPTION
from .cursor import AsyncAdapt_asyncpg_stream_cursor, cursor_factory
from .sizes import average_size

_GROWTH = 8
"""How many times as many rows as the last batch the next one may have, with ``max_bytes``."""


class Source:
    """One execution, begun by the first batch that is asked for; its views share it."""

    def __init__(
        self, target: Any, statement: Any, parameters: Any, batch: int, max_bytes: int | None
    ) -> None:
        if not isinstance(target, (AsyncConnection, AsyncSession, async_scoped_session)):
            raise TypeError(
                "stream() takes an AsyncConnection, an AsyncSession or an async_scoped_session, "
                f"not {type(target).__name__}"
            )
        if batch < 1:
            raise exc.ArgumentError("batch must be 1 row or more")
        if max_bytes is not None and max_bytes < 1:
            raise exc.ArgumentError("max_bytes must be 1 byte or more")
        self._target = target
        self._statement = statement
        self._parameters = parameters
        self._most = batch
        self._max_bytes = max_bytes
        self._next = batch
        self._result: Any = None
        self._cursor: AsyncAdapt_asyncpg_stream_cursor | None = None

    async def result(self) -> Any:
        """Return SQLAlchemy's AsyncResult; execute the statement if that is not done yet."""
        if self._result is None:
            self._most = _own_batch(self._target, self._statement) or self._most
            self._next = self._most if self._max_bytes is None else 1
            made: list[AsyncAdapt_asyncpg_stream_cursor] = []
            options = {"yield_per": self._most, CURSOR_OPTION: cursor_factory(self._next, made)}
            self._result = await self._target.stream(
                self._statement, self._parameters, execution_options=options
            )
            self._cursor = made[-1] if made else None
        return self._result

    async def fetch(self, view: Any, size: int | None) -> Sequence[Any]:
        """Return the next batch of ``view``, a result or its scalars or mappings.

        It has ``size`` rows, or as many as the stream chooses; fewer at the end, and none after it.
        """
        wanted = self._next if size is None else size
        items: Sequence[Any] = await view.fetchmany(wanted)
        if items and size is None and self._max_bytes is not None:
            self._choose_next(items)
        if len(items) == wanted and self._cursor is not None:
            if self._cursor.read_ahead(self._next if size is None else size):
                await asyncio.sleep(0)  # the task begins: what it asks for is sent
        return items

    def _choose_next(self, items: Sequence[Any]) -> None:
        """Have about half of ``max_bytes`` fetched next: two batches are held at a time."""
        assert self._max_bytes is not None
        fitting = self._max_bytes // (2 * average_size(items))
        wanted = max(1, min(fitting, _GROWTH * len(items), self._most))
        self._next = 1 << (wanted.bit_length() - 1) if wanted < self._most else wanted

    def leave(self) -> None:
        """Stop reading ahead, awaiting nothing."""
        if self._cursor is not None:
            self._cursor.leave()

    async def close(self) -> None:
        """Free the connection."""
        if self._result is not None:
            await self._result.close()


def _own_batch(target: Any, statement: Any) -> int | None:
    """Return the ``yield_per`` that a statement or its connection asks for, None if none does."""
    holders = [statement]
    if isinstance(target, AsyncConnection) and target.sync_connection is not None:
        holders.append(target.sync_connection)
    for holder in holders:
        options: Any = getattr(holder, "get_execution_options", dict)()
        if options.get("yield_per"):
            return int(options["yield_per"])
    return None
