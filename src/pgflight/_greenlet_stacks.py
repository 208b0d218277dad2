"""Whether the stacks of ended greenlets are kept for new ones, in this process, and what that gave.

SQLAlchemy runs each call of its asyncio layer in a greenlet of its own, and since Python 3.11 each
of these takes a block from the operating system and gives it back. The piece `stacks` keeps some of
them. dialect/ has it begin when the first engine is made, session/statistics.py and the front door
report what it does. docs/greenlets.md has the whole of it.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from pgflight import _impl

VARIABLE = "PGFLIGHT_KEEP_STACKS"


class GreenletStacks(NamedTuple):
    """What the keeping of greenlets' stacks has given so far; of the process, not of an engine."""

    hits: int = 0
    """Stacks that were taken from those kept: each saved an ``mmap`` and page faults."""
    misses: int = 0
    """Stacks that came from the allocator that was there before."""
    kept: int = 0
    """Stacks that are kept now."""
    bytes: int = 0
    """Bytes that these occupy."""
    bound: int = 0
    """The largest number of stacks that are kept; 0 while none are."""
    reason: str = ""
    """Why none are kept, or may not be; empty where nothing is in the way."""


NONE = GreenletStacks()

_NO_ENGINE = "no engine has been made"
_reason = _NO_ENGINE
_decided = False


def begin() -> None:
    """Begin to keep stacks, when the first engine is made; ValueError for a wrong switch.

    Later calls do nothing, so that what the program has switched off stays off.
    """
    if not _decided:
        _decide(_start())


def switch(keep: bool) -> GreenletStacks:
    """Begin to keep stacks, or keep none from now on; see :func:`pgflight.keep_greenlet_stacks`."""
    if keep:
        _decide(_start())
    else:
        _impl.stacks.stop()
        _decide("switched off by the program")
    return state()


def state() -> GreenletStacks:
    """Return the numbers as of now."""
    hits, misses, kept, size, bound = _impl.stacks.numbers()
    reason = _reason
    if bound:
        # whether it calls ours cannot be asked; the hits tell
        reason = "" if _impl.stacks.outermost() else "another allocator has been set since"
    return GreenletStacks(hits, misses, kept, kept * size, bound, reason)


def remark() -> str:
    """Return what :func:`pgflight.implementation` says about it.

    "" before the first engine, and in the Python form, which says so itself.
    """
    if not _decided or _impl.implementation().name == "python":
        return ""
    now = state()
    if not now.reason:
        return "greenlets' stacks are kept"
    return f"greenlets' stacks {'may not be' if now.bound else 'are not'} kept: {now.reason}"


def _decide(reason: str) -> None:
    global _reason, _decided
    _reason = reason
    _decided = True


def _start() -> str:
    """Have the piece begin; return why it does not, or ""."""
    value = os.environ.get(VARIABLE) or "1"  # set but empty means unset, as everywhere
    if value not in ("0", "1"):
        raise ValueError(f"{VARIABLE}={value!r} is not one of: 0, 1")
    if value == "0":
        return f"{VARIABLE}=0"
    obstacle = _impl.stacks.obstacle()
    if obstacle:
        return obstacle
    try:
        return _impl.stacks.start(_run_a_greenlet)
    except Exception as error:  # an engine can do without
        return f"no greenlet can be run: {error!r}"


def _run_a_greenlet() -> None:
    from greenlet import greenlet

    greenlet(_nothing).switch()


def _nothing() -> None:
    """Take a frame of Python's, and with it a stack."""
