"""The functions of this room that ``pgflight`` exports, with their types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from sqlalchemy.engine import URL, Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
    from sqlalchemy.ext.asyncio import async_scoped_session  # isort: skip
    from sqlalchemy.orm import Session, scoped_session

    from .listener import Listener

    AsyncTarget = AsyncConnection | AsyncSession | async_scoped_session[Any]
    SyncTarget = Connection | Session | scoped_session[Any]


def listen(
    engine: AsyncEngine | Engine,
    *channels: str,
    url: str | URL | None = None,
    queue_size: int | None = 10_000,
    check_every: float | None = 60.0,
    give_up_after: float | None = None,
) -> Listener:
    """Return an asynchronous iterator over the notifications of ``channels``, and the gaps in them.

    It listens from ``async with`` on, or from the first item that is asked for, on a connection of
    its own that is made as ``engine`` makes its own.  Items are :class:`Notification` and, where
    some may be missing, :class:`Gap`: the connection was lost and has been made again, or more than
    ``queue_size`` notifications waited to be read (None: no bound) and the next ones were dropped.
    What a live connection has received is never lost otherwise.

    A lost connection is made again by itself, after 0.1 seconds and then twice as long each time,
    up to 30.  ``give_up_after`` so many seconds the error is raised; None: never.  After each
    ``check_every`` seconds the server is asked whether it is still there; None: never.  ``url`` is
    the server's own address where the engine leads to a pooler: what it does not say (password,
    TLS, settings) is the engine's.

    ``aclose()``, the end of ``async with``, or ``break`` closes the connection.  Raises
    ArgumentError for a channel or an option that is wrong, TypeError for what is no engine of
    asyncpg's, and while it is read what ``engine.connect()`` raises, and InvalidRequestError behind
    a pooler in transaction mode.
    """
    from . import listener

    return listener.listen(
        engine,
        channels,
        url=url,
        queue_size=queue_size,
        check_every=check_every,
        give_up_after=give_up_after,
    )


@overload
def notify(target: AsyncTarget, channel: str, payload: str = ...) -> Coroutine[Any, Any, None]: ...


@overload
def notify(target: SyncTarget, channel: str, payload: str = ...) -> None: ...


def notify(target: AsyncTarget | SyncTarget, channel: str, payload: str = "") -> Any:
    """Send a notification in the transaction of ``target``: it is delivered when that commits.

    To be awaited where ``target`` is an AsyncConnection or AsyncSession.  ``channel`` is a name as
    it is, upper case included, of 63 bytes at most; ``payload`` has 7,999 bytes at most.  The
    server delivers equal notifications of one transaction once.  Raises ArgumentError for a channel
    or a payload that the server cannot have, before anything is sent; TypeError; SQLAlchemy's
    errors.
    """
    from . import notifying

    return notifying.notify(target, channel, payload)
