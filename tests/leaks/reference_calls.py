"""What `references.py` calls of the pieces that make rows, parameters and statements.

Every function, what it returns and what it raises. Where references are counted, everybody who
takes part must be counted, too: asyncpg's extension is not, so that its records take part only
where blocks of memory are.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from sqlalchemy.engine import Row, RowMapping
from sqlalchemy.engine.result import SimpleResultMetaData

from tests.fixtures.binds import plan
from tests.fixtures.impl import Impl
from tests.leaks.reference_values import value_calls
from tests.unit.record_source import records

Calls = dict[str, Callable[[], object]]

KEYS = ("id", "name")
PARENT: Any = SimpleResultMetaData(KEYS)
INDEX = {"id": 0, "name": 1}
VALUE = object()
TUPLES: list[Any] = [(VALUE, "one"), ([VALUE], None)] * 50
LISTS: list[Any] = [[VALUE, "one"], [{"a": VALUE}, None]] * 50

# Objects that outlive every call: a reference to them that is lost is not a block of memory.
WATCHED = [None, True, False, 0, 1, "", "a", (), VALUE, PARENT, INDEX, KEYS, Row, RowMapping]


def calls(impl: Impl, *, foreign: bool) -> Calls:
    """Return the calls by name; each may raise. `foreign` calls take objects of asyncpg's."""
    pieces = (_rows, _results, _iterators, _receiving, _params, _stmtcache, _processors, _stacks)
    found: Calls = {}
    for piece in pieces:
        found.update(piece(impl))
    if foreign:
        found.update(_of_records(impl))
    return {**found, **value_calls(impl)}


def _rows(impl: Impl) -> Calls:
    tags = ("SELECT 1000", b"INSERT 0 9", "UPDATE", None, "SELECT " + "9" * 50)
    return {
        "rows: tuples of lists": lambda: impl.rows.tuples([[VALUE, "x"], [2], (3,)]),
        "rows: tuples of nothing iterable": lambda: impl.rows.tuples([[VALUE], 3]),
        "rows: tuples of what fails": lambda: impl.rows.tuples([[VALUE], _failing()]),
        "rows: tuples of no list": lambda: impl.rows.tuples(((VALUE,),)),  # type: ignore[arg-type]
        "rows: rowcount": lambda: [impl.rows.rowcount(tag) for tag in tags],
        "rows: rowcount of nothing": lambda: impl.rows.rowcount([]),  # type: ignore[arg-type]
        "rows: rowcount of no UTF-8": lambda: impl.rows.rowcount(b"SELECT \xff"),
    }


def _failing() -> Iterator[Any]:
    yield VALUE
    raise LookupError


def fail(value: Any) -> Any:
    """Fail for every other row."""
    return value if value is VALUE else 1 // 0


class Plain:
    """A row class of the program."""

    def __init__(self, *values: Any) -> None:
        self.values = values


def _factory(impl: Impl, row_class: Any = Row, processors: Any = None, index: Any = INDEX) -> Any:
    return impl.results.RowFactory(row_class, PARENT, processors, index)


def _on_a_copy(method: Callable[[Any], object], given: list[Any]) -> object:
    return method(list(given))


