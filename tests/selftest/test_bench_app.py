"""`bench.app`: a service that answers alike on each dialect, and whose figures become a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.app import page
from bench.app.__main__ import document
from bench.app.measure import DRIVERS, Cell, cells, run
from bench.app.operations import MIX, OPERATIONS, SHARES
from tests.fixtures.server import Server

pytestmark = pytest.mark.slow


def test_a_short_run(server: Server, tmp_path: Path) -> None:
    wanted = [Cell(MIX, "asyncio", 3, 0.0), Cell("get", "asyncio", 1, 0.0)]
    wanted.append(Cell("get", "asyncio", 2, 0.0, frozen=True))
    wanted.append(Cell("get", "asyncio", 9, 0.0, load=0.3))
    found = run(server, wanted, rounds=1, seconds=0.6)
    assert set(found) == set(wanted)
    for of in found.values():
        assert set(of) == set(DRIVERS)
        for figures in of.values():
            assert len(figures.rounds[0].latencies) > 2
            assert 0 < figures.processor
            assert 0 < figures.latency(50) <= figures.latency(99)
    made = json.loads(json.dumps(document(found, server, 1)))
    written = tmp_path / "page.md"
    written.write_text(f"before\n{page.OPENS}old\n{page.CLOSES}after\n")
    page.write(written, made)
    text = written.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| asyncio, 3 clients | " in text and text.count("| get, asyncio | ") == 2
    assert "| get, asyncio, 30% | " in text
    assert written.with_suffix(".svg").read_text().startswith("<?xml")


def test_without_its_marks_a_page_is_refused(tmp_path: Path) -> None:
    written = tmp_path / "page.md"
    written.write_text("nothing")
    with pytest.raises(ValueError, match="once each"):
        page.write(written, {})


def test_each_operation_is_measured_on_both_loops_and_has_its_share() -> None:
    loops = ("asyncio", "uvloop")
    for frozen in (False, True):
        asked = {(cell.operation, cell.loop) for cell in cells() if cell.frozen == frozen}
        assert asked == {(each, loop) for each in (MIX, *OPERATIONS) for loop in loops}
    assert len(SHARES) == len(OPERATIONS) and sum(SHARES) == 100
