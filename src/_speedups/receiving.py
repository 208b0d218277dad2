"""What stands between a transport and asyncpg's protocol.

fastpg.driver puts one before the protocol of each connection, through fastpg._impl. Each row makes
containers for the garbage collector to look at, and a result of 100,000 rows has it look at all of
a program's objects again and again: more than half of the time that such a result takes. Within one
call, which decodes what one read from the socket brought (256 KB at most), nothing can have become
garbage that is worth looking for. The compiled form is receiving_c.pyx.
"""

from __future__ import annotations

import gc
from typing import Any

WORTH_HOLDING = 16384
"""Bytes from which on the collector is held while they are decoded."""


class Receiver:
    """Passes everything on to a protocol; holds the garbage collector while rows are decoded."""

    __slots__ = ("protocol", "_data_received")

    def __init__(self, protocol: Any) -> None:
        """Stand in front of `protocol`, an asyncio.Protocol."""
        self.protocol = protocol
        self._data_received = protocol.data_received

    def data_received(self, data: bytes) -> None:
        """Pass on bytes, without a collection in between where they are many."""
        if len(data) < WORTH_HOLDING or not gc.isenabled():
            self._data_received(data)
            return
        gc.disable()
        try:
            self._data_received(data)
        finally:
            gc.enable()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.protocol, name)
