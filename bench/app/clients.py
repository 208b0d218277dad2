"""HTTP clients, each on a connection of its own, that ask again as soon as they have an answer."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from random import Random

from bench.app.operations import Request, request

HOST = "127.0.0.1"


@dataclass
class Answers:
    """What came back in one measurement: how long each request and all took, in seconds."""

    seconds: float = 0.0
    processor: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.latencies) / self.seconds


class Client:
    """One connection to the service."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connected(cls, port: int) -> Client:
        """Return a client of the service that listens on ``port``."""
        return cls(*await asyncio.open_connection(HOST, port))

    async def ask(self, asked: Request) -> bytes:
        """Send a request and return the body of its answer; RuntimeError unless that is 200."""
        self._writer.write(asked.raw(HOST))
        head = await self._reader.readuntil(b"\r\n\r\n")
        status, _, fields = head.partition(b"\r\n")
        lengths = [
            line.split(b":")[1]
            for line in fields.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        ]
        answer = await self._reader.readexactly(int(lengths[0]))
        if b" 200 " not in status:
            raise RuntimeError(f"{asked.method} {asked.path}: {status!r} {answer[:300]!r}")
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


async def measure(port: int, operation: str, clients: int, seconds: float, seed: int) -> Answers:
    """Let ``clients`` ask for ``seconds``; what they ask for is the same for the same seed."""
    found = Answers()
    ready = [await Client.connected(port) for _ in range(clients)]
    end = time.perf_counter() + seconds

    async def go_on(client: Client, random: Random) -> None:
        now = time.perf_counter()
        while now < end:
            await client.ask(request(operation, random))
            before, now = now, time.perf_counter()
            found.latencies.append(now - before)

    try:
        used = float(await ready[0].ask(Request("GET", "/cpu")))
        began = time.perf_counter()
        await asyncio.gather(
            *(go_on(client, Random(seed * 1000 + n)) for n, client in enumerate(ready))
        )
        found.seconds = time.perf_counter() - began
        found.processor = float(await ready[0].ask(Request("GET", "/cpu"))) - used
    finally:
        for client in ready:
            client.close()
    return found
