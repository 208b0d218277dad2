"""What is measured: every benchmark, the peers that run it, and what is compared with what.

bench/gates.toml sets the bound of each comparison; bench/arena.py runs them; the workloads
themselves stand in bench/e2e, and only the workers import those.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

Kind = Literal["time", "memory", "backend", "calls", "waits", "bursts"]

BUILTIN = "builtin"
COMPILED = "compiled"
PYTHON = "python"
PSYCOPG = "psycopg"
ASYNCPG = "asyncpg"
SQLALCHEMY = (BUILTIN, COMPILED, PYTHON, PSYCOPG)
EVERY = (*SQLALCHEMY, ASYNCPG)
FORMS = (BUILTIN, COMPILED, PYTHON)
UNIT = "unit of work"
# Much longer than it takes to ask for a count: what nobody waits for is not answered by then.
WAITING_TRIP = 0.01
SHORT_TRIP = 0.002


class Lane(NamedTuple):
    """One competitor: the label of its figures, the peer that runs it and what that peer runs."""

    label: str
    peer: str
    workload: str


class Comparison(NamedTuple):
    """Two labels: `ours` is to be better than `reference`. `name` is its key in gates.toml."""

    name: str
    reference: str
    ours: str


@dataclass(frozen=True)
class Benchmark:
    """Lanes that are measured in turns, and the comparisons that are gated.

    `rounds` is the number of turns of each lane; `unit` is what one iteration does; `trip` is how
    many seconds a round trip takes, None on the shortest way to the server; `batch` is how many
    seconds one turn is to take.
    """

    name: str
    title: str
    kind: Kind
    lanes: tuple[Lane, ...]
    comparisons: tuple[Comparison, ...]
    rounds: int = 15
    unit: str = "statement"
    trip: float | None = None
    batch: float = 0.03


_STANDARD = (
    Comparison("compiled", BUILTIN, COMPILED),
    Comparison("python", BUILTIN, PYTHON),
    Comparison("psycopg", PSYCOPG, COMPILED),
)


def _benchmark(
    name: str,
    title: str,
    *,
    kind: Kind = "time",
    workload: str = "",
    peers: tuple[str, ...] = EVERY,
    rounds: int = 15,
    unit: str = "statement",
) -> Benchmark:
    lanes = tuple(Lane(peer, peer, workload or name) for peer in peers)
    known = tuple(c for c in _STANDARD if {c.reference, c.ours} <= set(peers))
    return Benchmark(name, title, kind, lanes, known, rounds, unit)


def _unit(
    name: str,
    title: str,
    *,
    workload: str = "",
    kind: Kind = "time",
    peers: tuple[str, ...] = EVERY,
    trip: float | None = None,
    batch: float = 0.03,
    against_asyncpg: bool = False,
) -> Benchmark:
    """Describe a unit of work, from the pool and back; what counts is what the program waits."""
    made = _benchmark(
        name,
        title,
        kind=kind,
        workload=workload,
        peers=peers,
        rounds=15 if kind == "time" else 1,
        unit=UNIT,
    )
    compared = made.comparisons
    if kind != "time":
        compared = tuple(each for each in compared if each.reference == BUILTIN)
    if against_asyncpg:
        compared += (Comparison("asyncpg", ASYNCPG, COMPILED),)
    return replace(made, comparisons=compared, trip=trip, batch=batch)


def _counted() -> Iterator[Benchmark]:
    """Yield, for each unit of work, its waits and its bursts: numbers without noise."""
    for name, title, peers in (
        ("read", "connect, SELECT, close", EVERY),
        ("insert", "begin, INSERT … RETURNING, commit", EVERY),
        ("get", "AsyncSession.get, close", SQLALCHEMY),
        ("readonly", "begin, SELECT, commit, READ ONLY", EVERY),
        ("modify", "get, modify, commit", SQLALCHEMY),
        ("ping", "connect, SELECT, close, pool_pre_ping", SQLALCHEMY),
        ("fresh", "connect, a SELECT never seen before, close", EVERY),
        ("cold", "new connection, SELECT, close", EVERY),
        ("stream", "server-side cursor over 1,000 rows", EVERY),
    ):
        work = f"unit_{name}"
        yield _unit(
            f"waits_{name}",
            title,
            kind="waits",
            workload=work,
            peers=peers,
            trip=WAITING_TRIP,
        )
        yield _unit(
            f"bursts_{name}", title, kind="bursts", workload=work, peers=peers, trip=SHORT_TRIP
        )


def _bulk() -> Iterator[Benchmark]:
    """Yield the writes of many rows: INSERT, with sizes that repeat or vary, and COPY."""
    for name, title, peers, batch in (
        ("bulk_insert", "INSERT of 1,000 rows", SQLALCHEMY, 0.06),
        ("bulk_returning", "INSERT of 1,000 rows RETURNING", SQLALCHEMY, 0.06),
        ("bulk_sorted", "INSERT of 2 to 1,000 rows RETURNING, sorted", FORMS, 0.15),
        ("bulk_do_nothing", "INSERT of 1,000 rows ON CONFLICT DO NOTHING", FORMS, 0.06),
        ("bulk_do_update", "INSERT of 1,000 rows ON CONFLICT DO UPDATE RETURNING", FORMS, 0.06),
        ("bulk_orm", "ORM, INSERT of 1,000 dictionaries", FORMS, 0.06),
        ("bulk_flush", "ORM, add_all and flush of 2 to 1,000 objects", FORMS, 0.15),
        ("bulk_update", "UPDATE of 1,000 rows by key, array_dml", FORMS, 0.06),
        ("bulk_delete", "DELETE of 1,000 rows by key, array_dml", FORMS, 0.06),
        ("few_insert", "INSERT of 2 to 10 rows", FORMS, 0.03),
        ("few_returning", "INSERT of 2 to 10 rows RETURNING", FORMS, 0.03),
        ("few_sorted", "INSERT of 2 to 10 rows RETURNING, sorted", FORMS, 0.03),
        ("few_flush", "ORM, add_all and flush of 2 to 10 objects", FORMS, 0.03),
    ):
        few = name.startswith("few_")
        made = _benchmark(name, title, peers=peers, rounds=25 if few else 15)
        yield replace(made, batch=batch)
    copied = "copy_100000"
    lanes = (
        Lane(BUILTIN, BUILTIN, "insert_100000"),
        *(Lane(peer, peer, copied) for peer in (COMPILED, PYTHON, ASYNCPG)),
    )
    title = "100,000 rows by COPY, against INSERT"
    yield Benchmark(copied, title, "time", lanes, _STANDARD[:2], rounds=3)


def _stream() -> Benchmark:
    """Compare `pgflight.stream` with the rows of the built-in dialect's `stream()`, one by one."""
    ahead, partitions = "stream_ahead", f"{COMPILED} partitions"
    lanes = (
        Lane(BUILTIN, BUILTIN, "stream_rowwise"),
        *(Lane(peer, peer, ahead) for peer in (COMPILED, PYTHON, ASYNCPG)),
        Lane(partitions, COMPILED, "stream_partitions"),
    )
    comparisons = (
        *_STANDARD[:2],
        Comparison(ASYNCPG, ASYNCPG, COMPILED),
        Comparison("partitions", partitions, COMPILED),
    )
    title = "20,000 rows by pgflight.stream, against stream()"
    return Benchmark(ahead, title, "time", lanes, comparisons, rounds=9)


