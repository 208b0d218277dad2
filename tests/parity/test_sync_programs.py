"""Synchronous programs of others on ``?async_fallback=true``: pandas, and Alembic's plain template.

psycopg, which both were written for, gives what is expected.
"""

from __future__ import annotations

import gc
import importlib.metadata
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import pandas
import pytest
import sqlalchemy
from sqlalchemy import Engine, create_engine, inspect, text

from tests.fixtures.server import Server
from tests.parity.test_sync import loop_threads

QUESTION = text(
    "SELECT n, n::text AS t, n * 1.5::float8 AS f, n % 2 = 0 AS b, timestamp '2026-11-29' AS at,"
    " nullif(n, 3) AS gap FROM generate_series(1, :most) AS n"
)


@pytest.fixture
def engines(server: Server) -> Iterator[dict[str, Engine]]:
    url = server.url("postgresql+pgflight").update_query_dict({"async_fallback": "true"})
    with warnings.catch_warnings():
        # SQLAlchemy 2.0 announces that its own dialect will lose the option
        warnings.filterwarnings("ignore", message=".*async_fallback dialect argument")
        made = {
            "pgflight": create_engine(url),
            "psycopg": create_engine(server.url("postgresql+psycopg")),
        }
    yield made
    for engine in made.values():
        engine.dispose()
    gc.collect()  # engines that Alembic's env.py has made and forgotten, each with a thread
    for thread in loop_threads():
        thread.join(5)
    assert loop_threads() == []


def serves_pandas() -> bool:
    """Tell whether this SQLAlchemy is as new as this pandas asks in its metadata."""
    wanted = " ".join(importlib.metadata.requires("pandas") or ())
    found = re.search(r"sqlalchemy\s*>=\s*([0-9.]+)", wanted, re.IGNORECASE)
    assert found, wanted
    return numbers(sqlalchemy.__version__) >= numbers(found[1])


def numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)[:3]]


@pytest.mark.skipif(not serves_pandas(), reason="this pandas refuses so old a SQLAlchemy")
def test_pandas_reads_and_writes(engines: dict[str, Engine]) -> None:
    frames: dict[str, Any] = {}
    for name, engine in engines.items():
        read = pandas.read_sql(QUESTION, engine, params={"most": 500}, parse_dates=["at"])
        with engine.begin() as connection:
            read.to_sql(
                "pandas_frame", connection, index=False, if_exists="replace", method="multi"
            )
            parts = pandas.read_sql("pandas_frame", connection, chunksize=200)
            again = pandas.concat(parts, ignore_index=True)
            connection.execute(text("DROP TABLE pandas_frame"))
        pandas.testing.assert_frame_equal(again, read)
        frames[name] = read
    assert len(frames["pgflight"]) == 500
    pandas.testing.assert_frame_equal(frames["pgflight"], frames["psycopg"])


REVISION = """
revision = "first"
down_revision = None

from alembic import op
import sqlalchemy as sa


def upgrade():
    op.create_table(
        "alembic_users",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
    )
    op.bulk_insert(sa.table("alembic_users", sa.column("name", sa.Text)), [{"name": "a%"}])


def downgrade():
    op.drop_table("alembic_users")
"""


@pytest.mark.parametrize("name", ["pgflight", "psycopg"])
def test_alembic_migrates_up_and_down(
    engines: dict[str, Engine], name: str, tmp_path: Path
) -> None:
    """``alembic init``'s own env.py, which knows nothing of asyncio."""
    engine = engines[name]
    settings = alembic.config.Config(tmp_path / "alembic.ini")
    alembic.command.init(settings, str(tmp_path / "migrations"))
    url = engine.url.render_as_string(hide_password=False)
    settings = alembic.config.Config(tmp_path / "alembic.ini")
    settings.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    # env.py would configure logging by the file, and switch off the loggers of other tests
    settings.config_file_name = None
    (tmp_path / "migrations" / "versions" / "first.py").write_text(REVISION)

    def tables() -> set[str]:
        return {"alembic_users", "alembic_version"} & set(inspect(engine).get_table_names())

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*async_fallback dialect argument")
        alembic.command.upgrade(settings, "head")
        try:
            assert tables() == {"alembic_users", "alembic_version"}
            with engine.connect() as connection:
                rows = connection.execute(text("SELECT * FROM alembic_users")).all()
                assert rows == [(1, "a%")]
        finally:
            alembic.command.downgrade(settings, "base")
            with engine.begin() as connection:
                connection.execute(text("DROP TABLE alembic_version"))
    assert tables() == set()
