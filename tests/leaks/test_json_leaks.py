"""The JSON pieces give back the memory that they take beside objects."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.fixtures.impl import Impl


def attempt(call: Callable[[Any], Any], argument: Any) -> None:
    try:
        call(argument)
    except Exception:
        pass


def test_memory_of_strings_and_buffers_is_returned(impl: Impl) -> None:
    resource = pytest.importorskip("resource", reason="no such count on this system")
    long = '["' + "ж" * 100_000 + '", "' + "a" * 100_000 + '", "\\n' + "x" * 100_000 + '"]'
    value = impl.jsondecode.loads(long)

    def work(times: int) -> int:
        for _ in range(times):
            attempt(impl.jsondecode.loads, long)
            attempt(impl.jsondecode.loads, long[:-2])
            attempt(impl.jsonencode.dumps, value)
            attempt(impl.jsonencode.dumps, [value, b""])
        peak: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak * (1 if sys.platform == "darwin" else 1024)

    before = work(20)
    assert work(100) - before < 20_000_000  # bytes; each buffer is used 100 times, at 100 KB
