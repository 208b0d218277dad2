"""The process of one peer: `python -m bench.peers.worker PEER`, driven by a pipe.

process.py starts it. One JSON object per line comes in, one goes out: {"do": ..., ...} is answered
by {"value": ...} or {"error": traceback}. While no request runs, nothing runs here.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, TextIO

from sqlalchemy.dialects import registry
from sqlalchemy.engine import URL, make_url

from bench.e2e import bulk, core, documents, lists, orm, raw, raw_units, streams, units
from bench.e2e.workload import Workload
from bench.peers import memory
from bench.peers.spec import PEERS

PACKAGES = ("sqlalchemy", "asyncpg", "psycopg", "greenlet")
_WARM_UP = 3
_LONG_SECONDS = 0.1  # once is enough to warm up what takes longer


class Worker:
    """Holds the open workloads of one peer and does what is asked."""

    def __init__(self, peer: str) -> None:
        self._peer = PEERS[peer]
        self._url = make_url("postgresql://")
        self._schema = ""
        # psycopg works on this kind of loop only; on Unix it is the default.
        self._loop = asyncio.SelectorEventLoop()
        self._open: dict[str, Workload] = {}

    def hello(self) -> dict[str, Any]:
        """Return the versions of what is in use; RuntimeError when ours is not as it was asked."""
        versions = {"python": sys.version.split()[0]}
        for package in PACKAGES:
            try:
                versions[package] = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                continue
        if self._peer.ours:
            from pgflight import __version__, implementation
            from pgflight.driver import capabilities

            registry.register("postgresql.pgflight", "pgflight.dialect", "PGDialect_asyncpg")
            found = implementation().name, capabilities().level
            if found != (self._peer.form, self._peer.level):
                raise RuntimeError(f"{self._peer.title} runs as {found}")
            versions["pgflight"] = __version__
        return versions

    def address(self, url: str, schema: str) -> None:
        """Take the server's URL, which gets this peer's driver, and the schema of the tables."""
        self._url = self._with_driver(url)
        self._schema = schema

    def prepare(self, workload: str, url: str = "") -> str:
        """Open a workload, warm it up, and return the digest of its result.

        `url` is another way to the same server, for this workload alone.
        """
        made = self._make(workload, self._with_driver(url) if url else self._url)
        self._open[workload] = made
        self._run(made.open())
        start = time.perf_counter()
        digest: str = self._run(made.digest())
        if time.perf_counter() - start < _LONG_SECONDS:
            self._run(made.batch(_WARM_UP))
            self._run(made.reset())
        return digest

    def run(self, workload: str, count: int) -> dict[str, float]:
        """Do a batch; return its seconds on the wall and of this process's processor time."""
        made = self._open[workload]

        async def timed() -> dict[str, float]:
            start, cpu = time.perf_counter() - made.idle, time.process_time()
            await made.batch(count)
            taken = time.process_time() - cpu
            return {"cpu": taken, "wall": time.perf_counter() - made.idle - start}

        # Each batch starts from the same state; within it the collector works as in production.
        gc.collect()
        taken: dict[str, float] = self._run(timed())
        self._run(made.reset())
        return taken

    def restart(self, workload: str) -> None:
        """Let what changes by chance from step to step be the same as for every other peer."""
        self._open[workload].restart()

    def rest(self, seconds: float) -> None:
        """Let what is under way come to its end."""
        self._run(asyncio.sleep(seconds))

    def calls(self, workload: str) -> int:
        """Return how many functions, of Python and of C, one iteration calls."""
        made = self._open[workload]
        count = 0

        def profile(frame: object, event: str, argument: object) -> None:
            nonlocal count
            count += event in ("call", "c_call")

        async def counted() -> int:
            gc.disable()  # callbacks of a collection are not the statement's
            sys.setprofile(profile)
            try:
                await made.batch(1)
            finally:
                sys.setprofile(None)
                gc.enable()
            return count

        calls: int = self._run(counted())
        self._run(made.reset())
        return calls

    def memory(self, workload: str) -> int:
        """Return by how many bytes holding one result raises the peak of this process.

        Ask a process that has not held such a result before, for the allocator keeps its pages.
        """
        made = self._make(workload, self._url)
        warm = self._make("rows_simple", self._url)
        for each in (warm, made):
            self._run(each.open())
        self._run(warm.batch(_WARM_UP))

        async def held() -> int:
            before = memory.start()
            result = await made.step()
            grown = memory.peak() - before
            del result
            return grown

        gc.collect()
        grown: int = self._run(held())
        for each in (warm, made):
            self._run(each.close())
        return grown

    def backend(self, workload: str, count: int) -> int:
        """Return the bytes in use by the server's process after `count` steps on a connection."""
        made = self._make(workload, self._url)
        self._run(made.open())
        self._run(made.batch(count))
        size: int = self._run(made.server_memory())
        self._run(made.close())
        return size

    def finish(self, workload: str) -> None:
        """Close a workload."""
        self._run(self._open.pop(workload).close())

    def close(self) -> None:
        """Close what is open, and the loop."""
        for workload in list(self._open):
            self.finish(workload)
        self._loop.close()

    def _with_driver(self, url: str) -> URL:
        given = make_url(url)
        return given.set(drivername=self._peer.driver) if self._peer.driver else given

    def _make(self, name: str, url: URL) -> Workload:
        made: Workload | None = documents.make(name, ours=self._peer.ours)
        by_hand = self._peer.driver is None
        for room in (
            (raw, raw_units)
            if by_hand
            else (
                core,
                bulk,
                lists,
                orm,
                streams,
                units,
            )
        ):
            made = made or room.make(name, url, self._schema)
        if made is None:
            raise LookupError(f"{self._peer.title} has no workload {name!r}")
        return made

    def _run(self, work: Any) -> Any:
        return self._loop.run_until_complete(work)


def serve(worker: Worker, requests: TextIO, answers: TextIO) -> None:
    """Answer requests until their end."""
    actions: dict[str, Callable[..., Any]] = {
        name: getattr(worker, name)
        for name in """
        hello address prepare restart run rest calls memory backend finish
        """.split()
    }
    for line in requests:
        request = json.loads(line)
        try:
            answer = {"value": actions[request.pop("do")](**request)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main() -> None:
    """Serve the pipe; whatever prints goes to standard error instead of into the answers."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker(sys.argv[1])
    try:
        serve(worker, sys.stdin, answers)
    finally:
        worker.close()


if __name__ == "__main__":
    main()
