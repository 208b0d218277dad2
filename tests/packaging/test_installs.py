"""What pip makes of the source tree: with a compiler, without one, and under both switches."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgflight._impl import PIECES
from tests.packaging import checkout

pytestmark = pytest.mark.slow

NO_COMPILER = {"CC": "/bin/false"}
FORM = "import pgflight; print(pgflight.implementation().name); print(pgflight.__file__)"
WORK = """
import pgflight
from pgflight import _impl
pgflight.install()
from sqlalchemy.ext.asyncio import create_async_engine
for driver in ("asyncpg", "pgflight"):
    engine = create_async_engine(f"postgresql+{driver}://somebody@localhost/somewhere")
    print(type(engine.dialect).__module__)
print(_impl.rows.tuples([[1, "a"]]), _impl.rows.rowcount("INSERT 0 3"))
print(_impl.jsondecode.json_decoder(None, takes_bytes=False, prefix=1)(b'\\x01{"a": [1]}'))
print(_impl.params.ParamPlan({}, {}, [], {}).rows([()]), _impl.params.flatten([(2,), ("1",)], 0, 1))
cache = _impl.stmtcache.StatementCache(1)
cache.put("a", 1); cache.put("b", 2)
print(cache.keys())
"""
WORKED = """\
pgflight.dialect
pgflight.dialect
[(1, 'a')] 3
{'a': [1]}
[()] (2, '1')
['b']
"""

STRICT = """
import sys
from setuptools import build_meta
build_meta.build_editable(sys.argv[1], {"editable_mode": "strict"})
"""


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A fresh copy of what a release is built from."""
    yield checkout.copy(tmp_path / "tree")


def form(target: Path) -> str:
    """Return which form an installation runs, having seen that it is that installation."""
    name, place = checkout.use(target, FORM).splitlines()
    assert Path(place).is_relative_to(target)
    return name


def extensions(target: Path) -> list[str]:
    """Return the names of the compiled modules in an installation."""
    found = [*target.rglob("*.so"), *target.rglob("*.pyd")]
    return sorted(path.name.partition(".")[0] for path in found)


def test_with_a_compiler(tree: Path, tmp_path: Path) -> None:
    ran = checkout.install(tree, tmp_path / "to", {"PGFLIGHT_REQUIRE_EXTENSIONS": "1"})
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert form(tmp_path / "to") == "compiled"
    assert extensions(tmp_path / "to") == sorted(f"{piece}_c" for piece in PIECES)
    assert checkout.use(tmp_path / "to", WORK) == WORKED
    assert not list(tmp_path.joinpath("to").rglob("*.c"))
    assert (tmp_path / "to" / "pgflight" / "py.typed").is_file()


@pytest.mark.parametrize("compiler", ["/bin/false", "no-such-compiler"])
def test_without_a_compiler_it_installs_and_works(
    tree: Path, tmp_path: Path, compiler: str
) -> None:
    ran = checkout.install(tree, tmp_path / "to", {"CC": compiler})
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert form(tmp_path / "to") == "python"
    assert extensions(tmp_path / "to") == []
    assert checkout.use(tmp_path / "to", WORK) == WORKED


def test_without_a_compiler_a_strict_editable_install_works(tree: Path, tmp_path: Path) -> None:
    """setuptools links every output that is listed, and fails where one was not built."""
    ran = checkout.run("-c", STRICT, str(tmp_path), directory=tree, environment=NO_COMPILER)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (linked,) = (tree / "build").glob("__editable__*")
    assert form(linked) == "python"
    assert checkout.use(linked, WORK.replace('"asyncpg", "pgflight"', '"asyncpg",')) == (
        WORKED.replace("pgflight.dialect\n", "", 1)
    )


def test_strict_editable_install_has_the_extensions(tree: Path, tmp_path: Path) -> None:
    """The way to install for development: type checkers see the packages where pip mapped them."""
    ran = checkout.run("-c", STRICT, str(tmp_path), directory=tree)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (linked,) = (tree / "build").glob("__editable__*")
    assert form(linked) == "compiled"
    assert extensions(linked) == sorted(f"{piece}_c" for piece in PIECES)


