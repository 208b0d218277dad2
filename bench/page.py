"""The page docs/benchmarks.md, written from the document of bench/report.py and from nothing else.

    python -m bench.page docs/benchmarks.json

It opens with its bias and lists what is not won, whatever the figures are.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.catalogue import EVERY, SHORT_TRIP, UNIT
from bench.report import NAME, WAITS_NAME

Document = dict[str, Any]

# Within this much of 1.0 a ratio says nothing.
_NOISE = 0.05

_BIAS = """\
# Benchmarks

**Read this first.** These figures come from the authors of pgflight, and the workloads are the
ones that pgflight was made for: many rows, JSON, many parameters, over an open connection to a
server on the same machine. They are compared by client processor time, because the server's time
would hide the difference; a program that waits for a network or for a slow query will notice much
less of it. What such a program gains is under "Units of work", which are compared by wall time.
`asyncpg by hand` does the same work without SQLAlchemy: it has no compiler, no result objects and
no ORM, and shows what those cost. Measure your own program before you decide anything.
"""

_METHOD = """\
## How it is measured

Each peer is a process of its own, with one open connection unless a row says otherwise. A round
runs one batch of every peer, in a changing order; a batch takes about 30 ms. A ratio compares the
medians of the rounds. Garbage collection is on, after a full collection before each batch. Before
anything is timed, all peers must return the same values. A missed gate is measured once more, with
more rounds of the two peers that it compares, and the second reading counts. Peak memory is the
growth of the resident set in a fresh process while one result is fetched and held, or while the
rows are sent. Function calls are counted by `sys.setprofile`. Server memory is the sum of
`pg_backend_memory_contexts` on a connection that has done nothing else before.

Sizes of statements that vary come from a random sequence, the same one for every peer. Temporary
tables take the rows of INSERT and COPY, and are emptied after each batch.

Round trips longer than the Unix socket's are made by `bench/peers/delay.py`, a process that
forwards each chunk half of that time after it arrived, in both directions. In the rows with a
round trip of 2 ms, a program with a pool of 3 pauses for 3 ms after each unit of work, which is
not in the figures. A wait is an answer that has reached the client by the end of its unit of work;
an answer that nobody waits for is not one. Bursts are counted on the way to the server, over 20
units of work on one connection without a pause.

The rows, the statements and the bounds: `bench/e2e`, `bench/gates.toml`.

```
pytest bench --benchmark-only --pgflight-report=docs
```

writes `benchmarks.json` with every round's figures, and from it this page, the picture and the
figures in the README.
"""


def write(directory: Path, document: Document) -> Path:
    """Write the page of `document` into `directory` and return the file."""
    path = directory / f"{NAME}.md"
    path.write_text(text(document), "utf-8")
    return path


def text(document: Document) -> str:
    """Return the page of `document`."""
    return "\n".join(_sections(document))


def _sections(document: Document) -> Iterator[str]:
    yield _BIAS
    yield f"![{NAME}]({NAME}.svg)\n"
    yield "\n".join(_conditions(document)) + "\n"
    benchmarks = document["benchmarks"]
    yield from _times(benchmarks)
    yield from _units(benchmarks)
    yield from _waits(benchmarks)
    yield from _others(benchmarks)
    yield from _not_won(benchmarks)
    yield from _gates(benchmarks)
    yield _METHOD


def _conditions(document: Document) -> Iterator[str]:
    machine, versions = document["machine"], document["versions"]
    yield "| | |"
    yield "|---|---|"
    yield f"| date | {document['date']}, {document['seconds']} s |"
    yield f"| machine | {machine['cpu']}, {machine['cores']} cores, {machine['system']} |"
    if machine["load_before"] is not None:
        yield f"| load average | {machine['load_before']} before, {machine['load_after']} after |"
    yield f"| versions | {', '.join(f'{name} {value}' for name, value in versions.items())} |"
    yield f"| connection | {document['transport'] or 'none'} |"
    if document["slack"] != 1.0:
        yield f"| slack | floors of time multiplied by {document['slack']:g} |"
    if document["missing"]:
        yield f"| not measured | {', '.join(document['missing'])} |"


def _times(benchmarks: list[Document]) -> Iterator[str]:
    timed = [b for b in _timed(benchmarks) if b["unit"] != UNIT]
    if not timed:
        return
    yield "## Time\n"
    yield (
        "Microseconds per statement or document, client processor time unless it says wall; then"
        " how many times as fast pgflight is (with an asterisk: measured once more, because the"
        " first reading missed its gate).\n"
    )
    yield from _compared(timed)


def _units(benchmarks: list[Document]) -> Iterator[str]:
    timed = [b for b in _timed(benchmarks) if b["unit"] == UNIT]
    if not timed:
        return
    yield "## Units of work\n"
    yield (
        "Microseconds on the wall that a program spends in one unit, from the pool and back; then"
        " how many times as fast pgflight is (asterisk as above).\n"
    )
    yield from _compared(timed)


def _waits(benchmarks: list[Document]) -> Iterator[str]:
    """Yield how often each peer waits in a unit of work, and what one takes at 2 ms."""
    counted = [b for b in benchmarks if b["kind"] == "waits"]
    if not counted:
        return
    bursts = {b["title"]: b["medians"] for b in benchmarks if b["kind"] == "bursts"}
    yield "## Waits\n"
    yield f"![{WAITS_NAME}]({WAITS_NAME}.svg)\n"
    yield (
        "How often a program waits for the server in one unit of work, and how many milliseconds"
        f" that takes when a round trip takes {SHORT_TRIP * 1e3:g}; in brackets, how many bursts of"
        " bytes the client sends for it.\n"
    )
    yield "| unit of work | built-in | compiled | Python | psycopg | asyncpg by hand |"
    yield "|---|---:|---:|---:|---:|---:|"
    for benchmark in counted:
        cells = [benchmark["title"]]
        for peer in EVERY:
            found = benchmark["medians"].get(peer)
            sent = bursts.get(benchmark["title"], {}).get(peer, {}).get("bursts")
            said = "" if sent is None else f" ({sent:.3g})"
            cells.append(f"{found['waits']:g}, {found['wall'] * 1e3:.1f} ms{said}" if found else "")
        yield f"| {' | '.join(cells)} |"
    yield ""


def _timed(benchmarks: list[Document]) -> list[Document]:
    return [b for b in benchmarks if b["kind"] == "time" and "builtin" in b["medians"]]


def _compared(benchmarks: list[Document]) -> Iterator[str]:
    """Yield a table: what each peer takes, and how many times as fast ours are."""
    yield (
        "| workload | built-in | compiled | Python | psycopg | asyncpg by hand"
        " | compiled / built-in | Python / built-in | compiled / psycopg |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for benchmark in benchmarks:
        measure = benchmark["gates"][0]["measure"]
        ratios = {gate["comparison"]: _ratio(gate) for gate in benchmark["gates"]}
        wall = measure == "wall" and benchmark["unit"] != UNIT
        cells = [benchmark["title"] + (", wall" if wall else "")]
        for peer in EVERY:
            seconds = benchmark["medians"].get(peer, {}).get(measure)
            cells.append("" if seconds is None else f"{seconds * 1e6:,.{_digits(seconds)}f}")
        cells += [ratios.get(name, "") for name in ("compiled", "python", "psycopg")]
        yield f"| {' | '.join(cells)} |"
    yield ""


def _others(benchmarks: list[Document]) -> Iterator[str]:
    """Yield what is not a table of peers' times: memory, calls, the statement cache."""
    shown = [*_timed(benchmarks), *(b for b in benchmarks if b["unit"] == UNIT)]
    rest = [b for b in benchmarks if b not in shown]
    if not rest:
        return
    yield "## Memory, function calls, the statement cache\n"
    yield "| | of | figure |"
    yield "|---|---|---:|"
    for benchmark in rest:
        for label, measures in benchmark["medians"].items():
            figures = "; ".join(_figure(measure, value) for measure, value in measures.items())
            yield f"| {benchmark['title']} | {label} | {figures} |"
    yield ""


