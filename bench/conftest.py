"""Benchmarks take the same `impl` fixture as the tests: every figure exists for both forms."""

from __future__ import annotations

from tests.fixtures.impl import impl as impl
