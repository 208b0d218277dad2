"""The `dialect` fixture serves what it says, and the watchers of the loops do fail a test."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from sqlalchemy import text

from tests.fixtures.engines import Dialect
from tests.fixtures.gc import LiveObjects

ROOT = Path(__file__).parents[2]

# Each body is the rest of a test function, by a part of the message it must fail with.
LEAKS = {
    "still running": """()
        async def work():
            globals()["kept"] = asyncio.ensure_future(asyncio.sleep(60))
        asyncio.run(work())""",
    "never awaited": """()
        async def work():
            asyncio.sleep(0)
        asyncio.run(work())""",
    "caught what nobody handled": """()
        async def work():
            asyncio.get_running_loop().call_soon(lambda: 1 / 0)
            await asyncio.sleep(0.01)
        asyncio.run(work())""",
    "exception was never retrieved": """()
        async def fail():
            raise LookupError("lost")
        async def work():
            task = asyncio.ensure_future(fail())
            await asyncio.sleep(0.01)
        asyncio.run(work())""",
    "unclosed connection": """(server)
        asyncio.run(server.connect())""",
    "still checked out": """(builtin)
        async def work():
            globals()["kept"] = await builtin.engine().connect()
        asyncio.run(work())""",
    "were never closed": """(builtin)
        from tests.fixtures.tasks import _asyncio_run
        async def work():
            async with builtin.engine().connect() as connection:
                await connection.scalar(text("SELECT 1"))
        _asyncio_run(work())
        globals()["kept"] = builtin""",
    "left pgflight.install() in effect": """(unclean, builtin)
        pass""",
}
HEAD = """
import asyncio
import pytest
from sqlalchemy import text
from sqlalchemy.dialects import registry

@pytest.fixture
def unclean():
    registry.register("postgresql.asyncpg", "pgflight.dialect", "PGDialect_asyncpg")
    yield
    registry.impls.pop("postgresql.asyncpg")
"""


def test_the_dialects_are_the_two(dialect: Dialect) -> None:
    async def work() -> str:
        engine = dialect.engine()
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT 42")) == 42
        return type(engine.dialect).__module__

    expected = {"builtin": "sqlalchemy.dialects.postgresql.asyncpg", "pgflight": "pgflight.dialect"}
    assert asyncio.run(work()) == expected[dialect.name]


def test_a_leak_fails_its_test(tmp_path: Path) -> None:
    functions = [f"def test_{n}{body}\n" for n, body in enumerate(LEAKS.values())]
    bodies = [function.replace(")", "):", 1) for function in functions]
    (tmp_path / "test_leak.py").write_text(HEAD + "\n".join(bodies))
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."]
    options = ["-c", str(ROOT / "pyproject.toml"), "--override-ini=pythonpath=", "--junitxml=out"]
    done = subprocess.run(
        [*command, *options, "test_leak.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    messages: dict[str, str] = {}
    for case in ElementTree.parse(tmp_path / "out").iter("testcase"):
        name = case.get("name", "")
        messages[name] = messages.get(name, "") + "".join(case.itertext())
    missing = [
        complaint for n, complaint in enumerate(LEAKS) if complaint not in messages[f"test_{n}"]
    ]
    assert not missing, done.stdout


def test_live_objects_count_growth(live_objects: LiveObjects) -> None:
    class Kept:
        pass

    kept: list[Kept] = []
    assert live_objects.growth(lambda: Kept()) == {}
    grown = live_objects.growth(lambda: kept.append(Kept()))
    assert [name.rsplit(".", 1)[-1] for name in grown] == ["Kept"]
    assert live_objects.count(Kept) == 4
