"""What is written down about a run of the benchmarks: on invented figures, without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import gates, page, plots, readme
from bench import waits as waits_picture
from bench.catalogue import BENCHMARKS
from bench.gates import Figures
from bench.report import Entry, Report
from bench.verdicts import judge

MICROSECOND = 1e-6


def times(**microseconds: float) -> dict[str, dict[str, list[float]]]:
    """Return three rounds of figures for each lane, wall time twice the processor's."""
    return {
        label: {
            "cpu": [value * MICROSECOND * factor for factor in (0.9, 1.0, 1.3)],
            "wall": [value * MICROSECOND * factor * 2 for factor in (0.9, 1.0, 1.3)],
        }
        for label, value in microseconds.items()
    }


def document(name: str, first: Figures, again: Figures | None = None) -> dict[str, Any]:
    """Return the report of a run of one benchmark."""
    entry = Entry(BENCHMARKS[name], figures=first)

    def repeat(labels: object) -> Figures:
        assert again is not None, "a gate was missed, and the test did not mean it to be"
        entry.repeated = again
        return again

    entry.verdicts = judge(gates.load(BENCHMARKS, gates.FILE)[name], first, repeat)
    report = Report(slack=1.0)
    report.versions["sqlalchemy"] = "2.9"
    report.add(entry)
    # As the page and the picture get it: out of the file.
    made: dict[str, Any] = json.loads(json.dumps(report.document()))
    return made


def test_the_document_keeps_every_round_and_both_verdicts() -> None:
    first = times(builtin=100, compiled=95, python=90, psycopg=200, asyncpg=30)
    written = document("one_row", first, times(builtin=120, compiled=60))
    (one_row,) = written["benchmarks"]
    assert one_row["figures"]["builtin"]["cpu"] == pytest.approx([90e-6, 100e-6, 130e-6])
    assert one_row["repeated"]["compiled"]["cpu"][1] == pytest.approx(60e-6)
    # Times stand beside each other only where they were measured beside each other.
    assert one_row["medians"]["compiled"]["cpu"] == pytest.approx(95e-6)
    gate = one_row["gates"][0]
    assert (gate["comparison"], gate["floor"], gate["aim"]) == ("compiled", 1.3, 1.45)
    assert gate["held"] and gate["aim_reached"]
    assert gate["ratio"] == pytest.approx(2.0)
    assert gate["first"]["ratio"] == pytest.approx(100 / 95, rel=1e-4)
    assert written["versions"]["sqlalchemy"] == "2.9"
    assert written["machine"]["cpu"] and written["date"]
    assert "rows_uuid" in written["missing"] and "one_row" not in written["missing"]


def test_the_page_opens_with_its_bias_and_shows_what_is_lost(tmp_path: Path) -> None:
    first = times(builtin=100, compiled=50, python=99, psycopg=200, asyncpg=30)
    text = page.write(tmp_path, document("one_row", first)).read_text("utf-8")
    assert text.startswith("# Benchmarks\n\n**Read this first.**")
    cells = "| 100 | 50 | 99 | 200 | 30 | 2.00 x | 1.01 x | 4.00 x |"
    assert f"| one-row SELECT on an open connection {cells}" in text
    lost = text[text.index("## Where pgflight does not win") : text.index("## Gates")]
    assert "python against builtin (cpu): 1.01 x, no difference worth the name" in lost
    assert "asyncpg by hand takes 0.60 of compiled's time" in lost
    assert "compiled against" not in lost
    assert "not measured" in text


def test_memory_is_judged_and_shown_in_megabytes(tmp_path: Path) -> None:
    sizes = {"builtin": 40e6, "compiled": 30e6, "python": 41e6, "psycopg": 42e6, "asyncpg": 27e6}
    figures = {label: {"memory": [size] * 3} for label, size in sizes.items()}
    text = page.write(tmp_path, document("memory", figures)).read_text("utf-8")
    assert "| compiled | 30.0 MB |" in text
    assert "| compiled | memory | 0.75 | ≤ 0.85 | 0.75 | aim reached |" in text
    assert "python against builtin (memory): 0.98 x, no difference worth the name" in text


