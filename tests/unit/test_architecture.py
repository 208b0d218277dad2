"""docs/architecture.md describes the package that is there: rooms, files, names and words."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from markdown_it import MarkdownIt

from tests.unit import house
from tests.unit.test_house import HEIGHTS

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")

PATH = re.compile(r"[\w./-]*/[\w./-]*|[\w-]+\.(py|pyx|md|toml|yml)")
DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+(\(\))?")
CALLED = re.compile(r"[a-z_]\w*\(\)")
CLASS = re.compile(r"_?[A-Z]\w*[a-z]\w*")


def codes() -> list[str]:
    """Return what stands in backticks, fenced blocks apart."""
    return [
        token.content
        for block in MarkdownIt("commonmark").enable("table").parse(PAGE)
        for token in block.children or ()
        if token.type == "code_inline"
    ]


NAMES = sorted(set(codes()))
PATHS = [code for code in NAMES if PATH.fullmatch(code)]
IDENTIFIERS = [
    code
    for code in NAMES
    if not PATH.fullmatch(code)
    and (DOTTED.fullmatch(code) or CALLED.fullmatch(code) or CLASS.fullmatch(code))
]


@cache
def defined() -> frozenset[str]:
    """Return the names of the package's functions and classes, and `Class.method` of these."""
    found: set[str] = set()
    for path in [*house.files(), *(SOURCE / "_speedups").glob("*.py")]:
        for node in ast.walk(house.tree_of(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                found.add(node.name)
            if isinstance(node, ast.ClassDef):
                found |= {
                    f"{node.name}.{part.name}"
                    for part in node.body
                    if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef))
                }
    return frozenset(found)


def exists(identifier: str) -> bool:
    """Tell whether a name is the package's, or can be reached from a module that it begins with."""
    name = identifier.removesuffix("()")
    first, _, rest = name.partition(".")
    if first not in ("pgflight", "asyncpg", "sqlalchemy"):
        return name in defined()
    found: object = importlib.import_module(first)
    for part in rest.split("."):
        if isinstance(found, ModuleType) and not hasattr(found, part):
            try:
                importlib.import_module(f"{found.__name__}.{part}")
            except ModuleNotFoundError:
                return False
        found = getattr(found, part, None)
    return found is not None


@pytest.mark.parametrize("path", PATHS)
def test_each_path_exists(path: str) -> None:
    assert [
        base for base in (SOURCE / "pgflight", SOURCE, ROOT) if (base / path.rstrip("/")).exists()
    ]


@pytest.mark.parametrize("identifier", IDENTIFIERS)
def test_each_name_exists(identifier: str) -> None:
    assert exists(identifier)


def test_the_page_is_read() -> None:
    assert len(PATHS) > 50
    assert len(IDENTIFIERS) > 20


def rows(section: str) -> list[list[str]]:
    """Return the cells of the first table of a section, its head apart."""
    text = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    (found,) = [part for part in text if part.startswith(f"{section}\n")]
    lines = [line for line in found.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_every_folder_is_described_in_order() -> None:
    described = [cells[0].strip("`").rstrip("/") for cells in rows("The rooms")]
    packages = {
        path.parent.relative_to(house.PACKAGE).as_posix()
        for path in house.files()
        if path.name == "__init__.py"
    }
    assert set(described) == packages - {"."} | {"_speedups"}
    top = [name for name in described if "/" not in name]
    assert top == [name for name in HEIGHTS if name in top]
    assert all(len(cells) == 2 and cells[1].endswith(".") for cells in rows("The rooms"))


def test_every_file_of_the_front_door_is_named() -> None:
    alone = {name for name in HEIGHTS if (house.PACKAGE / f"{name}.py").is_file()}
    assert {f"{name}.py" for name in alone} <= set(codes())


def spaced(text: str) -> str:
    """Return words in lower case, also those of an identifier, with one blank between them."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[-_\s]+", " ", text)
    return words.lower()


WORDS = [cells[0].strip("*") for cells in rows("Glossary")]


@cache
def elsewhere() -> str:
    """Return the other documents and the package's code."""
    documents = [path for path in (ROOT / "docs").glob("*.md") if path.name != "architecture.md"]
    documents += [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    code = [*house.files(), *(SOURCE / "_speedups").glob("*.py*")]
    return spaced("\n".join(path.read_text("utf-8") for path in [*documents, *code]))


@pytest.mark.parametrize("word", WORDS)
def test_each_word_of_the_glossary_is_used(word: str) -> None:
    # in any of its forms: steps aside, deferred ends
    pattern = r"\w* ".join(map(re.escape, spaced(word).split()))
    assert re.search(rf"\b{pattern}", elsewhere())


def test_each_word_stands_once_and_in_order() -> None:
    assert len(WORDS) > 25
    assert WORDS == sorted(set(WORDS), key=str.lower)
    assert all(len(cells) == 2 and cells[1].endswith(".") for cells in rows("Glossary"))
