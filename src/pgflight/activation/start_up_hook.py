"""The start-up hook: registers pgflight when, and only when, a program imports SQLAlchemy.

`python -m pgflight enable` copies this file into site-packages as `_pgflight_enable.py` and has the
interpreter call start(). The copy does not depend on pgflight: at interpreter start the path may
not be complete yet, and later pgflight may have been uninstalled.

It runs in every process of the environment, so it imports only sys, and has no annotations that
would need another import.
"""

import sys

TYPE_CHECKING = False  # type checkers treat it as typing.TYPE_CHECKING; importing typing is slow
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

WATCHED = "sqlalchemy.dialects"


class DialectsFinder:
    """A meta-path finder that finds nothing itself: it waits for the import of `WATCHED`."""

    def find_spec(
        self,
        name: str,
        path: "Sequence[str] | None" = None,
        target: "ModuleType | None" = None,
    ) -> "ModuleSpec | None":
        """Return the spec that the other finders give for `WATCHED`, with our step appended."""
        if name != WATCHED:
            return None
        spec = None
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    break
        if spec is None or spec.loader is None:
            return spec
        loader = spec.loader
        execute = loader.exec_module

        def exec_module(module: "ModuleType") -> None:
            vars(loader).pop("exec_module", None)
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            register(module)

        # On the instance, so that the loader keeps the type that tools expect.
        loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def register(dialects: "ModuleType") -> None:
    """Do in `dialects`, the module WATCHED, what install() does, without importing pgflight.

    pgflight itself may be importing SQLAlchemy at this moment, and is then half initialised.
    """
    from importlib.util import find_spec

    spec = find_spec("pgflight")
    # pgflight was uninstalled (a directory that is left over has no origin): change nothing.
    if spec is not None and spec.origin is not None:
        dialects.registry.register("postgresql.asyncpg", "pgflight.dialect", "PGDialect_asyncpg")


def start() -> None:
    """Wait for the import of SQLAlchemy's dialects; called by the interpreter, perhaps twice."""
    if WATCHED in sys.modules:
        register(sys.modules[WATCHED])
    # Compared by name: a second copy of this module has a class of its own.
    elif not any(type(finder).__name__ == DialectsFinder.__name__ for finder in sys.meta_path):
        sys.meta_path.insert(0, DialectsFinder())