def _results(impl: Impl) -> Calls:
    def again(value: Any) -> Any:
        rows.clear()
        return value

    rows: list[Any] = []

    def emptied() -> object:
        rows.extend(LISTS)
        return _factory(impl, processors=[again, again]).fill(rows)

    found: Calls = {}
    for name, given in {"tuples": TUPLES, "lists": LISTS, "few": LISTS[:3]}.items():
        for kind, processors in {"plain": None, "processed": [None, str]}.items():
            for row_class in (Row, RowMapping, Plain):
                make = _factory(impl, row_class, processors)
                for method in ("fill", "many", "tuples", "interim"):
                    label = f"results: {method} {row_class.__name__} {name} {kind}"
                    found[label] = partial(_on_a_copy, getattr(make, method), given)
    mixed = [*TUPLES[:70], *LISTS]
    return found | {
        "results: one row": lambda: _factory(impl)(TUPLES[0]),
        "results: mixed": lambda: _factory(impl).fill(list(mixed)),
        "results: fill failing": lambda: _factory(impl, processors=[fail, str]).fill(list(LISTS)),
        "results: tuples failing": lambda: _factory(impl, processors=[str, fail]).tuples(
            list(LISTS)
        ),
        "results: too few values": lambda: _factory(impl, processors=[str, None])((1,)),
        "results: nothing iterable": lambda: _factory(impl).fill([*TUPLES, 3]),
        "results: no list": lambda: _factory(impl).fill(()),
        "results: list emptied meanwhile": emptied,
        "results: class that fails": lambda: _factory(impl, fail).fill(list(TUPLES)),
        "results: index of another kind": lambda: _factory(impl, Plain, None, KEYS)(TUPLES[0]),
        "results: processors that are none": lambda: _factory(impl, processors=3),
        "results: column": lambda: _factory(impl).column(list(LISTS), 1),
        "results: column processed": lambda: _factory(impl, processors=[str, None]).column(
            list(LISTS), 0
        ),
        "results: column failing": lambda: _factory(impl, processors=[fail, None]).column(
            list(LISTS), 0
        ),
        "results: column that is not there": lambda: _factory(impl).column(list(TUPLES), 2),
        "results: column before the first": lambda: _factory(impl).column(list(TUPLES), -1),
        "results: layouts": lambda: [impl.results.layout_found(each) for each in (Row, Plain, 3)],
        "results: parent": lambda: _factory(impl).parent,
    }


class Result:
    """What iterate() needs of a result."""

    cursor: Any = 1

    def close_softly(self) -> None:
        self.cursor = 0


def _iterators(impl: Impl) -> Calls:
    def iterate(stop: int, processors: Any = None, gone: bool = False) -> object:
        result = Result()
        rest: Any = iter(LISTS)
        rows = _factory(impl, processors=processors).iterate(result, 1, deque(LISTS), lambda: rest)
        found = list(itertools.islice(rows, stop))
        if gone:
            result.cursor = 2
            found += rows
        return [found, iter(rows), next(rows, None) if stop > 100 else None]

    def ring() -> object:
        result: Any = Result()
        result.rows = _factory(impl).iterate(result, 1, deque(LISTS), lambda: result)
        return next(result.rows)

    return {
        "iterate: all": lambda: iterate(200),
        "iterate: in part": lambda: iterate(3),
        "iterate: not at all": lambda: iterate(0),
        "iterate: processed": lambda: iterate(200, [None, str]),
        "iterate: failing": lambda: iterate(200, [fail, str]),
        "iterate: cursor gone": lambda: iterate(2, None, True),
        "iterate: no deque": lambda: _factory(impl).iterate(Result(), 1, [], iter),
        "iterate: part of a ring": ring,
    }


def _of_records(impl: Impl) -> Calls:
    given = records(KEYS, [(10**12, "one"), (2, None)] * 50)
    few = given[:2]
    WATCHED.extend(
        [given, *given[:2], *[value for record in given[:2] for value in record.values()]]
    )
    identifier = "12345678-1234-5678-1234-567812345678"

    def uuids() -> object:
        from asyncpg.pgproto.pgproto import UUID

        make = _factory(impl, processors=[lambda _: UUID(identifier), None])
        return [make.fill(list(given)), impl.uuids.uuid_text(UUID(identifier))]

    return {
        "records: rows.tuples": lambda: impl.rows.tuples(list(given)),
        "records: fill": lambda: _factory(impl).fill(list(given)),
        "records: fill few": lambda: _factory(impl).fill(list(few)),
        "records: fill another class": lambda: _factory(impl, Plain).fill(list(given)),
        "records: tuples": lambda: _factory(impl).tuples(list(given)),
        "records: processed": lambda: _factory(impl, RowMapping, [str, None]).many(given),
        "records: failing": lambda: _factory(impl, Row, [str, fail]).many(given),
        "records: column": lambda: _factory(impl).column(list(given), 0),
        "records: iterate": lambda: list(
            _factory(impl).iterate(Result(), 1, deque(given), lambda: iter(()))
        ),
        "records: uuids": uuids,
    }


