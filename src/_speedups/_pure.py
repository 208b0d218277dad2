"""Stand-ins for the few names of `cython` that the hot paths evaluate when interpreted.

Importing the real module costs 5 ms where Cython is installed and fails where it is not. The
compiler never reads this file: it resolves the same names from the `import cython` that only it
reads, and which must not be under a constant condition (Cython would silently drop it, and every C
type with it). Type checkers read this file, too, because Cython's own module has no types for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

compiled: bool = False

# C types of local variables and attributes.
Py_ssize_t = int
longlong = int
p_uchar = bytes
bint = bool


def cclass(decorated: T) -> T:
    """Mark a class whose attributes are C fields."""
    return decorated


def cfunc(decorated: T) -> T:
    """Mark a function that only its own module can call."""
    return decorated


def exceptval(*, check: bool) -> Callable[[T], T]:
    """Mark a function of C types that never raises, so that callers need not check."""
    return _unchanged


def annotation_typing(enabled: bool) -> Callable[[T], T]:
    """Mark a public function whose annotations are promises, not C types checked by Cython."""
    return _unchanged


def _unchanged(decorated: T) -> T:
    return decorated
