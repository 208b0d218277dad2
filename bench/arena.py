"""Runs one benchmark: its lanes beside each other, its gates, its entry in the report.

The tests of bench/e2e and bench/micro call `compete`. Server, tables and the processes of the
peers are started when the first benchmark needs them and live until `close`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from sqlalchemy.engine import URL

from bench import race
from bench.catalogue import BENCHMARKS, SHORT_TRIP, Benchmark, Lane
from bench.e2e import schema
from bench.gates import Figures, Gate
from bench.peers.line import DelayLine
from bench.peers.process import PeerProcess
from bench.report import Entry, Report
from bench.verdicts import judge
from tests.fixtures.server import Server, running_server

# More rounds where the first ones have missed, so that the second verdict is the better founded.
_REPEAT = 1.5
# What the rounds of a benchmark may take: on a machine that others keep busy there are fewer.
_SECONDS = 6.0
# The server's answer to a large query arrives in pieces whose number varies, and each one costs
# some calls: the lowest of some runs is the same every time.
_COUNTS = 7
_TELLS_MEMORY = (14,)
# Units whose waits are counted, and that are timed.
_TIMED = 5
# Statements before the memory of the server's process is read.
_STATEMENTS = 100
# Units that follow each other while bursts are counted.
_IN_A_ROW = 20

Measured = dict[str, dict[str, list[float]]]


class Arena:
    """Everything that outlives a single benchmark."""

    def __init__(self, gates: Mapping[str, list[Gate]], report: Report) -> None:
        self._gates = gates
        self._report = report
        self._stack = ExitStack()
        self._peers: dict[str, PeerProcess] = {}
        self._address: tuple[URL, str] | None = None
        self._server: tuple[int, ...] = ()
        self._delay_line: DelayLine | None = None

    def compete(self, name: str, fixture: BenchmarkFixture) -> None:
        """Measure the benchmark `name`, record it, and fail the test for gates that are missed.

        Where pytest-benchmark is disabled every lane runs once, and only the values are compared.
        """
        benchmark = BENCHMARKS[name]
        measure = {
            "time": self._time,
            "memory": self._memory,
            "backend": self._backend,
            "calls": self._calls,
            "waits": self._waits,
            "bursts": self._bursts,
        }[benchmark.kind]
        entry = Entry(benchmark)
        first = measure(benchmark, fixture, entry)
        if not fixture.enabled:
            return
        entry.figures = first

        def again(labels: Set[str]) -> Figures:
            lanes = tuple(lane for lane in benchmark.lanes if lane.label in labels)
            entry.repeated = measure(replace(benchmark, lanes=lanes), None, entry)
            return entry.repeated

        entry.verdicts = judge(self._gates[name], first, again)
        self._report.add(entry)
        fixture.extra_info.update(entry.summary())
        missed = [f"{name}: {verdict}" for verdict in entry.verdicts if not verdict.held]
        if missed:
            pytest.fail("missed twice:\n" + "\n".join(missed), pytrace=False)

    def close(self) -> None:
        """Stop the peers, remove the tables, stop the server."""
        for peer in self._peers.values():
            peer.stop()
        if self._delay_line is not None:
            self._delay_line.stop()
        self._stack.close()

    def _time(
        self, benchmark: Benchmark, fixture: BenchmarkFixture | None, entry: Entry
    ) -> Measured:
        self._prepare(benchmark)
        try:
            runners = {lane.label: self._runner(lane) for lane in benchmark.lanes}
            enabled = fixture is None or fixture.enabled
            first = runners[benchmark.lanes[0].label]
            entry.iterations = race.iterations(first, benchmark.batch) if enabled else 1
            for lane in benchmark.lanes:
                self._peer(lane).ask("restart", workload=lane.workload)
            running = race.Race(runners, entry.iterations)
            rounds = benchmark.rounds
            if entry.iterations > 1:  # the others have few rounds, and are warm
                share = 1.0 if fixture is not None else _REPEAT
                rounds = running.warm_up(round(rounds * share), _SECONDS * share)
            if fixture is None:
                running.measure(rounds)
            else:
                self._record(running, rounds, benchmark, fixture)
        finally:
            self._finish(benchmark)
        return running.figures

    @staticmethod
    def _record(
        running: race.Race, rounds: int, benchmark: Benchmark, fixture: BenchmarkFixture
    ) -> None:
        """Let pytest-benchmark run the rounds; what it notes is the time of one of our lanes."""
        shown = benchmark.comparisons[0].ours

        def one_round() -> None:
            running.round()
            race.CLOCK.advance(running.figures[shown]["cpu"][-1])

        fixture.pedantic(  # type: ignore[no-untyped-call]
            one_round, rounds=rounds
        )

    def _memory(
        self, benchmark: Benchmark, fixture: BenchmarkFixture | None, entry: Entry
    ) -> Measured:
        figures: Measured = {lane.label: {"memory": []} for lane in benchmark.lanes}

        def one_round() -> None:
            for lane in benchmark.lanes:
                with PeerProcess(lane.peer) as peer:
                    self._introduce(peer)
                    grown = peer.ask("memory", workload=lane.workload)
                figures[lane.label]["memory"].append(grown)

        self._rounds(one_round, benchmark.rounds, fixture)
        return figures

    def _backend(
        self, benchmark: Benchmark, fixture: BenchmarkFixture | None, entry: Entry
    ) -> Measured:
        figures: Measured = {lane.label: {"backend": []} for lane in benchmark.lanes}
        peers = [self._peer(lane) for lane in benchmark.lanes]
        if self._server < _TELLS_MEMORY:
            pytest.skip("PostgreSQL tells the memory of its processes from 14 on")

        def one_round() -> None:
            for lane, peer in zip(benchmark.lanes, peers):
                grown = peer.ask("backend", workload=lane.workload, count=_STATEMENTS)
                figures[lane.label]["backend"].append(grown)

        self._rounds(one_round, benchmark.rounds, fixture)
        return figures

    def _calls(
        self, benchmark: Benchmark, fixture: BenchmarkFixture | None, entry: Entry
    ) -> Measured:
        figures: Measured = {lane.label: {"calls": []} for lane in benchmark.lanes}

        def one_round() -> None:
            for lane in benchmark.lanes:
                peer = self._peer(lane)
                counts = [peer.ask("calls", workload=lane.workload) for _ in range(_COUNTS)]
                figures[lane.label]["calls"].append(min(counts))

        self._prepared_rounds(one_round, benchmark, fixture)
        return figures

    def _waits(
        self, benchmark: Benchmark, fixture: BenchmarkFixture | None, entry: Entry
    ) -> Measured:
        """Count the answers that a unit has had when it ends, and time it on a shorter line.

        After each one the worker rests: what nobody waits for is over when the next one starts.
        """
        assert benchmark.trip is not None
        figures: Measured = {lane.label: {"waits": [], "wall": []} for lane in benchmark.lanes}
        line, trip = self._line(), benchmark.trip

        def one_round() -> None:
            for lane in benchmark.lanes:
                run, found = self._runner(lane), figures[lane.label]
                rest = partial(self._peer(lane).ask, "rest", seconds=2 * trip)
                line.set_round_trip(trip)
                for _ in range(_TIMED):
                    rest()
                    before = line.answers()
                    run(1)
                    found["waits"].append(line.answers() - before)
                rest()
                line.set_round_trip(SHORT_TRIP)
                for _ in range(_TIMED):
                    found["wall"].append(run(1).wall)
                    rest()

        self._prepared_rounds(one_round, benchmark, fixture)
        return figures

    def _bursts(
        self, benchmark: Benchmark, fixture: BenchmarkFixture | None, entry: Entry
    ) -> Measured:
        figures: Measured = {lane.label: {"bursts": []} for lane in benchmark.lanes}

        def one_round() -> None:
            for lane in benchmark.lanes:
                run = self._runner(lane)
                before = self._line().bursts()
                run(_IN_A_ROW)
                counted = self._line().bursts() - before
                figures[lane.label]["bursts"].append(counted / _IN_A_ROW)

        self._prepared_rounds(one_round, benchmark, fixture)
        return figures

    def _prepared_rounds(
        self, one_round: Callable[[], None], benchmark: Benchmark, fixture: Any
    ) -> None:
        self._prepare(benchmark)
        try:
            self._rounds(one_round, benchmark.rounds, fixture)
        finally:
            self._finish(benchmark)

    @staticmethod
    def _rounds(one_round: Callable[[], None], rounds: int, fixture: Any) -> None:
        if fixture is not None:
            fixture.pedantic(one_round, rounds=rounds)
        else:
            for _ in range(rounds):
                one_round()

    def _runner(self, lane: Lane) -> race.Runner:
        peer = self._peer(lane)

        def run(count: int) -> race.Sample:
            return race.Sample(**peer.ask("run", workload=lane.workload, count=count))

        return run

    def _prepare(self, benchmark: Benchmark) -> None:
        """Open the workload of every lane; fail the test unless all get the same values."""
        way = {}
        if benchmark.trip is not None:
            line = self._line()
            line.set_round_trip(benchmark.trip)
            way["url"] = line.url.render_as_string(hide_password=False)
        digests = {
            lane.label: self._peer(lane).ask("prepare", workload=lane.workload, **way)
            for lane in benchmark.lanes
        }
        if len(set(digests.values())) != 1:
            pytest.fail(f"{benchmark.name}: the peers disagree on the result: {digests}")

    def _finish(self, benchmark: Benchmark) -> None:
        for lane in benchmark.lanes:
            self._peer(lane).ask("finish", workload=lane.workload)

    def _peer(self, lane: Lane) -> PeerProcess:
        peer = self._peers.get(lane.peer)
        if peer is None:
            peer = self._peers[lane.peer] = PeerProcess(lane.peer)
            self._report.versions.update(peer.versions)
        if not lane.workload.startswith("json_") and not peer.introduced:
            self._introduce(peer)
        return peer

    def _line(self) -> DelayLine:
        if self._delay_line is None:
            if self._address is None:
                self._address = self._make_tables()
            self._delay_line = DelayLine(self._address[0])
        return self._delay_line

    def _introduce(self, peer: PeerProcess) -> None:
        if self._address is None:
            self._address = self._make_tables()
        peer.introduce(*self._address)

    def _make_tables(self) -> tuple[URL, str]:
        server = self._stack.enter_context(running_server())
        self._server = server.version
        self._report.server = ".".join(map(str, server.version))
        address = self._stack.enter_context(tables(server))
        self._report.transport = "TCP" if address[0].host else "Unix socket"
        return address


@contextmanager
def tables(server: Server) -> Iterator[tuple[URL, str]]:
    """Make the tables; yield the URL for the workers and the schema; drop it at the end."""
    # Two runs on one server do not meet.
    name = f"pgflight_bench_{os.getpid()}"
    server.execute(schema.drop(name), *schema.make(name))
    try:
        yield _nearest(server), name
    finally:
        server.execute(schema.drop(name))


def _nearest(server: Server) -> URL:
    """Return the URL by which the workers connect: the Unix socket of a server of our own."""
    if server.cluster is None or not hasattr(socket, "AF_UNIX"):
        return server.url()
    given = server.url()
    return URL.create(
        given.drivername,
        given.username,
        given.password,
        database=given.database,
        query={"host": str(server.cluster.socket_dir), "port": str(server.port)},
    )