def _not_won(benchmarks: list[Document]) -> Iterator[str]:
    yield "## Where pgflight does not win\n"
    lines = []
    for benchmark in benchmarks:
        for gate in benchmark["gates"]:
            ratio = gate["ratio"] if "floor" in gate else 1 / gate["ratio"]
            if ratio < 1 + _NOISE:
                state = "behind" if ratio < 1 - _NOISE else "no difference worth the name"
                lines.append(
                    f"- {benchmark['title']}, {gate['ours']} against {gate['reference']}"
                    f" ({gate['measure']}): {ratio:.2f} x, {state}"
                )
        if benchmark["kind"] == "time":
            lines += _behind_raw(benchmark)
    yield "\n".join(lines or ["Nothing in this run: look for the cases that it does not contain."])
    yield ""


def _behind_raw(benchmark: Document) -> Iterator[str]:
    medians = benchmark["medians"]
    if {"asyncpg", "compiled"} <= set(medians):
        measure = benchmark["gates"][0]["measure"] if benchmark["unit"] == UNIT else "cpu"
        ratio = medians["asyncpg"][measure] / medians["compiled"][measure]
        if ratio < 1:
            yield f"- {benchmark['title']}: asyncpg by hand takes {ratio:.2f} of compiled's time"


def _gates(benchmarks: list[Document]) -> Iterator[str]:
    yield "## Gates\n"
    yield "| workload | gate | measure | ratio | bound | aim | |"
    yield "|---|---|---|---:|---:|---:|---|"
    for benchmark in benchmarks:
        for gate in benchmark["gates"]:
            bound = f"≥ {gate['floor']:g}" if "floor" in gate else f"≤ {gate['ceiling']:g}"
            state = "aim reached" if gate["aim_reached"] else "held" if gate["held"] else "missed"
            yield (
                f"| {benchmark['title']} | {gate['comparison']} | {gate['measure']}"
                f" | {gate['ratio']:.2f} | {bound} | {gate['aim']:g} | {state} |"
            )
    yield ""


def _ratio(gate: Document) -> str:
    again = "*" if gate["first"]["ratio"] != gate["ratio"] else ""
    return f"{gate['ratio']:.2f} x{again}"


def _figure(measure: str, value: float) -> str:
    if measure in ("memory", "backend"):
        return f"{value / 1e6:.1f} MB"
    return f"{value:,.0f} calls" if measure == "calls" else f"{value * 1e6:,.1f} µs, {measure}"


def _digits(seconds: float) -> int:
    return 2 if seconds < 1e-5 else 0


if __name__ == "__main__":
    source = Path(sys.argv[1])
    write(source.parent, json.loads(source.read_text("utf-8")))
