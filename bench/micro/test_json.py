"""Nanoseconds of JSON in both directions: compiled, interpreted, and the standard library's.

    python -m pytest bench/micro/test_json.py --benchmark-group-by=group

Within a group the documents are the same, so the figures may be put beside each other.
"""

from __future__ import annotations

import json

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.micro.documents import DOCUMENTS, VALUES
from tests.fixtures.impl import Impl

documents = pytest.mark.parametrize("name", DOCUMENTS)
values = pytest.mark.parametrize("name", VALUES)


@documents
def test_json_loads(benchmark: BenchmarkFixture, name: str) -> None:
    benchmark.group = f"decode {name}"
    assert benchmark(json.loads, DOCUMENTS[name]) == VALUES[name]


@documents
def test_jsonb_result(benchmark: BenchmarkFixture, impl: Impl, name: str) -> None:
    benchmark.group = f"decode {name}"
    decode = impl.jsondecode.json_decoder(None, takes_bytes=False, prefix=1)
    assert benchmark(decode, b"\x01" + DOCUMENTS[name].encode()) == VALUES[name]


@values
def test_json_dumps(benchmark: BenchmarkFixture, name: str) -> None:
    benchmark.group = f"encode {name}"
    assert json.loads(benchmark(json.dumps, VALUES[name])) == VALUES[name]


@values
def test_dumps(benchmark: BenchmarkFixture, impl: Impl, name: str) -> None:
    benchmark.group = f"encode {name}"
    assert benchmark(impl.jsonencode.dumps, VALUES[name]) == json.dumps(VALUES[name])


def test_jsonb_parameter(benchmark: BenchmarkFixture, impl: Impl) -> None:
    """What follows dumps(): text to the server's bytes."""
    benchmark.group = "send medium"
    text = json.dumps(VALUES["medium"])
    assert benchmark(impl.jsonencode.json_encoder(b"\x01"), text) == b"\x01" + text.encode()
