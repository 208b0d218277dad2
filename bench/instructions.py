"""Counts the client's instructions of one iteration under valgrind: slow, but free of noise.

    python -m bench.instructions one_row rows_simple

Not a part of `pytest bench`: it needs valgrind, and some minutes. For comparing two versions of the
code on a machine that is too busy for times. The kernel's share is not in the figures.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.arena import tables
from bench.catalogue import BENCHMARKS, FORMS
from bench.peers.process import PeerProcess
from tests.fixtures.server import running_server

_TOOLS = ("valgrind", "callgrind_control")


class Counter:
    """A worker under callgrind, whose instructions are counted only while it is asked to run."""

    def __init__(self, peer: str, directory: Path) -> None:
        self._files = directory / peer
        self.peer = PeerProcess(
            peer,
            "valgrind",
            "--tool=callgrind",
            "--instr-atstart=no",
            "--quiet",
            f"--callgrind-out-file={self._files}",
        )
        self._dumps = 0

    def count(self, workload: str, iterations: int) -> float:
        """Return the instructions of one iteration, without those of asking for it."""
        if not self._dumps:  # switching it off again would lose the counts
            self._control("--instr=on")
        once, more = (self._dump(workload, count) for count in (1, 1 + iterations))
        return (more - once) / iterations

    def _dump(self, workload: str, count: int) -> int:
        self.peer.ask("restart", workload=workload)
        self._control("--zero")
        self.peer.ask("run", workload=workload, count=count)
        self._control("--dump")
        self._dumps += 1
        text = Path(f"{self._files}.{self._dumps}").read_text(errors="replace")
        found = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
        if found is None:
            raise RuntimeError(f"callgrind has written no totals for {workload}")
        return int(found[1])

    def _control(self, action: str) -> None:
        command = ["callgrind_control", action, str(self.peer.pid)]
        subprocess.run(command, check=True, capture_output=True)


def measure(names: list[str], iterations: int) -> Iterator[str]:
    """Yield a line for each benchmark: instructions of the three forms, and ratios."""
    yield f"{'benchmark':20} {'peer':10} {'kIr':>10} {'builtin / this':>15}"
    with tempfile.TemporaryDirectory() as directory, running_server() as server:
        with tables(server) as (url, schema):
            figures: dict[str, dict[str, float]] = {name: {} for name in names}
            for peer in FORMS:
                counter = Counter(peer, Path(directory))
                with counter.peer:
                    counter.peer.introduce(url, schema)
                    for name in names:
                        workload = BENCHMARKS[name].lanes[0].workload
                        counter.peer.ask("prepare", workload=workload)
                        figures[name][peer] = counter.count(workload, iterations)
    for name, counted in figures.items():
        for peer, instructions in counted.items():
            ratio = counted[FORMS[0]] / instructions
            yield f"{name:20} {peer:10} {instructions / 1000:10,.1f} {ratio:15.2f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [
        name
        for name, each in BENCHMARKS.items()
        if each.kind == "time" and each.trip is None and name != "caching"
    ]
    parser.add_argument("names", nargs="+", choices=known, metavar="BENCHMARK")
    parser.add_argument("--iterations", type=int, default=20)
    options = parser.parse_args()
    for tool in _TOOLS:
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is missing: install valgrind")
    for line in measure(options.names, options.iterations):
        print(line)


if __name__ == "__main__":
    main()
