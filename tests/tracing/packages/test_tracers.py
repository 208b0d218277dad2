"""The spans of real tracers: the same on both dialects, unit by unit.

Each observation is a process of its own, in the environment of `PGFLIGHT_TRACING_PYTHON`.
"""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.server import Server

ROOT = Path(__file__).parents[3]
SECONDS = 120

CASES = [
    ("opentelemetry_asyncpg", "before"),
    ("opentelemetry_asyncpg", "after"),
    ("opentelemetry_asyncpg", "removed"),
    ("sentry", "before"),
    ("sentry", "after"),
    ("ddtrace", "before"),
    ("ddtrace", "after"),
    ("ddtrace", "removed"),
    ("elastic", "before"),
    ("elastic", "after"),
    ("elastic", "removed"),
    ("newrelic", "before"),
]
"""New Relic puts an object around the protocol of new connections: later, it sees nothing."""

MADE_BY = {
    "opentelemetry_asyncpg": "opentelemetry.instrumentation.asyncpg",
    "sentry": "sentry_sdk.integrations.asyncpg",
    "ddtrace": "ddtrace.contrib.internal.",
    "elastic": "elasticapm.instrumentation.packages.",
    "newrelic": "newrelic.hooks.database_asyncpg",
}
LEAST = {"opentelemetry_asyncpg": 150, "sentry": 100, "ddtrace": 150, "elastic": 130}
LEAST |= {"newrelic": 150, "opentelemetry_sqlalchemy": 60}
"""How many spans the built-in dialect leaves at least: a tracer that is off proves nothing."""

OFF = "?in_array_threshold=none&array_insert=off"


@cache
def observed(url: str, tracer: str, driver: str, when: str, *variables: tuple[str, str]) -> Any:
    """Return what a tracer saw of each unit, and what our engine said."""
    done = subprocess.run(
        [
            os.environ["PGFLIGHT_TRACING_PYTHON"],
            "-m",
            "tests.tracing.packages.observe",
            *(tracer, driver, when),
        ],
        cwd=ROOT,
        env={**os.environ, "PGFLIGHT_TRACED_URL": url, **dict(variables)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def compared(server: Server, tracer: str, when: str, *variables: tuple[str, str]) -> Any:
    """Compare the spans of each unit; return them, and what our engine said."""
    url = server.url("x").render_as_string(hide_password=False).partition("://")[2]
    expected = observed(url, tracer, "asyncpg", when)["units"]
    ours = observed(url, tracer, "pgflight", when, *variables)
    assert when == "removed" or sum(map(len, expected.values())) >= LEAST[tracer]
    return expected, ours["units"], ours["told"]


@pytest.mark.parametrize(("tracer", "when"), CASES)
def test_spans_are_those_of_the_builtin_dialect(server: Server, tracer: str, when: str) -> None:
    expected, found, told = compared(server, tracer, when)
    for unit in expected:
        assert found[unit] == expected[unit], unit
    if when == "removed":
        assert told["deferred"] > 3
        assert "watched" not in told["implementation"]
        return
    by = MADE_BY[tracer]
    assert f"asyncpg is watched by {by}" in told["implementation"]
    for shortcut in ("BEGIN with the first statement", "a stream's first rows", "a long IN list"):
        assert any(each.startswith(shortcut) and by in each for each in told["watched"])
    assert any(f"is watched: {by}" in each for each in told["fallbacks"])


@pytest.mark.parametrize("tracer", ["opentelemetry_asyncpg", "ddtrace"])
@pytest.mark.parametrize(
    "variable", [("PGFLIGHT_IMPL", "python"), ("PGFLIGHT_DRIVER", "public")], ids=lambda v: v[1]
)
def test_spans_are_the_same_in_each_form(
    server: Server, tracer: str, variable: tuple[str, str]
) -> None:
    expected, found, _ = compared(server, tracer, "before", variable)
    assert found == expected


def is_array(text: str) -> bool:
    """Tell whether a text has one of the arrays that SQLAlchemy's events show, too."""
    return "unnest(" in text or " = ANY (" in text


@pytest.mark.parametrize("when", ["before", "after"])
def test_spans_of_sqlalchemy_differ_only_where_arrays_are_documented(
    server: Server, when: str
) -> None:
    tracer = "opentelemetry_sqlalchemy"
    expected, found, told = compared(server, tracer, when)
    assert told["watched"] == {}  # it hooks into engines: nothing of asyncpg is replaced
    arrays = 0
    for unit in expected:
        assert len(found[unit]) == len(expected[unit]), unit
        for one, other in zip(found[unit], expected[unit]):
            if is_array(one[1]):
                arrays += 1
                one, other = [*one[:1], *one[2:]], [*other[:1], *other[2:]]
            assert one == other, unit
    assert arrays
    expected, found, _ = compared(server, tracer, when, ("PGFLIGHT_TRACED_OPTIONS", OFF))
    assert found == expected