def test_memory_without_psycopg_and_of_the_server_are_told_in_the_readme() -> None:
    sizes = {"builtin": 80e6, "compiled": 40e6, "python": 41e6}
    figures = {label: {"memory": [size]} for label, size in sizes.items()}
    made = document("insert_memory", figures)
    said = "Peak memory of an INSERT of 200,000 rows: 0.50 of the built-in dialect's."
    assert said in readme.block(made).splitlines()
    sizes = {"builtin": 252e6, "compiled": 2.5e6, "python": 2.5e6}
    made = document("backend_memory", {label: {"backend": [n]} for label, n in sizes.items()})
    said = "of 2 to 1,000 rows: 2.5 MB, with the built-in dialect 252.0 MB.\n"
    assert said in readme.block(made)
    text = page.text(made)
    assert "| builtin | 252.0 MB |" in text
    assert "| compiled | backend | 0.01 | ≤ 0.02 | 0.012 | aim reached |" in text


@pytest.mark.parametrize("suffix, start", [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_the_picture_is_drawn_from_the_document_alone(
    suffix: str, start: bytes, tmp_path: Path
) -> None:
    made = document("one_row", times(builtin=100, compiled=50, python=99, psycopg=200, asyncpg=30))
    files = [tmp_path / f"{number}.{suffix}" for number in range(2)]
    for file in files:
        plots.draw(made, file)
    first, second = (file.read_bytes() for file in files)
    assert first.startswith(start)
    assert first == second
    if suffix == "svg":
        assert b">2.00<" in first and b"one-row SELECT" in first and b"psycopg" in first


def test_a_picture_of_nothing_is_an_error(tmp_path: Path) -> None:
    made = document("one_row", times(builtin=100, compiled=50, python=99, psycopg=200, asyncpg=30))
    made["benchmarks"] = []
    with pytest.raises(ValueError, match="no benchmark with the built-in dialect"):
        plots.draw(made, tmp_path / "nothing.svg")


def test_the_terminal_shows_what_was_missed() -> None:
    bad = times(builtin=100, compiled=99, python=99, psycopg=200, asyncpg=30)
    entry = Entry(BENCHMARKS["one_row"], figures=bad)
    found = gates.load(BENCHMARKS, gates.FILE)["one_row"]
    entry.verdicts = judge(found, bad, lambda labels: bad)
    report = Report(slack=1.0)
    report.add(entry)
    lines = list(report.lines())
    assert lines[1].split() == "one_row compiled cpu 1.010 >= 1.3 1.45 MISSED".split()
    assert lines[3].split() == "one_row psycopg cpu 2.020 >= 1 1 aim".split()


def test_the_readmes_figures_come_from_the_report_alone(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(f"before\n{readme.OPENS}old\n{readme.CLOSES}after\n", "utf-8")
    first = times(builtin=100, compiled=50, python=99, psycopg=200, asyncpg=30)
    made = document("one_row", first)
    for _ in range(2):  # the second time changes nothing
        text = readme.write(file, made).read_text("utf-8")
        assert text.startswith(f"before\n{readme.OPENS}| times as fast |")
        assert text.endswith(f".\n{readme.CLOSES}after\n") and "old" not in text
        assert text.count("| one-row SELECT on an open connection | 2.00 | 1.01 | 4.00 |") == 1
        assert "Python form against built-in 1.01 (one-row SELECT" in text
        assert "takes 0.60 to 0.60 of the compiled form's time" in text
        assert f"Measured on {made['date'][:10]}: {made['machine']['cpu']}" in text
        assert "SQLAlchemy 2.9" in text


def test_the_least_gain_is_told_even_where_its_row_is_not_shown() -> None:
    assert set(readme.SHOWN) < set(BENCHMARKS)
    made = document("rows_uuid", times(builtin=100, compiled=72, python=99, psycopg=73, asyncpg=30))
    text = readme.block(made)
    assert "| 1,000 rows uuid |" not in text
    assert "compiled against psycopg 1.01 (1,000 rows uuid)" in text


@pytest.mark.parametrize(
    "text", ["", readme.OPENS, readme.CLOSES, 2 * (readme.OPENS + readme.CLOSES)]
)
def test_a_readme_without_its_marks_is_left_alone(text: str, tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(text, "utf-8")
    with pytest.raises(ValueError, match="once each"):
        readme.write(file, {"benchmarks": []})
    assert file.read_text("utf-8") == text


def test_the_readme_shows_what_the_documentation_was_written_from() -> None:
    made = json.loads((readme.FILE.parent / "docs" / "benchmarks.json").read_text("utf-8"))
    text = readme.FILE.read_text("utf-8")
    assert readme.OPENS + readme.block(made) + readme.CLOSES in text
    assert page.text(made) == (readme.FILE.parent / "docs" / "benchmarks.md").read_text("utf-8")


def waits(**seen: tuple[int, float]) -> dict[str, dict[str, list[float]]]:
    """Return figures of three units for each lane: waits, milliseconds."""
    return {
        label: {"waits": [number] * 3, "wall": [milliseconds / 1e3] * 3}
        for label, (number, milliseconds) in seen.items()
    }


def waiting() -> dict[str, Any]:
    """Return the report of a run of the waits of one unit of work, and of its bursts."""
    seen = waits(builtin=(3, 7.5), compiled=(1, 2.6), python=(1, 2.7), psycopg=(3, 7.8))
    made = document("waits_read", seen)
    sent = {"builtin": 3.0, "compiled": 1.2, "python": 1.2}
    counted = document("bursts_read", {label: {"bursts": [n]} for label, n in sent.items()})
    made["benchmarks"] += counted["benchmarks"]
    return made


def test_units_of_work_have_a_table_of_their_own() -> None:
    first = times(builtin=100, compiled=60, python=70, psycopg=200, asyncpg=30)
    made = document("unit_read", first)
    text = page.text(made)
    assert "## Time\n" not in text
    cells = "| 200 | 120 | 140 | 400 | 60 | 1.67 x | 1.43 x | 3.33 x |"
    assert f"| connect + SELECT + close {cells}" in text[text.index("## Units of work") :]
    assert "connect + SELECT + close: asyncpg by hand takes 0.50 of compiled's time" in text
    # They are in the README's table, but not in what it says of the processor's time.
    assert "| connect + SELECT + close, wall time | 1.67 | 1.43 | 3.33 |" in readme.block(made)
    assert "of the compiled form's time" not in readme.block(made)
    assert [title for title, _ in plots.panels(made)] == [
        "units of work, from the pool and back, wall"
    ]


def test_waits_are_shown_with_their_time_and_their_bursts() -> None:
    text = page.text(waiting())
    assert "| connect, SELECT, close | 3, 7.5 ms (3) | 1, 2.6 ms (1.2) |" in text
    assert "| 3, 7.8 ms |  |" in text  # no bursts of psycopg in this run, and no asyncpg at all
    assert "| compiled | waits | 0.33 | ≤ 0.34 | 0.34 | aim reached |" in text
    assert "![waits](waits.svg)" in text
    assert "Memory, function calls" not in text


def test_a_page_without_waits_shows_no_picture_of_them() -> None:
    first = times(builtin=100, compiled=50, python=99, psycopg=200, asyncpg=30)
    assert "waits.svg" not in page.text(document("one_row", first))


def test_the_picture_of_waits_is_drawn_from_the_document_alone(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.svg" for number in range(2)]
    for file in files:
        waits_picture.draw(waiting(), file)
    first, second = (file.read_text("utf-8") for file in files)
    assert first == second
    assert ">1, 2.6 ms<" in first and ">connect, SELECT, close<" in first
    one_row = times(builtin=100, compiled=50, python=99, psycopg=200, asyncpg=30)
    with pytest.raises(ValueError, match="no waits"):
        waits_picture.draw(document("one_row", one_row), files[0])


def test_one_wait_too_many_is_a_missed_gate() -> None:
    """What is counted has no noise: neither a second reading nor the slack forgives it."""
    found = gates.load(BENCHMARKS, gates.FILE)["waits_read"]
    bad = waits(builtin=(3, 7.5), compiled=(2, 5.0), python=(1, 2.7))
    held = {v.gate.comparison.name: v.held for v in judge(found, bad, lambda labels: bad)}
    assert held == {"compiled": False, "python": True}
