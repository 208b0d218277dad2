"""Who watches a connection now.

The state of asyncpg's classes is common to all connections and looked at again only when a mark
says that one of them has changed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from asyncpg import cursor as cursors
from asyncpg import prepared_stmt as statements
from asyncpg import transaction as transactions

from . import marks, names
from .marks import QUIET, VALID, compared, marked, renew
from .names import CLASSES
from .replaced import codes_are_unchanged, is_own, maker, name_of, replaced
from .telling import tell_later

CALLS = 1
"""A method that the built-in dialect calls is replaced: it is called, with the same text."""
LOGGED = 2
"""A query logger is set: asyncpg shows it BEGIN, ends, pings, executemany(), and what it asks about
types that it does not know, such as arrays; not the execution of a prepared statement."""
COPIES = 4
"""A method of COPY is replaced."""


class _Class:
    """One class of asyncpg, or one that is derived from its Connection."""

    def __init__(self, cls: type, calls: tuple[str, ...], copying: tuple[str, ...] = ()) -> None:
        self.cls = cls
        self._names = {CALLS: calls, COPIES: copying}
        self.held = cls, (*calls, *copying)
        self.found: dict[int, dict[str, str]] = {CALLS: {}, COPIES: {}}

    def look(self) -> None:
        """Find out which methods are replaced."""
        self.found = {kind: replaced(self.cls, names) for kind, names in self._names.items()}


class _Derived(_Class):
    """A class derived from asyncpg's Connection; its mark shows also that it is watched."""

    def __init__(self, cls: type) -> None:
        super().__init__(cls, names.CONNECTION, names.COPYING)
        more = () if marks.WORKS else (_transaction.held, _messages.held)
        self.mark = compared(self.held, *more)
        self.look()

    def look(self) -> None:
        """Find out which methods are replaced, or overridden."""
        self.mark.renew()
        super().look()
        if any(self.found.values()):
            self.mark.fail()


_connection = _Class(CLASSES["Connection"], names.CONNECTION, names.COPYING)
_transaction = _Class(CLASSES["Transaction"], names.TRANSACTION)
_statement = _Class(CLASSES["PreparedStatement"], names.STATEMENT)
_factory = _Class(CLASSES["CursorFactory"], names.FACTORY)
_cursor = _Class(CLASSES["Cursor"], names.CURSOR)
_messages = _Class(CLASSES["Protocol"], names.PROTOCOL)
_classes = (_connection, _transaction, _statement, _factory, _cursor, _messages)
_lock = threading.Lock()
_PROTOCOL_NAMES = frozenset(names.PROTOCOL)


def _marks() -> tuple[Any, ...]:
    if marks.WORKS:
        return tuple(marked(each.cls) for each in _classes)
    # one for what is looked at together: each look is a call
    unit = compared(_connection.held, _transaction.held, _messages.held)
    statement = compared(_statement.held, _messages.held)
    return unit, QUIET, statement, QUIET, compared(_factory.held, _cursor.held), QUIET


_MARKS = _marks()
_CONNECTION, TRANSACTION, STATEMENT, _FACTORY, _CURSOR, PROTOCOL = _MARKS
"""The marks of asyncpg's classes.

Hot paths check that of the connection's class and those of ``TRANSACTION`` and ``PROTOCOL``, or of
``STATEMENT`` and ``PROTOCOL``, always together: see :meth:`Watch.by`.
"""


class State:
    """What :func:`look_at_classes` found; ``any`` is whether it found anything."""

    looked = False
    any = False


def look_at_classes() -> None:
    """Look at asyncpg's classes, unless nothing was found there and nothing has changed since.

    For each new connection, because no mark shows that the code of a function was replaced.
    """
    with _lock:
        if State.looked and not State.any and _marks_are_valid() and codes_are_unchanged():
            return
        State.looked = True
        for mark in _MARKS:
            renew(mark)  # before looking: what is assigned meanwhile is noticed next time
        for each in _classes:
            each.look()
        State.any = any(found for each in _classes for found in each.found.values())


def _class_of(connection: Any) -> _Class:
    """Return asyncpg's class, or the one derived from it, of ``connection``."""
    cls = type(connection)
    if cls is _connection.cls or not issubclass(cls, _connection.cls):
        return _connection
    return _Derived(cls)


def _marks_are_valid() -> bool:
    """Tell whether none of asyncpg's classes has changed since it was last looked at."""
    valid: bool = (
        _CONNECTION.__flags__
        & TRANSACTION.__flags__
        & STATEMENT.__flags__
        & PROTOCOL.__flags__
        & _FACTORY.__flags__
        & _CURSOR.__flags__
        & VALID
    ) != 0
    return valid


def _places() -> dict[str, str]:
    """Return which of asyncpg's names stand for another class, and who made that."""
    if (
        transactions.Transaction is _transaction.cls
        and statements.PreparedStatement is _statement.cls
        and cursors.CursorFactory is _factory.cls
        and cursors.Cursor is _cursor.cls
    ):
        return {}
    found = {name: getattr(module, name) for module, name in names.PLACES}
    return {name: maker(value) for name, value in found.items() if value is not CLASSES[name]}


