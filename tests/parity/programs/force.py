"""Ways to break what the compiled pieces find out at import, applied before they are imported."""

from __future__ import annotations

import gc
import importlib
from typing import Any


def apply(name: str) -> None:
    """Bring one of them about: the function below that has this name."""
    globals()[name]()


def nothing() -> None:
    """Leave all as it is."""


def no_extensions() -> None:
    """Do without SQLAlchemy's extensions."""
    importlib.import_module("tests.parity.programs.sources_only")


def another_state() -> None:
    """Let no row be like another: the last proof of a layout fails."""
    from sqlalchemy.engine import Row, RowMapping

    for row_class in (Row, RowMapping):
        row_class.__getstate__ = lambda self: object()  # type: ignore


def a_constructor() -> None:
    """Give the row classes a constructor of their own."""
    from sqlalchemy.engine import Row, RowMapping
    from sqlalchemy.engine.row import BaseRow

    class Own:
        def __init__(self, *values: Any) -> None:
            BaseRow.__init__(self, *values)  # type: ignore

    for row_class in (Row, RowMapping):
        row_class.__init__ = Own.__init__  # type: ignore


def copied_index() -> None:
    """Let rows keep a copy of what they are given: the search for it fails."""
    no_extensions()
    from sqlalchemy.engine.row import BaseRow

    made = BaseRow.__init__

    def copying(self: Any, parent: Any, processors: Any, index: Any, data: Any) -> None:
        made(self, parent, processors, dict(index), data)

    BaseRow.__init__ = copying  # type: ignore


def other_mappings() -> None:
    """Let only mappings be unlike each other."""
    from sqlalchemy.engine import RowMapping

    RowMapping.__getstate__ = lambda self: object()  # type: ignore


def uuids_that_refer() -> None:
    """Let the collector say that UUIDs refer to more than numbers."""
    found = gc.get_referents
    gc.get_referents = lambda *values: [*found(*values), []]
