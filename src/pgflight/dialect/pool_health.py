"""Whether a pooled connection is still alive, without a round trip where possible.

The dialect has the pool call :func:`refuse_lost` at each checkout, asks
:func:`was_used_recently` before it pings, and has :func:`close_unfit` close what was refused.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any
from weakref import ref

from asyncpg import exceptions as driver_errors
from sqlalchemy.exc import DisconnectionError

from .. import driver
from .._warnings import warn
from ..compat import connections
from ..compat.connections import listen_to_dispose
from ..compat.loops.first_connection_lock import FirstConnectionLock
from ..compat.versions import await_only, in_greenlet
from ..dbapi.connection import AsyncAdapt_asyncpg_connection
from ..dbapi.recovery.kept_connections import HERE_SECONDS
from ..dbapi.sync.connections import AsyncAdaptFallback_asyncpg_connection
from ..session.recovery.deadline import Deadline
from ..session.recovery.lost_connection import BEGUN, CHECKED_OUT
from ..session.session import Session
from ..session.turn import running_loop

IDLE_SECONDS = 0.01
"""The socket of a connection that was used this recently is not checked for input."""

OWED_SECONDS = 1.0
"""An end that the server has not answered for as long is waited for before anything is sent."""

TURNS = 10
"""Iterations of the event loop in which it reads the server's last message and closes."""


_OWN_TERMINATE = (
    AsyncAdapt_asyncpg_connection.terminate,
    AsyncAdaptFallback_asyncpg_connection.terminate,
)
"""Not what a program has put in its place, and which it expects to be called."""


_FOREIGN = (
    "a pooled connection was made in another event loop, or before a fork: it is let go of, and"
    " another one made. Give each loop and each process an engine of its own, or call"
    " engine.dispose() before its loop ends (in a child process dispose(close=False))"
)


def refuse_lost(dbapi_connection: Any, record: object, proxy: object) -> None:
    """Raise DisconnectionError for a connection that is closed, or in a transaction.

    Also for one of another event loop or process.  The pool then makes another.

    A listener of SQLAlchemy's pool event ``checkout``.
    """
    if not isinstance(dbapi_connection, AsyncAdapt_asyncpg_connection):
        return
    if driver.pending_lines:
        driver.tell_pending()
    if dbapi_connection.session.turn.is_elsewhere():
        refuse_foreign(dbapi_connection)
    if _is_lost(dbapi_connection):
        raise DisconnectionError("the connection was closed while it was not in use")
    transactions = dbapi_connection.session.transactions
    if transactions.read_only.has_turned():
        want_writable(dbapi_connection)
        raise DisconnectionError("the server has become read-only")
    if transactions.read_only.wants_standby and leaves_for_a_standby(dbapi_connection):
        raise DisconnectionError("a standby is there again")
    transactions.use = CHECKED_OUT
    ends = dbapi_connection.session.ends
    ends.entry = ref(record)
    if ends.status.status != driver.IDLE and ends.is_left_open():
        ends.close_left_open(dbapi_connection)
        raise DisconnectionError("the connection was left in a transaction")


@contextmanager
def bounded(adapted: Any, what: str) -> Iterator[None]:
    """Bound what is done with an adapted connection beside the program's statements.

    Not with one that is not ours, nor behind a pooler, where it may have to queue.
    """
    session: Session | None = getattr(adapted, "session", None)
    if session is None or session.statements.route.pooled:
        yield
        return
    try:
        with Deadline(session.connection, session.options.reset_timeout, what):
            yield
    except driver_errors.ConnectionDoesNotExistError as error:
        adapted._handle_exception(error)


def want_writable(adapted: Any) -> None:
    """Have the engine's next connections lead to a server that can write."""
    servers = getattr(adapted.dbapi, "writable_servers", None)
    if servers is not None:
        servers.want()


def leaves_for_a_standby(adapted: Any) -> bool:
    """Tell whether a connection to a standby is ready to take the place of one to a primary.

    Have one looked for otherwise.  Not behind a pooler, nor once the program has had its hands on
    asyncpg's connection, nor where each connection is closed as it comes back, nor for a
    synchronous engine, beside whose program no loop runs.
    """
    session: Session = adapted.session
    if session.transactions.read_only.on_standby() is not False:
        return False
    if session.statements.route.pooled or session.transactions.exposed:
        return False
    if session.ends.closes_at_once or session.turn.loop is not running_loop():
        return False
    servers = adapted.dbapi.standby_servers
    if servers.is_ready():
        return True
    servers.look()
    return False


def has_lost_its_primary(adapted: Any) -> bool:
    """Tell whether a write that is refused as read-only means that the server is a primary no more.

    Not on a session that the program made read-only, nor where none has ever been able to write.
    """
    transactions = adapted.session.transactions
    if transactions.is_read_only_by_choice():
        return False
    servers = getattr(adapted.dbapi, "writable_servers", None)
    met = servers is not None and servers.have_been_met
    return met or not transactions.read_only.began_read_only


def note_begin(dbapi_connection: Any) -> None:
    """Note that SQLAlchemy begins a transaction, and whether it is the first since checkout."""
    session: Session | None = getattr(dbapi_connection, "session", None)
    if session is not None and session.transactions.use == CHECKED_OUT:
        session.transactions.use = BEGUN


