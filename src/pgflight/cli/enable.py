"""`enable`, `disable` and `status`: the start-up hook of one environment's site-packages.

Called by `pgflight.__main__`. The hook is a copy of `pgflight/activation/start_up_hook.py` and the
file or files that make the interpreter call it: a .pth file with one import line, and from Python
3.15 on a .start file (PEP 829), which then replaces that line.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import py_compile
import site
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pgflight
from pgflight.activation import start_up_hook
from pgflight.cli import environment
from pgflight.cli.target import CommandError
from pgflight.cli.third_party import third_party_fact

_MODULE = "_pgflight_enable"
_PTH = "pgflight-enable.pth"
_START = "pgflight-enable.start"
_NOTE = "# Written by `python -m pgflight enable`; `python -m pgflight disable` removes it.\n"
# The line must not fail: the module may have been removed and this file left behind.
_PTH_LINE = (
    f'import sys; exec("try:\\n import {_MODULE}\\nexcept ImportError:\\n pass\\n'
    f'else:\\n {_MODULE}.start()")\n'
)


def enable(arguments: argparse.Namespace) -> int:
    """Write the hook, and check in a new process that it works."""
    directory = target_directory()
    written = write_hook(directory)
    for path in written:
        print(f"wrote {path}")
    if not written:
        print(f"already enabled in {directory}")
    serving = environment.serving_class(directory)
    if not serving.good or not environment.is_ours(serving.text):
        _withdraw(written)
        raise CommandError(
            f"the hook has no effect in {directory}: {serving.name} there is {serving.text}; "
            "install pgflight into this environment (pip install pgflight) and try again"
            + (" (what was written has been removed)" if written else "")
        )
    if sys.prefix == sys.base_prefix:
        print(f"note: this is no virtual environment; every program of {sys.prefix} is concerned")
    print(f"{serving.name} is served by {serving.text}; undo with: python -m pgflight disable")
    return 0


def disable(arguments: argparse.Namespace) -> int:
    """Remove the hook of this environment."""
    directory = target_directory()
    removed = remove_hook(directory)
    for path in removed:
        print(f"removed {path}")
    if not removed:
        print(f"not enabled in {directory}: nothing to remove")
    elsewhere = [path for path in hook_paths() if path.parent != directory]
    for path in elsewhere:
        print(f"still there: {path} (run `disable` with the Python that owns it)", file=sys.stderr)
    return 1 if elsewhere else 0


def status(arguments: argparse.Namespace) -> int:
    """Print what serves postgresql+asyncpg in this environment; return 1 if something is wrong."""
    directory = target_directory()
    serving = environment.serving_class(directory)
    facts = [environment.Fact("environment", True, f"{sys.prefix} (site-packages: {directory})")]
    facts += [_hook_fact(serving), serving, environment.implementation_fact()]
    try:
        said = ", ".join(f"{name} {version}" for name, version in environment.versions().items())
        facts.append(environment.Fact("versions", True, said))
    except ImportError as error:
        facts.append(environment.Fact("versions", False, f"cannot be read: {error}"))
    others = third_party_fact(directory)
    if others is not None:
        facts.append(others)
    width = max(len(fact.name) for fact in facts) + 1
    for fact in facts:
        print(f"{fact.name + ':':{width}} {'' if fact.good else 'WRONG: '}{fact.text}")
    return 0 if all(fact.good for fact in facts) else 1


def _hook_fact(serving: environment.Fact) -> environment.Fact:
    found = hook_paths()
    if not found:
        return environment.Fact("start-up hook", True, "not enabled (python -m pgflight enable)")
    where = ", ".join(map(str, found))
    if serving.good and not environment.is_ours(serving.text):
        return environment.Fact(
            "start-up hook",
            False,
            f"without effect, run `python -m pgflight enable` again: {where}",
        )
    expected = hook_files()
    if any(path.read_text("utf-8") != expected.get(path.name) for path in found):
        return environment.Fact(
            "start-up hook",
            False,
            f"written by another version, run `python -m pgflight enable` again: {where}",
        )
    return environment.Fact("start-up hook", True, f"enabled: {where}")


def hook_files(python: tuple[int, ...] = sys.version_info[:2]) -> dict[str, str]:
    """Return the name and text of each file of the hook for this version of Python."""
    source = Path(str(start_up_hook.__file__)).read_text("utf-8")
    files = {f"{_MODULE}.py": source}
    if python >= (3, 15):
        files[_START] = f"{_NOTE}{_MODULE}:start\n"
    files[_PTH] = _NOTE + _PTH_LINE
    return files


def write_hook(directory: Path) -> list[Path]:
    """Write the files of the hook that are missing or differ, and return them.

    Raises CommandError if `directory` cannot be written; nothing is left half done.
    """
    written: list[Path] = []
    try:
        for name, text in hook_files().items():
            path = directory / name
            if not path.is_file() or path.read_text("utf-8") != text:
                _replace(path, text)
                written.append(path)
    except OSError as error:
        _withdraw(written)
        raise _not_writable(directory, error) from error
    # Compiled now: many containers run with PYTHONDONTWRITEBYTECODE=1 and would compile it at
    # every start: 2 ms instead of 0.3 ms.
    with contextlib.suppress(OSError):
        py_compile.compile(str(directory / f"{_MODULE}.py"), quiet=2)
    return written


def remove_hook(directory: Path) -> list[Path]:
    """Remove the files of the hook, the one that starts it first, and return those removed.

    Raises CommandError if `directory` cannot be written.
    """
    removed = []
    try:
        for name in (_PTH, _START, f"{_MODULE}.py"):
            path = directory / name
            if path.is_file():
                _withdraw([path])
                removed.append(path)
    except OSError as error:
        raise _not_writable(directory, error) from error
    return removed


def hook_paths() -> list[Path]:
    """Return the files of a hook in every site directory that this interpreter reads."""
    names = (_PTH, _START, f"{_MODULE}.py")
    return [
        directory / name
        for directory in _site_directories()
        for name in names
        if (directory / name).is_file()
    ]


def target_directory() -> Path:
    """Return the site-packages directory that the hook of the running environment belongs in.

    It is the user's own one if pgflight itself is installed there (`pip install --user`).
    """
    if site.ENABLE_USER_SITE:
        user = Path(site.getusersitepackages())
        if user in Path(str(pgflight.__file__)).parents:
            return user
    return Path(sysconfig.get_path("purelib"))


def _site_directories() -> Iterator[Path]:
    places = [str(target_directory()), *site.getsitepackages()]
    if site.ENABLE_USER_SITE:
        places.append(site.getusersitepackages())
    for place in dict.fromkeys(places):
        if os.path.isdir(place):
            yield Path(place)


def _replace(path: Path, text: str) -> None:
    """Write `text` to `path` in one step: an interpreter may be starting at this moment."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, "utf-8", newline="\n")
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _withdraw(paths: list[Path]) -> None:
    """Remove files of the hook, and what Python compiled from them."""
    for path in paths:
        path.unlink(missing_ok=True)
        if path.suffix == ".py":
            for compiled in path.parent.glob(f"__pycache__/{_MODULE}.*.pyc"):
                compiled.unlink(missing_ok=True)


def _not_writable(directory: Path, error: OSError) -> CommandError:
    return CommandError(
        f"{directory} cannot be changed ({error.strerror or error}): run this as the owner of that "
        "Python environment, or use a virtual environment of your own"
    )
