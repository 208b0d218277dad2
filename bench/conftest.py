"""Options, fixtures and the closing table of the benchmarks.

    pytest bench --benchmark-only                          all of them, in less than ten minutes
    pytest bench --benchmark-only -k one_row               a part of them
    pytest bench --benchmark-only --pgflight-report=docs     writes docs/benchmarks.{json,md,svg},
                                                           docs/waits.svg, README.md's figures
    pytest bench --benchmark-disable                       only whether they run and agree

`PGFLIGHT_BENCH_GATES` names another file of gates. `PGFLIGHT_BENCH_SLACK=0.9` multiplies the floors
of time for a machine that is shared with others; the ceilings of memory and calls stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bench import gates
from bench.arena import Arena
from bench.catalogue import BENCHMARKS
from bench.report import Report
from tests.fixtures.impl import impl as impl

_GATES = pytest.StashKey[Mapping[str, list[gates.Gate]]]()
_REPORT = pytest.StashKey[Report]()
_OPTION = "--pgflight-report"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names the directory of the report."""
    parser.getgroup("pgflight").addoption(
        _OPTION,
        metavar="DIR",
        type=Path,
        help="write benchmarks.json, benchmarks.md and benchmarks.svg into DIR",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Read the gates before anything is measured; what is wrong with them ends the run."""
    try:
        config.stash[_GATES] = gates.load(BENCHMARKS)
        config.stash[_REPORT] = Report(gates.slack())
    except gates.GateError as error:
        raise pytest.UsageError(str(error)) from error
    if config.getoption(_OPTION) is not None:
        try:
            import matplotlib  # noqa: F401
        except ImportError as error:
            raise pytest.UsageError(f"{_OPTION} draws with matplotlib: {error}") from error


@pytest.fixture(scope="session")
def arena(pytestconfig: pytest.Config) -> Iterator[Arena]:
    """Where the peers compete: their processes and the server, each started when first needed."""
    made = Arena(pytestconfig.stash[_GATES], pytestconfig.stash[_REPORT])
    try:
        yield made
    finally:
        made.close()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print a line for each gate, and write the report where one was asked for."""
    report = config.stash[_REPORT]
    if not report.entries:
        return
    terminalreporter.section("gates")
    for line in report.lines():
        terminalreporter.write_line(line)
    directory = config.getoption(_OPTION)
    if directory is not None:
        from bench import page, plots, readme, waits

        document = report.document()
        terminalreporter.write_line(f"written: {report.write(directory, document)}")
        terminalreporter.write_line(f"written: {page.write(directory, document)}")
        if plots.panels(document):
            terminalreporter.write_line(f"written: {plots.write(directory, document)}")
        else:
            terminalreporter.write_line(
                "no picture: nothing was compared with the built-in dialect"
            )
        if waits.counted(document):
            terminalreporter.write_line(f"written: {waits.write(directory, document)}")
        if directory.resolve() == readme.FILE.parent / "docs":
            terminalreporter.write_line(f"written: {readme.write(readme.FILE, document)}")
