"""PEP 249 over asyncpg: module, connection, cursors, errors, and their synchronous form.

SQLAlchemy's engine and pool call it through the dialect.  It knows nothing of compiled statements,
and leaves what is known about the connection to :mod:`pgflight.session`.

To a program it is a PEP 249 module: ``pgflight.dbapi.connect()`` and the names beside it, which are
loaded from :mod:`pgflight.dbapi.pep249` when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .pep249.module import BINARY as BINARY
    from .pep249.module import DATETIME as DATETIME
    from .pep249.module import NUMBER as NUMBER
    from .pep249.module import ROWID as ROWID
    from .pep249.module import STRING as STRING
    from .pep249.module import Binary as Binary
    from .pep249.module import Connection as Connection
    from .pep249.module import Cursor as Cursor
    from .pep249.module import DatabaseError as DatabaseError
    from .pep249.module import DataError as DataError
    from .pep249.module import Date as Date
    from .pep249.module import DateFromTicks as DateFromTicks
    from .pep249.module import Error as Error
    from .pep249.module import IntegrityError as IntegrityError
    from .pep249.module import InterfaceError as InterfaceError
    from .pep249.module import InternalError as InternalError
    from .pep249.module import NotSupportedError as NotSupportedError
    from .pep249.module import OperationalError as OperationalError
    from .pep249.module import ProgrammingError as ProgrammingError
    from .pep249.module import Time as Time
    from .pep249.module import TimeFromTicks as TimeFromTicks
    from .pep249.module import Timestamp as Timestamp
    from .pep249.module import TimestampFromTicks as TimestampFromTicks
    from .pep249.module import Warning as Warning
    from .pep249.module import apilevel as apilevel
    from .pep249.module import connect as connect
    from .pep249.module import paramstyle as paramstyle
    from .pep249.module import threadsafety as threadsafety

__all__ = [
    "BINARY", "Binary", "Connection", "Cursor", "DATETIME", "DataError", "DatabaseError", "Date",
    "DateFromTicks", "Error", "IntegrityError", "InterfaceError", "InternalError", "NUMBER",
    "NotSupportedError", "OperationalError", "ProgrammingError", "ROWID", "STRING", "Time",
    "TimeFromTicks", "Timestamp", "TimestampFromTicks", "Warning", "apilevel", "connect",
    "paramstyle", "threadsafety",
]  # fmt: skip

_LAZY = frozenset(__all__)


if not TYPE_CHECKING:  # type checkers would take any name for one that exists

    def __getattr__(name: str) -> Any:
        # the dialect does without; the import system asks for submodules here, too
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .pep249 import module

        # all of them: while the interpreter shuts down, nothing can be imported for `except Error`
        globals().update({each: getattr(module, each) for each in __all__})
        return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
