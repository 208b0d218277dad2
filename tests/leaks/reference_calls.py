"""What `references.py` calls: every function of every piece, what it returns and what it raises."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Row, RowMapping
from sqlalchemy.engine.result import SimpleResultMetaData

from tests.fixtures.binds import plan
from tests.fixtures.impl import Impl
from tests.unit.record_source import records

VALUES = [(1, "one"), (2, None)]


def calls(impl: Impl) -> dict[str, Callable[[], object]]:
    """Return the calls by name; each may raise."""
    return {**_rows(impl), **_results(impl), **_params(impl), **_stmtcache(impl)}


def _rows(impl: Impl) -> dict[str, Callable[[], object]]:
    given = records(("id", "name"), VALUES)
    return {
        "tuples of records": lambda: impl.rows.tuples(list(given)),
        "tuples of lists": lambda: impl.rows.tuples([[1, "x"], [2]]),
        "tuples of nothing iterable": lambda: impl.rows.tuples([3]),
        "rowcount": lambda: [impl.rows.rowcount(tag) for tag in ("SELECT 1000", b"INSERT 0 9")],
        "rowcount of nothing": lambda: impl.rows.rowcount([]),  # type: ignore[arg-type]
    }


def _results(impl: Impl) -> dict[str, Callable[[], object]]:
    given = records(("id", "name"), VALUES * 50)
    parent, index = SimpleResultMetaData(("id", "name")), {"id": 0, "name": 1}

    def make(row_class: Any, processors: Any = None) -> Any:
        return impl.results.RowFactory(row_class, parent, processors, index)

    class Result:
        cursor = 1

        def _soft_close(self) -> None:
            self.cursor = 0

    def iterate(stop: int) -> object:
        rows = make(Row).iterate(Result(), 1, deque(given), lambda: iter(()))
        return [row for row, _ in zip(rows, range(stop))]

    class Plain:
        def __init__(self, *values: Any) -> None:
            self.values = values

    return {
        "fill": lambda: make(Row).fill(list(given)),
        "fill processed": lambda: make(Row, [None, str]).fill(list(given)),
        "fill failing": lambda: make(Row, [str, lambda value: value + 1]).fill(list(given)),
        "mappings": lambda: make(RowMapping).many(given),
        "another class": lambda: make(Plain).many(given),
        "tuples": lambda: make(Row).tuples(list(given)),
        "tuples processed": lambda: make(Row, [str, None]).tuples(list(given)),
        "column": lambda: make(Row).column(list(given), 1),
        "column that is not there": lambda: make(Row).column(list(given), 2),
        "iterate": lambda: iterate(200),
        "iterate in part": lambda: iterate(3),
        "a new class": lambda: impl.results.layout_found(Row),
    }


def _params(impl: Impl) -> dict[str, Callable[[], object]]:
    given = plan(impl, ("a", "b"), {"a": str})
    sets = [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    values: Any = given.values(sets, None)
    return {
        "values": lambda: given.values(sets, None),
        "values without": lambda: given.values([{"a": 1}], None),
        "rows": lambda: given.rows(values),
        "sets": lambda: given.named(given.sets(values)),
        "flatten": lambda: impl.params.flatten([(1, 2), (3, 4)], 0, 2),
        "flatten what is too short": lambda: impl.params.flatten([(1,), ()], 0, 2),
        "a plan": lambda: plan(impl, ("a",)),
    }


def _stmtcache(impl: Impl) -> dict[str, Callable[[], object]]:
    cache = impl.stmtcache.StatementCache(3)

    def fill() -> None:
        for number in range(9):
            cache.put(f"{number}", [number])
            cache.get(f"{number - 1}")
        cache.pop("8")
        cache.clear()

    return {"statement cache": fill}
