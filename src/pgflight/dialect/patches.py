"""What a program patches on the built-in dialect's classes, put onto ours where it would not reach.

A patch of something that ours inherit has its effect by itself.  Where a class of ours overrides
the patched attribute, the patch is put onto ours as well if our object can be used that way, and
else a warning names it, once for each engine.  Looked at when an engine is made and when it
connects, since patches come at any time; a patch that has been taken back is taken back here, too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from .._warnings import warn
from ..compat import builtin
from ..compat.builtin import MISSING, theirs
from ..dbapi.connection import AsyncAdapt_asyncpg_connection
from ..dbapi.cursor import AsyncAdapt_asyncpg_cursor
from ..dbapi.module import AsyncAdapt_asyncpg_dbapi
from ..dbapi.server_side_cursor import AsyncAdapt_asyncpg_ss_cursor
from ..driver.watching.marks import VALID, WORKS, marked, renew
from . import types
from .compiler import PGCompiler_asyncpg, PGIdentifierPreparer_asyncpg
from .execution_context import PGExecutionContext_asyncpg
from .type_map import COLSPECS

Wrap = Callable[[Any], Any]

_OF_PYTHON = frozenset(
    "__module__ __doc__ __slots__ __dict__ __weakref__ __init_subclass__ __annotations__"
    " __static_attributes__ __firstlineno__ __annotate_func__ __annotations_cache__"
    " __parameters__ __orig_bases__ __abstractmethods__ __visit_name__".split()
)
_ALSO = {
    "_terminate_graceful_close": "terminate",
    "_terminate_force_close": "terminate",
    "_terminate_handled_exceptions": "terminate",
    "_async_ping": "ping",
    "_prepare_and_execute": "execute",
    "_executemany": "executemany",
}
"""Patched method -> the method of SQLAlchemy's that calls it, which ours must then be, too."""


def bound(value: object, owner: object) -> Any:
    """Return an attribute of a class as an object of the class would have it."""
    get = getattr(type(value), "__get__", None)
    return value if get is None else get(value, owner, type(owner))


def _after_exposing(value: Any) -> Any:
    """Return a method that first notes that the program has asyncpg's connection."""

    def run_async(self: Any, fn: Any) -> Any:
        self.session.expose()
        return bound(value, self)(fn)

    return run_async


class Watched:
    """A class of ours, the one of SQLAlchemy's that it derives from, and what to do with patches.

    Patches of the ``refused`` are only warned of, or of all but the ``taken``; ours looks for those
    that are named ``inside`` itself; ``wraps`` changes a patch for our object; ``after`` is that of
    a base, which names what is refused for both; ``often`` tells whether it is worth a subclass of
    the base that nobody uses, a mark that shows whether the base has changed.
    """

    def __init__(
        self,
        ours: type,
        base: type,
        *,
        refused: str = "",
        taken: str | None = None,
        inside: str = "",
        wraps: dict[str, Wrap] | None = None,
        after: Watched | None = None,
        often: bool = True,
    ) -> None:
        self.ours = ours
        self.base = base
        self._own = dict(vars(ours))
        self.put: dict[str, Any] = {}
        self._wraps = wraps or {}
        overridden = {
            name
            for cls in ours.__mro__[: ours.__mro__.index(base)]
            if not cls.__module__.startswith("sqlalchemy.")
            for name in vars(cls)
        }
        attributes = (
            builtin.Attribute(base, name)
            for name in sorted(overridden - _OF_PYTHON.union(inside.split()))
        )
        self.hidden = [attribute for attribute in attributes if attribute.owner]
        """The attributes of SQLAlchemy's that ours hides."""
        self._probes = [probe for attribute in self.hidden for probe in attribute.probes()]
        self.refused = frozenset(refused.split())
        if taken is not None:
            self.refused = frozenset(each.name for each in self.hidden) - set(taken.split())
        self._named_by = frozenset() if after is None else after.refused
        self._mark = marked(base) if often and WORKS else None
        self._was_stock = False

    def is_stock(self) -> bool:
        """Tell whether nothing is patched now, nor was when it was last looked at."""
        if self.put:
            return False
        if self._mark is not None:
            if self._was_stock and self._mark.__flags__ & VALID:
                return True
            renew(self._mark)  # before looking: what is assigned meanwhile is noticed next time
        self._was_stock = False
        for attributes, name, stock in self._probes:
            if attributes.get(name, MISSING) is not stock:
                return False
        self._was_stock = True
        return True

    def synchronize(self) -> Iterator[str]:
        """Put patches onto our class, and take back old ones; yield the names without effect."""
        wanted: dict[str, Any] = {}
        for attribute in self.hidden:
            found = attribute.patch()
            if found is None:
                continue
            name = attribute.name
            if name in self.refused:
                if found[0] is self.base or name not in self._named_by:
                    yield f"{self.base.__name__}.{name}"
                continue
            wanted[name] = found[1]
            caller = _ALSO.get(name)
            if caller is not None:
                wanted.setdefault(caller, inspect.getattr_static(self.base, caller))
        for name in self.put.keys() - wanted.keys():
            self._restore(name)
        for name, value in wanted.items():
            if self.put.get(name, MISSING) is not value:
                wrap = self._wraps.get(name)
                setattr(self.ours, name, value if wrap is None else wrap(value))
                self.put[name] = value

    def _restore(self, name: str) -> None:
        del self.put[name]
        if name in self._own:
            setattr(self.ours, name, self._own[name])
        else:
            delattr(self.ours, name)


