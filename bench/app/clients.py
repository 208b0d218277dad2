"""HTTP clients, each on a connection of its own.

They ask again as soon as they have an answer, or at random times that do not depend on the answers.
"""

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


@dataclass
class Load:
    """What a service is asked: an operation, by so many clients, for ``seconds``.

    With a ``rate`` in requests per second the requests come at random times (a Poisson process),
    whether or not those before them are answered, and a client that is free takes each; without,
    each client asks as soon as it has an answer.  The same seed asks for the same.
    """

    operation: str
    clients: int
    seconds: float
    seed: int
    rate: float = 0.0

    async def measure(self, port: int) -> Answers:
        """Ask the service that listens on ``port``."""
        found = Answers()
        clients = [await Client.connected(port) for _ in range(self.clients)]
        try:
            used = float(await clients[0].ask(Request("GET", "/cpu")))
            began = time.perf_counter()
            await (self._at_random(clients, found) if self.rate else self._in_turn(clients, found))
            found.seconds = time.perf_counter() - began
            found.processor = float(await clients[0].ask(Request("GET", "/cpu"))) - used
        finally:
            for client in clients:
                client.close()
        return found

    async def _in_turn(self, clients: list[Client], found: Answers) -> None:
        end = time.perf_counter() + self.seconds

        async def go_on(client: Client, random: Random) -> None:
            now = time.perf_counter()
            while now < end:
                await client.ask(request(self.operation, random))
                before, now = now, time.perf_counter()
                found.latencies.append(now - before)

        randoms = [Random(self.seed * 1000 + number) for number in range(len(clients))]
        await asyncio.gather(*map(go_on, clients, randoms))

    async def _at_random(self, clients: list[Client], found: Answers) -> None:
        random = Random(self.seed)
        free: asyncio.LifoQueue[Client] = asyncio.LifoQueue()
        for client in clients:
            free.put_nowait(client)

        async def one(asked: Request, due: float) -> None:
            client = await free.get()
            await client.ask(asked)
            # since it was due: what waits for a client waits for its answer
            found.latencies.append(time.perf_counter() - due)
            free.put_nowait(client)

        due = began = time.perf_counter()
        asking = []
        while due < began + self.seconds:
            due += random.expovariate(self.rate)
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            asking.append(asyncio.create_task(one(request(self.operation, random), due)))
        await asyncio.gather(*asking)