def _receiving(impl: Impl) -> Calls:
    class Protocol:
        def data_received(self, data: Any) -> None:
            if data[:1] == b"!":
                raise LookupError

    small, large = b"x", b"x" * (2 * getattr(impl.receiving, "WORTH_HOLDING", 16384))
    receiver: Any = impl.receiving.Receiver(Protocol())
    return {
        "receiving": lambda: [receiver.data_received(data) for data in (small, large)],
        "receiving: failing": lambda: receiver.data_received(b"!" + large),
        "receiving: failing, few": lambda: receiver.data_received(b"!"),
        "receiving: attribute": lambda: [receiver.data_received, receiver.protocol],
        "receiving: no such attribute": lambda: receiver.other,
        "receiving: a receiver": lambda: impl.receiving.Receiver(Protocol()),
        "receiving: no protocol": lambda: impl.receiving.Receiver(VALUE),
        "receiving: no bytes": lambda: receiver.data_received(VALUE),
    }


def _params(impl: Impl) -> Calls:
    plain = plan(impl, ("a", "b"))
    processed = plan(impl, ("a", "b"), {"a": str, "b": fail}, positions=("b", "a"))
    sets: Any = [{"a": VALUE, "b": VALUE}] * 100
    values: Any = plain.values(sets, None)
    return {
        "params: values": lambda: plain.values(sets, None),
        "params: values without": lambda: plain.values([*sets, {"a": VALUE}], None),
        "params: values of no mapping": lambda: plain.values([3], None),  # type: ignore[list-item]
        "params: named": lambda: plain.named(sets),
        "params: sets": lambda: plain.sets(values),
        "params: rows": lambda: plain.rows(values),
        "params: rows failing": lambda: processed.rows(values),
        "params: flatten": lambda: impl.params.flatten(values, 0, 2),
        "params: flatten in part": lambda: impl.params.flatten(values, 1, 2),
        "params: flatten what is too short": lambda: impl.params.flatten([(1,), ()], 0, 2),
        "params: within": lambda: impl.params.within([1, -(2**30), 2**70, 3], 2**24),
        "params: within what is no number": lambda: impl.params.within([1, None], 2**24),
        "params: longest": lambda: impl.params.longest([f"{VALUE!r}", ""]),
        "params: longest of no texts": lambda: impl.params.longest([b"a", None]),
        "params: a plan": lambda: plan(impl, ("a",)),
        "params: a plan that is none": lambda: plan(impl, ("a",), positions=("a", "a")),
    }


def _stmtcache(impl: Impl) -> Calls:
    cache = impl.stmtcache.StatementCache(3)

    def fill() -> object:
        for number in range(9):
            cache.put(f"{number}", [VALUE])
            cache.get(f"{number - 1}")
            cache.get("none")
        found = [cache.pop("8"), cache.pop("8"), cache.keys(), len(cache), "7" in cache]
        found += [cache.capacity, cache.hits, cache.misses, cache.evictions, cache.invalidations]
        cache.clear()
        return found

    def filled() -> object:
        own: Any = impl.stmtcache.StatementCache(3)
        own.put("ring", own)
        return own.get("ring")

    return {
        "stmtcache": fill,
        "stmtcache: a cache": filled,
        "stmtcache: no key": lambda: cache.put([], VALUE),
        "stmtcache: no key to get": lambda: cache.get([]),
        "stmtcache: no key to pop": lambda: cache.pop([]),
        "stmtcache: no capacity": lambda: impl.stmtcache.StatementCache(0),
    }


def _processors(impl: Impl) -> Calls:
    look = impl.processors.lookup({"a": VALUE}, fail)
    return {
        "processors: found": lambda: look("a"),
        "processors: otherwise": lambda: look(VALUE),
        "processors: otherwise failing": lambda: look("b"),
        "processors: no key": lambda: look([]),
        "processors: a function": lambda: impl.processors.lookup({}, fail),
        "processors: no mapping": lambda: impl.processors.lookup(3, fail),  # type: ignore[arg-type]
    }


def _stacks(impl: Impl) -> Calls:
    return {
        "stacks: start without a greenlet": lambda: impl.stacks.start(lambda: VALUE),
        "stacks: start of what fails": lambda: impl.stacks.start(lambda: fail(0)),
        "stacks: stop": impl.stacks.stop,
        "stacks: numbers": lambda: (impl.stacks.numbers(), impl.stacks.outermost()),
        "stacks: obstacle": impl.stacks.obstacle,
    }
