"""Statement compiler and identifier preparer of the dialect.

They are PostgreSQL's own, except for inserts of many rows and for IN lists; the names exist so that
they can be subclassed and looked up.
"""

from __future__ import annotations

from ..bulk.insert_many_values import BatchCompiler
from ..compat.builtin import theirs
from ..parameters.in_lists import InListCompiler


class PGCompiler_asyncpg(BatchCompiler, InListCompiler, theirs.PGCompiler_asyncpg):  # type: ignore[misc]
    """Compiles statements with ``$1`` parameters and casts that give them their types."""


class PGIdentifierPreparer_asyncpg(theirs.PGIdentifierPreparer_asyncpg):  # type: ignore[misc]
    """Quotes identifiers as PostgreSQL does."""