def test_required_extensions_without_a_compiler(tree: Path, tmp_path: Path) -> None:
    ran = checkout.install(
        tree, tmp_path / "to", NO_COMPILER | {"PGFLIGHT_REQUIRE_EXTENSIONS": "1"}
    )
    assert ran.returncode != 0
    said = ran.stdout + ran.stderr
    assert (
        "PGFLIGHT_REQUIRE_EXTENSIONS=1, but pgflight._speedups.jsondecode_c cannot be comp" in said
    )
    assert "install a C compiler and Python's headers, or unset the switch" in said
    assert not (tmp_path / "to").exists()


def test_both_switches_exclude_each_other(tree: Path, tmp_path: Path) -> None:
    switches = {"PGFLIGHT_NO_EXTENSIONS": "1", "PGFLIGHT_REQUIRE_EXTENSIONS": "1"}
    ran = checkout.install(tree, tmp_path / "to", switches)
    assert ran.returncode != 0
    assert (
        "PGFLIGHT_NO_EXTENSIONS=1 and PGFLIGHT_REQUIRE_EXTENSIONS=1 exclude each other: unset one"
        in ran.stdout + ran.stderr
    )


@pytest.mark.parametrize("switch", ["PGFLIGHT_NO_EXTENSIONS", "PGFLIGHT_REQUIRE_EXTENSIONS"])
@pytest.mark.parametrize("value", ["yes", "2", "true"])
def test_another_value_of_a_switch_is_an_error(tree: Path, switch: str, value: str) -> None:
    ran = checkout.run("setup.py", "--version", directory=tree, environment={switch: value})
    assert ran.returncode != 0
    assert ran.stderr.splitlines()[-1] == (
        f"{switch}={value!r} is not understood: set it to 1 or 0, or leave it unset"
    )


@pytest.mark.parametrize("off", ["", "0"])
def test_switches_that_are_off(tree: Path, off: str) -> None:
    switches = {"PGFLIGHT_NO_EXTENSIONS": off, "PGFLIGHT_REQUIRE_EXTENSIONS": off}
    ran = checkout.run("setup.py", "--version", directory=tree, environment=switches)
    assert ran.returncode == 0, ran.stderr


def test_pure_wheel(tree: Path, tmp_path: Path) -> None:
    wheel = checkout.build(tree, "wheel", {"PGFLIGHT_NO_EXTENSIONS": "1"})
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "to")
    assert form(tmp_path / "to") == "python"
    assert checkout.use(tmp_path / "to", WORK) == WORKED


def test_sdist_holds_what_a_build_needs_and_no_more(tree: Path, tmp_path: Path) -> None:
    files = {
        path.relative_to(tree).as_posix()
        for path in (tree / "src").rglob("*")
        if path.suffix in (".py", ".pyx") or path.name == "py.typed"
    }
    # What a developer's tree has lying about must stay behind.
    for left_over in ("src/_speedups/rows.c", "src/_speedups/rows_c.so", "src/pgflight/old.pyc"):
        (tree / left_over).write_bytes(b"")
    (tree / "src" / "pgflight" / "_speedups").symlink_to(Path("..") / "_speedups")
    sdist = checkout.build(tree, "sdist")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames() if "/" in name}
        archive.extractall(tmp_path / "from", filter="data")
    assert files > {f"src/_speedups/{name}" for name in ("rows.py", "results_c.pyx", "_pure.py")}
    assert files | set(checkout.TOP) <= names
    surplus = {name for name in names - files - set(checkout.TOP) if "." in name.rpartition("/")[2]}
    assert {name for name in surplus if ".egg-info" not in name} == {"setup.cfg"}

    (unpacked,) = (tmp_path / "from").iterdir()
    wheel = checkout.build(unpacked, "wheel", {"PGFLIGHT_REQUIRE_EXTENSIONS": "1"})
    with zipfile.ZipFile(wheel) as archive_of_wheel:
        archive_of_wheel.extractall(tmp_path / "to")
        kinds = {Path(name).suffix for name in archive_of_wheel.namelist()}
    assert form(tmp_path / "to") == "compiled"
    assert extensions(tmp_path / "to") == sorted(f"{piece}_c" for piece in PIECES)
    # Each piece's Python is there as well; what only a build reads is not.
    assert not kinds & {".pyx", ".c"}
