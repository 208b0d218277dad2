"""Run SQLAlchemy's PostgreSQL tests once, in a subprocess, on one of the dialects.

`test_compliance.py` calls `run_suite()`. By hand, with arguments for pytest after the dashes:

    python -m tests.compliance.run pgflight -- -k json -x
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.engine import make_url

from tests.compliance.cache import Cache, run_key
from tests.compliance.compare import Outcome
from tests.compliance.outcomes import EXTENSIONS_VARIABLE, FILE_VARIABLE
from tests.compliance.sources import sqlalchemy_sources
from tests.fixtures.server import Server, prepare, running_server

HERE = Path(__file__).parent
SELECTION = (
    *("test/dialect/postgresql", "test/dialect/test_suite.py"),
    *("test/engine/test_reconnect.py", "test/engine/test_transaction.py"),
)
SERVED_BY = {"builtin": "sqlalchemy.dialects.postgresql.asyncpg", "pgflight": "pgflight.dialect"}
_SUITE_SECONDS = 3600
_TAIL_CHARACTERS = 4000


@dataclass
class SuiteRun:
    """The result of one run: outcomes by test id, and how long it took in seconds.

    `implementation` and `level` are the form and the driver level of ours, None for the built-in.
    """

    implementation: str | None
    level: str | None
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    seconds: float = 0.0

    def __str__(self) -> str:
        counts = Counter(outcome.name for outcome in self.outcomes.values())
        parts = [f"{counts[name]} {name}" for name in sorted(counts)]
        return f"{', '.join(parts)} in {self.seconds:.0f} s"


def run_builtin(sources: Path, cache: Cache | None = None) -> SuiteRun:
    """Run the whole suite on the built-in dialect, or return what `cache` has of the same run."""
    if cache is None:
        return run_suite("builtin", sources)
    with fresh_database() as server:
        key = run_key(server, SELECTION)
    found = cache.load(key)
    if found is not None:
        return SuiteRun(None, None, found)
    result = run_suite("builtin", sources)
    cache.store(key, result.outcomes)
    return result


def run_suite(
    dialect: str,
    sources: Path,
    *,
    environment: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
) -> SuiteRun:
    """Run the suite on "builtin" or "pgflight" against a database of its own.

    `environment` is added to ours; `arguments` go to pytest. Raises RuntimeError with the end of
    the output when the session did not come to its end, or another dialect served than asked for.
    """
    began = time.monotonic()
    with fresh_database() as server, tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "outcomes"
        log = Path(scratch) / "log"
        path = [str(HERE), *(str(Path(p).resolve()) for p in sys.path if p)]
        with log.open("w") as output:
            status = subprocess.run(
                [sys.executable, "-s", "-m", "pytest", "-p", "outcomes"]
                + (["-p", "pgflight.auto"] if dialect == "pgflight" else [])
                # Not their limit on failures, and no traces in a directory that may be shared.
                + ["--maxfail=0", "-p", "no:cacheprovider", "-r", "", "-q", "-q"]
                + ["--dburi", server.text(), *(arguments or SELECTION)],
                cwd=sources,
                env={
                    **os.environ,
                    **(environment or {}),
                    "PYTHONPATH": os.pathsep.join(path),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    FILE_VARIABLE: str(file),
                    EXTENSIONS_VARIABLE: ",".join(server.extensions),
                },
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_SUITE_SECONDS,
            ).returncode
        # 0: all passed, 1: some failed; anything else is not a result.
        if status not in (0, 1):
            tail = log.read_text(errors="replace")[-_TAIL_CHARACTERS:]
            raise RuntimeError(f"SQLAlchemy's suite ended with status {status}:\n{tail}")
        return _read(file, dialect, time.monotonic() - began)


@contextmanager
def fresh_database() -> Iterator[Server]:
    """Yield a server with an empty prepared database: of its own, or in PGFLIGHT_TEST_URL."""
    with running_server() as server:
        if server.cluster is not None:
            yield server
            return
        name = f"pgflight_compliance_{os.getpid()}_{time.monotonic_ns()}"
        server.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield prepare(make_url(server.text(database=name)))
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _read(file: Path, dialect: str, seconds: float) -> SuiteRun:
    head, *lines = (json.loads(line) for line in file.read_text().splitlines())
    if head["dialect"] != SERVED_BY[dialect]:
        raise RuntimeError(f"{head['dialect']} served the run that was meant for {dialect}")
    result = SuiteRun(head["implementation"], head["level"], seconds=seconds)
    for line in lines:
        name = line["outcome"]
        if name == "failed" and line["when"] != "call":
            name = "error"
        # An error in tear-down comes after the pass of its test and is what counts.
        result.outcomes[line["id"]] = Outcome(name, line["text"])
    return result


def main() -> int:
    """Run by hand; print what failed, and the counts."""
    parser = argparse.ArgumentParser(description="Run SQLAlchemy's PostgreSQL tests.")
    parser.add_argument("dialect", choices=sorted(SERVED_BY))
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "pgflight-sdist"
    )
    parser.add_argument("arguments", nargs="*", help="for pytest, after --; selects tests as well")
    options = parser.parse_intermixed_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    selected = options.arguments
    if selected and not any(part.startswith("test/") for part in selected):
        selected = [*SELECTION, *selected]
    result = run_suite(options.dialect, sqlalchemy_sources(options.cache), arguments=selected)
    bad = {k: o for k, o in result.outcomes.items() if o.name in ("failed", "error")}
    for test, outcome in bad.items():
        print(f"{outcome.name} {test}\n{outcome.text}\n")
    print("\n".join(f"{outcome.name} {test}" for test, outcome in bad.items()))
    print(result)
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
