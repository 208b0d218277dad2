"""What makes a dialect synchronous to SQLAlchemy: an ordinary pool, usable from any thread."""

from __future__ import annotations

import weakref
from typing import Any

from sqlalchemy import event
from sqlalchemy import pool as sqlalchemy_pool
from sqlalchemy.engine import URL

from ..dbapi.module import AsyncAdapt_asyncpg_dbapi


class SynchronousDialect:
    """A part of the dialect of ``async_fallback``; stands in front of the dialect's class."""

    is_async = False

    @classmethod
    def get_pool_class(cls, url: URL) -> type[sqlalchemy_pool.Pool]:
        """Return the pool that waits in threads."""
        return sqlalchemy_pool.QueuePool

    @classmethod
    def engine_created(cls, engine: Any) -> None:
        """Stop the loop's thread when the engine is disposed of, or forgotten."""
        super().engine_created(engine)  # type: ignore[misc]
        dbapi = engine.dialect.dbapi
        if isinstance(dbapi, AsyncAdapt_asyncpg_dbapi):
            event.listen(engine, "engine_disposed", lambda _engine: dbapi.loop_thread.close())
            # not left to the thread's own end: SQLAlchemy's caches of queries keep some dialects
            finalizer = weakref.finalize(engine, dbapi.loop_thread.close, wait=False)
            finalizer.atexit = False
