"""Noticing, at next to no cost, that somebody has assigned to a class since it was last looked at.

CPython keeps with each class whether its method cache is valid, as a bit of ``__flags__``.  An
assignment clears the bit of the class and of all its subclasses; looking up an attribute sets that
of the class looked at.  So a subclass that nobody uses shows whether its base has been assigned to
since we last looked up an attribute of the subclass: a mark.  Reading ``__flags__`` looks nothing
up.  Python 3.13 and later have no such bit, which is tried at import; there a mark compares.
"""

from __future__ import annotations

from functools import cache
from typing import Any

VALID = 1 << 19
"""The bit of a mark's ``__flags__`` that tells that nothing has been assigned."""

Held = tuple[type, tuple[str, ...]]
"""A class, and the names of attributes that are looked at."""


class _Quiet:
    __flags__ = VALID


QUIET = _Quiet()
"""A mark that leaves it to another one to notice anything."""


class Compared:
    """A mark that compares attributes of classes with what they were; made by :func:`compared`."""

    __flags__: int

    def __init__(self, held: tuple[Held, ...]) -> None:
        self.held = held
        self.classes = tuple(cls for cls, _ in held)
        self.known: tuple[Any, ...] = ()
        self.renew()

    def renew(self) -> None:
        """Notice what is assigned from now on."""
        self.known = tuple(_attribute(cls, name) for cls, names in self.held for name in names)

    def fail(self) -> None:
        """Say at each look, until the next :meth:`renew`, that something has been assigned."""
        self.known = ()


def compared(*held: Held) -> Compared:
    """Return a mark that compares the attributes ``held``; names that a class lacks are ignored."""
    present = tuple((cls, tuple(n for n in names if hasattr(cls, n))) for cls, names in held)
    mark: Compared = _comparing(tuple(names for _, names in present))(present)
    return mark


@cache
def _comparing(names: tuple[tuple[str, ...], ...]) -> Any:
    # written out, because Python then reads an attribute in a nanosecond or two; a wrapper may
    # compare equal to what it wraps, so that only identity will do
    places = [(number, name) for number, group in enumerate(names) for name in group]
    same = [f"c[{cls}].{name} is k[{place}]" for place, (cls, name) in enumerate(places)]
    source = (
        "def flags(self):\n"
        "    c, k = self.classes, self.known\n"
        "    try:\n"
        f"        return {VALID} if {' and '.join(same) or True} else 0\n"
        "    except Exception:\n"  # after fail(); and some wrappers cannot be read from a class
        "        return 0\n"
    )
    made: dict[str, Any] = {}
    exec(source, made)
    return type("_Comparing", (Compared,), {"__flags__": property(made["flags"])})


def _attribute(cls: type, name: str) -> Any:
    try:
        return getattr(cls, name)
    except Exception:
        return None


def marked(cls: type) -> Any:
    """Return an unused subclass of ``cls`` as its mark."""
    mark = type(cls)(f"_Mark{cls.__name__}", (cls,), {"__slots__": (), "__doc__": __doc__})
    renew(mark)
    return mark


def renew(mark: object) -> None:
    """Have a mark notice what is assigned from now on."""
    if isinstance(mark, Compared):
        mark.renew()
    elif mark is not QUIET:
        getattr(mark, "anything", None)


def _works() -> bool:
    """Tell whether this Python keeps the bit as described."""

    class Base:
        __slots__ = ()

        def method(self) -> None: ...

    mark = marked(Base)
    fresh = bool(mark.__flags__ & VALID)
    Base.method = lambda self: None  # type: ignore[method-assign]
    noticed = not mark.__flags__ & VALID
    Base().method()
    still = not mark.__flags__ & VALID
    renew(mark)
    return fresh and noticed and still and bool(mark.__flags__ & VALID)


WORKS = _works()
