"""The Python on the pages of the documentation site runs as it stands there.

Pages that need packages beyond the extra `test` are run by tests/packaging/docs_site; each page
with Python is in one of the lists.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import ipaddress
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import create_async_engine

import pgflight
from tests.fixtures.engines import Dialect
from tests.fixtures.pages import DOCS, blocks_of, run_blocks
from tests.fixtures.server import Server

PAGES = (
    "application.md",
    "errors.md",
    "greenlets.md",
    "performance.md",
    "poolers/index.md",
    "questions.md",
    "switching/builtin.md",
    "switching/databases.md",
    "switching/psycopg.md",
    "types.md",
)
README = "../README.md"
PROGRAMS = {
    README: None,
    "index.md": None,
    "start/fastapi.md": "pgflight.dialect",
    "start/plain.md": "1 first note",
    "examples/queue.md": "21 jobs are done",
    "examples/workers.md": "[0, 2, 4, 6] [0, 2, 4, 6]",
}
"""Whole programs, and the first line of what they print."""
OF_PYTEST = "examples/tests.md"
OF_THEIR_OWN = ("copy.md", "dbapi.md", "listen.md", "sight.md", "streaming.md")
IN_SITE = (
    "alembic.md",
    "cloud-tokens.md",
    "examples/maps.md",
    "examples/vectors.md",
    "start/litestar.md",
    "start/sqlmodel.md",
)
"""Run by tests/packaging/docs_site, where the packages that they need are."""

USES_THE_APP = """
import asyncio, httpx

async def use():
    async with lifespan(app):
        made = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=made, base_url="http://test") as client:
            number = (await client.post("/notes", params={"text": "one"})).json()["id"]
            assert (await client.get(f"/notes/{number}")).json() == {"text": "one"}
            assert (await client.get(f"/notes/{number + 1}")).status_code == 404
            assert "one" in (await client.get("/notes")).json()
            print(type(engine.sync_engine.dialect).__module__)

asyncio.run(use())
"""


def test_every_page_with_python_is_run() -> None:
    found = {p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.md") if blocks_of(p)}
    assert found | {README} == {*PAGES, *PROGRAMS, OF_PYTEST, *OF_THEIR_OWN, *IN_SITE}


def test_no_other_spelling_of_a_block_hides_python() -> None:
    for page in DOCS.rglob("*.md"):
        languages = set(re.findall(r"^ *```(\S+)", page.read_text("utf-8"), re.MULTILINE))
        assert languages <= {"python", "ini", "text", "sql"}, page.name


@pytest.mark.parametrize("name", PAGES)
def test_a_page_runs(pgflight_dialect: Dialect, name: str) -> None:
    url = pgflight_dialect.url()

    async def run() -> None:
        engine = pgflight_dialect.engine()
        names: dict[str, Any] = {
            "sa": sa,
            "pgflight": pgflight,
            "engine": engine,
            "url": url,
            "create_async_engine": create_async_engine,
        }
        await run_blocks(DOCS / name, names)
        if names["engine"] is not engine:
            await names["engine"].dispose()
        if name == "errors.md":
            await tries_again(names)

    asyncio.run(run())


async def tries_again(names: dict[str, Any]) -> None:
    """Have the page's function meet a real serialization failure."""
    attempts: list[Any] = []

    async def work(connection: Any) -> Any:
        attempts.append(connection)
        if len(attempts) == 1:
            failing = "DO $$BEGIN RAISE serialization_failure; END$$"
            await connection.execute(sa.text(failing))
        return await connection.scalar(sa.text("SELECT 42"))

    assert await names["in_transaction"](names["engine"], work) == 42
    assert len(attempts) == 2


@pytest.mark.parametrize("form", ["auto", "python"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_runs(server: Server, tmp_path: Path, name: str, form: str) -> None:
    (program,) = blocks_of(DOCS / name)
    file = tmp_path / "program.py"
    file.write_text(program + (USES_THE_APP if "FastAPI" in program else ""), "utf-8")
    ran = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", str(file)],
        env={**os.environ, "DATABASE_URL": server.text(), "PGFLIGHT_IMPL": form},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    if PROGRAMS[name] is not None:
        assert ran.stdout.splitlines()[0] == PROGRAMS[name]


def test_tests_run(server: Server, tmp_path: Path) -> None:
    (program,) = blocks_of(DOCS / OF_PYTEST)
    (tmp_path / "test_notes.py").write_text(program, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        # with -O, pytest says that it does not see their assertions
        env={**os.environ, "DATABASE_URL": server.text(), "PYTHONOPTIMIZE": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout
    assert "3 passed" in ran.stdout


ROW = re.compile(r"\| `(.+?)` \| .+? \| `(.+)` \| `(.+)` \|")
NAMES = {"sa": sa, "pg": pg, "dt": dt, "decimal": decimal, "uuid": uuid, "ipaddress": ipaddress}
ROWS = [
    found.groups()
    for line in (DOCS / "types.md").read_text("utf-8").splitlines()
    if (found := ROW.fullmatch(line))
]


def test_the_rows_of_types_are_read() -> None:
    assert len(ROWS) > 25


@pytest.mark.parametrize(("kind", "sent", "received"), ROWS)
def test_a_type_in_both_directions(dialect: Dialect, kind: str, sent: str, received: str) -> None:
    type_, value, expected = (eval(text, dict(NAMES)) for text in (kind, sent, received))

    async def run() -> Any:
        async with dialect.engine().connect() as connection:
            return await connection.scalar(sa.select(sa.literal(value, type_)))

    found = asyncio.run(run())
    assert found == expected
    assert isinstance(found, type(expected))  # asyncpg has a class of UUIDs of its own
