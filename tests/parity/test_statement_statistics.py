"""pg_stat_statements: how many lines of it one statement fills, on a server that has loaded it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from pgflight.cli.server.cluster import TempCluster, find_binaries
from tests.fixtures.engines import Dialect

SETTINGS = {
    "fsync": "off",
    "autovacuum": "off",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "all",
}
metadata = sa.MetaData()
seen = sa.Table(
    "seen_by_statistics",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("note", sa.Text),
)
LENGTHS = (20, 40, 60, 80)
SEEN = sa.text(
    "SELECT query FROM public.pg_stat_statements WHERE query LIKE '%seen_by_statistics%'"
    " AND (query LIKE 'INSERT%' OR query LIKE 'SELECT seen%')"
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[TempCluster]:
    """A server of its own; PyPI's embedded one has no extensions to load."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL is installed here, and the embedded one has no extensions")
    with TempCluster(binaries, settings=SETTINGS) as running:
        yield running


async def lines(engine: AsyncEngine) -> tuple[list[str], list[str]]:
    """Insert and look for rows, in several numbers; return the lines of INSERT and of SELECT."""
    async with engine.begin() as connection:
        await connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS pg_stat_statements"))
        await connection.run_sync(metadata.drop_all)
        await connection.run_sync(metadata.create_all)
    async with engine.begin() as connection:
        await connection.execute(sa.text("SELECT public.pg_stat_statements_reset()"))
    for length in LENGTHS:
        rows = [{"note": str(n)} for n in range(length)]
        wanted = list(range(1, length))
        async with engine.begin() as connection:
            made = await connection.scalars(seen.insert().returning(seen.c.id), rows)
            assert len(made.all()) == length
            query = sa.select(seen.c.id).where(seen.c.id.in_(wanted))
            found = (await connection.scalars(query)).all()
            assert sorted(found) == wanted
    async with engine.connect() as connection:
        texts = (await connection.scalars(SEEN)).all()
    inserts = [text for text in texts if text.startswith("INSERT")]
    return inserts, [text for text in texts if not text.startswith("INSERT")]


def test_one_line_for_each_statement(
    builtin: Dialect, pgflight_dialect: Dialect, cluster: TempCluster
) -> None:
    """Whatever the number of rows and elements; the built-in dialect fills one for each of them."""
    found = {}
    for dialect in (builtin, pgflight_dialect):
        engine = dialect.engine(cluster.url())
        found[dialect.name] = tuple(map(len, asyncio.run(lines(engine))))
    assert found["pgflight"] == (1, 1)
    inserts, lists = found["builtin"]
    assert inserts == 4
    assert lists == 4 or cluster.version >= (18,)  # which takes lists of one kind for one
