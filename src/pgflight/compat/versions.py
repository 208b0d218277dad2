"""The names of SQLAlchemy that differ between its lines 2.0 and 2.1, in one place.

Every other room imports them from here, so that a new SQLAlchemy line changes only one file.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import sqlalchemy
from sqlalchemy.connectors import asyncio as _connectors
from sqlalchemy.util import concurrency as _concurrency


def _version_tuple(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int("".join(ch for ch in minor if ch.isdigit()) or 0)


SQLALCHEMY_VERSION: tuple[int, int] = _version_tuple(sqlalchemy.__version__)

SQLALCHEMY_2_1: bool = SQLALCHEMY_VERSION >= (2, 1)
"""True from 2.1 on, where errors while connecting are translated to PEP 249 classes, too."""

await_only: Callable[[Any], Any] = _concurrency.await_only
"""Hand an awaitable to the event loop that drives the current greenlet and return its result."""

greenlet_spawn: Callable[..., Awaitable[Any]] = _concurrency.greenlet_spawn
"""Call a function in a greenlet in which ``await_only`` may be used; to be awaited."""

in_greenlet: Callable[[], bool] = _concurrency.in_greenlet
"""Tell whether the caller runs inside SQLAlchemy's greenlet, where ``await_only`` may be used."""

dbapi_module_base: Any = getattr(_connectors, "AsyncAdapt_dbapi_module", object)
"""Base class by which SQLAlchemy 2.0.44+ recognizes an adapted DBAPI."""
