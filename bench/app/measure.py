"""The measurement: a process of the service for each dialect, asked in turns by equal clients."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random
from statistics import median, quantiles
from typing import NamedTuple

from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import create_async_engine

from bench.app.clients import Answers, Client, Load
from bench.app.models import fill
from bench.app.operations import MIX, OPERATIONS, request
from bench.peers.line import DelayLine
from bench.peers.process import ROOT
from tests.fixtures.server import Server

BUILTIN, OURS, PSYCOPG = "builtin", "pgflight", "psycopg"
DRIVERS = {
    BUILTIN: "postgresql+asyncpg",
    OURS: "postgresql+pgflight",
    PSYCOPG: "postgresql+psycopg_async",
}
LOOPS = ("asyncio", "uvloop")
CLIENTS = (1, 20, 100)
ROUND_TRIPS = (0.0, 0.001)
LOADS = (0.5, 0.7)
_READS = ("get", "get with selectinload", "list of 20 with selectinload")
_STOP_SECONDS = 20.0


class Cell(NamedTuple):
    """What is measured: an operation, the service's loop, clients, and the server's distance.

    ``frozen``: the service has called `gc.freeze()` when it started.  ``load``: requests come at
    random, so many times as often as the built-in dialect answers 20 clients that ask in turn.
    """

    operation: str
    loop: str
    clients: int
    round_trip: float
    frozen: bool = False
    load: float = 0.0


def cells() -> list[Cell]:
    """Return the mix in every situation, and each operation on both loops with 20 clients.

    The latter also with `gc.freeze()`; and the mix and gets at random times.
    """
    mixed = [
        Cell(MIX, loop, clients, trip)
        for trip in ROUND_TRIPS
        for loop in LOOPS
        for clients in CLIENTS
    ]
    single = [Cell(each, loop, 20, 0.0) for loop in LOOPS for each in OPERATIONS]
    frozen = [
        Cell(each, loop, 20, 0.0, frozen=True) for loop in LOOPS for each in (MIX, *OPERATIONS)
    ]
    at_random = [
        Cell(each, loop, 100, 0.0, load=load)
        for loop in LOOPS
        for each in (MIX, "get")
        for load in LOADS
    ]
    return [*mixed, *single, *frozen, *at_random]


@dataclass
class Figures:
    """The rounds of one cell and dialect."""

    rounds: list[Answers] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The median of requests per second."""
        return median(answers.rate for answers in self.rounds)

    @property
    def processor(self) -> float:
        """The median of the service's processor time per request, in seconds."""
        return median(answers.processor / len(answers.latencies) for answers in self.rounds)

    def latency(self, percent: int) -> float:
        """Return the latency that so many percent of all requests do not exceed, in seconds."""
        found = [each for answers in self.rounds for each in answers.latencies]
        return quantiles(found, n=100)[percent - 1]


@contextmanager
def served(url: URL, loop: str, *, frozen: bool = False) -> Iterator[int]:
    """Run a process of the service; yield its port."""
    shown = url.render_as_string(hide_password=False)
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.app.serve", loop, *["frozen"] * frozen],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": shown},
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        if not said:
            raise RuntimeError(f"the service on {url.drivername} ended before it listened")
        yield int(said)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


async def same_answers(ports: Mapping[str, int]) -> None:
    """Ask all services for the same; RuntimeError where one answers otherwise than the built-in."""
    for name in (*_READS, "search with IN of 2 to 12"):
        random = Random(name)
        asked = [request(name, random) for _ in range(5)]
        answers = {}
        for dialect, port in ports.items():
            client = await Client.connected(port)
            answers[dialect] = [await client.ask(each) for each in asked]
            client.close()
        for dialect, found in answers.items():
            if found != answers[BUILTIN]:
                raise RuntimeError(f"{name}: {dialect} answers otherwise than {BUILTIN}")


def run(server: Server, wanted: Iterable[Cell], *, rounds: int, seconds: float) -> _Figures:
    """Measure these cells in ``rounds`` of ``seconds`` each, the dialects in turns."""
    found: _Figures = {}
    asyncio.run(_fill(server))
    situations: dict[tuple[str, float, bool], list[Cell]] = {}
    for cell in wanted:
        situations.setdefault((cell.loop, cell.round_trip, cell.frozen), []).append(cell)
    for (loop, trip, frozen), there in situations.items():
        with ExitStack() as stack:
            url = _address(server)
            if trip:
                line = stack.enter_context(DelayLine(url))
                line.set_round_trip(trip)
                url = line.url
            ports = {
                dialect: stack.enter_context(
                    served(url.set(drivername=driver), loop, frozen=frozen)
                )
                for dialect, driver in DRIVERS.items()
            }
            asyncio.run(same_answers(ports))
            for cell in there:
                asyncio.run(_measure(cell, ports, found, rounds, seconds))
    return found


_Figures = dict[Cell, dict[str, Figures]]


async def _measure(
    cell: Cell, ports: Mapping[str, int], found: _Figures, rounds: int, seconds: float
) -> None:
    rate = 0.0
    if cell.load:
        full = await Load(cell.operation, 20, seconds, 0).measure(ports[BUILTIN])
        rate = cell.load * full.rate
    figures = found[cell] = {dialect: Figures() for dialect in ports}
    for number in range(-1, rounds):  # the first round warms up
        order = list(ports) if number % 2 else list(ports)[::-1]
        for dialect in order:
            load = Load(cell.operation, cell.clients, seconds, number + 1, rate)
            answers = await load.measure(ports[dialect])
            if number >= 0:
                figures[dialect].rounds.append(answers)


async def _fill(server: Server) -> None:
    engine = create_async_engine(server.url(DRIVERS[BUILTIN]))
    async with engine.begin() as connection:
        await fill(connection)
    await engine.dispose()


def _address(server: Server) -> URL:
    """Return the Unix socket of a server of our own, else what it was given by."""
    given = server.url()
    if server.cluster is None or not hasattr(socket, "AF_UNIX"):
        return given
    return URL.create(
        given.drivername,
        given.username,
        given.password,
        database=given.database,
        query={"host": str(server.cluster.socket_dir), "port": str(server.port)},
    )
