"""Dialects of other packages: they stay what they are after install(), and `status` names them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql import asyncpg as builtin
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.ext.asyncio import create_async_engine

import pgflight
import pgflight.dialect
from pgflight.cli import third_party

PACKAGE = """
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.postgresql.base import PGDialect

class Base(PGDialect):
    name = "roach"

class Derived(PGDialect_asyncpg, Base):
    supports_statement_cache = True
"""
ENTRY_POINTS = """[sqlalchemy.dialects]
roach.asyncpg = roach_of_tests:Derived
roach = roach_of_tests:Base
broken.asyncpg = roach_of_tests:Nothing
heavy = heavy_of_tests:Dialect
"""


class Base(PGDialect):
    """What a third-party package has for all drivers."""

    name = "roach"

    def on_connect(self) -> Any:
        return lambda connection: connection


class OnBuiltin(builtin.PGDialect_asyncpg, Base):
    supports_statement_cache = True


class OnOurs(pgflight.dialect.PGDialect_asyncpg, Base):
    supports_statement_cache = True


class OnBoth(pgflight.dialect.PGDialect_asyncpg, builtin.PGDialect_asyncpg):
    supports_statement_cache = True


@pytest.fixture
def installed() -> Iterator[None]:
    pgflight.install()
    try:
        yield
    finally:
        pgflight.uninstall()


@pytest.mark.parametrize("cls", [OnBuiltin, OnOurs, OnBoth])
@pytest.mark.usefixtures("installed")
def test_derived_dialects_stay_what_they_are(cls: Any) -> None:
    name = f"roach.{cls.__name__.lower()}"
    registry.register(name, __name__, cls.__name__)
    engine = create_async_engine(f"{name.replace('.', '+')}://u@nowhere.invalid/db")
    dialect: Any = engine.dialect
    assert type(dialect) is cls
    ours = issubclass(cls, pgflight.dialect.PGDialect_asyncpg)
    adapters = pgflight.dialect if ours else builtin
    assert type(dialect.dbapi) is adapters.AsyncAdapt_asyncpg_dbapi
    assert dialect.execution_ctx_cls is adapters.PGExecutionContext_asyncpg
    assert type(sa.Integer().dialect_impl(dialect)) is adapters.AsyncpgInteger
    assert callable(dialect.on_connect())


def test_status_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = tmp_path / "roach_of_tests-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: roach-of-tests\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "roach_of_tests.py").write_text(PACKAGE)
    (tmp_path / "heavy_of_tests.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert list(third_party.derived_dialects()) == ["roach+asyncpg (roach_of_tests.Derived)"]
    assert "heavy_of_tests" not in sys.modules
    monkeypatch.setenv("PYTHONPATH", ":".join([str(tmp_path), *sys.path]))
    fact = third_party.third_party_fact(tmp_path)
    assert fact is not None and fact.good
    assert fact.text == (
        "roach+asyncpg (roach_of_tests.Derived): on the built-in dialect, since they derive from it"
    )
