"""Plugins and markers, nothing else: every fixture lives in `tests/fixtures`, one concern each."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = [
    "tests.fixtures.impl",
    "tests.fixtures.signals",
    "tests.fixtures.tasks",
    "tests.fixtures.gc",
    "tests.fixtures.server",
    "tests.fixtures.proxy",
    "tests.fixtures.sabotage",
    "tests.fixtures.standby",
    "tests.fixtures.pgbouncer",
    "tests.fixtures.statements",
    "tests.fixtures.messages",
    "tests.fixtures.waits",
    "tests.fixtures.engines",
    "tests.fixtures.outcome",
]

_DIRECTORY_MARKERS = {
    "adversity": "adversity",
    "compliance": "slow",
    "leaks": "leak",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark `db` what reaches the server fixture, and the rest by the directory it stands in."""
    here = Path(__file__).parent
    for item in items:
        if "server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.db)
        directory = item.path.relative_to(here).parts[0]
        if directory in _DIRECTORY_MARKERS:
            item.add_marker(getattr(pytest.mark, _DIRECTORY_MARKERS[directory]))
