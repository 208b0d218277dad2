"""`python -m pgflight enable|disable|status`: the start-up hook, in a throw-away environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pgflight.activation import registration, start_up_hook
from pgflight.cli import enable
from pgflight.cli.target import CommandError
from tests.unit.environments import BUILTIN, OURS, Environment, succeed

MODULES = "import sys; print(*sorted(sys.modules))"


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An environment in which pgflight is installed and not enabled."""
    return Environment(tmp_path / "environment")


def hook_names(environment: Environment) -> set[str]:
    """Return the names of the hook's files that are there, the compiled one included."""
    return {path.name for path in environment.site_packages.rglob("*pgflight*enable*")}


def test_enable_and_disable(environment: Environment) -> None:
    assert environment.served() == BUILTIN
    said = succeed(environment.command("enable"))
    for name in enable.hook_files():
        assert f"wrote {environment.site_packages / name}" in said
    assert f"postgresql+asyncpg is served by {OURS}" in said
    assert environment.served() == OURS
    compiled = hook_names(environment) - set(enable.hook_files())
    assert [name.split(".")[0] for name in compiled] == ["_pgflight_enable"]
    said = succeed(environment.command("disable"))
    assert f"removed {environment.site_packages / 'pgflight-enable.pth'}" in said
    assert environment.served() == BUILTIN
    assert hook_names(environment) == set()


def test_both_commands_can_be_repeated(environment: Environment) -> None:
    assert "nothing to remove" in succeed(environment.command("disable"))
    succeed(environment.command("enable"))
    assert "already enabled" in succeed(environment.command("enable"))
    assert environment.served() == OURS
    succeed(environment.command("disable"))
    assert "nothing to remove" in succeed(environment.command("disable"))


def test_enable_repairs_a_hook_of_another_version(environment: Environment) -> None:
    succeed(environment.command("enable"))
    module = environment.site_packages / "_pgflight_enable.py"
    module.write_text(module.read_text("utf-8") + "# older\n", "utf-8")
    outdated = environment.command("status")
    assert outdated.returncode == 1
    assert "written by another version" in outdated.stdout
    assert succeed(environment.command("enable")).startswith(f"wrote {module}\n")
    assert "written by another version" not in succeed(environment.command("status"))


def test_status(environment: Environment) -> None:
    before = succeed(environment.command("status"))
    assert "start-up hook:      not enabled (python -m pgflight enable)" in before
    assert f"postgresql+asyncpg: {BUILTIN}" in before
    succeed(environment.command("enable"))
    after = succeed(environment.command("status"))
    assert f"enabled: {environment.site_packages / 'pgflight-enable.pth'}" in after
    assert f"postgresql+asyncpg: {OURS}" in after
    for word in ("implementation:", "sqlalchemy ", "asyncpg ", "python "):
        assert word in after


def test_status_says_which_form_runs_and_why(environment: Environment) -> None:
    good = environment.run("-m", "pgflight", "status", PGFLIGHT_IMPL="python")
    assert "implementation:     python (PGFLIGHT_IMPL=python asks for it)" in succeed(good)
    wrong = environment.run("-m", "pgflight", "status", PGFLIGHT_IMPL="fast")
    assert wrong.returncode == 1
    assert "implementation:     WRONG: cannot be loaded: PGFLIGHT_IMPL='fast'" in wrong.stdout


def test_interpreter_start_imports_the_hook_and_nothing_else(environment: Environment) -> None:
    before = set(succeed(environment.run("-c", MODULES)).split())
    succeed(environment.command("enable"))
    after = set(succeed(environment.run("-c", MODULES)).split())
    assert after - before == {"_pgflight_enable"}


def test_sqlalchemy_alone_does_not_load_pgflight(environment: Environment) -> None:
    succeed(environment.command("enable"))
    code = "import sqlalchemy, sys; print(any(name.startswith('pgflight') for name in sys.modules))"
    assert succeed(environment.run("-c", code)) == "False"


@pytest.mark.parametrize(
    "first",
    [
        "import pgflight",
        "import pgflight.dialect",
        "import sqlalchemy.dialects.postgresql.asyncpg",
        "import importlib.util; importlib.util.find_spec('sqlalchemy.dialects')",
    ],
)
def test_order_of_imports_does_not_matter(environment: Environment, first: str) -> None:
    succeed(environment.command("enable"))
    assert environment.served(first) == OURS


