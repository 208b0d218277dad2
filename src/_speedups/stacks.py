"""Keeping the stacks of greenlets that have ended for those that begin: not done in this form.

pgflight._greenlet_stacks uses it through pgflight._impl. The compiled form is stacks_c.pyx, and not
one source with this one: what keeps the stacks is called by the interpreter without an object of
Python's in between, so it is C.
"""

from __future__ import annotations

from collections.abc import Callable

BOUND = 0
"""The largest number of stacks that are kept."""


def obstacle() -> str:
    """Say what keeps this form, or this interpreter, from keeping stacks; "" for nothing."""
    return "not compiled"


def start(run: Callable[[], object]) -> str:
    """Do nothing, and say why. The compiled form calls `run`, which runs a greenlet to its end."""
    return obstacle()


def stop() -> None:
    """Do nothing: nothing is kept."""


def numbers() -> tuple[int, int, int, int, int]:
    """Return hits, misses, stacks kept, bytes of each, and how many may be kept."""
    return 0, 0, 0, 0, 0


def outermost() -> bool:
    """Tell whether the interpreter asks this form first."""
    return False
