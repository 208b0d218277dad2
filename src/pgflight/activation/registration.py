"""Register the dialect in place of SQLAlchemy's, and undo it.

SQLAlchemy looks in its registry before it looks in its own packages, so an entry there wins;
nothing in SQLAlchemy is changed.
"""

from __future__ import annotations

import importlib
from typing import Any

from sqlalchemy.dialects import registry

NAME = "postgresql.asyncpg"
MODULE = "pgflight.dialect"
CLASS = "PGDialect_asyncpg"

# the entry point does the same; a package that runs without its metadata has none
registry.register("postgresql.pgflight", MODULE, CLASS)


def _entries() -> dict[str, Any]:
    entries: dict[str, Any] = registry.impls
    return entries


def install() -> None:
    """Have this dialect serve ``postgresql+asyncpg://`` in engines made from now on.

    Raises ImportError or ValueError if ``PGFLIGHT_IMPL`` or ``PGFLIGHT_DRIVER`` asks for something
    that is not available, here rather than in the first engine.
    """
    importlib.import_module("pgflight._impl")
    importlib.import_module("pgflight.driver")
    registry.register(NAME, MODULE, CLASS)


def uninstall() -> None:
    """Have SQLAlchemy's own dialect serve ``postgresql+asyncpg://`` again."""
    _entries().pop(NAME, None)


def installed() -> bool:
    """Tell whether this dialect serves ``postgresql+asyncpg://``."""
    loader = _entries().get(NAME)
    if loader is None:
        return False
    cls = loader()
    return bool(cls.__module__ == MODULE and cls.__name__ == CLASS)
