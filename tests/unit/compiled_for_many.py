"""A statement as it is when it is executed for many rows."""

from __future__ import annotations

from typing import Any

from pgflight.dialect import PGDialect_asyncpg


def compiled_for_many(
    statement: Any, columns: list[str], translation: Any = None
) -> tuple[Any, str]:
    """Return the compiled form of ``statement`` and its text, schemas translated."""
    compiled = statement.compile(
        dialect=PGDialect_asyncpg(),
        column_keys=columns,
        for_executemany=True,
        schema_translate_map=translation,
    )
    text = compiled.string
    if translation is not None:
        text = compiled.preparer._render_schema_translates(text, translation)
    return compiled, text
