"""Whole programs, unchanged, each in a process of its own: on the built-in dialect and on ours."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from tests.fixtures.server import Server
from tests.parity.scratch import own

PROGRAMS = Path(__file__).parent / "programs"
SQLALCHEMY = tuple(int(part) for part in sqlalchemy.__version__.split(".")[:2])
# SQLModel asks for SQLAlchemy before 2.1; where that one is installed, the program cannot exist.
NAMES = ["fastapi_app", *(["sqlmodel_app"] if SQLALCHEMY < (2, 1) else [])]


BUILTIN = "import asyncio, {0}; asyncio.run({0}.main())"
OURS = "import pgflight; pgflight.install(); " + BUILTIN


@pytest.fixture
def address(server: Server) -> Iterator[str]:
    """The URL of an empty database: programs name their tables as they like."""
    name = own("programs")
    drop = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"
    server.execute(drop, f"CREATE DATABASE {name}")
    yield server.text(database=name)
    server.execute(drop)


def run(start: str, program: str, address: str, **environment: str) -> tuple[list[str], str]:
    """Return the lines that a program printed, and the module of the dialect that served it."""
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", start.format(program)],
        env={
            **os.environ,
            "DATABASE_URL": address,
            "PYTHONPATH": os.pathsep.join([str(PROGRAMS), *filter(None, sys.path)]),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *_, module = done.stderr.split()
    return done.stdout.splitlines(), module


@pytest.mark.parametrize("program", NAMES)
@pytest.mark.parametrize("form", ["auto", "python"])
def test_a_program_runs_unchanged(address: str, program: str, form: str) -> None:
    expected, builtin = run(BUILTIN, program, address)
    found, ours = run(OURS, program, address, PGFLIGHT_IMPL=form)
    assert (builtin, ours) == ("sqlalchemy.dialects.postgresql.asyncpg", "pgflight.dialect")
    assert found == expected
    assert len(found) > 8


def test_the_application_answers_what_it_should(address: str) -> None:
    lines, _ = run(OURS, "fastapi_app", address)
    codes = [line.split(",")[0].strip("[") for line in lines]
    assert codes[:5] == ["201"] * 4 + ["409"]
    assert sorted(set(codes[5:-2])) == ["200", "404", "422"]
    assert "new" in lines[-1] and "3.25" in "".join(lines)
