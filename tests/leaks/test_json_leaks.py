"""JSON pieces keep nothing: blocks and references level off, on errors, too."""

from __future__ import annotations

import gc
import os
import random
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.differential import randomjson
from tests.fixtures.impl import Impl

LASTING = (None, True, False, 0, "", "a")
ROUNDS = int(os.environ.get("FASTPG_LEAK_ROUNDS", "20"))


def attempt(call: Callable[[Any], Any], argument: Any) -> None:
    try:
        call(argument)
    except Exception:
        pass


def held() -> tuple[int, ...]:
    """Return the blocks of this process and the references to objects that are never freed."""
    gc.collect()
    return (sys.getallocatedblocks(), *map(sys.getrefcount, LASTING))


def test_nothing_is_kept(impl: Impl) -> None:
    source = random.Random(400)
    texts = [randomjson.document(source) for _ in range(1000)]
    documents = [text.encode() for text in texts]
    documents += [randomjson.damaged(source, data) for data in documents]
    values = [randomjson.value(source) for _ in range(1000)] + [{"a": [1, {"b": {"c": b""}}]}]
    calls: list[tuple[Callable[[Any], Any], list[Any]]] = [
        (impl.jsondecode.loads, texts),
        (impl.jsondecode.json_decoder(None, takes_bytes=False, prefix=0), documents),
        (impl.jsondecode.json_decoder(None, takes_bytes=False, prefix=1), documents),
        (impl.jsonencode.dumps, values),
        (impl.jsonencode.json_encoder(b"\x01"), texts),
    ]

    def work() -> None:
        for call, arguments in calls:
            for argument in arguments:
                attempt(call, argument)

    work()
    before = held()
    for _ in range(ROUNDS):
        work()
    after = held()
    grown = [now - then for now, then in zip(after, before)]
    # A single lost reference in one of the 8,000 calls would show ROUNDS times.
    assert max(grown) < ROUNDS, dict(zip(("blocks", *LASTING), grown))


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
