"""What `bench` makes of its figures: the prediction, the tables, the page."""

from __future__ import annotations

import io
from html.parser import HTMLParser

import pytest
from rich.console import Console

from pgflight.cli.bench.dialects import BUILTIN, DIALECTS, PGFLIGHT, PSYCOPG
from pgflight.cli.bench.page import page
from pgflight.cli.bench.prediction import predicted
from pgflight.cli.bench.results import Results, Sample, Setup
from pgflight.cli.bench.tables import show
from pgflight.cli.bench.units import AT_ONCE, BULK, UNITS

MS = 0.001
SETUP = Setup(
    "2026-11-29", "PostgreSQL 15", "a <fast> one", {"python": "3"}, "compiled", 0.5, 3, 10
)


def results(
    builtin: float = 3.0, ours: float = 1.0, *, dialects: tuple[str, ...] = DIALECTS
) -> Results:
    """Return results in which each unit takes so many milliseconds, and waits as it should."""
    times = {BUILTIN: builtin, PGFLIGHT: ours, PSYCOPG: 4.0}
    waits = {BUILTIN: 3.0, PGFLIGHT: 1.0, PSYCOPG: 3.0}
    found = Results(SETUP, [*dialects], {}, round_trip=0.5 * MS)
    for dialect in dialects:
        sample = Sample([times[dialect] * MS] * 50, cpu_seconds=10 * MS)
        found.alone.update({(unit.name, dialect): sample for unit in UNITS})
        found.bulk.update({(unit.name, dialect): sample for unit in BULK})
        found.at_once.update({(unit.name, dialect): {1: 10.0, 4: 30.0} for unit in AT_ONCE})
        found.waits.update({(unit.name, dialect): waits[dialect] for unit in (*UNITS, *BULK)})
    return found


def test_what_is_gained() -> None:
    first, second, third = predicted(results(), 3, 50.0)
    assert first.startswith("A request of 3 units of work")
    assert "becomes 6 ms shorter (67% of" in first
    assert second == "Of the 50 ms that it takes today that is 12%."
    assert "A round trip takes 0.5 ms here, and pgflight saves 2 of them in a unit: 1 ms." in third
    assert third.endswith("worth 0.4 ms at 0.2 ms, 2 ms at 1 ms, 10 ms at 5 ms.")


@pytest.mark.parametrize(
    ("ours", "request_ms", "little"),
    [(2.9, None, True), (1.0, None, False), (1.0, 1000.0, True), (1.0, 20.0, False)],
)
def test_it_says_when_that_is_little(ours: float, request_ms: float | None, little: bool) -> None:
    said = " ".join(predicted(results(ours=ours), 3, request_ms))
    assert ("That is little" in said) == little


def test_nothing_gained() -> None:
    said = predicted(results(ours=3.5), 1, 20.0)
    assert said[0] == "A request of 1 unit of work gains nothing here."
    assert said[1].startswith("That is little")


def test_waits_that_were_not_counted_are_left_out() -> None:
    found = results()
    found.waits.clear()
    assert len(predicted(found, 3, None)) == 1
    assert page(found, []).count("<svg") == 6


def test_without_the_builtin_dialect() -> None:
    found = results(dialects=(PGFLIGHT,))
    (said,) = predicted(found, 3, None)
    assert "nothing to compare with" in said
    show(found, [said], Console(file=io.StringIO()))
    assert page(found, [said])


def test_the_tables_fit_a_terminal() -> None:
    out = io.StringIO()
    show(results(), ["a prediction"], Console(file=out, width=80, soft_wrap=True))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines[: lines.index(next(x for x in lines if "Wall clock" in x))])) <= 80


class Looked(HTMLParser):
    """Collects what a page would load, its ids and the tags that stay open."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "path", "use", "rect"):
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and not str(value).startswith("#"):
                self.loads.append(str(value))
            if name == "id":
                self.ids.append(str(value))

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self.open[-1:] == [tag]:
            self.open.pop()


def test_the_page_loads_nothing() -> None:
    text = page(results(), ["<b>"])
    seen = Looked()
    seen.feed(text)
    assert (seen.loads, seen.open) == ([], [])
    assert "<b>" not in text and "a &lt;fast&gt; one" in text
    assert "url(http" not in text
    references = [part.partition(")")[0] for part in text.split("url(#")[1:]]
    clips = [each for each in seen.ids if each in references]
    assert sorted(clips) == sorted(set(clips)), "two pictures share a name"