def _caching() -> Benchmark:
    """Compare the statement cache, 100 entries against none, for each form and driver level."""
    lanes, comparisons = [], []
    for peer in (COMPILED, PYTHON, "compiled_public", "python_public"):
        cold, warm = f"{peer} without cache", f"{peer} with cache"
        lanes += [Lane(cold, peer, "one_row_uncached"), Lane(warm, peer, "one_row")]
        comparisons.append(Comparison(peer, cold, warm))
    title = "one-row SELECT, prepared_statement_cache_size 100 against 0"
    return Benchmark("caching", title, "time", tuple(lanes), tuple(comparisons))


_ALL = (
    _benchmark("one_row", "one-row SELECT on an open connection"),
    _benchmark("rows_simple", "1,000 rows int / text / float"),
    _benchmark("rows_timestamptz", "1,000 rows timestamptz"),
    _benchmark("rows_uuid", "1,000 rows uuid"),
    _benchmark("rows_jsonb", "1,000 rows small jsonb"),
    _benchmark("rows_mixed", "1,000 rows, seven mixed columns"),
    _benchmark("scalars", "1,000 rows, .scalars().all()"),
    _benchmark("mappings", "1,000 rows, .mappings().all()"),
    _benchmark("iteration", "1,000 rows, for row in result"),
    _benchmark("big_simple", "100,000 rows, four plain columns", rounds=5),
    _benchmark("big_no_json", "100,000 rows, six columns without JSON", rounds=5),
    _benchmark("big_json", "100,000 rows, seven columns with JSON", rounds=5),
    _benchmark("orm_entities", "ORM, 1,000 entities with jsonb", peers=SQLALCHEMY),
    _benchmark("executemany", "executemany of 1,000 dictionaries"),
    _benchmark("insertmanyvalues", "insertmanyvalues, 1,000 RETURNING"),
    *(
        _benchmark(
            f"in_{number}",
            f"IN list of about {number:,} keys, lengths vary",
            peers=FORMS,
            rounds=15 if number < 1_000 else 9,
        )
        for number in (2, 100, 1_000, 10_000)
    ),
    *_bulk(),
    _stream(),
    replace(
        _benchmark("stream_rowwise", "20,000 rows by stream(), one by one", peers=FORMS, rounds=9),
        batch=0.1,
    ),
    _caching(),
    _unit("unit_read", "connect + SELECT + close"),
    _unit(
        "unit_read_tasks",
        "connect + SELECT + close, 20 tasks on a pool of 10",
        workload="unit_read_pool10",
        batch=0.1,
    ),
    _unit(
        "unit_read_2ms",
        "connect + SELECT + close, round trip 2 ms",
        workload="unit_read_think3",
        trip=0.002,
        batch=0.06,
        against_asyncpg=True,
    ),
    _unit(
        "unit_read_1ms_tasks",
        "connect + SELECT + close, round trip 1 ms, 20 tasks on a pool of 5",
        workload="unit_read_pool5",
        trip=0.001,
        batch=0.15,
        against_asyncpg=True,
    ),
    _unit("unit_insert", "begin + INSERT + commit"),
    _unit(
        "unit_insert_2ms",
        "begin + INSERT + commit, round trip 2 ms",
        workload="unit_insert_think3",
        trip=0.002,
        batch=0.06,
    ),
    _unit("unit_get", "AsyncSession.get + close", peers=SQLALCHEMY),
    _unit(
        "unit_get_2ms",
        "AsyncSession.get + close, round trip 2 ms",
        workload="unit_get_think3",
        peers=SQLALCHEMY,
        trip=0.002,
        batch=0.06,
    ),
    _unit("unit_modify", "get, modify, commit", peers=SQLALCHEMY),
    _unit("unit_cold", "new connection + SELECT + close, NullPool", peers=SQLALCHEMY, batch=0.1),
    _unit(
        "unit_cold_2ms",
        "new connection + SELECT + close, NullPool, round trip 2 ms",
        workload="unit_cold_think3",
        peers=SQLALCHEMY,
        trip=0.002,
        batch=0.1,
    ),
    *_counted(),
    *(
        _benchmark(
            f"json_{action}_{size}",
            f"JSON {action}, {size}" + (" bytes" if size.isdigit() else ""),
            peers=FORMS,
            unit="document",
        )
        for action, size in (
            ("decode", "43"),
            ("decode", "600"),
            ("decode", "3000"),
            ("encode", "small"),
            ("encode", "medium"),
        )
    ),
    _benchmark(
        "memory",
        "peak memory of a 100,000-row result",
        kind="memory",
        workload="big_simple",
        rounds=3,
        unit="result",
    ),
    _benchmark(
        "insert_memory",
        "peak memory of an INSERT of 200,000 rows",
        kind="memory",
        workload="insert_200000",
        peers=FORMS,
        rounds=1,
    ),
    _benchmark(
        "backend_memory",
        "server memory of a connection after 100 INSERTs of 2 to 1,000 rows",
        kind="backend",
        workload="bulk_kept",
        peers=FORMS,
        rounds=1,
        unit="connection",
    ),
    *(
        _benchmark(
            f"calls_{workload}", title, kind="calls", workload=workload, peers=FORMS, rounds=1
        )
        for workload, title in (
            ("one_row", "function calls, one-row SELECT"),
            ("rows_simple", "function calls, 1,000 rows int / text / float"),
            ("rows_mixed", "function calls, 1,000 rows of seven columns"),
            ("executemany", "function calls, executemany of 1,000"),
        )
    ),
)

BENCHMARKS = {benchmark.name: benchmark for benchmark in _ALL}


def names(kind: Kind, *, micro: bool = False) -> list[str]:
    """Return the names of the benchmarks of a kind, those without a server when `micro`."""
    return [
        name
        for name, benchmark in BENCHMARKS.items()
        if benchmark.kind == kind and name.startswith("json_") == micro
    ]
