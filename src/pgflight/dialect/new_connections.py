"""How the dialect makes and sets up a connection: arguments, codecs, what it shares in the engine.

A base of the dialect.  A connection may also come from a program's `creator`, and be SQLAlchemy's
own adapter: it then gets what the built-in dialect sets up, and nothing of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from .. import driver
from ..compat import connections
from ..compat.builtin import Attribute, theirs
from ..compat.versions import SQLALCHEMY_2_1, await_only
from ..options.table import with_secrets_hidden
from ..options.url import engine_arguments, is_refused
from ..parameters.in_lists import InListDialect
from ..session import codecs
from ..session.session import Session
from ..session.statements.schema_generation import SchemaGeneration
from ..session.statistics import EngineCounters
from .patches import PatchedDialect, bound
from .pool_health import bounded

_CREATE_CONNECT_ARGS, _ON_CONNECT, _GET_DRIVER_CONNECTION = (
    Attribute(theirs.PGDialect_asyncpg, name)
    for name in ("create_connect_args", "on_connect", "get_driver_connection")
)
"""Methods that do what ours needs, and then call what a program has put in their place."""


class ConnectingDialect(PatchedDialect, InListDialect):
    """The part of the dialect that makes connections and sets them up."""

    supports_statement_cache = True

    _schema: SchemaGeneration
    _known: driver.Known
    _counters: EngineCounters
    _given_options: dict[str, Any]
    _async_fallback: Any = None
    closes_at_once = False
    """Whether the pool closes each connection that comes back."""

    def create_connect_args(self, url: URL) -> tuple[Sequence[Any], dict[str, Any]]:
        """Return the arguments of ``dbapi.connect()`` for ``url``.

        What is wrong in it warns, or raises ArgumentError: see :func:`engine_arguments`.
        """
        patch = _CREATE_CONNECT_ARGS.patch()
        if patch is not None:
            positional, arguments = bound(patch[1], self)(url)
            return positional, self._take_threshold(arguments)
        try:
            arguments = engine_arguments(url)
        except ArgumentError:
            del url  # which a tracer would collect, with a ?password=
            raise
        if not SQLALCHEMY_2_1:
            # create_engine() of 2.0 would warn that its own fallback will be removed
            self._async_fallback = arguments.pop("async_fallback", None)
        if is_refused(arguments.get("in_array_threshold")):
            return [], arguments
        return [], self._take_threshold(arguments)

    if not SQLALCHEMY_2_1:

        def connect(self, *positional: Any, **arguments: Any) -> Any:
            """Return a new DBAPI connection."""
            if self._async_fallback is not None:
                arguments.setdefault("async_fallback", self._async_fallback)
            arguments = with_secrets_hidden(arguments)  # in a tracer's copy of this frame
            return super().connect(*positional, **arguments)

    def on_connect(self) -> Callable[[Any], None]:
        """Return the function that sets up a new DBAPI connection: codecs, schema generation."""
        patch = _ON_CONNECT.patch()
        set_up = self._codecs() if patch is None else bound(patch[1], self)()

        def connect(conn: Any) -> None:
            try:
                self.look_for_patches()
                self._join(conn)
                if set_up is not None:
                    with bounded(conn, "what sets up a connection"):
                        set_up(conn)
            except BaseException:
                conn.terminate()  # the pool does not know it yet, and would leave it open
                raise

        return connect

    def _codecs(self) -> Callable[[Any], None]:
        # what comes after the built-in dialect, whose codecs would be set a second time
        inherited = super(theirs.PGDialect_asyncpg, self).on_connect()

        def set_up(conn: object) -> None:
            # the built-in adapter, which a `creator` may have made, has no such method in 2.1
            await_ = getattr(conn, "await_", await_only)
            await_(self.setup_asyncpg_json_codec(conn))
            await_(self.setup_asyncpg_jsonb_codec(conn))
            if connections.native_inet_types(self) is False:
                await_(self._disable_asyncpg_inet_codecs(conn))
            if inherited is not None:
                inherited(conn)

        return set_up

    def get_driver_connection(self, connection: Any) -> Any:
        """Return asyncpg's own connection."""
        driver_connection = connection.driver_connection  # ours notes that it is exposed
        patch = _GET_DRIVER_CONNECTION.patch()
        return driver_connection if patch is None else bound(patch[1], self)(connection)

    def _join(self, conn: object) -> None:
        session: Session | None = getattr(conn, "session", None)
        if session is None:
            adapt = getattr(self.dbapi, "use_builtin_errors", None)
            if adapt is not None:
                adapt()
        else:
            self._known.short_lived = self.closes_at_once
            session.join_engine(
                self._schema, self._known, self._default_isolation, self._given_options
            )
            session.ends.closes_at_once = self.closes_at_once
            self._counters.register(session.statements)
            self._counters.register(session.counters)

    def _default_isolation(self) -> str | None:
        # known once the engine's first connection has been made
        level: str | None = getattr(self, "default_isolation_level", None)
        return level

    async def setup_asyncpg_json_codec(self, conn: Any) -> None:
        """Register the json codec on a new connection; third-party dialects override this."""
        deserializer = connections.json_deserializer(self)
        await codecs.set_json_codec(conn._connection, deserializer, jsonb=False)

    async def setup_asyncpg_jsonb_codec(self, conn: Any) -> None:
        """Register the jsonb codec on a new connection; third-party dialects override this."""
        deserializer = connections.json_deserializer(self)
        await codecs.set_json_codec(conn._connection, deserializer, jsonb=True)

    async def _disable_asyncpg_inet_codecs(self, conn: Any) -> None:
        await codecs.set_plain_inet_codecs(conn._connection)
