"""Sending a notification within the transaction of the caller: :func:`pgflight.notify`."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from .names import checked_channel, checked_payload

_NOTIFY = sa.text("SELECT pg_catalog.pg_notify(:channel, :payload)").bindparams(
    sa.bindparam("channel", type_=sa.Text()), sa.bindparam("payload", type_=sa.Text())
)
"""NOTIFY takes no parameters; the function does the same."""
_AT_ONCE = {"stream_results": False, "yield_per": None}
"""Given with the execution, where they win over those of the connection and of the engine."""


def notify(target: Any, channel: str, payload: str) -> Any:
    """Send a notification: see :func:`pgflight.notify`."""
    # checked at once, also where the coroutine is never awaited
    values = {"channel": checked_channel(channel), "payload": checked_payload(payload)}
    if isinstance(target, (AsyncConnection, AsyncSession, async_scoped_session)):
        return _notify(target, values)
    if isinstance(target, (Connection, Session, scoped_session)):
        target.execute(_NOTIFY, values, execution_options=_AT_ONCE)
        return None
    raise TypeError(
        "notify() takes an AsyncConnection, an AsyncSession, a Connection or a Session, "
        f"not {type(target).__name__}"
    )


async def _notify(target: Any, values: dict[str, str]) -> None:
    await target.execute(_NOTIFY, values, execution_options=_AT_ONCE)
