"""A pytest plugin for SQLAlchemy's suite: write one line of JSON per test.

`run.py` loads it by name, from this directory, into a pytest of SQLAlchemy's own. It uses pytest
and SQLAlchemy only, and pgflight where the run has it already.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, Any

import pytest

FILE_VARIABLE = "PGFLIGHT_COMPLIANCE_FILE"
EXTENSIONS_VARIABLE = "PGFLIGHT_COMPLIANCE_EXTENSIONS"
PIPELINE_VARIABLE = "PGFLIGHT_COMPLIANCE_PIPELINE"
"""Not an option of the URL: some of SQLAlchemy's tests hand those to asyncpg itself."""


def choose_pipeline(mode: str) -> None:
    """Make `mode` the default of every connection."""
    from pgflight.dbapi.connection import AsyncAdapt_asyncpg_connection as adapted

    make: Any = adapted.__init__

    def init(self: Any, *args: Any, **arguments: Any) -> None:
        make(self, *args, **arguments)
        self.session.use_options(replace(self.session.options, pipeline=mode))

    adapted.__init__ = init  # type: ignore[method-assign]


class Recorder:
    """Collects the reports of one session, in the process that controls it."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the report unless it says nothing: a set-up or a tear-down that passed."""
        if report.when == "call" or not report.passed:
            self.write(
                id=report.nodeid,
                when=report.when,
                outcome="xfailed" if hasattr(report, "wasxfail") else report.outcome,
                text=report.longreprtext if report.failed else str(report.longrepr or ""),
            )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Write what could not be collected."""
        if report.failed:
            self.write(id=report.nodeid, when="collect", outcome="failed", text=report.longreprtext)

    def write(self, **line: Any) -> None:
        """Append one line."""
        print(json.dumps(line), file=self._file, flush=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> Iterator[None]:
    """Start to record; tell which dialect serves before SQLAlchemy's suite connects."""
    from sqlalchemy.dialects.postgresql import provision
    from sqlalchemy.engine import make_url

    if os.environ.get(PIPELINE_VARIABLE):
        choose_pipeline(os.environ[PIPELINE_VARIABLE])
    # The suite insists on these extensions; without them it can still run the rest.
    there = os.environ[EXTENSIONS_VARIABLE].split(",")
    extensions: Any = provision.__dict__["_extensions"]
    extensions[:] = [extension for extension in extensions if extension[0] in there]
    if not hasattr(session.config, "workerinput"):
        recorder = Recorder(open(os.environ[FILE_VARIABLE], "w"))
        session.config.pluginmanager.register(recorder)
        serving = make_url("postgresql+asyncpg://").get_dialect().__module__
        # Not imported here: a run of the built-in dialect must not load ours.
        pgflight, driver = sys.modules.get("pgflight"), sys.modules.get("pgflight.driver")
        recorder.write(
            dialect=serving,
            implementation=pgflight.implementation().name if pgflight else None,
            level=driver.capabilities().level if driver else None,
        )
    yield
