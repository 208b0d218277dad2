"""The figures in README.md: the block between two marks, written from docs/benchmarks.json.

    python -m bench.readme docs/benchmarks.json

A report that is written to `docs` renews it, too; a test compares the block with that file. What
it shows of the gains is chosen here, but the least of them is looked for among all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.catalogue import BUILTIN, COMPILED, UNIT

Document = dict[str, Any]

FILE = Path(__file__).resolve().parents[1] / "README.md"
OPENS = "<!-- benchmarks -->\n"
CLOSES = "<!-- /benchmarks -->\n"
SHOWN = ("one_row", "rows_mixed", "bulk_insert", "unit_read", "unit_read_2ms", "unit_insert_2ms")
_COMPARISONS = {
    "compiled": "compiled against built-in",
    "python": "Python form against built-in",
    "psycopg": "compiled against psycopg",
}


def write(readme: Path, document: Document) -> Path:
    """Renew the block in the file `readme` and return it; ValueError without its two marks."""
    text = readme.read_text("utf-8")
    if (text.count(OPENS), text.count(CLOSES)) != (1, 1):
        raise ValueError(f"{readme}: a line {OPENS.strip()} and a line {CLOSES.strip()}, once each")
    before, _, rest = text.partition(OPENS)
    _, _, after = rest.partition(CLOSES)
    readme.write_text(before + OPENS + block(document) + CLOSES + after, "utf-8")
    return readme


def block(document: Document) -> str:
    """Return what stands between the marks."""
    return "".join(f"{line}\n" for line in _lines(document))


def _lines(document: Document) -> Iterator[str]:
    timed = [b for b in document["benchmarks"] if b["kind"] == "time" and "builtin" in b["medians"]]
    yield f"| times as fast | {' | '.join(_COMPARISONS.values())} |"
    yield "|---|---:|---:|---:|"
    for benchmark in timed:
        if benchmark["name"] in SHOWN:
            ratios = {gate["comparison"]: f"{gate['ratio']:.2f}" for gate in benchmark["gates"]}
            cells = [_title(benchmark), *(ratios.get(name, "") for name in _COMPARISONS)]
            yield f"| {' | '.join(cells)} |"
    yield ""
    least = [
        f"{said} {ratio:.2f} ({title})"
        for name, said in _COMPARISONS.items()
        for ratio, title in sorted(_ratios(timed, name))[:1]
    ]
    if least:
        yield f"The least of all that was measured: {'; '.join(least)}."
    raw = [
        b["medians"]["asyncpg"]["cpu"] / b["medians"]["compiled"]["cpu"]
        for b in timed
        if "asyncpg" in b["medians"] and b["unit"] != UNIT
    ]
    if raw:
        yield (
            f"asyncpg by hand, which makes no result objects, takes {min(raw):.2f} to"
            f" {max(raw):.2f} of the compiled form's time."
        )
    for benchmark in document["benchmarks"]:
        if benchmark["kind"] == "memory":
            sizes = {gate["comparison"]: gate["ratio"] for gate in benchmark["gates"]}
            beside = f", {sizes['psycopg']:.2f} of psycopg's" if "psycopg" in sizes else ""
            yield (
                f"{_sentence(benchmark)}: {sizes['compiled']:.2f} of the built-in"
                f" dialect's{beside}."
            )
        elif benchmark["kind"] == "backend":
            own, theirs = (benchmark["medians"][peer]["backend"] for peer in (COMPILED, BUILTIN))
            yield (
                f"{_sentence(benchmark)}: {own / 1e6:.1f} MB, with the built-in dialect"
                f" {theirs / 1e6:.1f} MB."
            )
    yield _conditions(document)


def _ratios(timed: list[Document], comparison: str) -> Iterator[tuple[float, str]]:
    for benchmark in timed:
        for gate in benchmark["gates"]:
            if gate["comparison"] == comparison:
                yield gate["ratio"], _title(benchmark)


def _sentence(benchmark: Document) -> str:
    """Return the title as a sentence begins with it; its abbreviations stay."""
    title: str = benchmark["title"]
    return title[:1].upper() + title[1:]


def _title(benchmark: Document) -> str:
    title: str = benchmark["title"]
    return title + (", wall time" if benchmark["gates"][0]["measure"] == "wall" else "")


def _conditions(document: Document) -> str:
    machine, versions = document["machine"], document["versions"]
    names = {
        "python": "Python",
        "sqlalchemy": "SQLAlchemy",
        "asyncpg": "asyncpg",
        "psycopg": "psycopg",
        "postgresql": "PostgreSQL",
    }
    said = [f"{name} {versions[key]}" for key, name in names.items() if key in versions]
    return (
        f"Measured on {document['date'][:10]}: {machine['cpu']}, {machine['cores']} cores,"
        f" {machine['system'].split()[0]}; {', '.join(said)}."
    )


if __name__ == "__main__":
    write(FILE, json.loads(Path(sys.argv[1]).read_text("utf-8")))
