"""Importing this keeps every extension of SQLAlchemy from being imported after it.

SQLAlchemy falls back to its Python sources by itself, as on a platform without wheels.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from types import ModuleType


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


sys.meta_path.insert(0, SourcesOnly)
