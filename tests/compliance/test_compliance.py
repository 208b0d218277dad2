"""SQLAlchemy's own PostgreSQL tests cannot tell ours from the built-in dialect.

The runs selected are started together, as many at a time as there are processors, each on a
server of its own. `PGFLIGHT_COMPLIANCE_CACHE` names a directory that keeps SQLAlchemy's sources and
the outcomes of the built-in dialect, which do not change with ours; without it, both run.
"""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.compliance.cache import FEWEST_TESTS, Cache
from tests.compliance.compare import compare, read_allowed
from tests.compliance.outcomes import PIPELINE_VARIABLE
from tests.compliance.run import HERE, SuiteRun, run_builtin, run_suite
from tests.compliance.sources import sqlalchemy_sources

# What is set for each run of ours; "auto" would hide that the compiled form is not there.
MODES = {
    "compiled": {"PGFLIGHT_IMPL": "compiled", "PGFLIGHT_DRIVER": "private"},
    "python": {"PGFLIGHT_IMPL": "python", "PGFLIGHT_DRIVER": "private"},
    "public": {"PGFLIGHT_IMPL": "compiled", "PGFLIGHT_DRIVER": "public"},
    "unpiped": {
        "PGFLIGHT_IMPL": "compiled",
        "PGFLIGHT_DRIVER": "private",
        PIPELINE_VARIABLE: "off",
    },
}

Runs = dict[str, Future[SuiteRun]]


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> Iterator[Runs]:
    """The built-in dialect's run and those of the selected modes, under way."""
    cache = Cache.asked_for()
    sources = sqlalchemy_sources(_kept(request.config, cache))
    selected = {item.name for item in request.session.items}
    modes = [mode for mode in MODES if any(name.endswith(f"[{mode}]") for name in selected)]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        started = {"builtin": pool.submit(run_builtin, sources, cache)}
        for mode in modes:
            started[mode] = pool.submit(run_suite, "pgflight", sources, environment=MODES[mode])
        yield started
        pool.shutdown(cancel_futures=True)


def _kept(config: pytest.Config, cache: Cache | None) -> Path:
    if cache is not None:
        return cache.directory
    assert config.cache is not None
    return Path(config.cache.mkdir("sqlalchemy-sources"))


@pytest.mark.parametrize("mode", MODES)
def test_the_suite_cannot_tell_ours_from_the_builtin_dialect(mode: str, runs: Runs) -> None:
    # A run takes minutes, which the time-out for hanging tests would report as a hang.
    faulthandler.cancel_dump_traceback_later()
    builtin = runs["builtin"].result()
    ours = runs[mode].result()
    print(f"built-in dialect: {builtin}\nours, {mode}: {ours}")
    assert (builtin.implementation, builtin.level) == (None, None)
    wanted = MODES[mode]
    assert (ours.implementation, ours.level) == (wanted["PGFLIGHT_IMPL"], wanted["PGFLIGHT_DRIVER"])
    assert len(builtin.outcomes) >= FEWEST_TESTS
    allowed = read_allowed(HERE / "expected.toml", wanted["PGFLIGHT_DRIVER"])
    differences = compare(builtin.outcomes, ours.outcomes, allowed)
    print(differences)
    assert differences.acceptable, str(differences)
