"""Patches on SQLAlchemy's classes reach ours, or are warned of, and can be taken back."""

from __future__ import annotations

import importlib
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import Integer, Text
from sqlalchemy.connectors import asyncio as connectors
from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.ext.asyncio import create_async_engine

import pgflight.dialect
from pgflight import PgflightWarning
from pgflight.compat.builtin import MISSING
from pgflight.dialect import patches

builtin: Any = importlib.import_module("sqlalchemy.dialects.postgresql.asyncpg")
ours: Any = pgflight.dialect
NOWHERE = "postgresql+pgflight://u@nowhere.invalid/db"


@pytest.fixture(autouse=True)
def _none_left() -> Iterator[None]:
    yield
    assert patches.synchronize() == []
    assert not any(each.put for each in [*patches.WATCHED, *patches.TYPES])


def patch(*arguments: Any, **options: Any) -> Any:
    return mock.patch.object(*arguments, **options)


def test_sqlalchemy_by_itself_has_no_patches() -> None:
    create_async_engine(NOWHERE)


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        ("PGDialect_asyncpg", "do_ping"),
        ("PGDialect_asyncpg", "do_terminate"),
        ("PGDialect_asyncpg", "is_disconnect"),
        ("PGDialect_asyncpg", "set_isolation_level"),
        ("PGDialect_asyncpg", "get_isolation_level_values"),
        ("PGDialect_asyncpg", "setup_asyncpg_json_codec"),
        ("PGDialect_asyncpg", "setup_asyncpg_jsonb_codec"),
        ("PGDialect_asyncpg", "_disable_asyncpg_inet_codecs"),
        ("PGDialect_asyncpg", "default_paramstyle"),
        ("AsyncAdapt_asyncpg_connection", "terminate"),
        ("AsyncAdapt_asyncpg_connection", "close"),
        ("AsyncAdapt_asyncpg_connection", "ping"),
        ("AsyncAdapt_asyncpg_connection", "cursor"),
        ("AsyncAdapt_asyncpg_connection", "set_isolation_level"),
        ("AsyncAdapt_asyncpg_connection", "_handle_exception"),
        ("AsyncAdapt_asyncpg_cursor", "execute"),
        ("AsyncAdapt_asyncpg_cursor", "executemany"),
        ("AsyncAdapt_asyncpg_ss_cursor", "executemany"),
        ("AsyncAdapt_asyncpg_dbapi", "Binary"),
        ("PGExecutionContext_asyncpg", "pre_exec"),
        ("PGExecutionContext_asyncpg", "handle_dbapi_exception"),
        ("AsyncpgJSONPathType", "bind_processor"),
        ("AsyncpgNumeric", "result_processor"),
        ("AsyncpgDate", "render_bind_cast"),
        ("_AsyncpgRange", "bind_processor"),
    ],
)
def test_a_patch_is_put_onto_ours(cls: str, name: str) -> None:
    own = getattr(ours, cls)
    before = vars(own).get(name, MISSING)

    def replacement(*arguments: Any) -> None: ...

    with patch(getattr(builtin, cls), name, replacement, create=True):
        create_async_engine(NOWHERE)
        assert vars(own)[name] is replacement
    create_async_engine(NOWHERE)
    assert vars(own).get(name, MISSING) is before


def test_what_is_inherited_needs_nothing() -> None:
    def do_begin(self: Any, connection: Any) -> None: ...

    with patch(builtin.PGDialect_asyncpg, "do_begin", do_begin, create=True):
        dialect: Any = create_async_engine(NOWHERE).dialect
        assert dialect.do_begin.__func__ is do_begin


def test_a_method_that_is_removed() -> None:
    kept = builtin.PGDialect_asyncpg.do_ping
    del builtin.PGDialect_asyncpg.do_ping
    try:
        dialect: Any = create_async_engine(NOWHERE).dialect
        assert type(dialect).do_ping is builtin.PGDialect.do_ping
    finally:
        builtin.PGDialect_asyncpg.do_ping = kept


def test_the_classes_of_the_dialect_and_its_types() -> None:
    class Context(builtin.PGExecutionContext_asyncpg):  # type: ignore[misc]
        pass

    class Mine(builtin.AsyncpgInteger):  # type: ignore[misc]
        pass

    colspecs = builtin.PGDialect_asyncpg.colspecs
    with (
        patch(builtin.PGDialect_asyncpg, "execution_ctx_cls", Context),
        mock.patch.dict(colspecs, {Integer: Mine, Text: Text}),
    ):
        dialect = create_async_engine(NOWHERE).dialect
        assert dialect.execution_ctx_cls is Context
        assert type(Integer().dialect_impl(dialect)) is Mine
        assert type(Text().dialect_impl(dialect)) is Text
    dialect = create_async_engine(NOWHERE).dialect
    assert type(Integer().dialect_impl(dialect)) is ours.AsyncpgInteger
    assert Text not in dialect.colspecs


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (builtin.AsyncAdapt_asyncpg_connection, "_start_transaction"),
        (builtin.AsyncAdapt_asyncpg_connection, "rollback"),
        (builtin.AsyncAdapt_asyncpg_cursor, "fetchall"),
        (builtin.AsyncAdapt_asyncpg_dbapi, "connect"),
        (builtin.PGExecutionContext_asyncpg, "create_server_side_cursor"),
    ],
)
def test_a_warning_names_what_has_no_effect_once_for_each_engine(cls: Any, name: str) -> None:
    with patch(cls, name, mock.Mock()):
        for _ in range(2):
            with pytest.warns(PgflightWarning, match=rf"\.{name} is patched") as caught:
                engine = create_async_engine(NOWHERE)
            assert [each.filename for each in caught] == [__file__]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            engine.dialect.look_for_patches()  # type: ignore[attr-defined]


def test_patches_of_a_base_of_the_adapter() -> None:
    def run_async(self: Any, fn: Any) -> Any:
        return "patched"

    with patch(AdaptedConnection, "run_async", run_async):
        create_async_engine(NOWHERE)
        own = vars(ours.AsyncAdapt_asyncpg_connection)["run_async"]
        session = mock.Mock()
        assert own(mock.Mock(session=session), None) == "patched"
        assert session.expose.called
    if hasattr(connectors, "AsyncAdapt_terminate"):
        with patch(connectors.AsyncAdapt_terminate, "terminate", run_async):
            create_async_engine(NOWHERE)
            assert ours.AsyncAdapt_asyncpg_connection.terminate is run_async


EARLY = """
import functools
from sqlalchemy.dialects.postgresql import asyncpg as builtin
kept = builtin.PGDialect_asyncpg.do_ping
@functools.wraps(kept)
def do_ping(self, connection):
    return kept(self, connection)
builtin.PGDialect_asyncpg.do_ping = do_ping
builtin.AsyncAdapt_asyncpg_cursor.fetchall = functools.partial(print)
import warnings, pgflight.dialect
from sqlalchemy.ext.asyncio import create_async_engine
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    create_async_engine("postgresql+pgflight://u@nowhere.invalid/db")
print(pgflight.dialect.PGDialect_asyncpg.do_ping is do_ping, len(caught), caught[0].message)
builtin.PGDialect_asyncpg.do_ping = kept
create_async_engine("postgresql+pgflight://u@nowhere.invalid/db")
print(pgflight.dialect.PGDialect_asyncpg.do_ping is do_ping)
"""


def test_what_was_patched_before_pgflight_was_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", EARLY], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("True 1 SQLAlchemy's AsyncAdapt_asyncpg_cursor.fetchall is patched")
    assert second == "False"
