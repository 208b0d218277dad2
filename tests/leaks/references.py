"""The process that `test_references.py` starts: does every piece keep the references it was given?

Calls each function of the pieces over and over, errors included, and counts references where the
interpreter can (a debug build), else blocks of memory. Prints one JSON object: what was counted,
and by name the growth of those whose count grew in every round.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable

from tests.fixtures.impl import load
from tests.leaks.reference_calls import calls

ROUNDS = 5
REPETITIONS = 300

counted = "references" if hasattr(sys, "gettotalrefcount") else "blocks"
_count: Callable[[], int] = getattr(sys, "gettotalrefcount", sys.getallocatedblocks)


def growth(call: Callable[[], object]) -> list[int]:
    """Return how much the count grows in each round of repetitions."""
    grown = []
    for _ in range(ROUNDS + 2):  # two to warm up
        gc.collect()
        before = _count()
        for _ in range(REPETITIONS):
            try:
                call()
            except Exception:
                pass
        gc.collect()
        grown.append(_count() - before)
    return grown[2:]


def main() -> None:
    """Measure every call of the form that is asked for, with a leak of its own as a check."""
    form = sys.argv[1]
    kept: list[object] = []
    found = {}
    everything = {**calls(load(form)), "a leak on purpose": lambda: kept.append(object())}
    for name, call in everything.items():
        grown = growth(call)
        if min(grown) > REPETITIONS // 10:
            found[name] = grown
    print(json.dumps({"counted": counted, "calls": len(everything), "grown": found}))


if __name__ == "__main__":
    main()
