"""The rows that the bulk workloads of bench/e2e send: the same for every peer. Without a server."""

from __future__ import annotations

import pytest
from sqlalchemy.engine import URL, make_url

from bench.catalogue import BENCHMARKS
from bench.e2e import bulk

STOCK = make_url("postgresql+asyncpg://")
OURS = make_url("postgresql+pgflight://")


def made(name: str, url: URL = STOCK) -> bulk.Inserts:
    workload = bulk.make(name, url, "anywhere")
    assert isinstance(workload, bulk.Inserts)
    return workload


@pytest.mark.parametrize("name", ["bulk_sorted", "bulk_kept", "few_insert"])
def test_sizes_vary_and_are_the_same_for_every_peer(name: str) -> None:
    ours, theirs = made(name, OURS), made(name)
    sizes = [len(ours.chosen()) for _ in range(200)]
    assert sizes == [len(theirs.chosen()) for _ in range(200)]
    assert min(sizes) >= 2 and max(sizes) <= 1_000 and len(set(sizes)) > 8
    # A peer that has been warmed up with more statements than another begins where that does.
    ours.chosen()
    for each in (ours, theirs):
        each.restart()
    assert [len(ours.chosen()) for _ in range(200)] == sizes
    assert [len(theirs.chosen()) for _ in range(200)] == sizes


def test_half_of_the_rows_of_an_upsert_are_there_already() -> None:
    subject = made("bulk_do_nothing")
    there = set(range(1, 501))  # as `reset` leaves them
    for _ in range(8):
        numbers = {row["num"] for row in subject.chosen()}
        assert (len(numbers), len(numbers & there)) == (1_000, 500)
        there |= numbers


@pytest.mark.parametrize(
    "name", [n for n in BENCHMARKS if n.startswith(("bulk_", "few_", "copy_", "insert_memory"))]
)
def test_every_peer_knows_its_workload(name: str) -> None:
    for lane in BENCHMARKS[name].lanes:
        if lane.peer != "asyncpg":
            assert isinstance(bulk.make(lane.workload, STOCK, "anywhere"), bulk.Inserts)
