"""Print what both dialects read while no extension of SQLAlchemy can be imported.

SQLAlchemy falls back to its Python sources by itself, as on a platform without wheels.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any


class SourcesOnly:
    """Finds SQLAlchemy's modules by their sources, and none that has no source."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return a spec of the source file; ImportError for a module of SQLAlchemy's without."""
        if not name.startswith("sqlalchemy.") or path is None:
            return None
        last = name.rpartition(".")[2]
        for directory in path:
            for file, package in ((f"{last}.py", None), (f"{last}/__init__.py", directory)):
                place = os.path.join(directory, file)
                if os.path.exists(place):
                    inside = [os.path.join(directory, last)] if package else None
                    return importlib.util.spec_from_file_location(
                        name, place, submodule_search_locations=inside
                    )
        raise ImportError(f"{name} is an extension", name=name)


sys.meta_path.insert(0, SourcesOnly)  # type: ignore[arg-type]

import sqlalchemy as sa  # noqa: E402
from sqlalchemy.dialects import registry  # noqa: E402
from sqlalchemy.engine import Row  # noqa: E402
from sqlalchemy.ext.asyncio import create_async_engine  # noqa: E402

import fastpg  # noqa: E402
from fastpg import _impl  # noqa: E402

registry.register("postgresql.fastpg", "fastpg.dialect", "PGDialect_asyncpg")
SERIES = sa.text("SELECT n, n::text AS t, n / 2.0 AS half FROM generate_series(1, 100) AS n")
KINDS = sa.select(sa.literal("a").cast(sa.Enum("a", "b", name="kind", native_enum=False)))


async def read(url: str) -> list[Any]:
    """Return rows, mappings and scalars as plain values."""
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        result = await connection.execute(SERIES)
        rows = [(tuple(row), row.t, row._mapping["half"], type(row).__name__) for row in result]
        everything = [(row, row.n) for row in (await connection.execute(SERIES)).all()]
        mappings = [dict(each) for each in (await connection.execute(SERIES)).mappings().all()]
        scalars = (await connection.execute(SERIES)).scalars(1).all()
        kinds = (await connection.execute(KINDS)).all()
    await engine.dispose()
    return [rows, everything, mappings, scalars, kinds]


async def main() -> None:
    """Compare, and say what was compared."""
    url = os.environ["DATABASE_URL"]
    extensions = [name for name, module in sys.modules.items() if _is_extension(name, module)]
    print("extensions:", *extensions)
    print("form:", fastpg.implementation().name, _impl.results.layout_found(Row))
    builtin, ours = [
        await read(url.replace("asyncpg", driver, 1)) for driver in ("asyncpg", "fastpg")
    ]
    print("same:", builtin == ours, len(builtin[0]))


def _is_extension(name: str, module: ModuleType) -> bool:
    file = getattr(module, "__file__", None) or ""
    return name.startswith("sqlalchemy.") and file.endswith((".so", ".pyd"))