def _of_types() -> Iterator[Watched]:
    for name, base in vars(theirs).items():
        ours = getattr(types, name, None)
        if ours is not None:
            yield Watched(ours, base, often=False)


TYPES = [*_of_types()]
_CURSOR = Watched(
    AsyncAdapt_asyncpg_cursor,
    theirs.AsyncAdapt_asyncpg_cursor,
    refused="__init__ __iter__ fetchone fetchmany fetchall description rowcount"
    " _description _rowcount arraysize",
)
WATCHED: list[Watched] = [
    Watched(
        AsyncAdapt_asyncpg_connection,
        theirs.AsyncAdapt_asyncpg_connection,
        refused="__init__ create commit rollback driver_connection _connection _transaction"
        " _start_transaction _prepare _check_type_cache_invalidation _call_and_discard"
        " _rollback_and_discard _commit_and_discard",
        wraps={"run_async": _after_exposing},
    ),
    _CURSOR,
    Watched(
        AsyncAdapt_asyncpg_ss_cursor,
        theirs.AsyncAdapt_asyncpg_ss_cursor,
        taken="execute executemany setinputsizes _handle_exception",
        inside="_executemany",  # there is none
        after=_CURSOR,
    ),
    Watched(AsyncAdapt_asyncpg_dbapi, theirs.AsyncAdapt_asyncpg_dbapi, taken="Binary"),
    Watched(
        PGExecutionContext_asyncpg,
        theirs.PGExecutionContext_asyncpg,
        refused="create_server_side_cursor",
    ),
    Watched(PGCompiler_asyncpg, theirs.PGCompiler_asyncpg, taken=""),
    Watched(PGIdentifierPreparer_asyncpg, theirs.PGIdentifierPreparer_asyncpg, taken=""),
]
"""Classes of ours that derive from SQLAlchemy's, besides types; the dialect adds itself."""

_OWN_COLSPECS = dict(COLSPECS)


def _put_types() -> Iterator[str]:
    for each in TYPES:
        if not each.is_stock():
            yield from each.synchronize()
    changed = builtin.patched_types()
    COLSPECS.update({**_OWN_COLSPECS, **changed})
    for key in COLSPECS.keys() - _OWN_COLSPECS.keys() - changed.keys():
        del COLSPECS[key]


def synchronize(*, with_types: bool = True) -> list[str]:
    """Put patches onto our classes; return the names of those that have no effect."""
    found = [name for each in WATCHED if not each.is_stock() for name in each.synchronize()]
    if with_types:
        found += _put_types()
    return list(dict.fromkeys(found))


class PatchedDialect:
    """A part of the dialect: looks for patches when an engine is made and when it connects."""

    _warned: frozenset[str] = frozenset()

    def look_for_patches(self, *, with_types: bool = False) -> None:
        """Put patches onto our classes, and warn of each that has no effect, once per dialect."""
        found = synchronize(with_types=with_types)
        for name in found:
            if name not in self._warned:
                warn(
                    f"SQLAlchemy's {name} is patched, which has no effect on pgflight's class of "
                    f"that name: patch pgflight.dialect.{name}, too, or let SQLAlchemy's own "
                    "dialect serve this engine"
                )
        if found:
            self._warned = self._warned.union(found)
