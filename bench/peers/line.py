"""The parent's end of the delay line: starts delay.py, sets its time, reads its counter."""

from __future__ import annotations

import sys

from sqlalchemy.engine import URL

from bench.peers.process import Process


class DelayLine(Process):
    """A way to the server at `url` on which a round trip takes as long as one likes."""

    def __init__(self, url: URL) -> None:
        super().__init__("the delay line", [sys.executable, "-m", "bench.peers.delay"], {})
        query = dict(url.query)
        host, port = query.get("host") or url.host, query.get("port") or url.port or 5432
        own = self.ask("connect", host=host, port=int(str(port)))
        self.url = url.set(host="127.0.0.1", port=own, query={})

    def set_round_trip(self, seconds: float) -> None:
        """Let half of `seconds` pass in each direction."""
        self.ask("delay", seconds=seconds / 2)

    def bursts(self) -> int:
        """Return how many bursts of bytes clients have sent so far."""
        counted: int = self.ask("bursts")
        return counted

    def answers(self) -> int:
        """Return how many of them have been answered so far, as the clients see it."""
        counted: int = self.ask("answers")
        return counted
