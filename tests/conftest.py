"""Plugins and markers, nothing else: every fixture lives in `tests/fixtures`, one concern each."""

from __future__ import annotations

from pathlib import Path

import pytest

# The assertions of the modules that pytest rewrites hold under `python -O`. By itself it rewrites
# test modules alone: what a helper's `assert await ...` asks would not even be sent.
_HELPERS = (
    "adversity",
    "compliance",
    "differential",
    "fixtures",
    "leaks",
    "packaging",
    "parity",
    "selftest",
    "unit",
)
pytest.register_assert_rewrite(*(f"tests.{directory}" for directory in _HELPERS))

pytest_plugins = [
    "tests.fixtures.examples",
    "tests.fixtures.impl",
    "tests.fixtures.signals",
    "tests.fixtures.tasks",
    "tests.fixtures.gc",
    "tests.fixtures.selection",
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
_OWN_BOUND = ("slow", "leak")
_LONGEST_SECONDS = 4000  # a run of SQLAlchemy's suite has an hour


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark `db` what reaches the server fixture, and the rest by the directory it stands in."""
    here = Path(__file__).parent
    for item in items:
        if "server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.db)
        directory = item.path.relative_to(here).parts[0]
        if directory in _DIRECTORY_MARKERS:
            item.add_marker(getattr(pytest.mark, _DIRECTORY_MARKERS[directory]))
        # These bound what they start themselves, by more than what ends any other test.
        if any(item.get_closest_marker(name) for name in _OWN_BOUND):
            item.add_marker(pytest.mark.timeout(_LONGEST_SECONDS))