def _makers(found: Mapping[str, str]) -> str:
    return ", ".join(dict.fromkeys(found.values()))


def watchers() -> dict[str, str]:
    """Return what is replaced of asyncpg's in this process, by name, and who made each.

    Also what changes only connections that are made from now on.
    """
    look_at_classes()
    found = {
        f"asyncpg.{each.cls.__name__}.{name}": by
        for each in _classes
        for kind in each.found.values()
        for name, by in kind.items()
    }
    elsewhere = {
        f"{module.__name__}.{name}": getattr(module, name) for module, name in names.MAKERS
    }
    return {
        **found,
        **{f"asyncpg.{name}": by for name, by in _places().items()},
        **{name: maker(value) for name, value in elsewhere.items() if not is_own(value)},
    }


class Watch:
    """Who watches one connection, and what it has cost."""

    __slots__ = (
        "attributes",
        "counts",
        "mark",
        "no_pipeline",
        "odd",
        "other",
        "_class",
        "_connection",
    )

    def __init__(self, connection: Any) -> None:
        self.counts: dict[str, int] = {}
        """How often a shortcut has stepped aside, by shortcut and watcher."""
        self._connection = connection
        self._class = _class_of(connection)
        protocol = getattr(connection, "_protocol", None)
        self.other: str | None = _other_than_asyncpg(connection, protocol)
        """What stands in for asyncpg's connection or its protocol, if anything does."""
        self.mark: Any = self._class.mark if isinstance(self._class, _Derived) else _CONNECTION
        """The mark of the connection's class."""
        self.no_pipeline = False
        """Whether the session has no pipeline because of that."""
        self.attributes = _attributes(protocol)
        """What was assigned to the protocol object itself, by asyncpg and by others."""
        own = None if self._class is _connection else getattr(connection, "__dict__", None)
        self.odd = own is not None or self.other is not None
        """Whether methods of the connection may be replaced on the object itself."""

    def is_of(self, connection: object) -> bool:
        """Tell whether this is the watch of ``connection``."""
        return self._connection is connection

    def by(self, kinds: int = CALLS | LOGGED) -> str | None:
        """Return who watches the connection, None if nobody does.

        Hot paths ask only if :attr:`mark`, the marks of this module, ``State.any``, :attr:`odd` or
        a name in :attr:`attributes` says so.
        """
        if self.other is not None and kinds & (CALLS | COPIES):
            return self.other
        if not _marks_are_valid():
            look_at_classes()
        if (
            self.mark.__flags__ & VALID
            and not (State.any or self.odd or _places())
            and _PROTOCOL_NAMES.isdisjoint(self.attributes)
            and not (kinds & LOGGED and self._loggers())
        ):
            return None
        own = self._class
        if isinstance(own, _Derived) and not own.mark.__flags__ & VALID:
            own.look()
        found: dict[str, str] = {}
        for each in (own, *_classes[1:]):
            for kind, replacements in each.found.items():
                if kind & kinds:
                    found.update(replacements)
        if kinds & CALLS:
            found.update(_places())
            found.update(self._assigned())
        if kinds & LOGGED:
            for logger in self._loggers():
                called = getattr(logger, "cb", logger)
                found[f"logger {id(called)}"] = f"query logger {maker(called)}"
        return _makers(found) or None

    def _loggers(self) -> Any:
        return getattr(self._connection, "_query_loggers", None) or ()

    def _assigned(self) -> dict[str, str]:
        """Return the methods that are replaced on the objects themselves."""
        held: list[tuple[Any, tuple[str, ...]]] = [(self.attributes, names.PROTOCOL)]
        if self._class is not _connection:
            held.append((getattr(self._connection, "__dict__", {}), names.CONNECTION))
        return {
            name: maker(attributes[name])
            for attributes, listed in held
            if attributes
            for name in listed
            if name in attributes
        }

    def steps_aside(self, shortcut: str, kinds: int = CALLS | LOGGED) -> bool:
        """Tell whether a shortcut steps aside for somebody who watches, and count it."""
        by = self.by(kinds)
        if by is None:
            return False
        reason = f"{shortcut}: {by}"
        tell_later(reason)
        self.counts[reason] = self.counts.get(reason, 0) + 1
        return True


def _attributes(thing: object) -> dict[str, Any]:
    """Return what was assigned to an object itself; the dictionary changes with it."""
    try:
        found: dict[str, Any] = vars(thing)
        return found
    except TypeError:
        return {}


def open_watch(connection: Any) -> Watch:
    """Return the watch of a new connection."""
    look_at_classes()
    return Watch(connection)


def _other_than_asyncpg(connection: Any, protocol: object) -> str | None:
    """Return what stands in for asyncpg's connection or protocol, None if nothing does."""
    cls = type(connection)
    if not issubclass(cls, _connection.cls):
        # the proxies of asyncpg's own pools only forward
        return None if cls.__module__ == "asyncpg.pool" else name_of(cls)
    if protocol is not None and type(protocol) is not _messages.cls:
        return name_of(type(protocol))
    return None


look_at_classes()
