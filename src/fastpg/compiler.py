"""Statement compiler and identifier preparer of the dialect.

PostgreSQL's own serve; the names exist so that they can be subclassed and looked up.
"""

from __future__ import annotations

from sqlalchemy.dialects.postgresql.base import PGCompiler, PGIdentifierPreparer


class PGCompiler_asyncpg(PGCompiler):
    """Compiles statements with ``$1`` parameters and casts that give them their types."""


class PGIdentifierPreparer_asyncpg(PGIdentifierPreparer):
    """Quotes identifiers as PostgreSQL does."""