def test_a_program_can_still_uninstall(environment: Environment) -> None:
    succeed(environment.command("enable"))
    assert environment.served("import pgflight; pgflight.uninstall()") == BUILTIN


def test_path_that_is_completed_after_the_hook(environment: Environment) -> None:
    parent = environment.site_packages / "a-parent.pth"
    parent.rename(environment.site_packages / "z-parent.pth")
    succeed(environment.command("enable"))
    assert environment.served() == OURS


def test_pgflight_uninstalled_meanwhile(environment: Environment) -> None:
    succeed(environment.command("enable"))
    environment.hide_pgflight()
    (environment.site_packages / "pgflight").mkdir()  # what pip leaves of a package at times
    assert environment.served() == BUILTIN
    assert succeed(environment.run("-c", "print('started')")) == "started"


def test_files_removed_one_by_one(environment: Environment) -> None:
    succeed(environment.command("enable"))
    (environment.site_packages / "_pgflight_enable.py").unlink()
    assert environment.served() == BUILTIN
    wrong = environment.command("status")
    assert wrong.returncode == 1
    assert "without effect" in wrong.stdout


def test_enable_without_effect_is_an_error_and_leaves_nothing(environment: Environment) -> None:
    # The command itself finds pgflight, and programs of the environment do not.
    (environment.site_packages / "b-blocker.pth").write_text(
        "import sys; sys.modules.setdefault('pgflight', None) if '-c' in sys.orig_argv else None\n",
        "utf-8",
    )
    wrong = environment.command("enable")
    assert wrong.returncode == 2
    assert "has no effect" in wrong.stderr and "has been removed" in wrong.stderr
    assert hook_names(environment) == set()


@contextmanager
def unprivileged(directory: Path) -> Iterator[None]:
    """Make `directory` one that we may not write, as root too."""
    directory.chmod(0o555)
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        directory.chmod(0o755)


def test_directory_that_cannot_be_written(tmp_path: Path) -> None:
    with unprivileged(tmp_path), pytest.raises(CommandError) as refused:
        enable.write_hook(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path} cannot be changed (Permission denied): ")
    assert list(tmp_path.iterdir()) == []
    enable.write_hook(tmp_path)
    with unprivileged(tmp_path), pytest.raises(CommandError):
        enable.remove_hook(tmp_path)


def test_hook_that_can_be_written_in_part_only(tmp_path: Path) -> None:
    (tmp_path / "pgflight-enable.pth").mkdir()
    with pytest.raises(CommandError):
        enable.write_hook(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["pgflight-enable.pth"]


def test_files_for_each_python() -> None:
    assert list(enable.hook_files((3, 14))) == ["_pgflight_enable.py", "pgflight-enable.pth"]
    files = enable.hook_files((3, 15))
    assert list(files) == ["_pgflight_enable.py", "pgflight-enable.start", "pgflight-enable.pth"]
    lines = files["pgflight-enable.pth"].splitlines()
    assert [line.startswith("import ") for line in lines if not line.startswith("#")] == [True]
    assert all(text.isascii() for text in files.values())


def test_start_file_as_python_3_15_reads_it(environment: Environment) -> None:
    # PEP 829: entry points, one per line, resolved and called without arguments. CPython 3.15
    # goes through the directory of a virtual environment twice.
    for name, text in enable.hook_files((3, 15)).items():
        if not name.endswith(".pth"):
            (environment.site_packages / name).write_text(text, "utf-8")
    reader = """
import pathlib, pkgutil, sysconfig, sys
for _ in range(2):
    for file in sorted(pathlib.Path(sysconfig.get_path('purelib')).glob('*.start')):
        for line in file.read_text('utf-8-sig').splitlines():
            if line.strip() and not line.startswith('#'):
                pkgutil.resolve_name(line.strip())()
assert len([f for f in sys.meta_path if type(f).__name__ == 'DialectsFinder']) == 1
"""
    assert environment.served(reader) == OURS


def test_hook_registers_what_install_registers() -> None:
    class Registry:
        def register(self, *arguments: str) -> None:
            self.registered = arguments

    class Dialects:
        registry = Registry()

    start_up_hook.register(Dialects)  # type: ignore[arg-type]
    assert Dialects.registry.registered == (
        registration.NAME,
        registration.MODULE,
        registration.CLASS,
    )
