"""Puts the dialect in the place of SQLAlchemy's, and takes it out again.

SQLAlchemy's registry is asked before its own packages, so an entry there wins; nothing of
SQLAlchemy is changed.
"""

from __future__ import annotations

import importlib
from typing import Any

from sqlalchemy.dialects import registry

NAME = "postgresql.asyncpg"
MODULE = "pgflight.dialect"
CLASS = "PGDialect_asyncpg"

# the entry point does the same; it is missing where the package runs without its metadata
registry.register("postgresql.pgflight", MODULE, CLASS)


def _entries() -> dict[str, Any]:
    entries: dict[str, Any] = registry.impls
    return entries


def install() -> None:
    """Serve ``postgresql+asyncpg://`` by this dialect in engines made from now on.

    Raises ImportError or ValueError when ``PGFLIGHT_IMPL`` or ``PGFLIGHT_DRIVER`` asks for what
    cannot be had, here rather than in the first engine.
    """
    importlib.import_module("pgflight._impl")
    importlib.import_module("pgflight.driver")
    registry.register(NAME, MODULE, CLASS)


def uninstall() -> None:
    """Serve ``postgresql+asyncpg://`` by SQLAlchemy's own dialect again."""
    _entries().pop(NAME, None)


def installed() -> bool:
    """Tell whether ``postgresql+asyncpg://`` is served by this dialect."""
    loader = _entries().get(NAME)
    if loader is None:
        return False
    cls = loader()
    return bool(cls.__module__ == MODULE and cls.__name__ == CLASS)
