"""The process that `test_references.py` starts: does every piece keep the references it was given?

Calls each function of the pieces over and over, errors included, and counts all references where
the interpreter can (a debug build), else blocks of memory and the references to what is watched.
Prints one JSON object: what was counted, and by name the growth of those whose count grew in
every round.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import time
from collections.abc import Callable

DEBUG = hasattr(sys, "gettotalrefcount")
if DEBUG:
    # SQLAlchemy's extensions are built for an ordinary interpreter: they do not count.
    import tests.parity.programs.sources_only  # noqa: F401

from tests.fixtures.impl import load  # noqa: E402
from tests.leaks.reference_calls import VALUE, WATCHED, calls  # noqa: E402

ROUNDS = 3
WARM_UP = 2
SECONDS = 0.02  # a round of one call, at most; it is repeated up to so many times
REPETITIONS = 200

_lose = ctypes.pythonapi.Py_IncRef
_lose.argtypes = [ctypes.py_object]


def count(function: object) -> int:
    """Return what must not grow. `function` is any of the pieces' functions."""
    gc.collect()
    if DEBUG:
        total: int = sys.gettotalrefcount()
        # Cython's functions do not give back the reference to their type when they are freed.
        # Nothing is kept alive by it: there is one such type, for ever.
        return total - sys.getrefcount(type(function))
    return sys.getallocatedblocks() + sum(map(sys.getrefcount, WATCHED))


def growth(call: Callable[[], object], function: object) -> tuple[int, list[int]]:
    """Return how often a round calls, and how much the count grows in each round."""

    def attempt() -> None:
        try:
            call()
        except Exception:
            pass

    start = time.perf_counter()
    for _ in range(3):
        attempt()
    duration = (time.perf_counter() - start) / 3
    repetitions = max(20, min(REPETITIONS, int(SECONDS / max(duration, 1e-6))))
    grown = []
    for _ in range(WARM_UP + ROUNDS):
        before = count(function)
        for _ in range(repetitions):
            attempt()
        grown.append(count(function) - before)
    return repetitions, grown[WARM_UP:]


def main() -> None:
    """Measure every call of the form that is asked for, with leaks of its own as a check."""
    form = sys.argv[1]
    kept: list[object] = []
    found = {}
    impl = load(form)
    everything = {
        **calls(impl, foreign=not DEBUG),
        "an object kept on purpose": lambda: kept.append(object()),
        "a reference lost on purpose": lambda: _lose(VALUE),
    }
    gc.freeze()  # what is there by now need not be looked at in every collection
    gc.set_threshold(10**9)  # count() collects; in between, nothing must depend on chance
    for name, call in everything.items():
        repetitions, grown = growth(call, impl.rows.tuples)
        if min(grown) >= repetitions // 2:
            found[name] = grown
    counted = "references" if DEBUG else "blocks"
    print(json.dumps({"counted": counted, "calls": len(everything), "grown": found}))


if __name__ == "__main__":
    main()
