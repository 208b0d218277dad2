"""The JSON workloads: documents to values and back, without a server.

The peer `builtin` does what the built-in dialect does, with json.loads and json.dumps; ours do
what the codec of pgflight does in their form. `_ours` is the one place that knows the pieces.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any

from bench.e2e.workload import Workload
from bench.micro.documents import VALUES

DOCUMENTS = {
    "43": VALUES["small"],
    "600": VALUES["medium"],
    "3000": VALUES["strings"],
    "small": VALUES["small"],
    "medium": VALUES["medium"],
}


def _decode_standard(data: bytes) -> Any:
    return json.loads(data[1:].decode())


def _ours(action: str) -> Callable[[Any], Any]:
    """Return pgflight's function in the form of this process (PGFLIGHT_IMPL)."""
    from pgflight import _impl

    if action == "decode":
        return _impl.jsondecode.json_decoder(None, takes_bytes=False, prefix=1)
    return _impl.jsonencode.dumps


class Document(Workload):
    """Converts one document over and over; `ours` chooses pgflight's functions."""

    def __init__(self, action: str, document: Any, *, ours: bool) -> None:
        standard: Callable[[Any], Any] = _decode_standard if action == "decode" else json.dumps
        self._convert = _ours(action) if ours else standard
        self._given = b"\x01" + json.dumps(document).encode() if action == "decode" else document

    async def step(self) -> Any:
        return self._convert(self._given)

    async def batch(self, count: int) -> None:
        # A loop in C, so that it does not drown what it calls.
        deque(map(self._convert, repeat(self._given, count)), maxlen=0)

    async def rows(self, result: Any) -> Iterable[Any]:
        return [[result.decode() if isinstance(result, bytes) else result]]


def make(name: str, *, ours: bool) -> Workload | None:
    """Return the workload of that name, None if it is not about documents."""
    kind, _, rest = name.partition("_")
    action, _, size = rest.partition("_")
    if kind != "json" or size not in DOCUMENTS:
        return None
    return Document(action, DOCUMENTS[size], ours=ours)