def refuse_foreign(adapted: AsyncAdapt_asyncpg_connection) -> None:
    """Raise DisconnectionError for a connection of another event loop or process; warn once."""
    if not adapted.left_elsewhere():
        return
    dbapi = adapted.dbapi
    if not getattr(dbapi, "has_warned_of_loops", True):
        dbapi.has_warned_of_loops = True
        warn(_FOREIGN)
    raise DisconnectionError("the connection belongs to another event loop or process")


def serve_several_loops(engine: Any) -> None:
    """Have tasks of several event loops wait for an engine's connections."""
    prepare_pool(engine)
    listen_to_dispose(engine, prepare_pool)


def prepare_pool(engine: Any) -> None:
    """Give an engine's new pool its lock and its queue; a listener, as dispose() makes a pool."""
    connections.set_first_connection_lock(engine.pool, FirstConnectionLock())
    connections.serve_several_loops(engine.pool, is_wanted_elsewhere)


def is_wanted_elsewhere(record: Any) -> bool:
    """Tell whether a pool's entry has a connection of another loop, which runs and can use it."""
    session: Session | None = getattr(record.dbapi_connection, "session", None)
    if session is None or session.turn.abandoned:
        return False
    loop = session.turn.loop
    return loop is not None and loop is not running_loop() and loop.is_running()


def close_unfit(dbapi_connection: Any) -> None:
    """Close a connection; without telling the server after an error, or if it is closed already.

    SQLAlchemy's pool calls this for what a checkout has refused, or what could not be reset.  If a
    task is cancelled while it waits here, the connection's place in the pool is lost until the
    garbage collector runs.
    """
    error = sys.exc_info()[1]
    if getattr(type(dbapi_connection), "terminate", None) not in _OWN_TERMINATE:
        dbapi_connection.terminate()
    elif _goes_on_beside(dbapi_connection, error):
        pass
    elif _is_unfit(error) or dbapi_connection._connection.is_closed() is True:
        dbapi_connection.drop()
    else:
        dbapi_connection.terminate()


def _goes_on_beside(adapted: AsyncAdapt_asyncpg_connection, error: BaseException | None) -> bool:
    """Tell whether a connection whose statement was interrupted is taken care of elsewhere."""
    kept = getattr(adapted.dbapi, "kept", None)
    if not isinstance(error, (asyncio.CancelledError, asyncio.TimeoutError)) or kept is None:
        return False
    if adapted.session.connection.is_closed() is True:
        return False
    task = kept.take_over(adapted, keep=not adapted.session.ends.closes_at_once)
    if task is None:
        return False
    if in_greenlet() and isinstance(error, asyncio.CancelledError):
        # as a rule it ends here, and nothing is left for a loop that ends, too
        await_only(asyncio.wait({task}, timeout=HERE_SECONDS))
    return True


def forget_kept(engine: Any) -> None:
    """Close what waits for the pool of an engine that is disposed of; an engine's listener."""
    standbys = getattr(engine.dialect.dbapi, "standby_servers", None)
    if standbys is not None:
        standbys.drop()
    kept = getattr(engine.dialect.dbapi, "kept", None)
    if kept is None or not len(kept):
        return
    if in_greenlet():
        await_only(kept.close())
    else:
        kept.drop_all()


def _is_unfit(error: BaseException | None) -> bool:
    # at level public asyncpg may be waiting for the cancellation of a statement that took too
    # long: dropped then, it leaves an error that nobody retrieves
    kind = Exception if driver.can_pipeline() else DisconnectionError
    return isinstance(error, kind)


def ends_statement_only(error: object) -> bool:
    """Tell whether the server has said that the session goes on after an error.

    The severity is ERROR and the connection still open: asyncpg raises such an error when the
    server is ready for the next query.  What ends a session is FATAL, and what asyncpg itself
    finds has no severity.  Whether the connection is open, the caller looks at.
    """
    return driver.server_severity(getattr(error, "orig", None)) == "ERROR"


def was_used_recently(adapted: object) -> bool:
    """Tell whether the server answered within the ping's bypass window, and has not closed since.

    False for a connection that is not ours, and if no waits are saved.
    """
    if isinstance(adapted, AsyncAdapt_asyncpg_connection):
        session = adapted.session
        if session.liveness.is_recent(session.options.ping_bypass_window):
            session.counters.pings_saved += 1
            return True
    return False


def _is_lost(adapted: AsyncAdapt_asyncpg_connection) -> bool:
    session = adapted.session
    pipeline = session.transactions.pipeline
    if session.connection.is_closed() is True or (pipeline is not None and pipeline.farewell):
        return True
    idle = monotonic() - session.transactions.last_used
    if idle < IDLE_SECONDS:
        return False
    liveness = session.liveness
    if idle > OWED_SECONDS and liveness.end_is_owed() and adapted._can_wait():
        return bool(adapted.await_(_leaves_owed(adapted.session)))
    # also if only a notice has arrived, which the loop reads as well
    return (
        liveness.input_pending()
        and adapted._can_wait()
        and bool(adapted.await_(_take_in(adapted.session)))
    )


async def _leaves_owed(session: Session) -> bool:
    """Wait for the answer to a deferred end; tell whether none comes."""
    try:
        await session.transactions.clear_up()
    except Exception:
        driver.drop(session.connection)
    return session.connection.is_closed()


async def _take_in(session: Session) -> bool:
    """Have the loop read what has arrived; tell whether it was the server's last message."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
        if session.connection.is_closed() or session.liveness.is_leaving():
            return True
        if not session.liveness.input_pending():
            return False
    return False
